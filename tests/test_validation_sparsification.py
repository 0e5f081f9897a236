"""Sparsification and refusal against a sort by hand, their extremes, and ties."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.drawn_answers import answers, forecasts
from training.validation.accuracy import accuracy
from training.validation.bootstrap import Resampling
from training.validation.coverage import relative_width
from training.validation.sparsification import (
    FEWEST,
    REMOVED,
    risk_coverage,
    sparsification,
    sparsification_curve,
)


def by_hand(error: np.ndarray, uncertainty: np.ndarray) -> list[float]:
    order = np.argsort(-uncertainty)
    return [
        float(np.mean(error[order[round(share * len(error)) :]]) / error.mean())
        for share in REMOVED
    ]


def test_the_curves_are_those_of_a_sort() -> None:
    rng = np.random.default_rng(0)
    error, uncertainty = rng.gamma(2, 5, 200), rng.uniform(size=200)
    curve = sparsification_curve(error, uncertainty)
    assert curve["error"] == pytest.approx(by_hand(error, uncertainty))
    assert curve["oracle"] == pytest.approx(by_hand(error, error))
    steps = np.diff(REMOVED)
    apart = np.array(by_hand(error, uncertainty)) - by_hand(error, error)
    assert curve["ause"] == pytest.approx(np.sum(steps * (apart[1:] + apart[:-1]) / 2))


def test_the_oracle_gains_all_a_constant_nothing_and_the_wrong_way_round_less() -> None:
    error = np.random.default_rng(1).gamma(2, 5, 100)
    oracle = sparsification_curve(error, error**3)
    assert oracle["ause"] == pytest.approx(0)
    assert oracle["relative_gain"] == pytest.approx(1)
    constant = sparsification_curve(error, np.full(100, 7.0))
    assert constant["error"] == pytest.approx(constant["random"])
    assert constant["relative_gain"] == pytest.approx(0)
    assert sparsification_curve(error, -error)["relative_gain"] < -0.5


@settings(max_examples=80, deadline=None)
@given(
    arrays.arrays(np.float64, 40, elements=st.sampled_from([0.0, 0.5, 1.0, 7.0, 80.0])),
    arrays.arrays(np.float64, 40, elements=st.sampled_from([1.0, 2.0, 3.0, 50.0])),
    st.permutations(range(40)),
)
def test_no_order_counts_and_nothing_beats_the_oracle(
    error: np.ndarray, uncertainty: np.ndarray, order: list[int]
) -> None:
    curve = sparsification_curve(error, uncertainty)
    json.dumps(curve, allow_nan=False)
    if not error.any():
        assert curve["error"] is curve["ause"] is None
        return
    shuffled = sparsification_curve(error[order], uncertainty[order])
    assert shuffled["error"] == pytest.approx(curve["error"])
    assert (np.array(curve["error"]) >= np.array(curve["oracle"]) - 1e-9).all()
    assert curve["ause"] >= -1e-9
    doubled = sparsification_curve(2 * error, np.exp(uncertainty / 50))
    assert doubled["error"] == pytest.approx(curve["error"])
    assert (curve["relative_gain"] is None) == (len(set(error)) == 1)


def test_a_forecaster_that_knows_its_uncertainty_gains_and_one_that_guesses_does_not() -> None:
    record = forecasts(3000)
    for name, curve in sparsification(record).items():
        assert 0.2 < curve["relative_gain"] < 1, name
    error, rng = np.abs(record.estimate - record.pm25), np.random.default_rng(0)
    gains = [sparsification_curve(error, rng.permutation(3000))["relative_gain"] for _ in range(60)]
    assert np.mean(gains) == pytest.approx(0, abs=0.04)


def test_the_three_uncertainties_are_what_they_are_called() -> None:
    record = forecasts(60)
    record.epistemic[:] = np.abs(record.estimate - record.pm25)
    record.aleatoric[:] = 0.0
    curves = sparsification(record)
    assert curves["uncertainty"]["relative_gain"] == pytest.approx(1)
    error = np.abs(record.estimate - record.pm25)
    lower, upper = record.interval(0.9)
    assert curves["width_90"]["error"] == pytest.approx(by_hand(error, upper - lower))
    assert curves["relative"]["error"] == pytest.approx(
        by_hand(error / record.pm25, (upper - lower) / record.estimate)
    )


def test_refusing_the_widest_lowers_the_error_and_keeps_the_coverage() -> None:
    record = forecasts(3000)
    curve = risk_coverage(record)
    assert curve["accepted"] == pytest.approx([k / 10 for k in range(1, 11)])
    assert curve["n"] == [300 * k for k in range(1, 11)]
    assert curve["threshold"] == sorted(curve["threshold"])
    assert (np.diff(curve["mape"]) > 0).all()
    assert curve["coverage_90"] == pytest.approx([0.9] * 10, abs=0.05)
    whole = accuracy(record, Resampling(resamples=1))
    assert curve["mae"][-1] == pytest.approx(whole["mae"])
    assert curve["mape"][-1] == pytest.approx(whole["mape"])
    half = relative_width(record) <= np.median(relative_width(record))
    assert curve["mae"][4] == pytest.approx(np.mean(np.abs(record.estimate - record.pm25)[half]))
    assert curve["aurc"] == pytest.approx(np.mean(curve["mape"]))


def test_photos_of_equal_width_are_refused_together() -> None:
    wide = np.repeat([2.0, 9.0], [15, 25])
    curve = risk_coverage(answers(np.full(40, 20.0), half_width=wide))
    assert curve["n"] == [15, 15, 15] + [40] * 7


@pytest.mark.parametrize("n", [0, 1, FEWEST - 1])
def test_too_few_photos_have_no_curve(n: int) -> None:
    curve = sparsification(forecasts(n))["width_90"]
    assert curve["ause"] is curve["error"] is curve["relative_gain"] is None
    assert risk_coverage(forecasts(n))["mae"] is None
    json.dumps([sparsification(forecasts(n)), risk_coverage(forecasts(n))], allow_nan=False)
