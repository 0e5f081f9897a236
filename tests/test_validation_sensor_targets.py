"""Days as estimated from photos against the targets for sensors; scipy draws the line."""

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
from training.held_out import HeldOutAnswers
from training.validation.sensor_targets import sensor_targets, site_days

HOME = timezone(timedelta(hours=-5))


def days(y: np.ndarray, e: np.ndarray, hours: int = 1, **given: Any) -> HeldOutAnswers:
    """One session a day, the same value at each of its `hours` from 0 o'clock on."""
    start = datetime(2024, 2, 1, tzinfo=HOME)
    return answers(
        np.repeat(y, hours),
        np.repeat(e, hours),
        captured_at=tuple(
            start + timedelta(days=d, hours=h) for d in range(len(y)) for h in range(hours)
        ),
        session=[str(d) for d in range(len(y)) for _ in range(hours)],
        **given,
    )


@pytest.mark.parametrize("seed", range(4))
def test_line_and_error_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.gamma(3, 10, 35)
    e = 4 + 0.8 * y + rng.normal(0, 6, 35)
    found: Any = sensor_targets(days(y, e))["overall"]
    line = stats.linregress(y, e)
    rmse = np.sqrt(np.mean((e - y) ** 2))
    assert found["slope"] == pytest.approx(line.slope)
    assert found["intercept"] == pytest.approx(line.intercept)
    assert found["r2"] == pytest.approx(line.rvalue**2)
    assert found["rmse"] == pytest.approx(rmse)
    assert found["nrmse"] == pytest.approx(rmse / y.mean())
    assert (found["n_days"], found["enough_days"]) == (35, True)


def met(slope: float, intercept: float, error: float = 0.0, level: float = 10.0) -> dict[str, Any]:
    y = level * np.arange(1, 9)
    e = intercept + slope * y + error * np.array([1, -1, -1, 1, 1, -1, -1, 1.0])
    found: Any = sensor_targets(days(y, e))["overall"]
    return dict(found["met"])


def test_each_target_on_both_sides_of_its_limit() -> None:
    assert met(1.0, 0.0)["all"] is True
    assert [met(s, 0.0)["slope"] for s in (0.64, 0.66, 1.34, 1.36)] == [False, True, True, False]
    assert [met(1.0, b)["intercept"] for b in (-5.1, -4.9, 4.9, 5.1)] == [False, True, True, False]
    # an error of ±s adds s² to a variance of 525: R² = 525 / (525 + s²) = 0.70 at s = 15
    assert [met(1.0, 0.0, s)["r2"] for s in (14.9, 15.1)] == [True, False]
    # 45 on average: 30 % are 13.5, of 6 on average 7 is more
    assert [met(1.0, b)["rmse_or_nrmse"] for b in (13.4, 13.6)] == [True, False]
    assert [met(1.0, b, level=2.0)["rmse_or_nrmse"] for b in (6.9, 7.1)] == [True, False]
    assert met(0.5, 0.0)["all"] is False


def test_a_day_is_the_mean_of_its_hours_and_a_burst_is_one_of_them() -> None:
    """Ten photos at 8 and one at 12 o'clock: the day is halfway between the two hours."""
    day = datetime(2024, 2, 1, tzinfo=HOME)
    record = answers(
        [10.0] * 10 + [30.0],
        [20.0] * 10 + [60.0],
        captured_at=(*(day.replace(hour=8, minute=m) for m in range(10)), day.replace(hour=12)),
    )
    found = site_days(record)
    assert (found.pm25.tolist(), found.estimate.tolist()) == ([20], [40])
    assert (found.n_photos.tolist(), found.n_hours.tolist()) == ([11], [2])


def test_a_day_is_local_and_of_one_site_and_camera() -> None:
    """Of six photos around midnight: two nights, two cameras, another site; one without a time."""
    evening = datetime(2024, 2, 1, 23, tzinfo=HOME)
    record = answers(
        np.arange(6.0),
        camera=["a", "a", "b", "a", "", ""],
        site=["hill"] * 4 + ["valley"] * 2,
        session=list("ssrsss"),
        captured_at=(
            *(evening, evening + timedelta(hours=2), evening, evening - timedelta(hours=1)),
            *(evening, None),
        ),
    )
    found = site_days(record)
    assert sorted(found.n_photos.tolist()) == [1, 1, 1, 2]
    assert found.site.tolist().count("valley") == 1


def test_two_visits_in_one_hour_leave_it_one_hour_of_the_day() -> None:
    at = datetime(2024, 2, 1, 9, tzinfo=HOME)
    record = answers(
        [10.0, 20.0, 45.0],
        captured_at=(at, at + timedelta(minutes=30), at + timedelta(hours=3)),
        session=["a", "b", "b"],
    )
    found = site_days(record)
    assert found.pm25.tolist() == [30]
    assert found.n_hours.tolist() == [2]


def test_days_of_few_hours_are_none_that_the_targets_are_made_for() -> None:
    y = np.array([10.0, 20, 30, 40])
    some: Any = sensor_targets(days(y, y, 17))
    assert (some["overall"]["n_days"], some["overall"]["hours_per_day"]) == (4, 17)
    assert some["overall"]["enough_days"] is False
    assert some["complete_days"]["n_days"] == 0
    assert some["complete_days"]["met"]["all"] is None
    full: Any = sensor_targets(days(y, y, 18))
    assert full["complete_days"] == full["overall"]


def test_precision_is_that_of_photos_of_one_moment() -> None:
    at = datetime(2024, 2, 1, 9, tzinfo=UTC)
    for low, high, passed in ((10.0, 16.0, True), (50.0, 70.0, True), (10.0, 20.0, False)):
        found: Any = sensor_targets(answers([15.0, 15], [low, high], captured_at=(at, at)))
        assert found["precision"]["n_moments"] == 1
        assert found["precision"]["sd"] == pytest.approx((high - low) / np.sqrt(2))
        assert found["precision"]["met"] is passed
    assert sensor_targets(days(np.arange(5.0), np.arange(5.0)))["precision"] is None


def test_two_days_and_equal_days_have_no_line() -> None:
    for y in ([10.0, 20.0], [10.0, 10.0, 10.0, 10.0]):
        found: Any = sensor_targets(days(np.array(y), np.array(y)))["overall"]
        assert found["slope"] is found["intercept"] is found["r2"] is None
        assert found["rmse"] == 0
        assert found["met"]["rmse_or_nrmse"] is True
        assert found["met"]["all"] is None


def test_a_constant_answer_has_no_slope_and_no_correlation() -> None:
    y = np.array([10.0, 20, 30, 40])
    found: Any = sensor_targets(days(y, np.full(4, 0.1), 3))["overall"]
    assert found["slope"] == pytest.approx(0)
    assert found["r2"] is None
    assert found["met"]["all"] is None


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10).flatmap(
        lambda n: arrays.arrays(float, (2, n), elements=st.floats(0, 900, allow_subnormal=False))
    )
)
def test_every_record_is_json_whatever_the_answers(pairs: np.ndarray) -> None:
    n = pairs.shape[1]
    times = [
        None if i == 4 else datetime(2024, 2, 1 + i % 4, 9 + i % 2, tzinfo=UTC) for i in range(n)
    ]
    record = answers(
        *pairs,
        captured_at=tuple(times),
        site=np.array(["x" if i % 5 else "y" for i in range(n)], dtype=np.str_),
    )
    found = sensor_targets(record)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
