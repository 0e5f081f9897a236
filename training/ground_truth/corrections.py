"""What a PurpleAir sensor's laser reads, turned into what a reference monitor would.

x is the mean of both channels [ug m-3], RH the sensor's own relative humidity [%] (inside its warm
housing, as the fits took it). Each correction was fitted to one of the two fields that PurpleAir
publishes, `cf_1` or `atm`, which agree below about 25 ug m-3 and differ by half above 50. The
other field is an error here, never a default.

    epa_2021_cf1        0.524 x − 0.0862 RH + 5.75                              x < 570
        Barkjohn et al. 2021, doi:10.5194/amt-14-4617-2021
    epa_2022_smoke_cf1  the same below 570; from 611 on 4.21e-4 x² + 0.392 x + 3.44; between them
        w = 0.0244 x − 13.9 of the latter                                       any x
        Barkjohn et al. 2022, doi:10.3390/s22249669 (the last three coefficients at second hand)
    epa_airnow_atm      the AirNow Fire and Smoke Map's, in five pieces         any x
        EPA science inventory 353088, slide 26

All were fitted in the United States. In a humid valley at 1,500 m they have to be compared with a
reference station first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from features.errors import PM25Error

Field = Literal["cf_1", "atm"]
END_OF_LINE = 570.0  # [ug m-3], cf_1: above it the line of 2021 is too low for smoke


@dataclass(frozen=True)
class Correction:
    """A named correction: the field it takes, and x from which on it does not hold [ug m-3]."""

    name: str
    field: Field
    holds_below: float
    formula: Callable[[float, float], float]

    def __call__(self, field: Field, x: float, relative_humidity_pct: float) -> float:
        """PM2.5 [ug m-3] as a reference would read it; may be below 0 in clean, damp air.

        field                  which of PurpleAir's fields `x` is
        relative_humidity_pct  [%], 0…100

        Raises PM25Error: correction_field, where `field` is not the one it was fitted to;
        correction_range, for x < 0, x beyond its range, or a humidity that is none.
        """
        if field != self.field:
            raise PM25Error(
                "correction_field",
                f"{self.name} corrects {self.field}, and was given {field}.",
                f"Ask PurpleAir for pm2.5_{self.field}, or take a correction of {field}.",
            )
        if not (0 <= x < self.holds_below and 0 <= relative_humidity_pct <= 100):
            raise PM25Error(
                "correction_range",
                f"{self.name} was given {x:g} ug m-3 at {relative_humidity_pct:g} % humidity.",
                f"It holds from 0 to {self.holds_below:g} ug m-3 and from 0 to 100 %.",
            )
        return self.formula(x, relative_humidity_pct)


def _line(x: float, rh: float) -> float:
    return 0.524 * x - 0.0862 * rh + 5.75


def _smoke(x: float, rh: float) -> float:
    w = min(max(0.0244 * x - 13.9, 0.0), 1.0) if x >= END_OF_LINE else 0.0
    return (1 - w) * _line(x, rh) + w * (4.21e-4 * x**2 + 0.392 * x + 3.44)


def _airnow(x: float, rh: float) -> float:
    """One line whose slope rises from 0.524 to 0.786 at 30…50, and bends up from 210 on."""
    w = min(max(x / 20 - 3 / 2, 0.0), 1.0)
    v = min(max(x / 50 - 21 / 5, 0.0), 1.0)
    slope = 0.786 * w + 0.524 * (1 - w)
    below = slope * x - 0.0862 * rh + 5.75
    above = 0.69 * x + 8.84e-4 * x**2 + 2.966
    return (1 - v) * below + v * above


CORRECTIONS: dict[str, Correction] = {
    correction.name: correction
    for correction in (
        Correction("epa_2021_cf1", "cf_1", END_OF_LINE, _line),
        Correction("epa_2022_smoke_cf1", "cf_1", float("inf"), _smoke),
        Correction("epa_airnow_atm", "atm", float("inf"), _airnow),
    )
}
DEFAULT_CORRECTION = "epa_2022_smoke_cf1"
