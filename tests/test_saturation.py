"""Saturation against scikit-image and PyWavelets' definition, and what haze does to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import entropy, skew
from skimage.color import rgb2hsv
from skimage.measure import shannon_entropy

from features.light import light_of
from features.saturation import FAMILY, SCALES, saturation_features, wavelet_entropies
from features.sky import FAR_ZONE, HORIZON_SKY, NEAR_ZONE, UPPER_SKY, picture_geometry
from tests.landscape import landscape, re_encoded


def features_of(pixels: NDArray[np.uint8]) -> dict[str, float]:
    light = light_of(pixels)
    return saturation_features(light, picture_geometry(light))


def test_names_are_the_familys_in_order() -> None:
    values = features_of(landscape(0.5)[0])
    assert tuple(values) == FAMILY.names
    assert np.isfinite(list(values.values())).all()


def test_regions_are_measured_on_their_own_cells() -> None:
    light = light_of(landscape(0.3)[0])
    geometry = picture_geometry(light)
    values = saturation_features(light, geometry)
    saturation = rgb2hsv(light.quarter)[..., 1]
    for region, zone in (("far", FAR_ZONE), ("near", NEAR_ZONE)):
        cells = saturation[geometry.zones == zone]
        assert values[f"{region}_saturation_mean"] == pytest.approx(cells.mean(), abs=5e-4)
        assert values[f"{region}_saturation_sd"] == pytest.approx(cells.std(), abs=5e-4)
        assert values[f"{region}_saturation_skewness"] == pytest.approx(skew(cells), abs=0.02)
    drop = (
        saturation[geometry.zones == UPPER_SKY].mean()
        - saturation[geometry.zones == HORIZON_SKY].mean()
    )
    assert values["sky_saturation_drop"] == pytest.approx(drop, abs=1e-3)
    levels = np.rint(light.saturation * 1023) // 4
    assert values["saturation_entropy"] == pytest.approx(shannon_entropy(levels), abs=1e-9)
    ground = levels[geometry.zones >= FAR_ZONE]
    assert values["ground_saturation_entropy"] == pytest.approx(shannon_entropy(ground), abs=1e-9)


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
def test_wavelet_entropies_are_those_of_the_haar_transform(
    seed: int, rows: int, columns: int
) -> None:
    plane = np.random.default_rng(seed).integers(0, 256, (8 * rows, 8 * columns))
    found = wavelet_entropies(plane.astype(np.uint16))
    means = plane.astype(np.float64)
    for k in range(len(SCALES)):
        a, b, c, d = means[::2, ::2], means[::2, 1::2], means[1::2, ::2], means[1::2, 1::2]
        of_band = []
        for band in (a - b + c - d, a + b - c - d, a - b - c + d):
            counts = np.unique(np.floor(np.abs(band) / 4), return_counts=True)[1]
            of_band.append(float(entropy(counts, base=2)))
        across, down, diagonal = of_band
        assert found[k] == pytest.approx((across + down + 4 * diagonal) / 6, abs=1e-9)
        means = (a + b + c + d) / 4


@given(st.integers(0, 10**6), st.integers(8, 40), st.integers(8, 40))
def test_a_mirrored_plane_has_the_same_wavelet_entropies(
    seed: int, rows: int, columns: int
) -> None:
    plane = np.random.default_rng(seed).integers(0, 256, (rows, columns)).astype(np.uint16)
    mirrored = wavelet_entropies(np.ascontiguousarray(plane[:, ::-1]))
    assert mirrored == pytest.approx(wavelet_entropies(plane), abs=1e-9)


def test_one_saturation_has_no_entropy_and_a_tiny_plane_no_wavelets() -> None:
    assert wavelet_entropies(np.full((16, 16), 77, np.uint16)).tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(wavelet_entropies(np.zeros((7, 40), np.uint16))).all()


@pytest.mark.parametrize("seed", range(3))
def test_haze_lowers_the_entropies(seed: int) -> None:
    clear, some, much = (
        features_of(landscape(extinction, seed=seed)[0]) for extinction in (0.1, 0.5, 1.0)
    )
    for name in ("saturation_entropy", "ground_saturation_entropy", "saturation_wavelet_entropy"):
        assert clear[name] > some[name] > much[name], name
    assert clear["far_saturation_sd"] > some["far_saturation_sd"] > much["far_saturation_sd"]


@pytest.mark.parametrize("width", [640, 427])
def test_mirroring_changes_nothing(width: int) -> None:
    pixels = landscape(0.5, width=width)[0]
    values, mirrored = features_of(pixels), features_of(pixels[:, ::-1])
    assert mirrored == pytest.approx(values, rel=1e-6, abs=1e-6, nan_ok=True)


def test_re_encoding_changes_little() -> None:
    pixels = landscape(0.5)[0]
    values, again = features_of(pixels), features_of(re_encoded(pixels, 85))
    for name in ("sky_saturation_mean", "near_saturation_mean", "saturation_entropy"):
        assert again[name] == pytest.approx(values[name], rel=0.15), name


@pytest.mark.parametrize("code", [0, 255])
def test_black_and_white_pictures_are_answered(code: int) -> None:
    values = features_of(np.full((480, 640, 3), code, np.uint8))
    assert not np.isinf(list(values.values())).any()
