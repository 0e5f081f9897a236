"""Bootstrap intervals: how often they hold the truth, what is drawn, and when there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.drawn_answers import answers, forecasts
from training.held_out import HeldOutAnswers
from training.validation.bootstrap import FEWEST_UNITS, Resampling


def mae(record: HeldOutAnswers) -> float:
    return float(np.mean(np.abs(record.estimate - record.pm25)))


def errors(record: HeldOutAnswers) -> np.ndarray:
    return np.abs(record.estimate - record.pm25)[:, None]


def first(means: np.ndarray) -> np.ndarray:
    return means[:, 0]


def bias_interval(record: HeldOutAnswers, resampling: Resampling) -> list[float] | None:
    values = (record.estimate - record.pm25)[:, None]
    return resampling.of_means(record, values, {"bias": first})["bias"]


def sessions(n: int) -> np.ndarray:
    return np.array([f"day {i}" for i in range(n)], dtype=np.str_)


@pytest.mark.parametrize("units", [7, 30])
def test_it_holds_the_truth_as_often_as_is_said_for_so_many_units(units: int) -> None:
    rng = np.random.default_rng(units)
    zero = np.zeros(4 * units)
    held = 0
    for seed in range(400):
        effect = np.repeat(rng.normal(size=units), 4)  # a session's photos err alike
        record = answers(zero, effect, session=np.repeat(sessions(units), 4))
        bounds = bias_interval(record, Resampling(resamples=400, seed=seed))
        assert bounds is not None
        held += bounds[0] <= 0 <= bounds[1]
    share = 2 * stats.t.cdf(1.96 * math.sqrt((units - 1) / units), units - 1) - 1
    assert held / 400 == pytest.approx(share, abs=3.5 * math.sqrt(share * (1 - share) / 400))


def test_photos_of_one_session_are_no_independent_photos() -> None:
    effect = np.repeat(np.random.default_rng(0).normal(size=30), 10)
    together = answers(np.zeros(300), effect, session=np.repeat(sessions(30), 10))
    apart = answers(np.zeros(300), effect, session=sessions(300))
    lower, upper = bias_interval(together, Resampling()) or (0.0, 0.0)
    naive_lower, naive_upper = bias_interval(apart, Resampling()) or (0.0, 0.0)
    assert upper - lower == pytest.approx((naive_upper - naive_lower) * math.sqrt(10), rel=0.1)


def test_single_photos_agree_with_scipy() -> None:
    record = forecasts(120, session=sessions(120))
    theirs = stats.bootstrap(
        (errors(record)[:, 0],), np.mean, n_resamples=9999, method="percentile", rng=1
    ).confidence_interval
    bounds = Resampling(resamples=9999).of_means(record, errors(record), {"mae": first})["mae"]
    assert bounds == pytest.approx([theirs.low, theirs.high], rel=0.02)


@pytest.mark.parametrize(
    "resampling",
    [Resampling(resamples=200), Resampling(resamples=200, over="site")],
)
def test_the_fast_way_and_the_slow_way_agree(resampling: Resampling) -> None:
    record = forecasts(200)
    fast = resampling.of_means(record, errors(record), {"mae": first})["mae"]
    assert fast == pytest.approx(resampling.interval(record, mae))


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(60)))
def test_no_order_of_photos_counts(order: list[int]) -> None:
    record, resampling = forecasts(60), Resampling(resamples=100)
    shuffled = record.of(np.array(order))
    expected = resampling.of_means(record, errors(record), {"mae": first})["mae"]
    assert resampling.of_means(shuffled, errors(shuffled), {"mae": first})["mae"] == pytest.approx(
        expected
    )


def test_a_session_drawn_twice_counts_twice() -> None:
    record = forecasts(90)
    resampling = Resampling(resamples=10)
    assert resampling.interval(record, lambda drawn: len(drawn.per_session())) == [30, 30]
    by_site = Resampling(over="site", resamples=10)
    many = forecasts(210)
    assert by_site.interval(many, lambda drawn: len(np.unique(drawn.site))) == [7, 7]
    assert by_site.interval(many, lambda drawn: len(drawn.per_session())) == [70, 70]


def test_as_many_units_are_drawn_as_there_are() -> None:
    record = forecasts(200)  # 67 sessions of 7 sites, the last of 7
    counts = Resampling().counts(record)
    assert counts.shape == (2000, 67)
    assert (counts.sum(axis=1) == 67).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(67), abs=5 / math.sqrt(2000))
    assert Resampling(over="site").counts(record).shape == (2000, 7)


def test_the_seed_alone_decides() -> None:
    record = forecasts(60)
    assert (Resampling().counts(record) == Resampling().counts(record)).all()
    assert (Resampling(seed=1).counts(record) != Resampling(seed=2).counts(record)).any()


def test_a_higher_level_is_a_wider_interval() -> None:
    record = forecasts(150)
    narrow = Resampling(level=0.5).interval(record, mae) or [0, 0]
    wide = Resampling(level=0.99).interval(record, mae) or [0, 0]
    assert wide[0] < narrow[0] < mae(record) < narrow[1] < wide[1]


def test_few_units_have_no_interval() -> None:
    few, enough = FEWEST_UNITS - 1, FEWEST_UNITS
    for n in (0, 1, few):
        record = answers(np.arange(float(n)), np.zeros(n), session=sessions(n))
        assert bias_interval(record, Resampling()) is None
        assert Resampling().interval(record, mae) is None
    record = answers(np.arange(float(enough)), session=sessions(enough))
    assert bias_interval(record, Resampling()) == [0, 0]
    assert bias_interval(record, Resampling(over="site")) is None


def test_a_figure_that_is_often_undefined_has_no_interval() -> None:
    record = answers(np.zeros(20), session=sessions(20))
    resampling = Resampling(resamples=100)

    def undefined_in(times: int) -> list[float] | None:
        calls = iter(range(100))
        return resampling.interval(record, lambda _: None if next(calls) < times else 1.0)

    assert undefined_in(5) == [1, 1]
    assert undefined_in(6) is None
