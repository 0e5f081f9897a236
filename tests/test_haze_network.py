"""The network's map: mirrored with the picture, the same on every processor, from weights to be
trusted.
"""

from __future__ import annotations

from pathlib import Path

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
)
from tests.added_haze import mirrored


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
