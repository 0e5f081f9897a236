"""Scores of the whole distribution against MAPIE and closed forms; what calibration looks like."""

from __future__ import annotations

import json
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.metrics.regression import regression_mwi_score
from scipy import stats

from handlers.conformal import QUANTILE_LEVELS
from tests.drawn_answers import answers, forecasts
from training.scores import score
from training.validation.coverage import LEVELS
from training.validation.probabilistic import (
    calibration_curve,
    crps,
    ence,
    interval_score,
    pit,
    pit_histogram,
    probabilistic,
)

TAUS = np.array(QUANTILE_LEVELS)


@pytest.mark.parametrize("level", LEVELS)
def test_the_interval_score_is_mapies(level: float) -> None:
    record = forecasts(100, sharpness=2)
    bounds = np.column_stack(record.interval(level))[:, :, None]
    assert interval_score(record, level).mean() == pytest.approx(
        regression_mwi_score(record.pm25, bounds, level)
    )


def test_the_crps_is_the_one_that_every_split_is_scored_with() -> None:
    record = forecasts(100)
    contract = score(
        record.pm25, record.estimate, *record.interval(), record.quantiles[:, 1:-1], record.constant
    )
    assert crps(record).mean() == pytest.approx(contract["crps"])
    assert probabilistic(record)["crps"] == pytest.approx(contract["crps"])


@pytest.mark.parametrize("sharpness", [0.6, 1.5])
def test_proper_scores_prefer_the_forecaster_that_is_right(sharpness: float) -> None:
    right, wrong = forecasts(4000), forecasts(4000, sharpness=sharpness)
    assert crps(right).mean() < crps(wrong).mean()
    assert interval_score(right).mean() < interval_score(wrong).mean()


def test_between_the_outermost_quantiles_the_pit_of_an_even_spread_is_exact() -> None:
    # The quantiles of `answers` are those of a uniform distribution over 2 / 0.9 half widths.
    y = np.linspace(0.5 - 0.4749, 0.5 + 0.4749, 201)
    record = answers(y, np.full(201, 0.5), half_width=0.45)
    assert pit(record) == pytest.approx(stats.uniform.cdf(y), abs=1e-12)


def test_the_pit_of_normal_quantiles_is_their_distribution() -> None:
    y = np.linspace(-5, 5, 401)
    record = answers(
        y, quantiles=np.tile([NormalDist().inv_cdf(tau) for tau in QUANTILE_LEVELS], (401, 1))
    )
    assert pit(record) == pytest.approx(stats.norm.cdf(y), abs=0.006)


def test_a_label_on_a_quantile_has_its_level_and_on_several_the_middle() -> None:
    record = answers(np.arange(21.0), quantiles=np.tile(np.arange(21.0), (21, 1)))
    assert pit(record) == pytest.approx(TAUS)
    jump = np.concatenate([np.arange(5.0), np.full(11, 5.0), np.arange(6.0, 11.0)])
    assert pit(answers([5.0], quantiles=jump[None]))[0] == pytest.approx(0.5)
    point = answers([4.0, 5.0, 6.0], quantiles=np.full((3, 21), 5.0))
    assert pit(point).tolist() == pytest.approx([0.0, 0.5, 1.0])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1.0, 1.5, 4.0, 9.0, 60.0]), min_size=21, max_size=21),
    st.lists(st.floats(-20, 100), min_size=2, max_size=15),
)
def test_the_pit_rises_with_the_label_from_0_to_1(quantiles: list[float], y: list[float]) -> None:
    record = answers(sorted(y), quantiles=np.tile(np.sort(quantiles), (len(y), 1)))
    values = pit(record)
    assert ((values >= 0) & (values <= 1)).all()
    assert (np.diff(values) >= -1e-12).all()
    json.dumps(probabilistic(record), allow_nan=False)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_pit_and_calibration_curve_tell_the_same(seed: int) -> None:
    record = forecasts(60, seed=seed)
    observed = calibration_curve(record)["observed"]
    assert observed == pytest.approx([np.mean(pit(record) <= tau + 1e-12) for tau in TAUS])
    shares = pit_histogram(record)["shares"]
    assert np.cumsum(shares)[:-1] == pytest.approx(observed[1:-1])
    assert sum(shares) == pytest.approx(1)
    on_levels = answers(np.arange(21.0), quantiles=np.tile(np.arange(21.0), (21, 1)))
    closed = pit_histogram(on_levels)["shares"]  # a level closes the bin below it
    assert np.cumsum(closed)[:-1] == pytest.approx(calibration_curve(on_levels)["observed"][1:-1])


def test_a_forecaster_that_is_right_has_a_flat_pit_and_one_too_sharp_heaps_at_both_ends() -> None:
    right, sharp = forecasts(4000), forecasts(4000, sharpness=2)
    assert stats.kstest(pit(right), "uniform").pvalue > 0.01
    assert stats.kstest(pit(sharp), "uniform").pvalue < 1e-9
    flat, heaped = pit_histogram(right), pit_histogram(sharp)
    assert stats.chisquare(4000 * np.array(flat["shares"])).pvalue > 0.01
    assert flat["mean"] == pytest.approx(0.5, abs=0.02)
    assert flat["sd"] == pytest.approx(12**-0.5, abs=0.01)
    assert min(heaped["shares"][0], heaped["shares"][-1]) > 2 * 0.05
    assert heaped["sd"] > 0.33
    assert calibration_curve(right)["ece"] < 0.015
    assert calibration_curve(sharp)["ece"] > 0.05


def test_a_forecaster_that_is_always_far_too_high_has_the_calibration_error_of_its_levels() -> None:
    curve = calibration_curve(answers(np.zeros(30), np.full(30, 1000.0)))
    assert curve["observed"] == [1.0] * 21
    assert curve["ece"] == pytest.approx(np.mean(1 - np.arange(1, 20) / 20))


def test_the_calibration_error_is_that_of_the_19_even_levels() -> None:
    curve = calibration_curve(forecasts(200, sharpness=3))
    apart = [abs(o - k / 20) for k, o in enumerate(curve["observed"][1:-1], start=1)]
    assert curve["ece"] == pytest.approx(np.mean(apart))


def test_ence_is_the_relative_error_of_sigma() -> None:
    rng = np.random.default_rng(0)
    sigma = rng.uniform(1.0, 9.0, 20_000)
    y = np.full(20_000, 50.0)
    for told in (1.0, 0.5, 2.0):
        record = answers(
            y,
            y + sigma * rng.normal(size=20_000),
            epistemic=0.6 * told * sigma,
            aleatoric=0.8 * told * sigma,
        )
        assert ence(record) == pytest.approx(abs(1 - 1 / told), abs=0.04)
    # Right on average alone is wrong in every bin.
    error = sigma * rng.normal(size=20_000)
    assert (ence(answers(y, y + error, epistemic=10 - sigma, aleatoric=0.0)) or 0) > 0.5


def test_few_or_degenerate_photos_give_null_and_never_nan() -> None:
    empty = probabilistic(forecasts(0))
    assert empty["crps"] is empty["ence"] is empty["pit"]["shares"] is empty["pit"]["sd"] is None
    assert empty["calibration"]["ece"] is empty["interval_score_90"] is None
    for n in (0, 1, 2, 19):
        json.dumps(probabilistic(forecasts(n)), allow_nan=False)
    assert ence(forecasts(19)) is None
    assert ence(answers(np.ones(40), epistemic=0.0, aleatoric=0.0)) is None
