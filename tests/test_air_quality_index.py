"""The index against the published tables, and the properties that any index must have."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.air_quality_index import (
    CO_ICA_2254_2017,
    STANDARDS,
    US_EPA_2024,
    Standard,
    air_quality,
    index_and_category,
)

concentrations = st.floats(min_value=0, max_value=5000, allow_nan=False)


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda s: s.name)
def test_both_ends_of_every_published_band(standard: Standard) -> None:
    for band in standard.bands:
        assert index_and_category(band.lowest, standard) == (band.index_lowest, band.category)
        assert index_and_category(band.highest, standard) == (band.index_highest, band.category)


@pytest.mark.parametrize(
    ("pm25", "index", "category"),
    [
        (9.09, 50, "Good"),  # truncated to 9.0, not rounded to 9.1
        (9.1, 51, "Moderate"),
        (35.49, 100, "Moderate"),
        (35.9, 102, "Unhealthy for Sensitive Groups"),
        (16.1, 64, "Moderate"),
        (325.4, 500, "Hazardous"),
        (425.3, 699, "Hazardous"),  # 199/99.9 per ug m-3 beyond the last breakpoint
    ],
)
def test_us_epa_2024(pm25: float, index: int, category: str) -> None:
    assert index_and_category(pm25, US_EPA_2024) == (index, category)


@pytest.mark.parametrize(
    ("pm25", "index", "category"),
    [
        (12.0, 50, "Buena"),
        (12.1, 51, "Aceptable"),  # inside a gap: the worse neighbour
        (25.0, 76, "Aceptable"),  # 49/24 · 12 + 51 = 75.5, half a point goes up
        (37.0, 100, "Aceptable"),
        (37.4, 101, "Dañina a la salud de grupos sensibles"),
        (600.0, 580, "Peligrosa"),
    ],
)
def test_colombia_2254_2017(pm25: float, index: int, category: str) -> None:
    assert index_and_category(pm25, CO_ICA_2254_2017) == (index, category)


@given(concentrations, concentrations)
def test_more_particles_never_read_as_better_air(one: float, other: float) -> None:
    low, high = sorted((one, other))
    for standard in STANDARDS:
        order = [band.category for band in standard.bands]
        index_low, category_low = index_and_category(low, standard)
        index_high, category_high = index_and_category(high, standard)
        assert index_low <= index_high
        assert order.index(category_low) <= order.index(category_high)


@given(concentrations)
def test_index_and_category_never_contradict_each_other(pm25: float) -> None:
    for standard in STANDARDS:
        index, category = index_and_category(pm25, standard)
        band = next(b for b in standard.bands if b.category == category)
        assert index >= band.index_lowest
        assert index <= band.index_highest or band is standard.bands[-1]


@given(st.integers(min_value=0, max_value=3254))
def test_a_value_with_one_decimal_survives_its_truncation(tenths: int) -> None:
    band = next(b for b in US_EPA_2024.bands if tenths / 10 <= b.highest)
    exact = (band.index_highest - band.index_lowest) * (tenths - round(band.lowest * 10))
    width = round(band.highest * 10) - round(band.lowest * 10)
    expected = (2 * exact + width) // (2 * width) + band.index_lowest
    assert index_and_category(tenths / 10, US_EPA_2024) == (expected, band.category)


def test_the_answer_names_its_tables_and_says_that_they_want_a_day() -> None:
    assert air_quality(23.4) == [
        {"standard": "us_epa_2024", "index": 78, "category": "Moderate", "as_if_24h": True},
        {"standard": "co_ica_2254_2017", "index": 72, "category": "Aceptable", "as_if_24h": True},
    ]


@pytest.mark.parametrize("pm25", [-0.1, math.nan, math.inf])
def test_what_is_no_concentration_is_refused(pm25: float) -> None:
    with pytest.raises(ValueError, match="finite concentration"):
        air_quality(pm25)
