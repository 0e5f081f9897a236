"""Dark channel, airlight and transmission in views whose haze is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from features.haze import (
    FAMILY,
    airlight_of,
    darkest_channels,
    haze_features,
    transmission_of,
)
from features.light import SRGB_TO_LINEAR, light_of, quarter_of
from features.sky import FAR_ZONE, PictureGeometry, picture_geometry
from tests.landscape import AIRLIGHT, landscape, re_encoded, to_srgb


def features_of(pixels: NDArray[np.uint8]) -> dict[str, float]:
    light = light_of(pixels)
    return haze_features(light, picture_geometry(light))


def half_ground(height: int, width: int) -> PictureGeometry:
    """Sky above, far band below."""
    bands = np.repeat(np.arange(height) >= height // 2, width).reshape(height, width)
    return PictureGeometry(bands.astype(np.uint8), np.full(width, height // 2, np.int32), 1.0)


def test_names_are_the_familys_in_order_and_each_is_documented() -> None:
    values = features_of(landscape(0.5)[0])
    assert tuple(values) == FAMILY.names
    assert np.isfinite(list(values.values())).all()
    assert all(isinstance(value, float) for value in values.values())
    assert len(set(FAMILY.names)) == len(FAMILY.names)
    assert all(f.meaning and f.unit and f.reference for f in FAMILY.features)


@pytest.mark.parametrize("transmission", [0.9, 0.6, 0.3])
def test_a_black_chequered_ground_gives_back_its_transmission(transmission: float) -> None:
    height, width = 240, 320
    scene = np.full((height, width, 3), 0.4)
    scene[::8] = 0.0  # something black in every patch
    picture = scene * transmission + AIRLIGHT * (1 - transmission)
    picture[: height // 2] = AIRLIGHT
    values = haze_features(light_of(to_srgb(picture)), half_ground(height, width))
    assert values["far_transmission_mean"] == pytest.approx(transmission, abs=0.02)
    assert values["far_optical_depth"] == pytest.approx(-np.log(transmission), abs=0.04)
    expected = (1 - transmission) * AIRLIGHT.min()
    assert values["far_dark_channel_p50"] == pytest.approx(expected, abs=0.01)
    assert values["airlight_luminance"] == pytest.approx(
        AIRLIGHT @ (0.2126, 0.7152, 0.0722), abs=0.01
    )
    assert np.isnan(values["near_transmission_mean"])


@pytest.mark.parametrize("seed", range(3))
def test_added_haze_raises_the_dark_channel_and_lowers_the_transmission(seed: int) -> None:
    hazes = [features_of(landscape(e, seed=seed)[0]) for e in (0.1, 0.4, 0.7, 1.0)]
    signs = {f.name: f.expected_sign for f in FAMILY.features}
    for name in (
        "ground_dark_channel_mean",
        "far_dark_channel_mean",
        "far_near_dark_channel_difference",
        "ground_transmission_mean",
        "far_transmission_mean",
        "far_optical_depth",
        "far_near_optical_depth_difference",
    ):
        steps = np.diff([values[name] for values in hazes])
        assert (np.sign(steps) == signs[name]).all(), name


def test_the_far_band_is_the_haziest() -> None:
    values = features_of(landscape(1.0)[0])
    depths = [values[f"{band}_optical_depth"] for band in ("far", "mid", "near")]
    assert depths == sorted(depths, reverse=True)


def test_a_sky_darker_than_the_ground_does_not_enter_the_dark_channel() -> None:
    pixels = np.full((240, 320, 3), 200, np.uint8)
    pixels[:120] = 10
    light, geometry = light_of(pixels), half_ground(240, 320)
    ground = darkest_channels(light, geometry)[0][geometry.zones >= FAR_ZONE]
    assert ground.min() == 200


def test_rows_above_the_ground_may_be_left_out() -> None:
    light = light_of(landscape(0.5)[0])
    geometry = picture_geometry(light)
    for whole, part in zip(
        darkest_channels(light, geometry), darkest_channels(light, geometry, 20), strict=True
    ):
        assert np.array_equal(whole[20:], part)


def test_airlight_is_the_horizon_sky_or_the_haziest_ground() -> None:
    view = np.full((240, 320, 3), 0.1)
    view[:120] = AIRLIGHT
    view[:30, :60] = 1.0  # the sun is not the air
    light, geometry = light_of(to_srgb(view)), half_ground(240, 320)
    dark = np.minimum.reduce(darkest_channels(light, geometry))
    assert airlight_of(light, geometry, dark) == pytest.approx(AIRLIGHT, rel=0.01)

    pixels = np.full((240, 320, 3), 60, np.uint8)
    pixels[40:80, 40:80] = (170, 180, 190)
    bands = np.full((240, 320), 3, np.uint8)
    ground = PictureGeometry(bands, np.zeros(320, np.int32), 0.0)
    found = light_of(pixels)
    dark = np.minimum.reduce(darkest_channels(found, ground))
    assert airlight_of(found, ground, dark) == pytest.approx(SRGB_TO_LINEAR[[170, 180, 190]])


def test_transmission_follows_the_edges_of_its_guide() -> None:
    pixels = np.full((240, 320, 3), 90, np.uint8)
    pixels[:, 160:] = 160
    light = light_of(pixels)
    zones = np.full((60, 80), FAR_ZONE, np.uint8)
    darkest = [quarter_of(channel) for channel in light.channels]
    transmission = transmission_of(darkest, AIRLIGHT, light.quarter, zones)
    assert transmission.shape == (60, 80)
    expected = 1 - SRGB_TO_LINEAR[[90, 160]] / AIRLIGHT.max()  # the channel that is least of A
    assert transmission[30, 35] == pytest.approx(expected[0], abs=0.02)
    assert transmission[30, 45] == pytest.approx(expected[1], abs=0.02)


def test_attenuation_depth_of_one_colour_is_the_formula() -> None:
    pixels = np.full((240, 320, 3), (200, 150, 100), np.uint8)
    values = haze_features(light_of(pixels), half_ground(240, 320))
    expected = 0.121779 + 0.959710 * 200 / 255 - 0.780245 * 0.5
    assert values["far_attenuation_depth"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("width", [640, 427])
def test_mirroring_changes_nothing(width: int) -> None:
    pixels = landscape(0.5, width=width)[0]
    values, mirrored = features_of(pixels), features_of(pixels[:, ::-1])
    assert mirrored == pytest.approx(values, rel=1e-6, abs=1e-9, nan_ok=True)


def test_re_encoding_changes_little() -> None:
    pixels = landscape(0.5)[0]
    values, again = features_of(pixels), features_of(re_encoded(pixels, 85))
    for name in ("far_transmission_mean", "ground_transmission_mean", "airlight_luminance"):
        assert again[name] == pytest.approx(values[name], abs=0.02), name


@pytest.mark.parametrize("code", [0, 255])
def test_black_and_white_pictures_are_answered(code: int) -> None:
    values = features_of(np.full((480, 640, 3), code, np.uint8))
    assert not np.isinf(list(values.values())).any()
