"""Coverage and width against MAPIE, of a forecaster that is right, and by group."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapie.metrics.regression import regression_coverage_score, regression_mean_width_score
from scipy import stats

from handlers.estimator import Estimates
from tests.drawn_answers import answers, forecasts
from training.validation.bootstrap import Resampling
from training.validation.coverage import (
    LEVELS,
    coverage,
    coverage_by_group,
    groupings,
    percent,
    relative_width,
    worst_group,
)

QUICK = Resampling(resamples=50)


@pytest.mark.parametrize("level", LEVELS)
def test_coverage_and_width_as_mapie_has_them(level: float) -> None:
    record = forecasts(120, sharpness=1.5)
    bounds = np.column_stack(record.interval(level))[:, :, None]
    figures = coverage(record, QUICK)
    at = percent(level)
    assert figures[f"coverage_{at}"] == pytest.approx(
        regression_coverage_score(record.pm25, bounds)[0]
    )
    assert figures[f"mean_width_{at}"] == pytest.approx(regression_mean_width_score(bounds)[0])


def test_a_forecaster_that_is_right_covers_what_it_says_and_one_too_sharp_does_not() -> None:
    n = 6000
    right, sharp = coverage(forecasts(n), QUICK), coverage(forecasts(n, sharpness=2), QUICK)
    for level in LEVELS:
        at = percent(level)
        noise = 4 * math.sqrt(level * (1 - level) / n)
        assert right[f"coverage_{at}"] == pytest.approx(level, abs=noise)
        assert sharp[f"coverage_{at}"] < level - 0.1
        lower, upper = right[f"coverage_interval_{at}"]
        assert lower < right[f"coverage_{at}"] < upper
        assert sharp[f"mean_width_{at}"] < right[f"mean_width_{at}"]
        relative = f"median_relative_width_{at}"
        assert sharp[relative] < right[relative]


def test_bounds_count_as_inside() -> None:
    record = answers([0.0, 20.0, -0.1, 20.1], [10.0] * 4, half_width=10.0)
    record.quantiles[:, 1], record.quantiles[:, -2] = 0.0, 20.0  # free of rounding
    assert coverage(record, QUICK)["coverage_90"] == 0.5


@pytest.mark.parametrize("n", [5, 9, 40])
def test_where_all_is_covered_few_sessions_leave_room_for_less(n: int) -> None:
    days = np.array([f"day {i}" for i in range(n)])
    for label, inside in ((20.0, n), (90.0, 0)):
        record = answers(np.full(n, label), np.full(n, 20.0), session=days)
        exact = stats.binomtest(inside, n).proportion_ci(0.95, "exact")
        figures = coverage(record, QUICK)
        assert figures["coverage_90"] == inside / n
        assert figures["coverage_interval_90"] == pytest.approx([exact.low, exact.high])
    at_random = np.where(np.arange(n) % 5 == 0, 90.0, 20.0)
    bounds = coverage(answers(at_random, np.full(n, 20.0), session=days), QUICK)
    assert bounds["coverage_interval_90"][0] < bounds["coverage_interval_90"][1]


def test_relative_width_and_confidence_order_photos_alike() -> None:
    record = forecasts(80)
    confidence = Estimates(
        record.estimate, record.quantiles, record.epistemic, record.aleatoric
    ).confidence
    assert (np.argsort(-confidence) == np.argsort(relative_width(record))).all()


def test_groups_share_out_all_photos_and_put_together_cover_what_all_do() -> None:
    record = forecasts(300, known_camera=np.arange(300) % 4 == 0)
    whole = coverage(record, QUICK)
    groups = coverage_by_group(record, QUICK)
    assert list(groups) == ["site", "level_band", "hour", "daylight", "quality", "camera"]
    for members in groups.values():
        assert len(members) > 1
        assert sum(block["n"] for block in members.values()) == 300
        for name in ("coverage_50", "coverage_95", "mean_width_90"):
            together = sum(block["n"] * block[name] for block in members.values()) / 300
            assert together == pytest.approx(whole[name])


def test_bands_are_of_the_estimate_and_not_of_the_label() -> None:
    estimates = [5.0, 9.04, 9.1, 35.49, 35.5, 60.0, 130.0, 230.0, 900.0, -1.0]
    bands = groupings(answers([500.0] * 10, estimates))["level_band"]
    assert bands == [
        "Good",
        "Good",
        "Moderate",
        "Moderate",
        "Unhealthy for Sensitive Groups",
        "Unhealthy",
        "Very Unhealthy",
        "Hazardous",
        "Hazardous",
        "Good",
    ]
    assert groupings(answers([1.0] * 10, estimates))["level_band"] == bands


def test_hours_are_local_and_what_is_not_known_says_so() -> None:
    bogota = timezone(timedelta(hours=-5))
    times = (
        datetime(2024, 3, 1, 2, 59, tzinfo=UTC),
        datetime(2024, 3, 1, 21, 30, tzinfo=bogota),
        datetime(2024, 3, 1, 12, 0, tzinfo=bogota),
        None,
    )
    record = answers(
        np.ones(4),
        captured_at=times,
        sun_elevation=np.array([5.0, -6.0, -6.1, np.nan]),
        pm25_quality=np.array(["A", "B", "C", ""]),
        known_camera=np.array([True, False, False, False]),
    )
    names = groupings(record)
    assert names["hour"] == ["00-03", "21-24", "12-15", "unknown"]
    assert names["daylight"] == ["day", "twilight", "night", "unknown"]
    assert names["quality"] == ["A", "B", "C", "unknown"]
    assert names["camera"] == ["fixed_view", "new_place", "new_place", "new_place"]


def test_the_worst_group_is_the_spoilt_one_and_no_handful() -> None:
    record = forecasts(300)
    spoilt = (record.site == "site 4") & (np.arange(300) % 2 == 0)
    record.pm25[spoilt] = 5000.0
    record.pm25[np.arange(300) >= 297] = 5000.0
    record.pm25_quality[np.arange(300) >= 297] = "D"  # worse still, but one session
    worst = worst_group(coverage_by_group(record, QUICK))
    assert worst is not None
    assert (worst["grouping"], worst["group"]) == ("site", "site 4")
    assert worst["n"] == 30
    assert worst["coverage_90"] <= 0.5
    assert worst["coverage_interval_90"][1] < 0.9
    assert worst_group(coverage_by_group(forecasts(15), QUICK)) is None


def test_what_is_not_known_is_no_group_to_blame() -> None:
    sun = np.where(np.arange(90) < 45, np.nan, 40.0)
    record = forecasts(90, sun_elevation=sun)
    record.pm25[:45] = 5000.0
    worst = worst_group({"daylight": coverage_by_group(record, QUICK)["daylight"]})
    assert worst is not None
    assert worst["group"] == "day"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 12), st.integers(0, 1000))
def test_few_photos_give_null_and_never_nan(n: int, seed: int) -> None:
    record = forecasts(n, seed=seed)
    figures = coverage(record, QUICK)
    json.dumps(figures, allow_nan=False)
    json.dumps(coverage_by_group(record, QUICK), allow_nan=False)
    assert (figures["coverage_90"] is None) == (n == 0)
    assert figures["coverage_interval_90"] is None  # at most four sessions
