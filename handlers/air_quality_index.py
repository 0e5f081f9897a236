"""PM2.5 as the public reads it: the index and category of two official tables.

Both tables are made for a 24-hour mean. A photo sees one instant, so every result says
`as_if_24h`: this is the index that a whole day like this moment would have.

    index = (I_hi − I_lo) / (C_hi − C_lo) · (C − C_lo) + I_lo, rounded to a whole number

us_epa_2024       US EPA, in force since 2024-05-06 (89 FR 16202); C is truncated to 0.1 ug m-3.
co_ica_2254_2017  Colombia, Resolución 2254 of 2017. Its table counts in whole ug m-3 and leaves
                  gaps (12, 13); a value inside a gap belongs to the worse of its two neighbours.

Above the last breakpoint the last band's line continues, as 40 CFR 58 Appendix G, 12.ii allows
for the US index; the same is done for the Colombian one, whose text ends there. An index above
500 therefore means "beyond the index"; the category stays the highest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """One row of a table: concentrations [ug m-3] and index values, both ends included."""

    category: str
    lowest: float
    highest: float
    index_lowest: int
    index_highest: int


@dataclass(frozen=True)
class Standard:
    """One published table. `decimals`: C is truncated to so many first; None leaves it as it is."""

    name: str
    decimals: int | None
    bands: tuple[Band, ...]


US_EPA_2024 = Standard(
    "us_epa_2024",
    1,
    (
        Band("Good", 0.0, 9.0, 0, 50),
        Band("Moderate", 9.1, 35.4, 51, 100),
        Band("Unhealthy for Sensitive Groups", 35.5, 55.4, 101, 150),
        Band("Unhealthy", 55.5, 125.4, 151, 200),
        Band("Very Unhealthy", 125.5, 225.4, 201, 300),
        Band("Hazardous", 225.5, 325.4, 301, 500),
    ),
)

CO_ICA_2254_2017 = Standard(
    "co_ica_2254_2017",
    None,
    (
        Band("Buena", 0, 12, 0, 50),
        Band("Aceptable", 13, 37, 51, 100),
        Band("Dañina a la salud de grupos sensibles", 38, 55, 101, 150),
        Band("Dañina a la salud", 56, 150, 151, 200),
        Band("Muy dañina a la salud", 151, 250, 201, 300),
        Band("Peligrosa", 251, 500, 301, 500),
    ),
)

STANDARDS = (US_EPA_2024, CO_ICA_2254_2017)


def index_and_category(pm25: float, standard: Standard) -> tuple[int, str]:
    """The index [1] and the category of a concentration `pm25` [ug m-3] ≥ 0 under `standard`.

    Raises ValueError if `pm25` is negative or not finite.
    """
    if not (math.isfinite(pm25) and pm25 >= 0):
        raise ValueError(f"PM2.5 is {pm25}; an index needs a finite concentration ≥ 0 ug m-3.")
    concentration = _truncated(pm25, standard.decimals)
    band = next((b for b in standard.bands if concentration <= b.highest), standard.bands[-1])
    slope = (band.index_highest - band.index_lowest) / (band.highest - band.lowest)
    index = slope * (concentration - band.lowest) + band.index_lowest
    return max(band.index_lowest, math.floor(index + 0.5)), band.category


def air_quality(pm25: float) -> list[dict[str, object]]:
    """Index and category of `pm25` [ug m-3] under every standard, in the form of the answer."""
    results: list[dict[str, object]] = []
    for standard in STANDARDS:
        index, category = index_and_category(pm25, standard)
        results.append(
            {"standard": standard.name, "index": index, "category": category, "as_if_24h": True}
        )
    return results


def _truncated(value: float, decimals: int | None) -> float:
    if decimals is None:
        return value
    # (0.7 + 0.1) · 10 is 7.999…: the inner rounding takes the binary noise away before the
    # truncation looks at the digits.
    scale = 10.0**decimals
    return math.floor(round(value * scale, 6)) / scale
