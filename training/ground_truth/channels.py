"""Two lasers in one housing: an hour of a PurpleAir sensor, and whether it may be believed.

An hour is made of ten-minute means, at least 75 % of which must be there with both channels and
humidity: of six, five. It is dropped where the channels differ by 5 ug m-3 or more **and** by 70 %
or more of their mean, the limits of Barkjohn et al. 2021 (doi:10.5194/amt-14-4617-2021) for hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from features.errors import PM25Error
from training.ground_truth.corrections import Correction, Field
from training.ground_truth.measurement import SensorHour

MEANS_PER_HOUR = 6
LEAST_SHARE = 0.75
LARGEST_DIFFERENCE = 5.0  # [ug m-3]
LARGEST_RATIO = 0.70  # of the mean of both


@dataclass(frozen=True)
class ChannelMeans:
    """Ten minutes of one sensor: both channels in `field` [ug m-3] and RH [%]; None if unknown."""

    field: Field
    a: float | None
    b: float | None
    relative_humidity_pct: float | None


def channels_agree(a: float, b: float) -> bool:
    """Whether the hourly means of both channels [ug m-3] tell of the same air."""
    difference = abs(a - b)
    return difference < LARGEST_DIFFERENCE or difference < LARGEST_RATIO * (a + b) / 2


def corrected_hour(
    sensor_id: str, ends_at: datetime, means: Sequence[ChannelMeans], correction: Correction
) -> SensorHour:
    """The hour that `means` were taken in; without a value where they cannot be believed.

    Flags: incomplete, channels_disagree, humidity_unknown, beyond_correction; clipped, where the
    corrected value was below 0 and is 0. Raises PM25Error correction_field.
    """

    def hour(pm25: float | None, published: str, *flags: str) -> SensorHour:
        return SensorHour(sensor_id, ends_at, pm25, published, correction.name, flags)

    both = [(m.a, m.b, m) for m in means if m.a is not None and m.b is not None]
    if len(both) < LEAST_SHARE * MEANS_PER_HOUR:
        return hour(None, f"{len(both)} of {MEANS_PER_HOUR} means", "incomplete")
    a, b = fmean(a for a, _, _ in both), fmean(b for _, b, _ in both)
    field = both[0][2].field
    known = [m.relative_humidity_pct for _, _, m in both if m.relative_humidity_pct is not None]
    humidity = [rh for rh in known if 0 <= rh <= 100]
    rh = fmean(humidity) if humidity else float("nan")
    published = f"{field} a={a:.2f} b={b:.2f} rh={rh:.0f}"
    if not channels_agree(a, b):
        return hour(None, published, "channels_disagree")
    if len(humidity) < LEAST_SHARE * MEANS_PER_HOUR:
        return hour(None, published, "humidity_unknown")
    try:
        pm25 = correction(field, (a + b) / 2, rh)
    except PM25Error as error:
        if error.code == "correction_range":
            return hour(None, published, "beyond_correction")
        raise
    return hour(max(pm25, 0.0), published, *(["clipped"] if pm25 < 0 else []))
