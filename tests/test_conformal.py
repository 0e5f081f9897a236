"""Conformal intervals keep their promise on data whose answer is known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mapie.conformity_scores import AbsoluteConformityScore
from mapie.regression import SplitConformalRegressor
from sklearn.base import BaseEstimator, RegressorMixin

from features.errors import ArtifactError, DataSetError
from handlers.conformal import (
    CENTRAL_LEVELS,
    ConformalTable,
    ScoreGroup,
    SiteEffect,
    interval_columns,
    total_sigma,
)
from training.calibration import fit_conformal, session_weights

INTERVAL_LEVELS = (0.5, 0.8, 0.9, 0.95)
finite = st.floats(-5.0, 5.0)
tables = arrays(np.float64, len(CENTRAL_LEVELS) - 1, elements=st.floats(0.0, 5.0)).map(
    lambda scores: ConformalTable((ScoreGroup(np.inf, 100, (0.0, *np.sort(scores).tolist())),))
)


def table_of(scores: np.ndarray, sessions: np.ndarray | None = None) -> ConformalTable:
    ids = np.arange(len(scores)) if sessions is None else sessions
    return fit_conformal(scores, np.zeros(len(scores)), np.ones(len(scores)), ids)


def quantiles_of(table: ConformalTable) -> tuple[float, ...]:
    """The score quantiles of a table of one group."""
    (group,) = table.groups
    return group.score_quantiles


def interval(
    table: ConformalTable, mu: np.ndarray, sigma: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the central interval [ug m-3]."""
    low, high = interval_columns(level)
    quantiles = table.quantiles(mu, sigma)
    return quantiles[:, low], quantiles[:, high]


def coverage(table: ConformalTable, scores: np.ndarray, level: float) -> np.ndarray:
    lower, upper = interval(table, np.zeros(1), np.ones(1), level)
    return (np.exp(scores) >= lower) & (np.exp(scores) <= upper)


class FirstColumn(RegressorMixin, BaseEstimator):
    """An estimator that is fitted already, and estimates its first feature."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> FirstColumn:
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return X[:, 0]


@pytest.mark.parametrize(("n", "n_groups"), [(60, 1), (99, 2), (250, 3)])
@pytest.mark.parametrize("level", INTERVAL_LEVELS)
def test_one_photo_a_session_is_mapies_split_conformal(n: int, n_groups: int, level: float) -> None:
    """In every group of predicted levels, for photos that fall into it."""
    rng = np.random.default_rng(n)
    mu = rng.normal(2.5, 0.5, n)
    y = mu + rng.standard_t(5, n)
    table = fit_conformal(y, mu, np.ones(n), np.arange(n))
    assert len(table.groups) == n_groups
    above = -np.inf
    for group in table.groups:
        own = (mu >= above) & (mu < group.mu_below)
        oracle = SplitConformalRegressor(
            FirstColumn().fit(mu[own, None], y[own]),
            confidence_level=level,
            conformity_score=AbsoluteConformityScore(),
            prefit=True,
        ).conformalize(mu[own, None], y[own])
        _, expected = oracle.predict_interval(mu[own, None])
        lower, upper = interval(table, mu[own], np.ones(own.sum()), level)
        np.testing.assert_allclose(np.log(lower), expected[:, 0, 0], atol=1e-12)
        np.testing.assert_allclose(np.log(upper), expected[:, 1, 0], atol=1e-12)
        above = group.mu_below


def test_groups_cover_each_range_of_predicted_levels() -> None:
    """Errors that grow with the level: one table for all covers low levels too often."""
    rng = np.random.default_rng(11)
    mu = np.linspace(1.0, 5.0, 1500)
    spread = 0.1 + 0.2 * mu

    def errors() -> np.ndarray:
        return np.asarray(spread * rng.normal(size=len(mu)))

    table = fit_conformal(mu + errors(), mu, np.ones(1500), np.arange(1500))
    lower, upper = interval(table, mu, np.ones(1500), 0.9)
    pm25 = np.exp(mu + errors())
    inside = (pm25 >= lower) & (pm25 <= upper)
    for third in np.split(inside, 3):
        assert third.mean() == pytest.approx(0.9, abs=0.04)


def test_one_unit_for_all_photos_makes_all_intervals_alike() -> None:
    table = replace(table_of(np.random.default_rng(7).normal(size=100)), unit=0.5)
    np.testing.assert_array_equal(table.sigma(np.array([0.1, 7.0])), [0.5, 0.5])
    np.testing.assert_array_equal(replace(table, unit=None).sigma(np.array([0.1, 7.0])), [0.1, 7.0])


def test_a_place_that_is_trusted_less_moves_the_law_of_places_less() -> None:
    rng = np.random.default_rng(12)
    sites = np.repeat(np.arange(6), 20)
    effect = np.array([0.2, -0.1, 0.3, 0.0, -0.2, 4.0])
    scores = effect[sites] + 0.3 * rng.normal(size=120)
    zeros, ones = np.zeros(120), np.ones(120)

    def law(trust_of_last: float) -> SiteEffect:
        trust = np.where(sites == 5, trust_of_last, 1.0)
        table = fit_conformal(scores, zeros, ones, np.arange(120), sites=sites, trust=trust)
        assert table.site_effect is not None and not table.guaranteed(0.5)
        return table.site_effect

    alike, doubted = law(1.0), law(0.5)
    assert alike.degrees_of_freedom == pytest.approx(6.0)
    assert 1.4 < alike.sd < 1.9
    assert doubted.sd < 0.85 * alike.sd
    assert doubted.degrees_of_freedom < 6.0


@given(arrays(np.float64, st.integers(4, 60), elements=finite), st.integers(2, 5))
def test_any_scores_of_several_places_give_an_ascending_finite_table(
    scores: np.ndarray, n_sites: int
) -> None:
    n = len(scores)
    sites = np.arange(n) % n_sites
    table = fit_conformal(scores, np.zeros(n), np.ones(n), np.arange(n), sites=sites)
    quantiles = np.array(quantiles_of(table))
    assert np.all(np.isfinite(quantiles))
    assert np.all(np.diff(quantiles) >= 0.0)


def test_one_place_alone_has_no_effect_of_places() -> None:
    scores = np.random.default_rng(13).normal(size=40)
    zeros, ones, ids = np.zeros(40), np.ones(40), np.arange(40)
    assert fit_conformal(scores, zeros, ones, ids, sites=np.zeros(40, dtype=int)) == table_of(
        scores
    )


@pytest.mark.parametrize("level", INTERVAL_LEVELS)
def test_coverage_of_exchangeable_photos_is_the_level(level: float) -> None:
    rng = np.random.default_rng(0)
    n, trials = 120, 200
    covered = [
        coverage(table_of(rng.standard_t(4, n)), rng.standard_t(4, 50), level).mean()
        for _ in range(trials)
    ]
    # The exact expectation lies between the level and the level + 1 / (n + 1).
    error = 4.0 * np.std(covered) / np.sqrt(trials)
    assert level - error < np.mean(covered) < level + 1.0 / (n + 1) + error


def clustered(rng: np.random.Generator, n_sessions: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose session shares four fifths of their variance; sessions of 1 to 40 photos."""
    sizes = rng.integers(1, 41, n_sessions)
    sessions = np.repeat(np.arange(n_sessions), sizes)
    shared = 0.9 * rng.normal(size=n_sessions)
    return shared[sessions] + 0.44 * rng.normal(size=len(sessions)), sessions


def test_coverage_of_new_sessions_is_the_level() -> None:
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(120):
        table = table_of(*clustered(rng, 60))
        scores, sessions = clustered(rng, 60)
        inside = coverage(table, scores, 0.9)
        covered.append(np.average(inside, weights=session_weights(sessions)))
    error = 4.0 * np.std(covered) / np.sqrt(120)
    assert 0.9 - error < np.mean(covered) < 0.9 + 1.0 / 61 + error
    assert 0.88 < np.mean(covered) < 0.935


def test_calibrating_on_photos_of_the_same_sessions_would_promise_too_much() -> None:
    """Why scores must be out of fold by session: errors inside a seen session are smaller."""
    rng = np.random.default_rng(2)
    naive, honest = [], []
    for _ in range(40):
        scores, sessions = clustered(rng, 60)
        within = scores - np.array([scores[sessions == s].mean() for s in range(60)])[sessions]
        new, _ = clustered(rng, 60)
        naive.append(coverage(table_of(within, sessions), new, 0.9).mean())
        honest.append(coverage(table_of(scores, sessions), new, 0.9).mean())
    assert np.mean(naive) < 0.65
    assert np.mean(honest) > 0.88


@given(st.lists(st.integers(0, 8), min_size=1, max_size=60))
def test_every_session_weighs_one(ids: list[int]) -> None:
    sessions = np.array(ids)
    w = np.random.default_rng(len(ids)).uniform(0.1, 3.0, len(ids))
    for weights in (session_weights(sessions), session_weights(sessions, w)):
        totals = np.bincount(sessions, weights)
        assert totals[np.unique(sessions)] == pytest.approx(1.0)
    shares = session_weights(sessions, w) / w
    assert all(np.ptp(shares[sessions == session]) < 1e-9 for session in sessions)


def test_a_session_weighs_the_same_however_many_photos_it_has() -> None:
    scores = np.random.default_rng(3).normal(size=80)
    table = table_of(scores)
    repeats = np.random.default_rng(4).integers(1, 30, 80)
    repeated = table_of(np.repeat(scores, repeats), np.repeat(np.arange(80), repeats))
    assert quantiles_of(repeated) == pytest.approx(quantiles_of(table))
    assert repeated.n_sessions == table.n_sessions == 80


def test_rows_may_come_in_any_order_and_weights_of_any_scale() -> None:
    rng = np.random.default_rng(5)
    scores, sessions = clustered(rng, 50)
    w, order = rng.random(len(scores)), rng.permutation(len(scores))
    zeros, ones = np.zeros(len(scores)), np.ones(len(scores))
    table = fit_conformal(scores, zeros, ones, sessions, w)
    other = fit_conformal(scores[order], zeros, ones, sessions[order], 7.0 * w[order])
    assert quantiles_of(other) == pytest.approx(quantiles_of(table))


def test_sigma_scales_the_interval() -> None:
    """Errors in proportion to sigma: coverage holds where sigma is small and where it is large."""
    rng = np.random.default_rng(6)
    sigma = np.repeat([0.1, 0.6], 1000)
    mu, sessions = np.full(2000, 2.5), np.arange(2000)
    table = fit_conformal(mu + sigma * rng.normal(size=2000), mu, sigma, sessions)
    lower, upper = interval(table, mu, sigma, 0.9)
    pm25 = np.exp(mu + sigma * rng.normal(size=2000))
    inside = (pm25 >= lower) & (pm25 <= upper)
    assert inside[:1000].mean() == pytest.approx(0.9, abs=0.04)
    assert inside[1000:].mean() == pytest.approx(0.9, abs=0.04)
    assert (upper - lower)[-1] > 4.0 * (upper - lower)[0]


@given(tables, finite, st.floats(1e-3, 5.0), st.sampled_from(INTERVAL_LEVELS))
def test_the_estimate_lies_inside_and_no_bound_is_negative(
    table: ConformalTable, mu: float, sigma: float, level: float
) -> None:
    lower, upper = interval(table, np.array([mu]), np.array([sigma]), level)
    assert 0.0 <= lower[0] <= np.exp(mu) <= upper[0] < np.inf
    assert lower[0] * upper[0] == pytest.approx(np.exp(2 * mu))


@given(tables, finite, st.floats(1e-3, 5.0))
def test_intervals_nest_and_quantiles_ascend(
    table: ConformalTable, mu: float, sigma: float
) -> None:
    centre, spread = np.array([mu]), np.array([sigma])
    quantiles = table.quantiles(centre, spread)
    assert quantiles.shape == (1, 21)
    assert np.all(np.diff(quantiles[0]) >= 0.0)
    assert np.all(quantiles > 0.0)
    assert quantiles[0, 10] == np.exp(mu)
    bounds = [interval(table, centre, spread, level) for level in INTERVAL_LEVELS]
    for (inner_low, inner_high), (low, high) in pairwise(bounds):
        assert low[0] <= inner_low[0] <= inner_high[0] <= high[0]


@given(arrays(np.float64, st.integers(2, 60), elements=finite))
def test_any_scores_give_an_ascending_finite_table(scores: np.ndarray) -> None:
    quantiles = np.array(quantiles_of(table_of(scores)))
    assert np.all(np.isfinite(quantiles))
    assert np.all(np.diff(quantiles) >= 0.0)


def test_the_quantiles_bound_the_central_intervals() -> None:
    table = table_of(np.random.default_rng(7).normal(size=100))
    mu, sigma = np.array([2.0, 3.0]), np.array([0.3, 0.5])
    quantiles = table.quantiles(mu, sigma)
    for step, level in enumerate(CENTRAL_LEVELS):
        lower, upper = interval(table, mu, sigma, level)
        np.testing.assert_array_equal(lower, quantiles[:, 10 - step])
        np.testing.assert_array_equal(upper, quantiles[:, 10 + step])


def test_the_quantiles_of_normal_errors_are_the_normal_ones() -> None:
    table = table_of(np.random.default_rng(10).normal(size=20_000))
    expected = [NormalDist().inv_cdf((1 + level) / 2) for level in CENTRAL_LEVELS]
    assert quantiles_of(table) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("n", [4, 5, 9, 10, 19, 20, 24])
def test_the_guarantee_begins_where_a_rank_exists(n: int) -> None:
    scores = np.arange(1.0, n + 1)
    table = table_of(scores)
    for level in INTERVAL_LEVELS:
        rank = math.ceil(round((n + 1) * level, 9))
        assert table.guaranteed(level) is (rank <= n)
        quantile = quantiles_of(table)[CENTRAL_LEVELS.index(level)]
        if rank <= n:
            assert quantile == scores[rank - 1]
        else:  # modelled: further out than anything seen
            assert quantile > scores[-1]


def test_a_loaded_table_is_the_saved_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    mu, ids = rng.normal(size=200), np.arange(200)
    by_place = fit_conformal(mu + rng.normal(size=200), mu, np.ones(200), ids, sites=ids % 5)
    for table in (table_of(mu), by_place, replace(by_place, unit=0.5)):
        table.save(tmp_path / "conformal.json")
        assert ConformalTable.load(tmp_path / "conformal.json") == table


@pytest.mark.parametrize(
    "change",
    [
        {"levels": [0.1, 0.9]},
        {"groups": []},
        {"groups": None},
        {"unit": 0.0},
        {"unit": "wide"},
        {"site_effect": {"sd": 1.0}},
    ],
)
def test_a_foreign_or_damaged_table_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "conformal.json"
    table_of(np.random.default_rng(9).normal(size=100)).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtifactError, match=r"conformal\.json"):
        ConformalTable.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"score_quantiles": [1.0, 2.0]},
        {"score_quantiles": list(range(11, 0, -1))},
        {"score_quantiles": list(range(1, 12))},
        {"score_quantiles": [float("nan")] * 11},
        {"n_sessions": None},
        {"mu_below": 2.0},
    ],
)
def test_a_damaged_group_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "conformal.json"
    table_of(np.random.default_rng(9).normal(size=100)).save(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"groups": [content["groups"][0] | change]}))
    with pytest.raises(ArtifactError, match=r"conformal\.json"):
        ConformalTable.load(path)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"0\.75"):
        interval(table_of(np.zeros(50)), np.zeros(1), np.ones(1), 0.75)
    with pytest.raises(DataSetError, match="uncertainty > 0"):
        fit_conformal(np.zeros(3), np.zeros(3), np.array([1.0, 0.0, 1.0]), np.arange(3))
    with pytest.raises(DataSetError, match="1 session"):
        table_of(np.zeros(3), np.zeros(3, dtype=int))
    with pytest.raises(DataSetError, match="total weight of 0"):
        session_weights(np.array([0, 0, 1]), np.array([1.0, 1.0, 0.0]))


def test_total_sigma_adds_variances() -> None:
    assert total_sigma(np.array([2.0]), np.array([3.0]), np.array([6.0])) == pytest.approx(7.0)
