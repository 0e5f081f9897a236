"""The sky's colour profile on drawn skies, clouds, and the sun in the picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.light import light_of
from features.sky import PictureGeometry, picture_geometry
from features.skylight import FAMILY, blue_red_profile, is_sun, skylight_features
from tests.landscape import landscape, real_photo, to_srgb

HEIGHT, WIDTH, SKYLINE = 480, 640, 240


def of_sky(pixels: NDArray[np.uint8], skyline: int = SKYLINE) -> dict[str, float]:
    """The features of a picture whose first `skyline` rows are sky."""
    bands = np.zeros(pixels.shape[:2], np.uint8)
    bands[skyline:] = 3
    geometry = PictureGeometry(bands, np.full(pixels.shape[1], skyline, np.int32), 1.0)
    return skylight_features(light_of(pixels), geometry)


def sky(slope: float) -> NDArray[np.uint8]:
    """ln(blue / red) rises by `slope` per picture height upwards; grey ground below."""
    height_above = (SKYLINE - np.arange(HEIGHT)) / HEIGHT
    linear = np.full((HEIGHT, WIDTH, 3), 0.25)
    linear[..., 2] = (0.3 * np.exp(0.5 * slope * height_above))[:, None]
    linear[..., 0] = (0.3 * np.exp(-0.5 * slope * height_above))[:, None]
    linear[SKYLINE:] = 0.1
    return to_srgb(linear)


def test_names_are_the_familys_in_order() -> None:
    light = light_of(landscape(0.5)[0])
    values = skylight_features(light, picture_geometry(light))
    assert tuple(values) == FAMILY.names
    assert np.isfinite(list(values.values())).all()


@pytest.mark.parametrize("slope", [-1.0, 0.8, 2.5])
def test_the_slope_of_a_drawn_sky_is_found_with_a_good_fit(slope: float) -> None:
    values = of_sky(sky(slope))
    assert values["sky_blue_red_slope"] == pytest.approx(slope, abs=0.02)
    assert values["sky_blue_red_fit_r2"] > 0.99
    assert values["sky_blue_red_sd"] == pytest.approx(abs(slope) * 0.5 / np.sqrt(12), rel=0.1)


def test_white_balance_leaves_the_profile_as_it_is() -> None:
    pixels = sky(1.5)
    linear_gain = 0.9 ** (1 / 2.4)
    warm = pixels.copy()
    warm[..., 2] = np.rint(warm[..., 2] * linear_gain)
    before, after = of_sky(pixels), of_sky(warm)
    assert after["sky_blue_red_slope"] == pytest.approx(before["sky_blue_red_slope"], abs=0.05)
    assert after["sky_blue_red_fit_r2"] == pytest.approx(before["sky_blue_red_fit_r2"], abs=0.01)


def test_haze_steepens_the_profile_first_and_flattens_it_in_the_end() -> None:
    rows = np.arange(HEIGHT)[:, None, None]
    path = 0.15 / (0.15 + (SKYLINE - rows).clip(0) / HEIGHT)  # air along the line of sight
    slopes = []
    for haze in (0.0, 0.6, 30.0):
        blue, white = np.array([0.15, 0.3, 0.65]), np.array([0.7, 0.72, 0.75])
        t = np.exp(-haze * path)
        pixels = to_srgb(np.broadcast_to(blue * t + white * (1 - t), (HEIGHT, WIDTH, 3)).copy())
        slopes.append(of_sky(pixels)["sky_blue_red_slope"])
    assert slopes[1] > slopes[0] + 0.2
    assert slopes[2] < 0.3 * slopes[1]


@given(st.integers(0, 10**6), st.integers(6, 30), st.integers(5, 40))
def test_the_profile_is_a_weighted_least_squares_of_row_means(
    seed: int, rows: int, columns: int
) -> None:
    rng = np.random.default_rng(seed)
    inside = rng.random((rows, columns)) < 0.8
    inside[:, 0] = True
    blue_red = np.where(inside, rng.normal(size=(rows, columns)), 0).astype(np.float32)
    slope, r2, sd = blue_red_profile(blue_red, inside, 2 * rows)
    weight = inside.sum(axis=1)
    profile = np.array([row[keep].mean() for row, keep in zip(blue_red, inside, strict=True)])
    up = -np.arange(rows) / (2 * rows)
    expected = np.polynomial.Polynomial.fit(up, profile, 1, w=np.sqrt(weight)).convert().coef[1]
    assert slope == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert 0.0 <= r2 <= 1.0
    assert sd == pytest.approx(blue_red[inside].std(), abs=1e-5)


def test_clouds_and_clear_sky() -> None:
    pixels = sky(0.0)
    pixels[:SKYLINE] = (90, 140, 210)
    assert of_sky(pixels)["cloud_fraction"] == 0.0
    pixels[: SKYLINE // 2] = (200, 205, 210)
    assert of_sky(pixels)["cloud_fraction"] == pytest.approx(0.5, abs=0.03)
    assert of_sky(pixels)["glare_fraction"] == 0.0


def test_a_round_glare_is_the_sun_and_a_white_bank_of_cloud_is_not() -> None:
    clear = sky(1.0)
    assert of_sky(clear)["sun_in_frame"] == 0.0
    sun = cv2.circle(clear.copy(), (400, 90), 20, (255, 255, 255), -1)
    values = of_sky(sun)
    assert values["sun_in_frame"] == 1.0
    assert 0.0 < values["glare_fraction"] < 0.02
    cut_off = cv2.circle(clear.copy(), (400, 0), 24, (255, 255, 255), -1)
    assert of_sky(cut_off)["sun_in_frame"] == 1.0
    bank = cv2.rectangle(clear.copy(), (0, 60), (639, 80), (255, 255, 255), -1)
    assert of_sky(bank)["sun_in_frame"] == 0.0
    white = clear.copy()
    white[:SKYLINE] = 253
    assert of_sky(white)["sun_in_frame"] == 0.0
    assert of_sky(white)["glare_fraction"] == 1.0


@given(st.integers(2, 9), st.integers(0, 30), st.integers(0, 30))
def test_a_disc_anywhere_is_a_sun_and_a_line_is_not(radius: int, row: int, column: int) -> None:
    y, x = np.mgrid[0:60, 0:80]
    disc = (y - row - 10) ** 2 + (x - column - 10) ** 2 <= radius**2
    assert is_sun(disc, 4800)
    line = np.zeros((60, 80), bool)
    line[row, column : column + 30] = True
    assert not is_sun(line, 4800)


def test_no_sky_has_no_skylight() -> None:
    pixels = landscape(0.5)[0]
    bands = np.full(pixels.shape[:2], 3, np.uint8)
    ground = PictureGeometry(bands, np.zeros(pixels.shape[1], np.int32), 0.0)
    assert np.isnan(list(skylight_features(light_of(pixels), ground).values())).all()


@pytest.mark.parametrize("width", [640, 427])
def test_mirroring_changes_nothing(width: int) -> None:
    def values(pixels: NDArray[np.uint8]) -> dict[str, float]:
        light = light_of(pixels)
        return skylight_features(light, picture_geometry(light))

    pixels = landscape(0.5, width=width)[0]
    assert values(pixels[:, ::-1]) == pytest.approx(values(pixels), rel=1e-6, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("file", ["milan_20250129-1600", "milan_20250203-1600"])
def test_the_sun_of_a_winter_afternoon_is_found(file: str) -> None:
    light = light_of(real_photo(str(Path("milan/images") / f"{file}.jpg")))
    assert skylight_features(light, picture_geometry(light))["sun_in_frame"] == 1.0
