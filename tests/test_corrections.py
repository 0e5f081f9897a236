"""Corrections of PurpleAir: their published values, no step between pieces, no field confused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import PM25Error
from tests.replaying_server import NOW
from training.ground_truth.channels import ChannelMeans, channels_agree, corrected_hour
from training.ground_truth.corrections import (
    CORRECTIONS,
    DEFAULT_CORRECTION,
    Correction,
    Field,
)
from training.ground_truth.measurement import SensorHour

LINE, SMOKE, AIRNOW = (CORRECTIONS[name] for name in CORRECTIONS)


@pytest.mark.parametrize(
    ("name", "field", "x", "rh", "expected"),
    [
        ("epa_2021_cf1", "cf_1", 35.0, 50.0, 19.78),
        ("epa_2022_smoke_cf1", "cf_1", 35.0, 50.0, 19.78),
        ("epa_2022_smoke_cf1", "cf_1", 700.0, 20.0, 484.13),
        ("epa_airnow_atm", "atm", 20.0, 50.0, 11.92),
        ("epa_airnow_atm", "atm", 40.0, 50.0, 27.64),  # slope (0.524 + 0.786) / 2
        ("epa_airnow_atm", "atm", 100.0, 50.0, 80.04),
        ("epa_airnow_atm", "atm", 300.0, 50.0, 289.526),
    ],
)
def test_published_values(name: str, field: Field, x: float, rh: float, expected: float) -> None:
    assert CORRECTIONS[name](field, x, rh) == pytest.approx(expected, abs=1e-6)


@given(x=st.floats(0, 1500), rh=st.floats(0, 100))
def test_no_correction_has_a_step(x: float, rh: float) -> None:
    """Every slope, blends included, stays below 7: that of 2022 is steep between its pieces."""
    for correction in (SMOKE, AIRNOW):
        step = correction(correction.field, x + 0.01, rh) - correction(correction.field, x, rh)
        assert abs(step) < 0.07, correction.name


@pytest.mark.parametrize("x", [30.0, 50.0, 210.0, 260.0])
def test_the_pieces_of_airnow_meet(x: float) -> None:
    below, above = AIRNOW("atm", x - 1e-9, 60), AIRNOW("atm", x + 1e-9, 60)
    assert above == pytest.approx(below, abs=1e-6)


@given(x=st.floats(0, 1500), rh=st.floats(0, 100))
def test_more_in_the_laser_is_never_less_in_the_air(x: float, rh: float) -> None:
    for correction in CORRECTIONS.values():
        if x + 1 < correction.holds_below:
            field = correction.field
            assert correction(field, x + 1, rh) > correction(field, x, rh)


@pytest.mark.parametrize("correction", CORRECTIONS.values(), ids=CORRECTIONS.keys())
def test_the_other_field_is_an_error(correction: Correction) -> None:
    other: Field = "atm" if correction.field == "cf_1" else "cf_1"
    with pytest.raises(PM25Error) as caught:
        correction(other, 20.0, 50.0)
    assert caught.value.code == "correction_field"
    assert correction.field in caught.value.detail


@pytest.mark.parametrize(
    ("x", "rh"), [(600.0, 50.0), (-1.0, 50.0), (20.0, 101.0), (20.0, math.nan)]
)
def test_no_correction_is_stretched(x: float, rh: float) -> None:
    with pytest.raises(PM25Error) as caught:
        LINE("cf_1", x, rh)
    assert caught.value.code == "correction_range"


# ---- channels


def hour(a: float | None, b: float | None, rh: float | None = 50.0, n: int = 6) -> SensorHour:
    means = [ChannelMeans("cf_1", a, b, rh)] * n
    return corrected_hour("1", NOW, means, CORRECTIONS[DEFAULT_CORRECTION])


def test_an_hour_is_the_corrected_mean_of_both_channels() -> None:
    found = hour(30.0, 40.0)
    assert found.pm25 == pytest.approx(19.78)
    assert (found.correction, found.flags) == (DEFAULT_CORRECTION, ())
    assert found.as_published == "cf_1 a=30.00 b=40.00 rh=50"


@pytest.mark.parametrize(
    ("found", "flag"),
    [
        (hour(30.0, 40.0, n=4), "incomplete"),
        (hour(30.0, None), "incomplete"),
        (hour(5.0, 40.0), "channels_disagree"),
        (hour(30.0, 40.0, None), "humidity_unknown"),
        (hour(30.0, 40.0, 140.0), "humidity_unknown"),
        (hour(-3.0, -3.0), "beyond_correction"),
    ],
)
def test_an_hour_that_cannot_be_believed_has_no_value(found: SensorHour, flag: str) -> None:
    assert found.pm25 is None
    assert found.flags == (flag,)


def test_clean_damp_air_is_clipped_and_says_so() -> None:
    found = hour(0.0, 0.0, 100.0)
    assert found.pm25 == 0.0
    assert found.flags == ("clipped",)
    assert hour(30.0, 40.0, n=5).pm25 is not None, "five of six means are 75 %"


@given(a=st.floats(0, 500), b=st.floats(0, 500))
def test_channels_are_treated_alike(a: float, b: float) -> None:
    assert channels_agree(a, b) == channels_agree(b, a)
    assert channels_agree(a, a)
    if channels_agree(a, b):
        assert abs(a - b) < 5 or max(a, b) < (1.35 / 0.65 + 1e-6) * min(a, b)
