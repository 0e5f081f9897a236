"""Categories of labels and estimates, with scikit-learn as the oracle of κ and of the matrix."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from handlers.air_quality_index import CO_ICA_2254_2017, STANDARDS, US_EPA_2024, Standard
from tests.drawn_answers import answers
from training.validation.agreement import (
    UNHEALTHY,
    agreement,
    categories_of,
    category_agreement,
    weighted_kappa,
)

both = pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)


@both
@pytest.mark.parametrize("seed", range(4))
def test_kappa_and_matrix_are_those_of_scikit_learn(standard: Standard, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.lognormal(3.5, 1.0, 300)
    e = y * rng.lognormal(0, 0.5, 300)
    found: Any = agreement(answers(y, e), standard)
    truth, guess = categories_of(y, standard), categories_of(e, standard)
    names = range(len(standard.bands))
    assert found["confusion"] == confusion_matrix(truth, guess, labels=list(names)).tolist()
    kappa = cohen_kappa_score(truth, guess, weights="quadratic", labels=list(names))
    assert found["weighted_kappa"] == pytest.approx(kappa)
    assert found["exact"] == pytest.approx(np.mean(truth == guess))


@given(arrays.arrays(np.int64, st.tuples(st.just(6), st.just(6)), elements=st.integers(0, 9)))
def test_kappa_of_any_counts(confusion: np.ndarray) -> None:
    truth, guess = (np.repeat(axis.ravel(), confusion.ravel()) for axis in np.indices((6, 6)))
    used = set(truth) | set(guess)
    found = weighted_kappa(confusion)
    if len(used) < 2:
        assert found is None
    else:
        assert found is not None
        kappa = cohen_kappa_score(truth, guess, weights="quadratic", labels=list(range(6)))
        assert found == pytest.approx(kappa)
        assert found <= 1
        assert weighted_kappa(confusion.T) == pytest.approx(found)


def test_neighbours_forgive_more_than_strangers() -> None:
    near, far = np.eye(6, dtype=np.int64) * 10, np.eye(6, dtype=np.int64) * 10
    near[0, 1] = far[0, 5] = 5
    one, other = weighted_kappa(near), weighted_kappa(far)
    assert one is not None and other is not None
    assert other < one < 1


@pytest.mark.parametrize(
    ("standard", "last_healthy"), [(US_EPA_2024, 35.4), (CO_ICA_2254_2017, 37.0)]
)
def test_unhealthy_begins_where_the_table_says(standard: Standard, last_healthy: float) -> None:
    edge = categories_of(np.array([last_healthy, last_healthy + 0.11]), standard)
    assert edge.tolist() == [UNHEALTHY - 1, UNHEALTHY]


def test_what_was_missed_and_what_was_alarm_for_nothing() -> None:
    """Labels 60, 60, 60, 200 are unhealthy, 5 and 20 are not; the intervals reach 25 upwards."""
    y, e = [60.0, 60, 60, 200, 5, 20], [70.0, 20, 5, 30, 5, 60]
    found: Any = agreement(answers(y, e, half_width=25.0), US_EPA_2024)
    wider: Any = agreement(answers([*y, 5.0, 5.0], [*e, 5.0, 5.0]), US_EPA_2024)
    assert (wider["false_alarm"], wider["false_discovery"]) == (0.25, 0.5)
    assert found["n_unhealthy"] == 4
    assert found["missed_unhealthy"] == 0.75
    assert found["missed_by_upper_bound"] == 0.25  # 5 + 25 alone stays below 35.5
    assert found["n_not_unhealthy"] == 2
    assert found["false_alarm"] == 0.5
    assert found["false_discovery"] == 0.5
    assert found["exact"] == pytest.approx(2 / 6)
    assert found["within_one"] == pytest.approx(2 / 6)
    assert found["upper_bound_reaches"] == pytest.approx(3 / 6)
    assert found["confusion"][0] == [1, 0, 0, 0, 0, 0]
    assert found["confusion"][4] == [0, 1, 0, 0, 0, 0]


@both
def test_an_exact_answer_agrees_in_full(standard: Standard) -> None:
    found: Any = agreement(answers([5.0, 20, 40, 60, 140, 200, 400]), standard)
    assert found["exact"] == found["within_one"] == found["upper_bound_reaches"] == 1
    assert found["weighted_kappa"] == 1
    assert found["missed_unhealthy"] == found["false_alarm"] == found["false_discovery"] == 0


def test_the_two_tables_judge_the_same_photo_differently() -> None:
    """36 is unhealthy for sensitive groups in the United States, acceptable in Colombia."""
    found: Any = category_agreement(answers([36.0], [34.0]))
    assert found["us_epa_2024"]["missed_unhealthy"] == 1
    assert found["co_ica_2254_2017"]["missed_unhealthy"] is None
    assert found["co_ica_2254_2017"]["exact"] == 1


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 8).flatmap(
        lambda n: arrays.arrays(
            float, (2, n), elements=st.one_of(st.floats(-10, 700), st.just(np.nan))
        )
    )
)
def test_every_record_is_json_and_its_counts_add_up(pairs: np.ndarray) -> None:
    y, e = pairs
    found: Any = category_agreement(answers(y, e))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    known = int(((y >= 0) & (e >= 0)).sum())
    for record in found.values():
        assert record["n"] == known == np.sum(record["confusion"])
        assert record["n_unhealthy"] + record["n_not_unhealthy"] == known
