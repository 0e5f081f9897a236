"""Figures of accuracy against scikit-learn and scipy, their limits, and what is undefined."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from tests.drawn_answers import answers, forecasts
from training.scores import spearman
from training.validation.accuracy import accuracy, accuracy_by_quality
from training.validation.bootstrap import Resampling

QUICK = Resampling(resamples=50)


@pytest.mark.parametrize("seed", range(4))
def test_every_figure_against_scikit_learn_and_scipy(seed: int) -> None:
    record = forecasts(90, seed=seed)
    y, estimate = record.pm25, record.estimate
    error = estimate - y
    figures = accuracy(record, QUICK)
    line = stats.linregress(y, estimate)
    assert figures["mae"] == pytest.approx(metrics.mean_absolute_error(y, estimate))
    assert figures["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, estimate))
    assert figures["r2"] == pytest.approx(metrics.r2_score(y, estimate))
    assert y.min() > 1  # below, the label is floored and scikit-learn's is not
    assert figures["mape"] == pytest.approx(metrics.mean_absolute_percentage_error(y, estimate))
    assert figures["bias"] == pytest.approx(error.mean())
    assert figures["error_sd"] == pytest.approx(stats.tstd(error) * np.sqrt(89 / 90))
    assert figures["error_sd_robust"] == pytest.approx(
        stats.median_abs_deviation(error, scale="normal"), rel=1e-4
    )
    assert figures["slope"] == pytest.approx(line.slope)
    assert figures["intercept"] == pytest.approx(line.intercept)
    assert figures["pearson"] == pytest.approx(stats.pearsonr(y, estimate).statistic)
    assert figures["spearman"] == pytest.approx(stats.spearmanr(y, estimate).statistic)
    assert figures["sd_y"] == pytest.approx(np.std(y))
    assert (figures["n"], figures["n_sessions"], figures["n_sites"]) == (90, 30, 3)


def test_outliers_are_rare_among_normal_errors_and_found_among_them() -> None:
    noise = np.random.default_rng(0).normal(0.0, 5.0, 20_000)
    y = np.full(20_000, 40.0) + np.arange(20_000) % 7
    figures = accuracy(answers(y, y + noise), QUICK)
    assert figures["outlier_rate"] == pytest.approx(2 * stats.norm.sf(3), abs=0.0012)
    assert figures["error_sd_robust"] == pytest.approx(5, rel=0.03)
    noise[:1000] = 500.0
    spoilt = accuracy(answers(y, y + noise), QUICK)
    assert spoilt["outlier_rate"] == pytest.approx(0.05, abs=0.004)
    assert spoilt["error_sd_robust"] == pytest.approx(5, rel=0.1)  # while the plain one is 109
    assert spoilt["error_sd"] > 100


def test_a_factor_of_two_counts_on_both_sides_with_its_bounds() -> None:
    record = answers([10, 10, 10, 10], [5, 20, 4.9, 20.1])
    assert accuracy(record, QUICK)["within_factor_two"] == 0.5


def test_labels_near_zero_are_floored_in_the_relative_error() -> None:
    assert accuracy(answers([0, 0.5], [1, 2.5]), QUICK)["mape"] == pytest.approx((1 + 2) / 2)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(-50, 50), st.floats(0.5, 4))
def test_what_a_shift_and_a_unit_change(seed: int, shift: float, factor: float) -> None:
    record = forecasts(24, seed=seed)
    y, estimate = record.pm25, record.estimate
    before = accuracy(record, QUICK)
    shifted = accuracy(answers(y, estimate + shift), QUICK)
    for name in ("error_sd", "error_sd_robust", "outlier_rate", "slope", "pearson", "sd_y"):
        assert shifted[name] == pytest.approx(before[name], rel=1e-6)
    assert shifted["bias"] == pytest.approx(before["bias"] + shift, abs=1e-9)
    scaled = accuracy(answers(factor * y, factor * estimate), QUICK)
    for name in ("mae", "rmse", "bias", "error_sd", "intercept", "sd_y"):
        assert scaled[name] == pytest.approx(factor * before[name], rel=1e-6, abs=1e-9)
    for name in ("r2", "slope", "pearson", "outlier_rate", "within_factor_two"):
        assert scaled[name] == pytest.approx(before[name], rel=1e-6, abs=1e-9)


def test_intervals_are_those_of_the_figures_themselves() -> None:
    record = forecasts(150)
    figures = accuracy(record, Resampling(resamples=80))
    for name in ("mae", "rmse", "r2", "bias", "slope", "spearman"):
        slow = Resampling(resamples=80).interval(
            record, lambda drawn, name=name: accuracy(drawn, Resampling(resamples=1))[name]
        )
        lower, upper = figures["intervals"][name]
        assert [lower, upper] == pytest.approx(slow, rel=1e-6)
        assert lower < figures[name] < upper


def test_converted_labels_stand_apart() -> None:
    record = forecasts(40)
    quality = np.array(["A", "B", "C", ""] * 10)
    blocks = accuracy_by_quality(forecasts(40, pm25_quality=quality), QUICK)
    assert {name: block["n"] for name, block in blocks.items()} == {
        "all": 40,
        "quality_a_b": 20,
        "quality_c": 10,
    }
    chosen = record.of((quality == "A") | (quality == "B"))
    assert blocks["quality_a_b"] == accuracy(chosen, QUICK)
    assert blocks["quality_c"]["spearman"] == pytest.approx(
        spearman(record.pm25[quality == "C"], record.estimate[quality == "C"])
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 5.0, 7.1, 300.0]), st.sampled_from([0.1, 7.1, 90.0])),
             max_size=8),
)  # fmt: skip
def test_anything_degenerate_is_null_and_never_nan(rows: list[tuple[float, float]]) -> None:
    record = answers([y for y, _ in rows], [estimate for _, estimate in rows])
    figures = accuracy(record, QUICK)
    json.dumps(figures, allow_nan=False)
    if len({y for y, _ in rows}) < 2 or len(rows) < 3:
        assert figures["slope"] is figures["intercept"] is figures["pearson"] is None
    if len({estimate for _, estimate in rows}) < 2:
        assert figures["pearson"] is figures["spearman"] is None
    if not rows:
        assert figures["mae"] is figures["outlier_rate"] is figures["mape"] is None


def test_equal_labels_in_many_sessions_leave_the_errors_their_intervals() -> None:
    sessions = np.array([f"day {i}" for i in range(12)])
    record = answers(np.full(12, 0.1), 0.1 + np.arange(12) % 3, session=sessions)
    figures = accuracy(record, QUICK)
    assert figures["r2"] is figures["intervals"]["r2"] is figures["intervals"]["slope"] is None
    assert figures["intervals"]["spearman"] is None
    lower, upper = figures["intervals"]["mae"]
    assert lower < figures["mae"] < upper
