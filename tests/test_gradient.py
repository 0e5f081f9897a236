"""Edges of known steepness and width, and a skyline behind a known veil."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import ndimage

from features import gradient
from features.light import light_of
from features.sky import FAR, MID, NEAR, SKY, PictureGeometry

SHAPES = ((480, 640), (304, 640), (640, 480), (640, 427), (213, 640), (640, 637))


def layered(height: int, width: int) -> PictureGeometry:
    """Bands of fixed shares of the height."""
    rows = np.arange(height) / height
    bands = np.digitize(rows, [0.35, 0.5, 0.7]).astype(np.uint8)[:, None].repeat(width, axis=1)
    skyline = np.full(width, int(np.argmax(bands[:, 0] > 0)), dtype=np.int32)
    return PictureGeometry(bands, skyline, 1.0)


def landscape(
    height: int, width: int, transmission: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Sky of linear light 0.7 over rough ground of 0.1 ± 0.08, seen through a veil per band."""
    rng = np.random.default_rng(7)
    blocks = rng.uniform(-0.08, 0.08, size=(height // 6 + 1, width // 6 + 1))
    ground = 0.1 + np.kron(blocks, np.ones((6, 6)))[:height, :width]
    t = np.array([0.0, *transmission])[layered(height, width).bands]
    linear = ground * t + 0.7 * (1 - t)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.repeat(np.round(255 * srgb).astype(np.uint8)[:, :, None], 3, axis=2)


def features_of(pixels: NDArray[np.uint8]) -> dict[str, float]:
    height, width, _ = pixels.shape
    return gradient.gradient_features(light_of(pixels), layered(height, width))


def codes_of(luminance: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.rint(65535 * luminance).astype(np.uint16)


def test_gradients_and_laplacians_are_those_of_scipy() -> None:
    grey = np.random.default_rng(1).integers(0, 256, size=(80, 90)).astype(np.uint8)
    bands = np.random.default_rng(2).integers(0, 4, size=(80, 90)).astype(np.uint8)
    plane = grey.astype(np.float64)
    magnitude = np.hypot(
        ndimage.sobel(plane, 0, mode="mirror"), ndimage.sobel(plane, 1, mode="mirror")
    )
    laplacian = np.abs(ndimage.laplace(plane, mode="mirror"))
    gradients = gradient.gradient_histogram(grey, bands)
    laplacians = gradient.laplacian_histogram(grey, bands)
    for band in (SKY, FAR, MID, NEAR):
        inside = bands[::2] == band
        counts = np.bincount(np.rint(magnitude[::2][inside]).astype(int), minlength=1444)
        np.testing.assert_array_equal(gradients[band], counts)
        inside = bands[1:-1:2, 1:-1] == band
        counts = np.bincount(laplacian[1:-1:2, 1:-1][inside].astype(int), minlength=1024)
        np.testing.assert_array_equal(laplacians[band], counts)


def test_a_ramp_has_its_slope_as_gradient() -> None:
    """Grey that rises by two codes a pixel rises by 2 / 2.55 of L*."""
    ramp = (2 * np.arange(120)).astype(np.uint8)[None, :].repeat(100, axis=0)
    bands = np.full(ramp.shape, NEAR, dtype=np.uint8)
    statistics = gradient._scope_statistics(
        gradient._with_whole_photo(gradient.gradient_histogram(ramp, bands)),
        gradient._with_whole_photo(gradient.laplacian_histogram(ramp, bands)),
        238.0,
    )
    inside = 118 / 120  # the first and the last column, mirrored at the border, have none
    assert statistics["gradient_mean"][0] == pytest.approx(inside * 2 / 2.55)
    assert statistics["gradient_p95"][0] == pytest.approx(2 / 2.55)
    assert statistics["tenengrad"][0] == pytest.approx(inside * (2 / 2.55) ** 2)
    assert np.isnan(statistics["gradient_mean"][1])  # there is no sky


@given(values=arrays.arrays(np.float64, 60, elements=st.integers(0, 9)))
def test_quantiles_are_the_inverse_of_the_distribution(values: NDArray[np.float64]) -> None:
    counts = np.bincount(values.astype(int), minlength=10)[None].astype(np.float64)
    levels = (0.01, 0.5, 0.95, 0.99)
    ours = [float(q[0]) for q in gradient._quantiles(counts, *levels)]
    assert ours == list(np.quantile(values, levels, method="inverted_cdf"))


@given(
    grey=arrays.arrays(np.uint8, (17, 14), elements=st.integers(0, 12)),
    least=st.integers(1, 8),
)
@settings(max_examples=60)
def test_edges_are_the_runs_between_extrema(grey: NDArray[np.uint8], least: int) -> None:
    expected = []
    for row in grey[::8].astype(int):
        start = 0
        for k in range(1, row.size):
            ends = k == row.size - 1 or np.sign(row[k + 1] - row[k]) != np.sign(row[k] - row[k - 1])
            if ends:
                if abs(row[k] - row[start]) >= least:
                    expected.append(k - start)
                start = k
    widths, bands = gradient.edge_widths(grey, np.full(grey.shape, FAR, dtype=np.uint8), least)
    assert widths.tolist() == expected
    assert (bands == FAR).all()


@pytest.mark.parametrize("width", [1, 3, 7])
def test_the_width_of_an_edge_is_measured_in_pixels(width: int) -> None:
    profile = np.interp(np.arange(40), [10, 10 + width, 30, 30 + width], [20, 90, 90, 20])
    grey = profile.astype(np.uint8)[None, :].repeat(30, axis=0)
    widths, _ = gradient.edge_widths(grey, np.zeros_like(grey), 35)
    assert set(widths.tolist()) == {width}


@given(t=st.floats(0.1, 0.9), shift=st.integers(-2, 2))
@settings(max_examples=25)
def test_the_skyline_shows_the_transmission_of_the_far_band(t: float, shift: int) -> None:
    """A sharp far edge of transmission t over the full step from sky to near ground is t."""
    luminance = np.full((200, 240), 0.7)
    luminance[70:] = 0.1 * t + 0.7 * (1 - t)
    skyline = np.full(240, 70 + shift, dtype=np.int32)
    sharpness, step, width = gradient.skyline_sharpness(codes_of(luminance), skyline, 0.6)
    assert sharpness == pytest.approx(t, abs=1e-4)
    assert step == pytest.approx(t * (6 - abs(shift)) / 6, abs=1e-4)
    assert width == pytest.approx((6 - abs(shift)) / 6, abs=1e-3)


def test_a_blurred_skyline_is_wider_and_less_sharp() -> None:
    luminance = np.full((200, 240), 0.7)
    luminance[70:] = 0.2
    skyline = np.full(240, 70, dtype=np.int32)
    sharp, _, narrow = gradient.skyline_sharpness(codes_of(luminance), skyline, 0.6)
    soft, _, wide = gradient.skyline_sharpness(
        codes_of(ndimage.gaussian_filter(luminance, 2.0)), skyline, 0.6
    )
    assert soft < 0.5 * sharp
    assert wide > 2 * narrow


@pytest.mark.parametrize("missing", ["skyline", "contrast"])
def test_without_a_skyline_or_a_contrast_there_is_no_sharpness(missing: str) -> None:
    skyline = np.full(240, 0 if missing == "skyline" else 70, dtype=np.int32)
    values = gradient.skyline_sharpness(
        np.full((200, 240), 65535, dtype=np.uint16), skyline, 0.0 if missing == "contrast" else 0.5
    )
    assert np.isnan(values).all()


def test_haze_moves_edges_the_way_the_schema_says() -> None:
    clear = features_of(landscape(304, 640, (0.9, 0.95, 1.0)))
    hazy = features_of(landscape(304, 640, (0.4, 0.6, 0.9)))
    for feature in gradient.FAMILY.features:
        if feature.expected_sign and not feature.name.endswith("_sky"):
            moved = hazy[feature.name] - clear[feature.name]
            assert moved * feature.expected_sign > 0, feature.name


def test_edge_densities_are_blind_to_a_veil_of_one_thickness() -> None:
    """Codes at half the contrast have half the range: the same pixels are edges."""
    codes = 100 + 2 * np.random.default_rng(5).integers(0, 50, size=(304, 640))
    bands = layered(304, 640).bands

    def densities(grey: NDArray[np.uint8]) -> list[float]:
        (low, high) = gradient._quantiles(
            np.bincount(grey.ravel(), minlength=256)[None].astype(np.float64), 0.01, 0.99
        )
        statistics = gradient._scope_statistics(
            gradient._with_whole_photo(gradient.gradient_histogram(grey, bands)),
            gradient._with_whole_photo(gradient.laplacian_histogram(grey, bands)),
            float(high[0] - low[0]),
        )
        return [float(statistics[name][0]) for name in gradient.EDGE_THRESHOLDS]

    full = densities(codes.astype(np.uint8))
    half = densities((codes // 2 + 60).astype(np.uint8))
    np.testing.assert_allclose(half, full, atol=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_family_and_its_mirror_image_the_same(shape: tuple[int, int]) -> None:
    pixels, geometry = landscape(*shape, (0.7, 0.8, 0.9)), layered(*shape)
    values = gradient.gradient_features(light_of(pixels), geometry)
    assert tuple(values) == gradient.FAMILY.names
    mirrored = gradient.gradient_features(
        light_of(np.ascontiguousarray(pixels[:, ::-1])),
        PictureGeometry(geometry.bands[:, ::-1], geometry.skyline[::-1], 1.0),
    )
    np.testing.assert_allclose(list(mirrored.values()), list(values.values()), rtol=1e-6)
    # A sky without any gradient has no fineness either.
    unknown = {name for name, value in values.items() if np.isnan(value)}
    assert unknown <= {"laplacian_to_tenengrad_sky"}


def test_a_photo_of_one_colour_has_no_edges_and_no_ratios() -> None:
    values = features_of(np.full((304, 640, 3), 120, dtype=np.uint8))
    assert values["gradient_mean_photo"] == values["edge_density_faint_photo"] == 0.0
    assert values["gradient_mean_far_to_near"] == 0.0
    assert np.isnan([values["edge_width_photo"], values["skyline_sharpness"]]).all()


def test_every_feature_is_documented() -> None:
    for feature in gradient.FAMILY.features:
        assert feature.meaning and feature.unit and feature.reference
    assert len(set(gradient.FAMILY.names)) == len(gradient.FAMILY.names)
