"""An index that was computed from PM2.5 leads back to it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.importers.published_index import TABLES, pm25_of_index

TABLE = st.sampled_from(sorted(TABLES))


def index_of(pm25: float, table: str) -> float:
    """The other direction, written from the definition: the line through the band's two ends."""
    points = TABLES[table]
    for (low_index, low), (high_index, high) in itertools.pairwise(points):
        if pm25 <= high:
            return low_index + (pm25 - low) / (high - low) * (high_index - low_index)
    raise AssertionError(pm25)


@given(table=TABLE, share=st.floats(0, 1))
def test_an_index_and_back(table: str, share: float) -> None:
    pm25 = share * TABLES[table][-1][1]
    assert pm25_of_index(index_of(pm25, table), table) == pytest.approx(pm25, abs=1e-9)


@given(table=TABLE, indices=st.tuples(st.floats(0, 500), st.floats(0, 500)))
def test_more_index_is_more_pm25(table: str, indices: tuple[float, float]) -> None:
    low, high = (pm25_of_index(index, table) for index in sorted(indices))
    assert low is not None and high is not None and low <= high


@pytest.mark.parametrize("index", [-1.0, 500.5, 999.0, float("nan"), float("inf")])
def test_beyond_the_table_nothing_is_known(index: float) -> None:
    assert [pm25_of_index(index, table) for table in TABLES] == [None, None]


@pytest.mark.parametrize(
    ("index", "pm25"), [(34, 20.4), (174, 82.2), (257, 107.1), (401, 251.3), (500, 380.0)]
)
def test_the_indian_labels_of_the_production_archive(index: float, pm25: float) -> None:
    """Converted before this code was written: Delhi and Greater Noida in February 2023."""
    assert pm25_of_index(index, "cpcb_2014") == pytest.approx(pm25, abs=0.05)
