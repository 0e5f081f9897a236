"""Colour against scikit-image, and what haze does to it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import skew
from skimage.color import rgb2hsv, rgb2lab

from features.colour import FAMILY, colour_features
from features.light import SRGB_TO_LINEAR, light_of
from features.sky import FAR_ZONE, HORIZON_SKY, NEAR_ZONE, PictureGeometry, picture_geometry
from tests.landscape import landscape, re_encoded

# OpenCV interpolates CIE L*a*b* in a table.
LAB_ERROR = 0.5


def features_of(pixels: NDArray[np.uint8]) -> dict[str, float]:
    light = light_of(pixels)
    return colour_features(light, picture_geometry(light))


def all_near(height: int, width: int) -> PictureGeometry:
    bands = np.full((height, width), 3, np.uint8)
    return PictureGeometry(bands, np.zeros(width, np.int32), 0.0)


def test_names_are_the_familys_in_order_and_each_is_documented() -> None:
    values = features_of(landscape(0.5)[0])
    assert tuple(values) == FAMILY.names
    assert np.isfinite(list(values.values())).all()
    assert all(isinstance(value, float) for value in values.values())
    assert len(set(FAMILY.names)) == len(FAMILY.names)
    assert all(f.meaning and f.unit and f.reference for f in FAMILY.features)


def test_grey_has_no_colour() -> None:
    values = colour_features(light_of(np.full((240, 320, 3), 128, np.uint8)), all_near(240, 320))
    for name in ("value_sd", "value_skewness", "chroma_mean", "chroma_sd", "colourfulness"):
        assert values[f"near_{name}"] == pytest.approx(0.0, abs=0.02), name
    assert values["near_blue_red_log_ratio"] == 0.0
    assert values["grey_world_red_log_gain"] == values["grey_world_blue_log_gain"] == 0.0
    assert np.isnan(values["far_chroma_mean"])
    assert np.isnan(values["sky_blue_red_drop"])


@pytest.mark.parametrize("colour", [(200, 60, 30), (20, 90, 160), (120, 130, 90), (250, 240, 10)])
def test_one_colour_has_its_lab_and_hsv_values(colour: tuple[int, int, int]) -> None:
    values = colour_features(light_of(np.full((240, 320, 3), colour, np.uint8)), all_near(240, 320))
    code = np.array(colour, np.uint8)[None, None]
    _, a, b = rgb2lab(code)[0, 0]
    assert values["near_a_mean"] == pytest.approx(a, abs=LAB_ERROR)
    assert values["near_b_mean"] == pytest.approx(b, abs=LAB_ERROR)
    assert values["near_chroma_mean"] == pytest.approx(np.hypot(a, b), abs=1.5 * LAB_ERROR)
    assert values["near_value_mean"] == pytest.approx(rgb2hsv(code)[0, 0, 2], abs=1e-6)
    assert values["near_hue_concentration"] == pytest.approx(1.0, abs=1e-6)
    linear = SRGB_TO_LINEAR[code[0, 0]].astype(np.float64)
    assert values["grey_world_red_log_gain"] == pytest.approx(np.log(linear[0] / linear[1]))
    assert values["grey_world_blue_log_gain"] == pytest.approx(np.log(linear[2] / linear[1]))
    red_green = colour[0] - colour[1]
    yellow_blue = (colour[0] + colour[1]) / 2 - colour[2]
    assert values["near_colourfulness"] == pytest.approx(0.3 * np.hypot(red_green, yellow_blue))


def test_regions_are_measured_on_their_own_cells() -> None:
    light = light_of(landscape(0.3)[0])
    geometry = picture_geometry(light)
    values = colour_features(light, geometry)
    lab, hsv = rgb2lab(light.quarter), rgb2hsv(light.quarter)
    for region, zone in (("far", FAR_ZONE), ("near", NEAR_ZONE), ("horizon_sky", HORIZON_SKY)):
        inside = geometry.zones == zone
        _, a, b = lab[inside].T
        chroma = np.hypot(a, b)
        for name, plane in (("a", a), ("b", b), ("chroma", chroma)):
            assert values[f"{region}_{name}_mean"] == pytest.approx(plane.mean(), abs=LAB_ERROR)
            assert values[f"{region}_{name}_sd"] == pytest.approx(plane.std(), abs=LAB_ERROR)
        length = np.hypot(a.mean(), b.mean()) / chroma.mean()
        assert values[f"{region}_hue_concentration"] == pytest.approx(length, abs=0.05)
        if region != "horizon_sky":
            value = hsv[inside, 2]
            assert values[f"{region}_value_mean"] == pytest.approx(value.mean(), abs=1e-6)
            assert values[f"{region}_value_sd"] == pytest.approx(value.std(), abs=1e-6)
            assert values[f"{region}_value_skewness"] == pytest.approx(skew(value), abs=1e-5)


def test_opposite_hues_have_colour_but_no_common_hue() -> None:
    pixels = np.full((240, 320, 3), (200, 90, 90), np.uint8)
    pixels[:, :160] = (70, 155, 155)
    values = colour_features(light_of(pixels), all_near(240, 320))
    assert values["near_chroma_mean"] > 20
    assert values["near_hue_concentration"] < 0.4


def test_a_camera_that_leans_to_red_shows_in_its_gains_and_haze_draws_them_to_the_airlight() -> (
    None
):
    pixels = landscape(0.1)[0]
    geometry = picture_geometry(light_of(pixels))
    red = pixels.copy()
    red[..., 0] = np.clip(np.rint(red[..., 0] * 1.1), 0, 255)
    before, after = (colour_features(light_of(photo), geometry) for photo in (pixels, red))
    assert after["grey_world_red_log_gain"] > before["grey_world_red_log_gain"] + 0.1
    assert after["grey_world_blue_log_gain"] == before["grey_world_blue_log_gain"]
    gains = [
        features_of(landscape(extinction)[0])["grey_world_blue_log_gain"]
        for extinction in (0.1, 0.5, 1.0, 2.0)
    ]
    assert gains == sorted(gains)  # towards ln(B / G) of the landscape's airlight, 0.17
    assert gains[-1] < 0.17


def test_white_balance_cancels_in_differences_inside_the_photo() -> None:
    light = landscape(0.3)[0]
    warm = light.copy()
    gains = np.array([1.12, 1.0, 0.9])  # on linear light, as a camera applies them
    codes = np.arange(256)[:, None] * gains ** (1 / 2.4)
    for channel in range(3):
        warm[..., channel] = np.clip(np.rint(codes[:, channel]), 0, 255)[light[..., channel]]
    geometry = picture_geometry(light_of(light))
    before, after = (colour_features(light_of(photo), geometry) for photo in (light, warm))
    absolute = after["horizon_sky_blue_red_log_ratio"] - before["horizon_sky_blue_red_log_ratio"]
    relative = after["sky_blue_red_drop"] - before["sky_blue_red_drop"]
    assert absolute < -0.15
    assert abs(relative) < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_haze_draws_the_distance_to_the_colour_of_the_horizon(seed: int) -> None:
    clear, some, much = (
        features_of(landscape(extinction, seed=seed)[0]) for extinction in (0.1, 0.5, 1.0)
    )
    for name in ("far_horizon_colour_distance", "far_chroma_sd"):
        assert clear[name] > some[name] > much[name], name
    assert much["sky_blue_red_drop"] > 0.3


@pytest.mark.parametrize("width", [640, 427])
def test_mirroring_changes_nothing(width: int) -> None:
    pixels = landscape(0.5, width=width)[0]
    values, mirrored = features_of(pixels), features_of(pixels[:, ::-1])
    assert mirrored == pytest.approx(values, rel=1e-6, abs=1e-9, nan_ok=True)


def test_re_encoding_changes_little() -> None:
    pixels = landscape(0.5)[0]
    values, again = features_of(pixels), features_of(re_encoded(pixels, 85))
    for name in ("near_value_mean", "near_chroma_mean", "horizon_sky_chroma_mean"):
        assert again[name] == pytest.approx(values[name], rel=0.15), name


@pytest.mark.parametrize("code", [0, 255])
def test_black_and_white_pictures_are_answered(code: int) -> None:
    values = features_of(np.full((480, 640, 3), code, np.uint8))
    assert not np.isinf(list(values.values())).any()
