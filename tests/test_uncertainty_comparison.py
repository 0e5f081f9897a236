"""Scores of spreads over weighted rows, and several networks answering as one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.metrics.regression import regression_mwi_score
from scipy.stats import norm, spearmanr

from benchmarks.uncertainty_cases import cases
from benchmarks.uncertainty_methods import (
    METHODS,
    SERVED,
    answer,
    fit_networks,
    held_out,
    spreads,
    stacked,
)
from benchmarks.uncertainty_scores import interval_scores, law_scores, mean_and_sd
from handlers.bayesian import BayesianPrediction
from handlers.conformal import QUANTILE_LEVELS, interval_columns
from tests.drawn_tables import drawn_lesson
from training.cross_validation import folds_of
from training.fit import fit_estimator
from training.learners import one_thread
from training.run import SEED
from training.table import TrainingTable

Law = tuple[np.ndarray, np.ndarray, np.ndarray]


def drawn_law(n: int, seed: int) -> Law:
    """Labels of the law N(mean, sd²), that mean and sd."""
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(3.0, 0.5, n), rng.uniform(0.1, 1.0, n)
    return mean + sd * rng.normal(size=n), mean, sd


def test_a_true_law_covers_what_it_says_and_half_its_spread_does_not() -> None:
    y, mean, sd = drawn_law(20_000, seed=0)
    true, narrow = (law_scores(y, mean, k * sd, np.ones(len(y))) for k in (1.0, 0.5))
    for level in (50, 80, 90, 95):
        assert true[f"law_{level}"] == pytest.approx(level / 100, abs=0.01)
    assert true["ece"] < 0.01
    assert narrow["law_90"] == pytest.approx(2 * norm.cdf(1.645 / 2) - 1, abs=0.01)
    assert narrow["ece"] > 0.05


def test_with_equal_weights_ranks_are_scipys_and_the_errors_themselves_sort_best() -> None:
    y, mean, sd = drawn_law(500, seed=1)
    error, ones = np.abs(y - mean), np.ones(500)
    known = law_scores(y, mean, sd, ones)
    assert known["spearman"] == pytest.approx(spearmanr(error, sd).statistic)
    oracle = law_scores(y, mean, error + 1e-9, ones)
    assert oracle["ause"] == pytest.approx(0.0, abs=1e-12)
    assert oracle["spearman"] == pytest.approx(1.0)
    misled = law_scores(y, mean, 1 / (error + 1.0), ones)
    assert known["ause"] > oracle["ause"]
    assert misled["ause"] > known["ause"]


def test_a_constant_spread_ranks_nothing() -> None:
    y, mean, _ = drawn_law(50, seed=2)
    assert law_scores(y, mean, np.ones(50), np.ones(50))["spearman"] == 0.0


@given(st.lists(st.integers(1, 4), min_size=12, max_size=12), st.integers(0, 99))
def test_a_row_of_weight_k_counts_as_k_rows(counts: list[int], seed: int) -> None:
    y, mean, sd = drawn_law(12, seed)
    repeated = np.repeat(np.arange(12), counts)
    quantiles = np.exp(mean[:, None] + sd[:, None] * norm.ppf(QUANTILE_LEVELS))
    pm25, w = np.exp(y), np.array(counts, dtype=float)
    heavy = interval_scores(pm25, quantiles, w)
    many = interval_scores(pm25[repeated], quantiles[repeated], np.ones(len(repeated)))
    assert heavy == pytest.approx(many)
    heavy = law_scores(y, mean, sd, w)
    many = law_scores(y[repeated], mean[repeated], sd[repeated], np.ones(len(repeated)))
    for figure in ("law_50", "law_90", "ece"):
        assert heavy[figure] == pytest.approx(many[figure])


def test_interval_score_is_mapies() -> None:
    y, mean, sd = drawn_law(300, seed=3)
    quantiles = np.exp(mean[:, None] + sd[:, None] * norm.ppf(QUANTILE_LEVELS))
    low, high = interval_columns(0.9)
    intervals = np.stack([quantiles[:, low], quantiles[:, high]], axis=1)[:, :, None]
    scores = interval_scores(np.exp(y), quantiles, np.ones(300))
    theirs = regression_mwi_score(np.exp(y), intervals, confidence_level=0.9)
    assert scores["score_90"] == pytest.approx(float(theirs))


def test_no_other_spread_scores_better_than_the_true_one() -> None:
    y, mean, sd = drawn_law(20_000, seed=4)

    def scored(spread: np.ndarray) -> dict[str, float]:
        quantiles = np.exp(mean[:, None] + spread[:, None] * norm.ppf(QUANTILE_LEVELS))
        return interval_scores(np.exp(y), quantiles, np.ones(len(y)))

    true = scored(sd)
    for other in (0.7 * sd, 1.4 * sd, np.full(len(y), sd.mean())):
        for figure in ("score_90", "ln_score_90", "crps"):
            assert scored(other)[figure] > true[figure]


def test_an_ensemble_answers_with_the_law_of_its_members() -> None:
    lesson = drawn_lesson(60, 0, seed=0)
    (ensemble,) = (method for method in METHODS if method.members > 1)
    networks = fit_networks(ensemble, lesson, seed=0)
    assert len(networks) == ensemble.members
    alone = [network.predict(lesson.X) for network in networks]
    assert all(np.all(told.epistemic_sd < 1e-9) for told in alone)
    together = answer(networks, lesson.X)
    means = np.array([told.mean for told in alone])
    np.testing.assert_allclose(together.mean, means.mean(axis=0))
    np.testing.assert_allclose(together.epistemic_sd, means.std(axis=0))
    assert np.all(together.epistemic_sd > 0.0)
    # Law of total variance: what members disagree in, and the noise they see on average.
    second = np.array([told.mean**2 + told.aleatoric_sd**2 for told in alone]).mean(axis=0)
    total = together.epistemic_sd**2 + together.aleatoric_sd**2
    np.testing.assert_allclose(total, second - together.mean**2)


def test_the_network_in_service_in_the_stack_gives_the_estimate_that_is_served(
    table: TrainingTable,
) -> None:
    fold, case = folds_of("unseen_sites", table)[0], next(cases("unseen_sites", table, None, ""))
    test = table.take(fold.test)
    estimator = fit_estimator(table.take(fold.train), seed=SEED, feature_set="", rendered=None)
    served = estimator.estimate(test.X, test.cameras)
    with one_thread():
        inside, outside = held_out(SERVED, case, SEED)
    (mu, _), (mu_held, _) = stacked(case, inside, outside)
    np.testing.assert_array_equal(case.pm25, test.pm25)
    np.testing.assert_allclose(mu, case.fitted.oof_ln_pm25, rtol=1e-9)
    np.testing.assert_allclose(np.exp(case.offset + case.scale * mu_held), served.pm25, rtol=1e-9)


def test_another_seed_is_another_network() -> None:
    lesson = drawn_lesson(60, 0, seed=0)
    one, other = (answer(fit_networks(SERVED, lesson, s), lesson.X).mean for s in (0, 1))
    assert not np.allclose(one, other)


def test_members_about_the_estimate_spread_at_least_as_far_as_about_their_mean() -> None:
    rng = np.random.default_rng(5)
    members, mu = rng.normal(size=(40, 5)), rng.normal(size=40)
    network = BayesianPrediction(members[:, 3], rng.random(40), rng.random(40))
    units = spreads(network, mu, members)
    assert np.all(units["network and members about mu"] >= units["network and disagreement"])
    about_mean = spreads(network, members.mean(axis=1), members)
    np.testing.assert_allclose(
        about_mean["network and members about mu"], about_mean["network and disagreement"]
    )


def test_figures_of_several_runs_are_their_mean_and_spread() -> None:
    assert mean_and_sd([{"crps": 1.0}, {"crps": 3.0}]) == {"crps": (2.0, 1.0)}
