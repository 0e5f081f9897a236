"""Contrast and what haze does to it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import skew
from skimage.measure import shannon_entropy

from features.light import light_of
from features.sky import PictureGeometry, picture_geometry
from features.visibility import FAMILY, visibility_features
from tests.landscape import landscape, re_encoded, to_srgb


def features_of(pixels: NDArray[np.uint8]) -> dict[str, float]:
    light = light_of(pixels)
    return visibility_features(light, picture_geometry(light))


def thirds(height: int, width: int) -> PictureGeometry:
    """A sky and three bands of a quarter of the height each."""
    bands = (np.arange(height) * 4 // height).astype(np.uint8)[:, None].repeat(width, axis=1)
    return PictureGeometry(bands, np.full(width, height // 4, np.int32), 1.0)


def test_names_are_the_familys_in_order_and_each_is_documented() -> None:
    values = features_of(landscape(0.5)[0])
    assert tuple(values) == FAMILY.names
    assert np.isfinite(list(values.values())).all()
    assert all(isinstance(value, float) for value in values.values())
    assert len(set(FAMILY.names)) == len(FAMILY.names)
    assert all(f.meaning and f.unit and f.reference for f in FAMILY.features)


def test_a_uniform_picture_has_no_contrast() -> None:
    light = light_of(np.full((240, 320, 3), 128, np.uint8))
    values = visibility_features(light, thirds(240, 320))
    for region in ("", "sky_", "far_", "mid_", "near_"):
        assert values[f"{region}lightness_mean"] == pytest.approx(53.585, abs=0.02)
        assert values[f"{region}lightness_sd"] == pytest.approx(0.0, abs=1e-5)
        assert values[f"{region}rms_contrast"] == pytest.approx(0.0, abs=1e-6)
        assert values[f"{region}michelson_contrast"] == 0.0
        assert values[f"{region}entropy"] == 0.0
        assert values[f"{region}lightness_skewness"] == 0.0


def test_weber_contrast_of_a_band_is_its_darkness_against_the_horizon_and_fades_with_haze() -> None:
    scene = np.full((240, 320, 3), 0.5)
    scene[60:120], scene[120:180], scene[180:] = 0.1, 0.25, 0.9
    for transmission in (1.0, 0.5, 0.1):
        hazed = scene * transmission + 0.5 * (1 - transmission)
        values = visibility_features(light_of(to_srgb(hazed)), thirds(240, 320))
        for band, contrast in (("far", 0.8), ("mid", 0.5), ("near", -0.8)):
            found = values[f"{band}_weber_contrast"]
            assert found == pytest.approx(contrast * transmission, abs=0.02), band


def test_skewness_of_lightness_tells_where_the_tail_is() -> None:
    light = light_of(landscape(0.3)[0])
    geometry = picture_geometry(light)
    values = visibility_features(light, geometry)
    for region, band in (("far", 1), ("near", 3)):
        lightness = light.lightness[::2][geometry.bands[::2] == band]
        assert values[f"{region}_lightness_skewness"] == pytest.approx(skew(lightness), abs=0.01)


@pytest.mark.parametrize("transmission", [0.8, 0.5, 0.25])
def test_rms_contrast_of_a_hazed_picture_is_transmission_times_its_own(
    transmission: float,
) -> None:
    scene = np.random.default_rng(1).uniform(0.05, 0.8, (240, 320, 1)).repeat(3, axis=2)
    hazed = scene * transmission + 0.7 * (1 - transmission)
    clear, dim = (
        visibility_features(light_of(to_srgb(picture)), thirds(240, 320))
        for picture in (scene, hazed)
    )
    for region in ("", "far_", "mid_", "near_"):
        ratio = dim[f"{region}rms_contrast"] / clear[f"{region}rms_contrast"]
        assert ratio == pytest.approx(transmission, rel=0.01)
    # Equal haze on all bands is no difference between them.
    change = dim["far_near_contrast_log_ratio"] - clear["far_near_contrast_log_ratio"]
    assert change == pytest.approx(0.0, abs=0.01)


def test_statistics_of_a_band_are_those_of_its_pixels() -> None:
    pixels = landscape(0.5)[0]
    light = light_of(pixels)
    geometry = picture_geometry(light)
    values = visibility_features(light, geometry)
    for number, region in enumerate(("sky_", "far_", "mid_", "near_")):
        inside = geometry.bands == number
        inside[1::2] = False  # every second row is counted
        lightness, luminance = light.lightness[inside], light.luminance[inside]
        assert values[f"{region}lightness_mean"] == pytest.approx(lightness.mean(), abs=0.01)
        assert values[f"{region}lightness_sd"] == pytest.approx(lightness.std(), abs=0.01)
        assert values[f"{region}rms_contrast"] == pytest.approx(luminance.std(), rel=1e-3)
        low, high = np.quantile(luminance, [0.05, 0.95])
        michelson = (high - low) / (high + low)
        assert values[f"{region}michelson_contrast"] == pytest.approx(michelson, abs=2e-3)
    levels = light.lightness_code[::2] >> 4
    assert values["entropy"] == pytest.approx(shannon_entropy(levels), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_haze_moves_the_distance_as_the_signs_say(seed: int) -> None:
    hazes = [features_of(landscape(extinction, seed=seed)[0]) for extinction in (0.1, 0.5, 1.0)]
    for name in (
        "far_rms_contrast",
        "far_michelson_contrast",
        "far_near_contrast_log_ratio",
        "far_contrast_over_airlight_log",
        "far_black_target_contrast",
        "skyline_weber_contrast",
        "skyline_edge_strength",
    ):
        clear, some, much = (values[name] for values in hazes)
        assert clear > some > much, name


def test_skyline_contrast_of_a_black_silhouette_is_one() -> None:
    pixels = np.full((240, 320, 3), 180, np.uint8)
    pixels[100:] = 0
    pixels[150:, ::16] = 40
    light = light_of(pixels)
    bands = np.where(np.arange(240) < 100, 0, 3).astype(np.uint8)[:, None].repeat(320, axis=1)
    values = visibility_features(light, PictureGeometry(bands, np.full(320, 100, np.int32), 1.0))
    assert values["skyline_weber_contrast"] == pytest.approx(1.0)
    assert values["skyline_edge_strength"] == pytest.approx(1.0)
    assert values["sky_fraction"] == pytest.approx(100 / 240)
    assert values["skyline_roughness"] == 0.0
    assert np.isnan(values["far_rms_contrast"])  # no far band in this geometry


@pytest.mark.parametrize("width", [640, 427])
def test_mirroring_changes_nothing(width: int) -> None:
    pixels = landscape(0.5, width=width)[0]
    values, mirrored = features_of(pixels), features_of(pixels[:, ::-1])
    assert mirrored == pytest.approx(values, rel=1e-6, abs=1e-9, nan_ok=True)


def test_re_encoding_changes_little() -> None:
    pixels = landscape(0.5)[0]
    values, again = features_of(pixels), features_of(re_encoded(pixels, 85))
    for name in ("lightness_mean", "far_rms_contrast", "near_rms_contrast", "sky_fraction"):
        assert again[name] == pytest.approx(values[name], rel=0.03), name


@pytest.mark.parametrize("code", [0, 255])
def test_black_and_white_pictures_are_answered(code: int) -> None:
    values = features_of(np.full((480, 640, 3), code, np.uint8))
    assert not np.isinf(list(values.values())).any()
