"""The choice of features: scikit-learn's F-test, on sessions, within sites, nothing said twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_selection import SelectKBest, f_regression

from training.selection import (
    f_statistic,
    fit_pipeline,
    session_medians,
    weighted_median,
    without_site_mean,
)


def choose(
    X: np.ndarray,
    y: np.ndarray,
    *,
    count: int,
    sessions: np.ndarray | None = None,
    sites: np.ndarray | None = None,
    keep: tuple[str, ...] = (),
) -> list[int]:
    """The columns selected; photos are their own sessions at one site unless said otherwise."""
    n = len(y)
    pipeline = fit_pipeline(
        X,
        y,
        np.ones(n),
        np.arange(n) if sessions is None else sessions,
        np.zeros(n, dtype=np.int64) if sites is None else sites,
        [f"f{i}" for i in range(X.shape[1])],
        keep=keep,
        count=count,
    )
    return pipeline.selected.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_f_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(5.0, 3.0, (60, 12))
    y = X[:, 0] - 0.3 * X[:, 1] + rng.normal(0.0, 2.0, 60)
    np.testing.assert_allclose(f_statistic(X, y), f_regression(X, y)[0], rtol=1e-9)


def test_f_of_a_constant_column_is_0_and_of_the_target_itself_finite() -> None:
    y = np.random.default_rng(0).normal(size=30)
    F = f_statistic(np.column_stack([np.full(30, 0.1), y, -3.0 * y]), y)
    assert F[0] == 0.0
    assert np.isfinite(F).all()
    assert F[1] == pytest.approx(F[2]) and F[1] > 1e10
    assert (
        f_statistic(np.random.default_rng(1).normal(size=(30, 3)), np.ones(30)).tolist()
        == [0.0] * 3
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_choice_is_select_k_best(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(120, 30))
    y = X @ rng.normal(0.0, 0.4, 30) + rng.normal(size=120)
    expected = SelectKBest(f_regression, k=8).fit(X, y).get_support(indices=True)
    assert choose(X, y, count=8) == expected.tolist()


def test_what_only_tells_sites_apart_is_not_selected() -> None:
    rng = np.random.default_rng(0)
    sites = np.repeat([0, 1], 60)
    level = np.array([2.0, 4.0])[sites]  # one clear place, one hazy place
    day = rng.normal(0.0, 0.5, 120)
    y = level + day
    tells_sites_apart = 10.0 * sites + rng.normal(0.0, 0.1, 120)
    tells_days_apart = day + rng.normal(0.0, 1.0, 120)
    noise = rng.normal(size=(120, 3))
    X = np.column_stack([tells_sites_apart, noise, tells_days_apart])
    assert f_statistic(X, y).argmax() == 0  # by itself the F-test would be taken in
    assert choose(X, y, count=1, sites=sites) == [4]
    centred = without_site_mean(X, sites)
    np.testing.assert_allclose([centred[sites == s].mean(axis=0) for s in (0, 1)], 0.0, atol=1e-12)
    assert 10.0 in np.round(X[:, 0])  # the caller's rows stay as they were


def test_frames_of_one_visit_are_one_observation() -> None:
    """A thousand frames of one lucky visit do not select a feature that the visits contradict."""
    rng = np.random.default_rng(1)
    visit_y = rng.normal(size=40)
    good = visit_y + rng.normal(0.0, 0.5, 40)
    lucky = rng.normal(size=40)
    visit_y[0], lucky[0], good[0] = 3.0, 8.0, 0.0
    sessions = np.concatenate([np.arange(40), np.zeros(1000, dtype=np.int64)])
    X, y = np.column_stack([good, lucky])[sessions], visit_y[sessions]
    assert f_statistic(X, y).argmax() == 1
    assert choose(X, y, count=1, sessions=sessions) == [0]


def test_session_medians_by_hand() -> None:
    X = np.array([[1.0], [5.0], [2.0], [9.0], [3.0]])
    medians, target, sites = session_medians(
        X,
        np.array([1.0, 4.0, 2.0, 4.0, 3.0]),
        np.array([7, 3, 7, 3, 7]),
        np.array([1, 0, 1, 0, 1]),
    )
    assert medians.tolist() == [[7.0], [2.0]]
    assert target.tolist() == [4.0, 2.0]
    assert sites.tolist() == [0, 1]


def test_kept_features_are_in_whatever_the_test_says() -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(80, 6))
    y = X[:, 0] + X[:, 1] + 0.1 * rng.normal(size=80)
    assert choose(X, y, count=2) == [0, 1]
    kept = choose(X, y, count=3, keep=("f5", "not among the names"))
    assert 5 in kept and len(kept) == 3
    assert choose(X, y, count=1, keep=("f4", "f5")) == [4, 5]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_chosen_are_distinct_ascending_and_as_many_as_asked(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(30, 4)) @ rng.normal(size=(4, 10)) + 0.3 * rng.normal(size=(30, 10))
    chosen = choose(X, rng.normal(size=30), count=count)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, 10)


def test_features_of_equal_f_go_by_their_order() -> None:
    signal = np.random.default_rng(4).normal(size=50)
    assert choose(np.column_stack([signal] * 3), signal, count=1) == [0]


@settings(max_examples=60)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_the_weighted_median_of_whole_weights_is_that_of_repeats(values: list[float]) -> None:
    weights = np.arange(1, len(values) + 1) % 4 + 1
    repeated = np.sort(np.repeat(values, weights))
    expected = repeated[(len(repeated) - 1) // 2]
    assert weighted_median(np.array(values), weights.astype(float)) == expected


def test_unknown_values_have_no_part_in_the_median() -> None:
    values = np.array([np.nan, 3.0, np.inf, 1.0, 2.0])
    assert weighted_median(values, np.array([99.0, 1.0, 99.0, 1.0, 1.0])) == 2.0
    assert weighted_median(np.full(3, np.nan), np.ones(3)) == 0.0
