"""A flaw widens the interval by what it was measured to cost; the estimate stays where it is."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality_page import JSON, PAGE, page
from handlers.estimator import Estimates, PM25Estimator
from handlers.flaw_spread import FLAW_SPREAD, OF_NIGHT, flaw_spread
from handlers.predictor import Predictor
from tests.any_estimates import assert_plausible
from tests.stated_codes import stated
from training.dataset import DataSet
from training.table import TrainingTable

QUALITY = ("exposure", "framing", "integrity", "obstruction", "sharpness")
codes = st.sets(st.sampled_from(sorted(FLAW_SPREAD)))


@pytest.fixture(scope="module")
def estimates(estimator: PM25Estimator, table: TrainingTable) -> Estimates:
    return estimator.estimate(table.X[:20], table.cameras[:20])


@given(codes, codes, st.booleans(), st.booleans())
def test_a_further_flaw_never_costs_less(
    some: set[str], more: set[str], fixed_view: bool, by_night: bool
) -> None:
    few = flaw_spread(some, fixed_view=fixed_view, night_is_usual=by_night)
    many = flaw_spread(some | more, fixed_view=fixed_view, night_is_usual=by_night)
    assert 0 <= few <= many
    assert flaw_spread(some, fixed_view=fixed_view) >= few


def test_no_flaw_costs_nothing_and_every_flaw_something() -> None:
    assert flaw_spread(()) == 0.0
    assert all(min(spread) > 0.0 for spread in FLAW_SPREAD.values())
    assert flaw_spread(OF_NIGHT, night_is_usual=True) == 0.0


def test_every_warning_of_the_verdict_has_a_spread() -> None:
    """A code without one would fail the request that meets it."""
    root = Path(__file__).resolve().parent.parent / "features"
    assert all((root / f"{name}.py").exists() for name in QUALITY)
    said = {one.code for one in stated() if one.by == "warning"}
    source = "".join((root / f"{name}.py").read_text(encoding="utf-8") for name in QUALITY)
    assert {code for code in said if f'"{code}"' in source} == FLAW_SPREAD.keys()


def test_widening_keeps_the_estimate_and_adds_the_variance(estimates: Estimates) -> None:
    for spread in (0.05, 0.3, 1.5):
        wider = estimates.widened(spread)
        assert_plausible(wider)
        np.testing.assert_array_equal(wider.pm25, estimates.pm25)
        np.testing.assert_array_equal(wider.epistemic, estimates.epistemic)
        half, wide = (
            0.5 * np.log(upper / lower) for lower, upper in (estimates.interval(), wider.interval())
        )
        np.testing.assert_allclose(wide**2, half**2 + (1.645 * spread) ** 2, rtol=1e-9)
        for level in (0.5, 0.8, 0.9, 0.95):
            (low, high), (lower, higher) = estimates.interval(level), wider.interval(level)
            assert np.all(lower < low) and np.all(higher > high)
        assert np.all(wider.aleatoric > estimates.aleatoric)
    assert estimates.widened(0.0) is estimates


@given(st.floats(0.0, 3.0), st.floats(0.0, 3.0))
def test_the_larger_spread_gives_the_wider_interval(one: float, other: float) -> None:
    before = Estimates(
        np.array([20.0]),
        20.0 * np.exp(np.linspace(-1.0, 1.2, 21)[None]),
        np.array([3.0]),
        np.array([4.0]),
    )
    small, large = (before.widened(spread) for spread in sorted((one, other)))
    assert small.interval()[0] >= large.interval()[0]
    assert small.interval()[1] <= large.interval()[1]


def test_a_flawed_photo_is_answered_with_a_wider_interval(
    predictor: Predictor, rendered: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The estimate is that of the picture; without the flaw's spread the interval is narrower."""
    picture = cv2.imread(str(rendered.rows[0].path))
    framed = cv2.copyMakeBorder(picture, 40, 40, 0, 0, cv2.BORDER_CONSTANT)
    data = cv2.imencode(".jpg", framed, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    flawed: dict[str, object] = predictor.answer(data, min_side=100)
    monkeypatch.setattr("handlers.predictor.flaw_spread", lambda *_, **__: 0.0)
    plain: dict[str, object] = predictor.answer(data, min_side=100)
    assert "borders" in str(flawed["quality"])
    assert flawed["pm25_estimate"] == plain["pm25_estimate"]
    wide, narrow = flawed["interval"], plain["interval"]
    assert isinstance(wide, dict) and isinstance(narrow, dict)
    assert wide["lower"] < narrow["lower"] and wide["upper"] > narrow["upper"]


def test_the_spreads_are_those_that_were_measured() -> None:
    measured = json.loads(JSON.read_text(encoding="utf-8"))["spreads"]
    assert measured.keys() == FLAW_SPREAD.keys()
    for code, spread in FLAW_SPREAD.items():
        for situation, value in spread._asdict().items():
            found = measured[code][situation]
            assert found["n"] >= 2, (code, situation)
            assert value == pytest.approx(found["spread"], abs=0.005), (code, situation)


def test_the_page_says_what_was_measured() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(json.loads(JSON.read_text(encoding="utf-8")))


def test_good_photos_of_the_data_sets_are_not_refused() -> None:
    """At most 3 % of the webcam's photos by day, and 5 % of each set with its own limit."""
    result = json.loads(JSON.read_text(encoding="utf-8"))
    for row in result["good"]:
        assert row["refused"] <= 0.05 * row["n"], row["photos"]
    for group in result["levels"]:
        for row in group["bins"]:
            assert row["refused"] <= 0.03 * row["n"], (group["photos"], row["from"])
