"""What the network is shown: one sharpness, one light. Its map: mirrored with the picture, the same
on every processor, from weights to be trusted.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from features.errors import ArtifactError
from features.haze_network import (
    LARGEST_CODE,
    LARGEST_EXACT,
    LOG_DEPTHS,
    PICTURE_HEIGHT,
    PICTURE_WIDTH,
    STRIDES,
    WEIGHTS,
    HazeNetwork,
    log_optical_depth,
    network_picture,
)
from features.light import SRGB_TO_LINEAR, light_of
from features.photo import photo_from_pixels
from tests.added_haze import exposed, mirrored, resized
from training.rendering.renderer import draw_moment, draw_place, render
from training.rendering.scenery import PLACE_KINDS


def random_picture(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (PICTURE_HEIGHT, PICTURE_WIDTH, 3), dtype=np.uint8)


@given(st.integers(0, 10**6))
def test_a_mirrored_picture_gives_the_mirrored_map_to_the_last_bit(seed: int) -> None:
    picture = random_picture(seed)
    seen, turned = (
        HazeNetwork().map(picture),
        HazeNetwork().map(mirrored(picture)),
    )
    np.testing.assert_array_equal(seen.log_optical_depth, turned.log_optical_depth[:, ::-1])
    np.testing.assert_allclose(seen.ground, turned.ground[:, ::-1], atol=1e-6)


@settings(max_examples=5)
@given(st.integers(0, 10**6))
def test_the_map_is_the_one_of_whole_numbers(seed: int) -> None:
    """int64 has no rounding that could differ between processors; float32 must agree with it."""
    picture = random_picture(seed)
    tensors = load_file(WEIGHTS)
    x = picture.transpose(2, 0, 1).astype(np.int64)
    for number, stride in enumerate((*STRIDES, 1)):
        weight = tensors[f"{number}.weight"].astype(np.int64)
        side = weight.shape[-1]
        x = np.pad(x, ((0, 0), *[(int(side > 1),) * 2] * 2))
        windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))
        windows = windows[:, ::stride, ::stride]
        sums = np.einsum("chwij,ocij->ohw", windows, weight, optimize=True)
        sums += tensors[f"{number}.bias"][:, None, None]
        assert np.abs(sums).max() < LARGEST_EXACT
        scaled = sums.astype(np.float32) * tensors[f"{number}.scale"][:, None, None]
        x = np.clip(np.rint(scaled), 0, LARGEST_CODE).astype(np.int64)
    depth, logit = scaled
    seen = HazeNetwork().map(picture)
    np.testing.assert_array_equal(seen.log_optical_depth, np.clip(depth, *LOG_DEPTHS))
    np.testing.assert_allclose(seen.ground, 1 / (1 + np.exp(-logit.astype(np.float64))), atol=1e-6)


# What it is shown ---------------------------------------------------------------------------------


def picture_of(pixels: NDArray[np.uint8], sky: float = 0.0) -> NDArray[np.int64]:
    return network_picture(photo_from_pixels(pixels).light(), sky).astype(np.int64)


def spread(picture: NDArray[np.int64]) -> NDArray[np.float64]:
    """Variance down and across [px²] of the light of one point, in linear light."""
    light = SRGB_TO_LINEAR[picture].sum(axis=2).astype(np.float64)
    found = []
    for axis in (1, 0):
        profile = light.sum(axis=axis) / light.sum()
        at = np.arange(len(profile))
        found.append(profile @ (at - profile @ at) ** 2)
    return np.array(found)


@pytest.mark.parametrize("side", [160, 224, 320, 480, 640, 1280])
def test_a_point_is_spread_alike_whatever_size_the_file_has(side: int) -> None:
    """Of one pixel of 160, each way; by codes near black, where sRGB is linear."""
    pixels = np.zeros((side, side, 3), np.uint8)
    size = max(side // 160, 1)
    middle = slice(side // 2, side // 2 + size)
    pixels[middle, middle] = 255
    np.testing.assert_allclose(spread(picture_of(pixels)), 0.5, atol=0.25)


def test_a_smaller_copy_is_shown_as_the_photo_is() -> None:
    """Ten views of 224 px and their copies of half the size, told their size and not."""
    told, untold = [], []
    for number in range(10):
        rng = np.random.default_rng([31, number])
        place = draw_place(rng, PLACE_KINDS[number % len(PLACE_KINDS)])
        view = resized(render(place, draw_moment(rng, place, pm25=8.0)), 224 / 640)
        half = photo_from_pixels(resized(view, 0.5))
        whole = picture_of(view)
        told.append(np.abs(picture_of(resized(view, 0.5)) - whole).mean())
        untold.append(np.abs(network_picture(light_of(half.pixels), 0.0) - whole).mean())
    assert np.mean(told) < 0.7 * np.mean(untold)


@pytest.mark.parametrize("sky", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_three_tenths_turn_white_or_the_sky_but_a_fifth(sky: float) -> None:
    rng = np.random.default_rng(3)
    cells = rng.integers(60, 250, (12, 16, 3), dtype=np.uint8)
    pixels = np.asarray(cv2.resize(cells, (640, 480)), np.uint8)
    white = (picture_of(pixels, sky).max(axis=2) == 255).mean()
    assert white == pytest.approx(max(0.3, sky - 0.2), abs=0.05)


def test_a_photo_whose_sky_is_clipped_is_shown_as_one_that_was_exposed_well() -> None:
    """Three quarters of sky, which a stop more turns white; what is below keeps its light."""
    rng = np.random.default_rng(4)
    ground = cv2.resize(rng.integers(10, 120, (12, 64, 3), dtype=np.uint8), (640, 120))
    pixels = np.full((480, 640, 3), 190, np.uint8)
    pixels[360:] = ground
    usual, longer = picture_of(pixels, sky=0.75), picture_of(exposed(pixels, 1.0), sky=0.75)
    assert np.abs(usual - longer).max() <= 3


def test_the_night_is_not_turned_into_day() -> None:
    pixels = np.full((480, 640, 3), 20, np.uint8)
    assert picture_of(pixels).max() < 128


# What it makes of it ------------------------------------------------------------------------------


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_less_transmission_is_never_less_optical_depth(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert log_optical_depth(np.float64(low)) >= log_optical_depth(np.float64(high))
    assert float(log_optical_depth(np.float64(1.0))) == pytest.approx(np.log(0.1))


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "truncated", "pickle", "renamed", "shape", "kernel", "too large"]
)
def test_damaged_weights_are_refused_with_a_reason(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "deep.safetensors"
    content = WEIGHTS.read_bytes()
    tensors = load_file(WEIGHTS)
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(content[:-100])
    elif damage == "pickle":
        torch.save(tensors, path)
    elif damage == "renamed":
        save_file({f"layer.{name}": tensor for name, tensor in tensors.items()}, path)
    elif damage == "shape":
        save_file({**tensors, "2.weight": tensors["2.weight"][:, :-1].copy()}, path)
    elif damage == "kernel":  # it would read what lies beyond the picture
        save_file({**tensors, "5.weight": np.ones((2, 48, 3, 3), np.int16)}, path)
    elif damage == "too large":
        save_file({**tensors, "2.weight": np.full_like(tensors["2.weight"], 2**15 - 1)}, path)
    with pytest.raises(ArtifactError) as refused:
        HazeNetwork(path)
    assert refused.value.code == "deep_weights_unreadable"
