"""The planes of a photo against the CIE formulas and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from skimage.color import rgb2hsv

from features.light import LIGHTNESS_LEVELS, SRGB_TO_LINEAR, light_of, quarter_of

pictures = arrays.arrays(np.uint8, st.tuples(st.integers(8, 24), st.integers(8, 24), st.just(3)))


def exact_luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    code = pixels / 255.0
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def exact_lightness(luminance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(luminance <= 216 / 24389, luminance * 24389 / 27, 116 * np.cbrt(luminance) - 16)


@given(pictures)
def test_luminance_and_lightness_follow_cie_within_the_stated_error(
    pixels: NDArray[np.uint8],
) -> None:
    light = light_of(pixels)
    luminance = exact_luminance(pixels)
    lightness = exact_lightness(luminance)
    assert np.abs(light.luminance - luminance).max() <= 1.51 / 65535
    assert np.abs(light.lightness - lightness).max() <= 0.021
    assert np.abs(light.lightness_code / 40.95 - lightness).max() <= 0.021 + 0.5 / 40.95
    assert np.abs(light.grey / 2.55 - lightness).max() <= 0.021 + 0.5 / 2.55


@given(pictures)
def test_quarter_size_saturation_is_that_of_the_mean_colour(pixels: NDArray[np.uint8]) -> None:
    light = light_of(pixels)
    expected = rgb2hsv(light.quarter)
    assert light.saturation == pytest.approx(expected[..., 1], abs=1e-5)
    assert light.value == pytest.approx(expected[..., 2], abs=1e-6)


def test_black_and_white_lie_at_the_ends_of_every_scale() -> None:
    black, white = light_of(np.zeros((8, 8, 3), np.uint8)), light_of(np.full((8, 8, 3), 255, "u1"))
    assert black.luminance.max() == black.lightness.max() == black.grey.max() == 0
    assert white.luminance.min() == 1.0
    assert white.lightness.min() == pytest.approx(100.0)
    assert white.grey.min() == 255
    assert white.lightness_code.min() == LIGHTNESS_LEVELS - 1
    assert SRGB_TO_LINEAR[255] == 1.0


@pytest.mark.parametrize("shape", [(480, 640, 3), (427, 640, 3), (640, 427, 3), (303, 640)])
def test_quarter_size_is_the_mean_of_its_cells(shape: tuple[int, ...]) -> None:
    plane = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    quarter = quarter_of(plane)
    rows, columns = shape[0] // 4, shape[1] // 4
    assert quarter.shape == (rows, columns, *shape[2:])
    if shape[1] % 4 == 0:
        cells = plane[: 4 * rows].reshape(rows, 4, columns, 4, *shape[2:])
        assert np.abs(quarter - cells.mean(axis=(1, 3))).max() <= 1.0
    assert np.array_equal(quarter_of(plane[:, ::-1])[:, ::-1], quarter)


def test_planes_are_computed_once() -> None:
    light = light_of(np.full((16, 16, 3), 90, np.uint8))
    assert light.lightness is light.lightness
    assert light.quarter is light.quarter
