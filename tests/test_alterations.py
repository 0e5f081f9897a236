"""Altered copies: haze is Koschmieder's in linear light, and nuisances leave the air alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.light import light_of
from tests.added_haze import to_linear
from tests.landscape import landscape
from training import alterations
from training.alterations import ALTERATIONS, Alteration, altered

Picture = NDArray[np.uint8]
HAZE = [change for change in ALTERATIONS if change.is_haze]


def copies_of(pixels: Picture, seed: int = 0) -> dict[str, Picture]:
    return altered(pixels, light_of(pixels), seed)


def hazy(
    monkeypatch: pytest.MonkeyPatch, pixels: Picture, depths: tuple[float, ...], seed: int = 0
) -> list[Picture]:
    """The picture with haze of each optical depth, all of one draw."""
    with monkeypatch.context() as patch:
        changes = tuple(Alteration(f"{depth}", depth) for depth in depths)
        patch.setattr(alterations, "ALTERATIONS", changes)
        pictures = copies_of(pixels, seed)
    return [pictures[f"{depth}"] for depth in depths]


def checked(height: int = 96, width: int = 128) -> Picture:
    """A board of black and white squares of 8 px: every row holds both."""
    rows, columns = np.indices((height, width)) // 8
    board = np.where((rows + columns) % 2, 255, 0).astype(np.uint8)
    return np.repeat(board[:, :, np.newaxis], 3, axis=2)


def contrast(picture: Picture) -> NDArray[np.float64]:
    """Of each row (H,): brightest less darkest in linear light. Haze scales it with t."""
    green = to_linear(picture)[:, :, 1].astype(np.float64)
    return np.asarray(green.max(axis=1) - green.min(axis=1))


def test_each_haze_goes_a_step_further_than_one_that_is_there() -> None:
    by_name = {change.name: change for change in ALTERATIONS}
    assert len(by_name) == len(ALTERATIONS)
    depths = [change.optical_depth for change in HAZE]
    assert depths == sorted(set(depths)) and len(depths) >= 2
    assert HAZE[0].before is None
    for less, more in pairwise(HAZE):
        assert more.before == less.name
    nuisances = [change for change in ALTERATIONS if not change.is_haze]
    assert nuisances and all(change.before is None for change in nuisances)


@pytest.mark.parametrize("seed", range(4))
def test_every_alteration_is_a_picture_of_the_same_size(seed: int) -> None:
    pixels = landscape(0.3)[0]
    before = pixels.copy()
    copies = copies_of(pixels, seed)
    assert set(copies) == {change.name for change in ALTERATIONS}
    for name, picture in copies.items():
        assert picture.shape == pixels.shape and picture.dtype == np.uint8, name
        assert not np.array_equal(picture, pixels), name
    np.testing.assert_array_equal(pixels, before)


def test_the_same_seed_gives_the_same_pictures_and_another_seed_another_view() -> None:
    pixels = landscape(0.3)[0]
    first, again = copies_of(pixels, 5), copies_of(pixels, 5)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name], err_msg=name)
    views = {copies_of(pixels, seed)[HAZE[-1].name].tobytes() for seed in range(6)}
    assert len(views) == 6
    for change in ALTERATIONS:
        if not change.is_haze:  # of these nothing is unknown
            np.testing.assert_array_equal(copies_of(pixels, 6)[change.name], first[change.name])


@pytest.mark.parametrize("seed", range(4))
def test_no_haze_is_the_photo_itself(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 256, (64, 96, 3)).astype(np.uint8)
    every_code = np.resize(np.arange(256, dtype=np.uint8), (64, 96, 3))
    for pixels in (codes, every_code, landscape(0.3)[0]):
        none = hazy(monkeypatch, pixels, (1e-9,), seed)[0]
        np.testing.assert_array_equal(none, pixels)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("one", "other"), [(0.1, 0.3), (0.5, 0.5), (0.2, 1.3)])
def test_transmissions_multiply(
    monkeypatch: pytest.MonkeyPatch, one: float, other: float, seed: int
) -> None:
    """t(τ₁ + τ₂) = t(τ₁) t(τ₂) in each row: haze on haze is the haze of both."""
    pixels = checked()
    first, second, both = hazy(monkeypatch, pixels, (one, other, one + other), seed)
    product = contrast(first) * contrast(second) / contrast(pixels)
    # Near white a code of 8 bits is a step of 1 / 112 of linear light.
    np.testing.assert_allclose(contrast(both), product, atol=2.5 / 112)
    assert contrast(both).min() < 0.95 * contrast(pixels).min()


@pytest.mark.parametrize("seed", range(6))
def test_transmission_falls_from_the_lower_border_to_the_horizon(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """As exp(−τ) at the horizon and above, and hardly at all at the photographer's feet."""
    depth = 0.7
    pixels = checked()
    t = contrast(hazy(monkeypatch, pixels, (depth,), seed)[0]) / contrast(pixels)
    assert t[0] == pytest.approx(np.exp(-depth), abs=0.01)
    assert t.min() == pytest.approx(np.exp(-depth), abs=0.01)
    assert t[-1] > 0.97
    assert np.all(np.diff(t) > -0.02)


@pytest.mark.parametrize("seed", range(6))
def test_more_haze_is_nearer_to_the_airlight_in_every_pixel(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    pixels = landscape(0.3)[0]
    *steps, far = hazy(monkeypatch, pixels, (0.1, 0.4, 1.6, 6.0, 1e4), seed)
    airlight = far[0, 0].astype(int)
    above = far[: pixels.shape[0] // 4].reshape(-1, 3)
    np.testing.assert_array_equal(above, np.broadcast_to(airlight, above.shape))
    distance = np.abs(pixels - airlight)
    for picture in steps:
        nearer = np.abs(picture - airlight)
        assert np.all(nearer <= distance)
        assert nearer.mean() < distance.mean()
        distance = nearer


@settings(max_examples=40)
@given(
    st.integers(8, 70),
    st.integers(8, 70),
    st.sampled_from(["noise", "bare sky", "black", "white", "no sky"]),
    st.integers(0, 2**48 - 1),
)
def test_any_picture_however_small_has_copies(
    height: int, width: int, content: str, seed: int
) -> None:
    shape = (height, width, 3)
    rng = np.random.default_rng(seed % 1000)
    pixels = {
        "noise": rng.integers(0, 256, shape),
        "bare sky": np.full(shape, (150, 190, 240)),
        "black": np.zeros(shape),
        "white": np.full(shape, 255),
        "no sky": rng.integers(0, 60, shape),
    }[content].astype(np.uint8)
    copies = copies_of(pixels, seed)
    for picture in copies.values():
        assert picture.shape == shape and picture.dtype == np.uint8
    if content in ("bare sky", "black", "white"):  # what is all airlight cannot become more so
        for change in HAZE:
            assert np.abs(copies[change.name].astype(int) - pixels).max() <= 1


def test_exposure_is_a_stop_of_linear_light_each_way() -> None:
    codes = np.resize(np.arange(256, dtype=np.uint8), (64, 96, 3))
    copies, linear = copies_of(codes), to_linear(codes)
    for name, factor in (("exposure_-1", 0.5), ("exposure_+1", 2.0)):
        expected = np.minimum(factor * linear, 1.0)
        np.testing.assert_allclose(to_linear(copies[name]), expected, atol=0.006)


def test_half_the_size_keeps_the_light_and_loses_the_detail() -> None:
    noise = np.random.default_rng(0).integers(60, 200, (96, 128, 3)).astype(np.uint8)
    soft = copies_of(noise)["half_size"].astype(float)
    assert soft.mean() == pytest.approx(noise.mean(), abs=1.0)
    assert soft.std() < 0.7 * noise.astype(float).std()
