"""How estimates move through hours and days: against numpy, scipy and air whose course is known."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from tests.drawn_answers import answers
from training.held_out import HeldOutAnswers, together
from training.validation.accuracy import pearson
from training.validation.moments import hours_of_sessions, mean, moments_of
from training.validation.temporal import (
    anomaly_correlation,
    hourly_profile,
    lag_1,
    repeatability,
    temporal_consistency,
)

HOME = timezone(timedelta(hours=-5))
concentrations = st.floats(0, 1000, allow_subnormal=False)


def days_of(hours: list[int], days: list[datetime]) -> dict[str, Any]:
    """Columns of one photo an hour on each of the days, a session a day."""
    times = [day.replace(hour=hour) for day in days for hour in hours]
    return {
        "captured_at": tuple(times),
        "session": [time.date().isoformat() for time in times],
    }


def february(n: int) -> list[datetime]:
    return [datetime(2024, 2, 1 + day, tzinfo=HOME) for day in range(n)]


# ---- the hourly profile


def test_the_profile_is_the_mean_over_days_of_each_local_hour() -> None:
    """The hour is that of the place, not of Greenwich; hours that too few days saw are left out."""
    y = np.array([10, 20, 30, 40, 12, 22, 32, 42, 14, 24, 34, 44, 99], dtype=float)
    columns = days_of([7, 9, 12, 15], february(3))
    columns["captured_at"] += (datetime(2024, 2, 9, 3, tzinfo=HOME),)
    columns["session"].append("late")
    profile: Any = hourly_profile(answers(y, 2 * y, **columns))["hill"]
    assert profile["hours"] == [7, 9, 12, 15]
    assert profile["n_sessions"] == [3, 3, 3, 3]
    assert profile["pm25"] == [12, 22, 32, 42]
    assert profile["estimate"] == [24, 44, 64, 84]
    assert profile["correlation"] == pytest.approx(1)
    assert profile["rmse"] == pytest.approx(np.sqrt(np.mean(np.array([12, 22, 32, 42]) ** 2)))
    assert profile["nrmse"] == pytest.approx(profile["rmse"] / 27)


def test_a_burst_weighs_no_more_in_a_profile_than_a_photo() -> None:
    y = np.array([10.0] * 20 + [20.0, 30.0])
    nine = [datetime(2024, 2, 1, 9, tzinfo=HOME)] * 20
    others = [datetime(2024, 2, day, 9, tzinfo=HOME) for day in (2, 3)]
    profile: Any = hourly_profile(
        answers(y, captured_at=(*nine, *others), session=["a"] * 20 + ["b", "c"])
    )["hill"]
    assert profile["pm25"] == [20]
    assert profile["correlation"] is None  # of one hour


def test_days_that_differ_do_not_pass_for_the_course_of_the_day() -> None:
    """Mornings of clean days, afternoons of hazy ones: estimates that know the day alone follow the
    profile, and not the day's own course."""
    clean, hazy = np.array([10.0, 12, 14, 13]), np.array([50.0, 52, 51, 54])
    morning = days_of([7, 8, 9, 10], february(6)[:3])
    afternoon = days_of([14, 15, 16, 17], february(6)[3:])
    columns: dict[str, Any] = {name: morning[name] + afternoon[name] for name in morning}
    y = np.concatenate([np.tile(clean, 3), np.tile(hazy, 3)])
    of_day = np.repeat([10.0, 50.0], 12)
    flat: Any = hourly_profile(answers(y, of_day, **columns))["hill"]
    assert flat["correlation"] > 0.99
    assert flat["correlation_within_session"] is None
    exact: Any = hourly_profile(answers(y, 3 + 0.1 * y, **columns))["hill"]
    assert exact["correlation_within_session"] == pytest.approx(1)


# ---- what is left without the calendar


def test_an_estimate_that_knows_the_calendar_alone_has_no_anomaly() -> None:
    """Its plain correlation with the label is nearly 1; what it shows of the photo is nothing."""
    rng = np.random.default_rng(0)
    usual = np.tile([60.0, 10.0, 30.0], 12)
    y = usual + rng.normal(0, 1, 36)
    columns = days_of([7, 12, 18], february(12))
    assert stats.pearsonr(y, usual).statistic > 0.99
    found: Any = anomaly_correlation(answers(y, usual, **columns))["overall"]
    assert found["n"] == 36
    assert found["sd_estimate"] == 0
    assert found["correlation"] is None


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_rewarded_for_the_label_that_it_is_compared_with(seed: int) -> None:
    """Independent estimates of many small cells: no correlation beyond chance."""
    rng = np.random.default_rng(seed)
    columns = days_of(list(range(24)), february(3))
    parts = []
    for site in range(40):
        y, e = rng.gamma(2, 10, 72), rng.gamma(2, 10, 72)
        parts.append(answers(y, e, site=f"s{site}", **columns))
    found: Any = anomaly_correlation(together(parts))["overall"]
    assert found["n"] == 72 * 40
    assert abs(found["correlation"]) < 4 / np.sqrt(72 * 40 * 2 / 3)


def test_the_usual_value_is_that_of_the_other_sessions() -> None:
    """By a plain loop over photos, and cells of fewer than three sessions are counted out."""
    rng = np.random.default_rng(1)
    columns = days_of([8, 9], [*february(6), datetime(2024, 3, 5, tzinfo=HOME)])
    y, e = rng.gamma(2, 10, 14), rng.gamma(2, 10, 14)
    a, b = [], []
    for i in range(12):
        others = [j for j in range(12) if j != i and j % 2 == i % 2]
        a.append(y[i] - np.mean(y[others]))
        b.append(e[i] - np.mean(e[others]))
    found: Any = anomaly_correlation(answers(y, e, **columns))["per_site"]
    counts = {name: found["hill"][name] for name in ("n", "n_left_out", "n_sessions")}
    assert counts == {"n": 12, "n_left_out": 2, "n_sessions": 6}
    assert found["hill"]["correlation"] == pytest.approx(stats.pearsonr(a, b).statistic)
    assert found["hill"]["sd_pm25"] == pytest.approx(np.std(a))


# ---- repeatability


def test_photos_within_ten_minutes_of_the_first_are_one_moment() -> None:
    start = datetime(2024, 2, 1, 9, tzinfo=UTC)
    minutes = [0, 4, 10, 11, 21, 60]
    times = tuple(start + timedelta(minutes=m) for m in reversed(minutes))
    moments = moments_of(answers([6.0, 5, 4, 3, 2, 1], captured_at=times))
    assert moments.n_photos.tolist() == [3, 2, 1]
    assert moments.pm25.tolist() == [2, 4.5, 6]
    assert moments.sd[:2] == pytest.approx([1, np.std([4, 5], ddof=1)])


def test_sessions_share_no_moment() -> None:
    at = (datetime(2024, 2, 1, 9, tzinfo=UTC),) * 4
    moments = moments_of(
        answers([1.0, 2, 3, 4], captured_at=at, session=["a", "b", "a", "b"], site=list("xxxy"))
    )
    assert sorted(moments.n_photos.tolist()) == [1, 1, 2]


def test_repeatability_passes_by_share_or_by_amount() -> None:
    """4 ± 2.8 passes by amount, 100 ± 14 by share, 20 ± 14 by neither; single photos are left."""
    e = np.array([2.0, 6, 90, 110, 10, 30, 50])
    session = ["a", "a", "b", "b", "c", "c", "d"]
    at = (datetime(2024, 2, 1, 9, tzinfo=UTC),) * 7
    found: Any = repeatability(answers(e, e, captured_at=at, session=session))["overall"]
    sds = np.array([e[i : i + 2].std(ddof=1) for i in (0, 2, 4)])
    assert (found["n_moments"], found["n_photos"]) == (3, 6)
    assert found["repeatable"] == pytest.approx(2 / 3)
    assert found["median_sd"] == pytest.approx(np.median(sds))
    assert found["pooled_sd"] == pytest.approx(np.sqrt(np.mean(sds**2)))
    assert found["pooled_share"] == pytest.approx(np.sqrt(np.mean((sds / [4, 100, 20]) ** 2)))


def test_the_pooled_spread_is_that_of_a_one_way_analysis_of_variance() -> None:
    rng = np.random.default_rng(2)
    sizes = (2, 5, 9)
    groups = [rng.normal(level, 4, n) for n, level in zip(sizes, (20, 50, 80), strict=True)]
    e = np.concatenate(groups)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (sum(sizes) - len(sizes))
    record = repeatability(
        answers(
            e,
            captured_at=(datetime(2024, 2, 1, tzinfo=UTC),) * len(e),
            session=[str(k) for k, n in enumerate(sizes) for _ in range(n)],
        )
    )
    found: Any = record["overall"]
    assert found["pooled_sd"] == pytest.approx(np.sqrt(within))
    shares = [(g.std(ddof=1) / g.mean()) ** 2 for g in groups]
    pooled = np.average(shares, weights=[n - 1 for n in sizes])
    assert found["pooled_share"] == pytest.approx(np.sqrt(pooled))


# ---- lag 1


def test_estimates_at_half_the_swing_change_at_half_the_rate() -> None:
    rng = np.random.default_rng(3)
    y = rng.gamma(2, 10, 40)
    columns = days_of(list(range(8, 18)), february(4))
    found: Any = lag_1(answers(y, 5 + y / 2, **columns))["hill"]
    assert (found["n"], found["n_sessions"]) == (36, 4)  # none across a night
    assert found["rate_ratio"] == pytest.approx(0.5)
    assert found["change_correlation"] == pytest.approx(1)
    assert found["estimate_autocorrelation"] == pytest.approx(found["pm25_autocorrelation"])
    first, second = y.reshape(4, 10)[:, :-1].ravel(), y.reshape(4, 10)[:, 1:].ravel()
    assert found["pm25_autocorrelation"] == pytest.approx(stats.pearsonr(first, second).statistic)
    assert found["pm25_rate"]["median"] == pytest.approx(np.median(np.abs(second - first)))


def test_a_rate_is_per_hour_and_long_gaps_are_no_step() -> None:
    start = datetime(2024, 2, 1, 8, tzinfo=HOME)
    times = tuple(start + timedelta(hours=h) for h in (0, 0.5, 2.5, 6))
    found: Any = lag_1(answers([10.0, 20, 60, 0], captured_at=times))["hill"]
    assert found["n"] == 2
    assert found["pm25_rate"] == pytest.approx({"median": 20, "mean": 20, "quantile_90": 20})


def test_estimates_that_flicker_change_faster_than_the_air() -> None:
    rng = np.random.default_rng(4)
    y = np.repeat(rng.gamma(2, 10, 6), 10) + np.tile(np.arange(10.0), 6)
    columns = days_of(list(range(8, 18)), february(6))
    calm: Any = lag_1(answers(y, y, **columns))["hill"]
    nervous: Any = lag_1(answers(y, y + rng.normal(0, 10, 60), **columns))["hill"]
    assert calm["rate_ratio"] == pytest.approx(1)
    assert nervous["rate_ratio"] > 3
    assert nervous["estimate_autocorrelation"] < calm["estimate_autocorrelation"]


# ---- what is not defined


def plain(value: object) -> None:
    """Nothing but what JSON has: no NaN, no infinity, no number of numpy."""
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 14).flatmap(lambda n: arrays.arrays(float, (2, n), elements=concentrations)))
def test_every_record_is_json_whatever_the_answers(pairs: np.ndarray) -> None:
    n = pairs.shape[1]
    times = [None if i == 3 else datetime(2024, 2, 1 + i % 5, i % 4, tzinfo=UTC) for i in range(n)]
    drawn = answers(
        *pairs,
        captured_at=tuple(times),
        site=np.array(["x" if i % 7 else "y" for i in range(n)], dtype=np.str_),
        session=np.array([str(i % 5) for i in range(n)], dtype=np.str_),
    )
    plain(temporal_consistency(drawn))


def test_photos_without_a_time_say_nothing() -> None:
    found: Any = temporal_consistency(answers([1.0, 2, 3], captured_at=(None,) * 3))
    assert found["hourly_profile"] == {} == found["lag_1"]
    assert found["repeatability"]["overall"]["repeatable"] is None
    assert found["anomaly_correlation"]["overall"] == {
        "n": 0,
        "n_left_out": 0,
        "n_sessions": 0,
        **dict.fromkeys(("correlation", "sd_pm25", "sd_estimate")),
    }


@given(
    st.integers(3, 30).flatmap(
        lambda n: arrays.arrays(float, (2, n), elements=st.integers(-50, 50).map(float))
    )
)
def test_correlation_is_scipy_s_wherever_that_is_defined(pairs: np.ndarray) -> None:
    one, other = pairs
    if one.min() == one.max() or other.min() == other.max():
        assert pearson(one, other) is None
    else:
        assert pearson(one, other) == pytest.approx(stats.pearsonr(one, other).statistic, abs=1e-9)


@given(concentrations, st.integers(1, 60))
def test_the_mean_of_equal_values_is_exactly_that_value(value: float, n: int) -> None:
    assert mean(np.full(n, value)) == value


def test_an_hour_of_a_session_is_of_one_day() -> None:
    """A session that lasts past midnight meets the same hour again a day later."""
    nine = datetime(2024, 2, 1, 9, tzinfo=HOME)
    times = (nine, nine + timedelta(minutes=50), nine + timedelta(days=1))
    hourly = hours_of_sessions(answers([1.0, 2.0, 3.0], captured_at=times))
    assert hourly.pm25.tolist() == [1.5, 3]
    assert hourly.n_photos.tolist() == [2, 1]


def test_the_usual_hours_are_those_of_the_offset_given() -> None:
    """23:30 in Medellín is the next day in Greenwich, and stays the evening of its own day."""
    late = datetime(2024, 2, 1, 23, 30, tzinfo=HOME)
    drawn: HeldOutAnswers = answers([1.0, 2.0], captured_at=(late, late.astimezone(UTC)))
    hourly = hours_of_sessions(drawn)
    assert hourly.hour.tolist() == [23, 4]
    assert hourly.date.tolist() == ["2024-02-01", "2024-02-02"]
