"""Where PM2.5 was measured, and what one hour of it was: the form that every source is turned into.

Times are UTC. An hour is named by its end, as monitoring networks do, and holds
start ≤ t < end. A value that cannot be used stays as an hour without `pm25`, with the reason in
`flags`: a gap that is known is not a gap that may still be filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from features.errors import PM25Error
from training.great_circle import haversine

HOUR = timedelta(hours=1)
HIGHEST_PM25 = 500.0  # [ug m-3] SIATA's own limit of validity, taken for every reference station


class GroundTruthError(PM25Error):
    """A source does not answer, refuses, or says what cannot be read."""

    status = 502


@dataclass(frozen=True)
class Sensor:
    """One instrument. `quality` is that of its labels: A reference station, C converted."""

    source: str
    id: str
    name: str
    lat: float
    lon: float
    quality: str


@dataclass(frozen=True)
class SensorHour:
    """The mean of one hour at one sensor.

    ends_at       end of the hour, UTC
    pm25          [ug m-3], corrected if `correction` is named; None where it cannot be used
    as_published  the value as its source wrote it
    correction    name and version of the correction (corrections.py), empty if there is none
    flags         what was found wrong or done: sentinel, out_of_range, clipped, …
    """

    sensor_id: str
    ends_at: datetime
    pm25: float | None
    as_published: str
    correction: str = ""
    flags: tuple[str, ...] = ()

    @property
    def starts_at(self) -> datetime:
        return self.ends_at - HOUR


class GroundTruthSource(Protocol):
    """What pairing and collecting ask. Both methods raise GroundTruthError.

    name     as in `pairing.csv`
    history  how far back it answers; None without a known end
    """

    name: str
    history: timedelta | None

    def sensors(self, lat: float, lon: float, radius_km: float, since: datetime) -> list[Sensor]:
        """The sensors within `radius_km` that have said something after `since`."""
        ...

    def hours(self, sensor: Sensor, start: datetime, end: datetime) -> list[SensorHour]:
        """The hours that end after `start` and not after `end`, in order, each once."""
        ...

    def close(self) -> None:
        """Give back its connections."""
        ...


def hour_end(time: datetime) -> datetime:
    """The end, UTC, of the hour that holds `time`: 15:00 and 15:59 lie in the hour to 16:00."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + HOUR


def hours_between(hours: Iterable[SensorHour], start: datetime, end: datetime) -> list[SensorHour]:
    """The hours with start < ends_at ≤ end, in order and each once.

    An hour that a payload holds twice counts once where both say the same. Where they differ
    nobody knows which is right: no value, flag hour_conflict.
    """
    by_end: dict[datetime, SensorHour] = {}
    for hour in hours:
        if not start < hour.ends_at <= end:
            continue
        known = by_end.get(hour.ends_at)
        if known is not None and known.pm25 != hour.pm25:
            both = f"{known.as_published} | {hour.as_published}"
            hour = replace(known, pm25=None, as_published=both, flags=("hour_conflict",))
        elif known is not None:
            hour = known
        by_end[hour.ends_at] = hour
    return [by_end[ends_at] for ends_at in sorted(by_end)]


def in_reach(
    sensors: Iterable[Sensor], lat: float, lon: float, radius_km: float
) -> list[tuple[float, Sensor]]:
    """Distance [km] and sensor for those within `radius_km`, the nearest first."""
    measured = ((float(haversine(lat, lon, s.lat, s.lon)), s) for s in sensors)
    return sorted(
        (pair for pair in measured if pair[0] <= radius_km), key=lambda pair: (pair[0], pair[1].id)
    )
