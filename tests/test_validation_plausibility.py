"""What no estimate may be is counted, and added haze is judged by the rule of the benchmark."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.drawn_answers import answers
from training.held_out import HAZE_DEPTHS
from training.validation.plausibility import (
    haze_never_lowers,
    haze_raises,
    haze_response,
    plausibility,
)

STEPS = len(HAZE_DEPTHS)
COUNTS = ("negative", "not_finite", "negative_bounds", "unordered", "outside_interval")
amounts = st.floats(0, 1000, allow_subnormal=False)


def test_what_is_in_order_counts_nothing() -> None:
    found = plausibility(answers([20.0, 300.0, 501.0], half_width=5.0))
    assert {name: found[name] for name in (*COUNTS, "implausible")} == dict.fromkeys(
        (*COUNTS, "implausible"), 0
    )
    assert found["share_implausible"] == 0


def test_each_impossibility_is_counted_once_and_under_its_own_name() -> None:
    good = answers(np.full(6, 50.0))
    estimate, quantiles = good.estimate.copy(), good.quantiles.copy()
    estimate[1] = np.nan
    estimate[2], quantiles[2] = -1.0, np.linspace(-2, 0, quantiles.shape[1])  # and its bound below
    quantiles[3, 4] = 60.0  # above the next
    estimate[4] = 60.5  # the interval ends at 60
    quantiles[5, 0] = np.nan
    found = plausibility(replace(good, estimate=estimate, quantiles=quantiles))
    assert {name: found[name] for name in COUNTS} == {
        "negative": 1,
        "not_finite": 1,
        "negative_bounds": 1,
        "unordered": 2,
        "outside_interval": 1,
    }
    assert found["implausible"] == 5
    assert found["share_implausible"] == pytest.approx(5 / 6)


def test_extremes_are_shares_beside_those_of_the_labels() -> None:
    found = plausibility(answers([600.0, 10, 10, 10], [901.0, 899.0, 501.0, 500.0]))
    assert found["share_above_500"] == 0.75
    assert found["share_beyond_labels"] == 0.25
    assert found["share_labels_above_500"] == 0.25


# ---- added haze


def hazed(*series: list[float], **given: Any) -> Any:
    """Answers whose estimate is the first of a series, and the others those with more haze."""
    table = np.array(series)
    return answers(np.full(len(table), 20.0), table[:, 0], hazed=table[:, 1:], **given)


def rising(by: float, start: float = 20.0) -> list[float]:
    return [start * (1 + by * i / STEPS) for i in range(STEPS + 1)]


def test_haze_may_take_half_a_percent_and_must_give_a_fifth() -> None:
    dips, falls = rising(0.5), rising(0.5)
    dips[3] = dips[2] * 0.996
    falls[3] = falls[2] * 0.994
    found: Any = haze_response(hazed(rising(0.5), dips, falls, rising(0.19)))
    assert found["n"] == 4
    assert found["never_lowers"] == 0.75
    assert found["raises"] == 0.75
    assert found["holds"] == 0.5
    assert found["lowered"] == [0, 0, 0.25, *[0] * (STEPS - 3)]
    assert found["unlowered_so_far"] == [1, 1, *[0.75] * (STEPS - 2)]
    assert found["median_rise"][-1] == pytest.approx(0.5)
    assert found["depths"] == list(HAZE_DEPTHS)


def test_photos_by_night_or_without_all_copies_are_not_asked() -> None:
    partly = [*rising(1)[:-1], np.nan]
    record = hazed(
        rising(1), rising(-0.5), partly, sun_elevation=[30.0, -10.0, 30.0], site=["a", "b", "c"]
    )
    found: Any = plausibility(record)["added_haze"]
    assert found["overall"]["n"] == 1
    assert found["overall"]["holds"] == 1
    assert {site: r["n"] for site, r in found["per_site"].items()} == {"a": 1, "c": 0}
    assert found["per_site"]["c"]["holds"] is None
    assert found["per_site"]["c"]["median_rise"] == [None] * STEPS


@given(arrays.arrays(float, (1, STEPS + 1), elements=amounts), st.floats(0.01, 100))
def test_the_rule_does_not_depend_on_the_unit(series: np.ndarray, factor: float) -> None:
    """But where a step or the rise is at the very limit, which rounding may cross."""
    ratio = series[:, 1:] / np.maximum(series[:, :-1], 1e-9)
    total = series[:, -1] / np.maximum(series[:, 0], 1e-9)
    if (np.abs(ratio - 0.995) > 1e-6).all() and (np.abs(total - 1.2) > 1e-6).all():
        assert haze_never_lowers(series) == haze_never_lowers(factor * series)
        assert haze_raises(series) == haze_raises(factor * series)


@given(arrays.arrays(float, STEPS + 1, elements=amounts))
def test_a_series_that_only_rises_is_never_lowered(series: np.ndarray) -> None:
    assert haze_never_lowers(np.sort(series)[None]).all()
    backwards = np.sort(series)[::-1][None]
    if (backwards[:, 1:] < 0.99 * backwards[:, :-1]).any():
        assert not haze_never_lowers(backwards).any()


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 5).flatmap(
        lambda n: arrays.arrays(
            float, (n, STEPS + 1), elements=st.one_of(amounts, st.just(np.nan), st.just(np.inf))
        )
    )
)
def test_every_record_is_json_whatever_the_answers(series: np.ndarray) -> None:
    n = len(series)
    quantiles = np.where(np.isfinite(series[:, :1]), series[:, :1], 0) + np.arange(21.0) - 10
    record = replace(
        answers(np.full(n, 20.0), hazed=series[:, 1:]), estimate=series[:, 0], quantiles=quantiles
    )
    found = plausibility(record)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["n"] == n
