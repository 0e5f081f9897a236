"""Spectra of pictures whose spectrum is known, and what a veil may not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features import frequency
from features.light import light_of
from features.sky import picture_geometry

SHAPES = ((480, 640), (304, 640), (640, 480), (640, 427), (213, 640), (640, 637))


def noise(height: int, width: int, alpha: float, seed: int = 0) -> NDArray[np.float32]:
    """Noise of power f^−α, linear light around 0.4 (H, W)."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    f[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=(height, width))) * f ** (-alpha / 2)
    plane = np.fft.irfft2(spectrum, (height, width))
    return (0.4 + 0.08 * plane / plane.std()).astype(np.float32)


@pytest.mark.parametrize("shape", [*SHAPES, (221, 331)])
def test_ring_powers_are_those_of_the_plain_transform(shape: tuple[int, int]) -> None:
    plane = noise(*shape, 1.5)
    edges, power, sizes = frequency.radial_spectrum(plane)
    window = np.outer(*(np.hanning(n + 2)[1:-1] for n in shape))
    centred = (plane - (plane * window).sum() / window.sum()) * window
    assert power[0] == pytest.approx((plane * window).sum() ** 2, rel=1e-5)
    rows, columns = frequency._spectrum_plan(*shape).padded
    full = np.abs(np.fft.fft2(centred, (rows, columns))) ** 2
    f = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns))
    rings = np.searchsorted(edges, f * (1 + 1e-12), side="right") - 1
    expected = np.bincount(rings.ravel(), weights=full.ravel())
    np.testing.assert_allclose(power[1:], expected[1:], rtol=1e-4)
    np.testing.assert_array_equal(sizes, np.bincount(rings.ravel()))


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("shape", [(480, 640), (640, 304)])
def test_the_slope_of_a_power_law_is_found(alpha: float, shape: tuple[int, int]) -> None:
    values = frequency.luminance_frequencies(noise(*shape, alpha))
    assert values["spectral_slope"] == pytest.approx(-alpha, abs=0.15)
    assert values["spectral_slope_fine"] == pytest.approx(-alpha, abs=0.15)
    assert values["spectral_slope_fit_r2"] > 0.95


@given(slope=st.floats(-4, 1), level=st.floats(-20, 20))
def test_a_straight_line_is_fitted_exactly(slope: float, level: float) -> None:
    edges = np.geomspace(1 / 64, 1 / 2, 41)
    middle = np.sqrt(edges[:-1] * edges[1:])
    found, fit = frequency.power_law(edges, np.exp(level) * middle**slope, (1 / 64, 1 / 2))
    assert found == pytest.approx(slope, abs=1e-9)
    assert fit == pytest.approx(1.0, abs=1e-6) or abs(slope) < 1e-6


@pytest.mark.parametrize(("short", "long"), frequency.OCTAVES)
@pytest.mark.parametrize("angle", [0.0, 0.6, 1.5])
def test_a_wave_falls_into_the_octave_of_its_length(short: int, long: int, angle: float) -> None:
    y, x = np.mgrid[0:304, 0:640]
    length = np.sqrt(short * long)
    phase = 2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / length
    values = frequency.luminance_frequencies((0.5 + 0.2 * np.sin(phase)).astype(np.float32))
    assert values[f"spectral_share_{short}_{long}px"] > 0.95
    assert values["high_frequency_ratio"] == pytest.approx(float(length < 5), abs=0.05)


@given(t=st.floats(0.05, 1.0), airlight=st.floats(0.1, 1.0), seed=st.integers(0, 9))
@settings(max_examples=15)
def test_a_veil_of_one_thickness_leaves_the_normalised_spectrum_as_it_was(
    t: float, airlight: float, seed: int
) -> None:
    clear = noise(213, 320, 2.0, seed)
    veiled = (t * clear.astype(np.float64) + airlight * (1 - t)).astype(np.float32)
    before, after = frequency.luminance_frequencies(clear), frequency.luminance_frequencies(veiled)
    for name in frequency.FAMILY.names:
        if not name.startswith("haar_energy"):
            assert after[name] == pytest.approx(before[name], rel=1e-4, abs=1e-5), name


@given(exposure=st.floats(0.05, 2.0))
@settings(max_examples=10)
def test_exposure_changes_nothing_at_all(exposure: float) -> None:
    plane = noise(213, 320, 2.0)
    before, after = (
        frequency.luminance_frequencies(plane),
        frequency.luminance_frequencies(plane * np.float32(exposure)),
    )
    np.testing.assert_allclose(list(after.values()), list(before.values()), rtol=1e-4)


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), height=st.integers(16, 40), blocks=st.integers(2, 6))
def test_haar_energies_are_those_of_the_orthonormal_transform(
    seed: int, height: int, blocks: int
) -> None:
    plane = np.random.default_rng(seed).normal(size=(height, 8 * blocks)).astype(np.float32)
    level = plane[: height - height % 8].astype(np.float64)
    expected = []
    for _ in range(3):
        a, b, c, d = level[::2, ::2], level[::2, 1::2], level[1::2, ::2], level[1::2, 1::2]
        details = [(a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2]
        expected.append(sum((detail**2).sum() for detail in details))
        level = (a + b + c + d) / 2
    pixels = (height - height % 8) * 8 * blocks
    np.testing.assert_allclose(frequency.haar_energies(plane) * pixels, expected, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_family_and_its_mirror_image_the_same(shape: tuple[int, int]) -> None:
    plane = noise(*shape, 2.2)
    values = frequency.luminance_frequencies(plane)
    assert tuple(values) == frequency.FAMILY.names
    assert np.isfinite(list(values.values())).all()
    mirrored = frequency.luminance_frequencies(np.ascontiguousarray(plane[:, ::-1]))
    np.testing.assert_allclose(list(mirrored.values()), list(values.values()), rtol=1e-6)


def test_blur_moves_the_spectrum_the_way_the_schema_says() -> None:
    """What is left of fine detail behind fog or a bad lens is less than of coarse detail."""
    plane = noise(304, 640, 2.0)
    soft = 0.5 * plane + 0.5 * np.roll(plane, 1, axis=1)
    clear, hazy = (
        frequency.luminance_frequencies(plane),
        frequency.luminance_frequencies(soft.astype(np.float32)),
    )
    for feature in frequency.FAMILY.features:
        if feature.expected_sign:
            moved = hazy[feature.name] - clear[feature.name]
            assert moved * feature.expected_sign > 0, feature.name


def test_the_family_reads_the_luminance_of_the_photo() -> None:
    pixels = np.random.default_rng(4).integers(0, 256, size=(304, 640, 3)).astype(np.uint8)
    light = light_of(pixels)
    values = frequency.frequency_features(light, picture_geometry(light))
    assert tuple(values) == frequency.FAMILY.names
    expected = frequency.luminance_frequencies(light.luminance_code.astype(np.float32) / 65535)
    np.testing.assert_allclose(list(values.values()), list(expected.values()), rtol=1e-4)


def test_a_photo_of_one_tone_has_no_spectrum() -> None:
    for tone in (0.0, 0.31, 1.0):
        values = frequency.luminance_frequencies(np.full((304, 640), tone, dtype=np.float32))
        assert np.isnan(list(values.values())).all()


def test_every_feature_is_documented() -> None:
    for feature in frequency.FAMILY.features:
        assert feature.meaning and feature.unit and feature.reference
    assert len(set(frequency.FAMILY.names)) == len(frequency.FAMILY.names)
