"""Whatever numbers a photo gives, known or not: an estimate that is a number, inside its interval.

Features are bounded by their formulas, but weather comes from a client and code has mistakes. No
number, however absurd, may become a `nan` in an answer or an interval without its estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.metadata import PhotoMetadata
from handlers.applicability import applicability
from handlers.applicability_domain import DIMENSIONS
from handlers.estimator import PM25Estimator
from training.table import TrainingTable
from training.training_statistics import training_statistics

COLUMNS = 1_000  # more than there are: they go round
HUGE = 3.4e38  # the largest single-precision number: what pictures and networks can come to
VALUES = st.one_of(
    st.just(math.nan),
    st.floats(-HUGE, HUGE),
    st.floats(-1e3, 1e3),
)
SITUATIONS = st.sampled_from(["a known camera", "by night", "never seen", ""])


Answered = Callable[[Mapping[int, float] | Mapping[str, float], int, str], None]


@pytest.fixture(scope="module")
def answered(estimator: PM25Estimator, table: TrainingTable) -> Answered:
    """Asserts an answer to row `start` of the table with some columns changed."""

    # A function by itself, so that a failing example prints its numbers and not the models.
    def check(
        values: Mapping[int, float] | Mapping[str, float], start: int, situation: str
    ) -> None:
        row = table.X[start % len(table)].copy()
        for key, value in values.items():
            row[key % len(row) if isinstance(key, int) else table.names.index(key)] = value
        assert_answered(estimator, table, row, situation)

    return check


def assert_answered(
    estimator: PM25Estimator, table: TrainingTable, row: np.ndarray, situation: str
) -> None:
    names = estimator.names
    camera = {"never seen": situation, "": None}.get(situation, next(iter(estimator.cameras)))
    if situation == "by night":
        row[names.index("sun_elevation_deg")] = -30.0
    estimates = estimator.estimate(row[np.newaxis], [camera])
    assert np.isfinite(estimates.pm25[0]) and estimates.pm25[0] >= 0.0
    assert np.isfinite(estimates.quantiles).all() and (estimates.quantiles >= 0.0).all()
    assert (np.diff(estimates.quantiles[0]) >= 0.0).all()
    for level in (0.5, 0.8, 0.9, 0.95):
        lower, upper = estimates.interval(level)
        assert lower[0] <= estimates.pm25[0] <= upper[0]
    for spread in (estimates.epistemic, estimates.aleatoric):
        assert np.isfinite(spread[0]) and spread[0] >= 0.0
    assert 0.0 <= estimates.confidence[0] <= 1.0
    judged = applicability(
        dict(zip(names, row.tolist(), strict=True)),
        PhotoMetadata(camera=camera),
        training_statistics(table, ()),
        domain=estimator.domain,
        estimate=float(estimates.pm25[0]),
        known_camera=estimator.knows(camera),
    )
    assert 0.0 <= judged.score <= 1.0
    for warning in judged.warnings:
        assert warning.code and warning.detail and warning.how_to_fix
        assert "nan" not in warning.detail and "inf" not in warning.detail


@settings(max_examples=150)
@given(
    values=st.dictionaries(st.integers(0, 10_000), VALUES, max_size=40),
    start=st.integers(0, 1_000),
    situation=SITUATIONS,
)
def test_some_features_may_be_anything(
    answered: Answered, values: dict[int, float], start: int, situation: str
) -> None:
    answered(values, start, situation)


@settings(max_examples=60)
@given(values=st.fixed_dictionaries(dict.fromkeys(DIMENSIONS, VALUES)), situation=SITUATIONS)
def test_the_dimensions_of_applicability_may_be_anything(
    answered: Answered, values: dict[str, float], situation: str
) -> None:
    answered(values, 0, situation)


@settings(max_examples=40)
@given(value=VALUES, situation=SITUATIONS)
@example(value=HUGE, situation="")
@example(value=-HUGE, situation="by night")
@example(value=math.nan, situation="a known camera")
def test_all_features_may_be_the_same(answered: Answered, value: float, situation: str) -> None:
    answered(dict.fromkeys(range(COLUMNS), value), 0, situation)


@given(value=st.sampled_from([math.inf, -math.inf]), situation=SITUATIONS)
def test_an_infinite_feature_is_answered_too(
    answered: Answered, value: float, situation: str
) -> None:
    answered(dict.fromkeys(range(0, COLUMNS, 3), value), 0, situation)
