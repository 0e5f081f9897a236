"""The deep features: weights to be trusted, a map that mirrors, depths that rise with haze."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from safetensors.torch import save

from features.deep import (
    FAMILY,
    LARGEST_CODE,
    LARGEST_EXACT,
    PICTURE_HEIGHT,
    PICTURE_WIDTH,
    STRIDES,
    WEIGHTS,
    DeepFeatureExtractor,
    log_optical_depth,
    network_picture,
    weights_digest,
)
from features.errors import ArtifactError
from features.light import light_of
from features.schema import feature_set_hash
from features.sky import FAR, NEAR, SKY, picture_geometry
from tests.added_haze import exposed, hazy_series, mirrored
from training import deep_network
from training.deep_network import TransmissionNetwork, fit, train_deep
from training.haze_teacher import hazy_pictures, render_scenes
from training.renderer import draw_moment, draw_place, render
from training.scenery import PLACE_KINDS

LARGEST_FILE = 1_500_000  # bytes
DEPTHS = [name for name in FAMILY.names if "optical_depth" in name]


@pytest.fixture(scope="module")
def extractor() -> DeepFeatureExtractor:
    return DeepFeatureExtractor()


@pytest.fixture(scope="module")
def scenes() -> list[NDArray[np.uint8]]:
    """Twenty places by day, in clean air."""
    drawn = []
    for number in range(20):
        rng = np.random.default_rng([81, number])
        place = draw_place(rng, PLACE_KINDS[number % len(PLACE_KINDS)])
        drawn.append(render(place, draw_moment(rng, place, pm25=8.0)))
    return drawn


def features_of(extractor: DeepFeatureExtractor, picture: NDArray[np.uint8]) -> dict[str, float]:
    light = light_of(picture)
    return extractor.extract(light, picture_geometry(light))


def random_picture(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (PICTURE_HEIGHT, PICTURE_WIDTH, 3), dtype=np.uint8)


def with_one_value(folder: Path, depth: float, logit: float) -> Path:
    """Weights of a network that says the same of every cell."""
    tensors = load_file(WEIGHTS)
    tensors["5.weight"] = np.zeros_like(tensors["5.weight"])
    tensors["5.bias"] = np.array([1, 1 if logit > 0 else -1], np.int32)
    tensors["5.scale"] = np.array([depth, abs(logit)], np.float32)
    path = folder / "changed.safetensors"
    save_file(tensors, path)
    return path


def test_the_weights_are_small_and_part_of_the_feature_set() -> None:
    assert WEIGHTS.stat().st_size <= LARGEST_FILE
    assert FAMILY.digest == weights_digest()
    retrained = replace(FAMILY, digest="0" * 64)
    assert feature_set_hash([retrained], 640) != feature_set_hash([FAMILY], 640)


def test_every_value_is_finite_or_unknown_and_within_its_range(
    extractor: DeepFeatureExtractor, scenes: list[NDArray[np.uint8]]
) -> None:
    assert extractor.names == FAMILY.names
    for picture in (*scenes, np.zeros((480, 640, 3), np.uint8), np.full((480, 640, 3), 255, "u1")):
        values = features_of(extractor, picture)
        assert tuple(values) == FAMILY.names
        for feature in FAMILY.features:
            value = values[feature.name]
            assert isinstance(value, float)
            assert np.isnan(value) or feature.range[0] <= value <= feature.range[1]
    assert np.isfinite(list(features_of(extractor, scenes[0]).values())).all()


@given(st.integers(0, 10**6))
def test_a_mirrored_picture_gives_the_mirrored_map_to_the_last_bit(seed: int) -> None:
    picture = random_picture(seed)
    seen, turned = (
        DeepFeatureExtractor().map(picture),
        DeepFeatureExtractor().map(mirrored(picture)),
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
    seen = DeepFeatureExtractor().map(picture)
    np.testing.assert_array_equal(seen.log_optical_depth, np.clip(depth, *FAMILY.features[0].range))
    np.testing.assert_allclose(seen.ground, 1 / (1 + np.exp(-logit.astype(np.float64))), atol=1e-6)


def test_a_mirrored_photo_has_the_same_features(
    extractor: DeepFeatureExtractor, scenes: list[NDArray[np.uint8]]
) -> None:
    for picture in scenes[:8]:
        values, turned = features_of(extractor, picture), features_of(extractor, mirrored(picture))
        assert list(turned.values()) == pytest.approx(list(values.values()), abs=0.01, nan_ok=True)


def test_haze_that_is_added_raises_the_optical_depth_step_by_step(
    extractor: DeepFeatureExtractor, scenes: list[NDArray[np.uint8]]
) -> None:
    """Haze from code that shares nothing with the teacher, on places that it has not drawn."""
    series = [[features_of(extractor, hazy) for hazy in hazy_series(scene)] for scene in scenes]
    for name in ("deep_log_optical_depth_belt", "deep_log_optical_depth_mean", DISTANCE):
        rises = [bool((np.diff([values[name] for values in one]) > 0).all()) for one in series]
        assert np.mean(rises) >= 0.9


DISTANCE = "deep_log_optical_depth_distance"


def test_the_distance_rises_with_haze_whatever_the_skyline_does(
    extractor: DeepFeatureExtractor, scenes: list[NDArray[np.uint8]]
) -> None:
    """Where the skyline falls half way to the lower border in the haze, the far band falls too."""
    falls = {DISTANCE: 0, "deep_log_optical_depth_far": 0}
    for scene in scenes:
        clear, hazy = hazy_series(scene)[::5]
        light = light_of(clear)
        geometry = picture_geometry(light)
        before = extractor.extract(light, geometry)
        height = len(geometry.bands)
        lost = ((geometry.skyline.astype(np.int64) + height) // 2).astype(np.int32)
        below = np.arange(height)[:, None] >= lost
        bands = np.where(below, np.where(np.arange(height)[:, None] < lost + 40, FAR, NEAR), SKY)
        cut = replace(geometry, skyline=lost, bands=bands.astype(np.uint8))
        after = extractor.extract(light_of(hazy), cut)
        for name in falls:
            falls[name] += not after[name] >= before[name]
    assert falls[DISTANCE] == 0


def test_where_no_ground_lies_under_the_skyline_the_rest_of_the_map_holds_it(
    extractor: DeepFeatureExtractor, scenes: list[NDArray[np.uint8]]
) -> None:
    light = light_of(scenes[0])
    geometry = picture_geometry(light)
    bare = replace(
        geometry,
        skyline=np.full_like(geometry.skyline, len(geometry.bands)),
        bands=np.full_like(geometry.bands, SKY),
    )
    value = extractor.extract(light, bare)[DISTANCE]
    seen = extractor.map(network_picture(light))
    weight = seen.ground.astype(np.float64) ** 3 * np.exp(-np.arange(14)[:, None] / 4)
    anywhere = (weight * seen.log_optical_depth).sum() / weight.sum()
    held = min(anywhere, seen.log_optical_depth[6:10].mean()) - 0.6
    assert value == pytest.approx(held, rel=1e-5)


def test_the_distance_is_the_upper_ground_under_the_skyline(
    extractor: DeepFeatureExtractor, scenes: list[NDArray[np.uint8]]
) -> None:
    """Against a sum over the cells, one by one, with the share of each under the skyline."""
    for scene in scenes[:6]:
        light = light_of(scene)
        geometry = picture_geometry(light)
        seen = extractor.map(network_picture(light))
        rows, columns = seen.ground.shape
        height, width = geometry.bands.shape
        assert width % columns == 0
        sums = {"under": [0.0, 0.0], "any": [0.0, 0.0]}
        for i in range(rows):
            for j in range(columns):
                edge = geometry.skyline[j * width // columns : (j + 1) * width // columns].mean()
                share = min(max(i + 1 - edge * rows / height, 0.0), 1.0)
                weight = float(seen.ground[i, j]) ** 3 * np.exp(-i / 4)
                for name, part in (("under", share), ("any", 1.0)):
                    sums[name][0] += weight * part * float(seen.log_optical_depth[i, j])
                    sums[name][1] += weight * part
        under, anywhere = (total / by for total, by in sums.values())
        belt = float(seen.log_optical_depth[6:10].mean())
        expected = max(under, min(anywhere, belt) - 0.6)
        assert extractor.extract(light, geometry)[DISTANCE] == pytest.approx(expected, rel=1e-5)


def test_a_stop_of_exposure_moves_it_less_than_a_little_haze(
    extractor: DeepFeatureExtractor, scenes: list[NDArray[np.uint8]]
) -> None:
    name = "deep_log_optical_depth_belt"
    by_haze, by_light = [], []
    for scene in scenes:
        value = features_of(extractor, scene)[name]
        by_haze.append(features_of(extractor, hazy_series(scene)[3])[name] - value)
        darker, brighter = (features_of(extractor, exposed(scene, ev))[name] for ev in (-1.0, 1.0))
        by_light.append(max(abs(darker - value), abs(brighter - value)))
    assert np.median(by_light) < 0.5 * np.median(by_haze)


def test_a_map_of_one_value_gives_that_value_for_every_band(
    tmp_path: Path, scenes: list[NDArray[np.uint8]]
) -> None:
    depth, is_ground = 0.4, 30.0
    path = with_one_value(tmp_path, depth, is_ground)
    values = features_of(DeepFeatureExtractor(path), scenes[0])
    assert [values[name] for name in DEPTHS] == pytest.approx([depth] * len(DEPTHS), rel=1e-5)
    assert values["deep_transmission_far"] == pytest.approx(np.exp(0.1 - np.exp(depth)), rel=1e-5)


def test_what_is_no_ground_has_no_optical_depth(
    tmp_path: Path, scenes: list[NDArray[np.uint8]]
) -> None:
    path = with_one_value(tmp_path, 0.4, -30.0)
    values = features_of(DeepFeatureExtractor(path), scenes[0])
    assert {name for name, value in values.items() if not np.isnan(value)} == {
        "deep_log_optical_depth_belt"  # fixed rows, whatever they show
    }


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_less_transmission_is_never_less_optical_depth(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert log_optical_depth(np.float64(low)) >= log_optical_depth(np.float64(high))
    assert float(log_optical_depth(np.float64(1.0))) == pytest.approx(np.log(0.1))


@pytest.mark.parametrize(
    "damage", ["missing", "empty", "truncated", "pickle", "renamed", "shape", "too large"]
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
    elif damage == "too large":
        save_file({**tensors, "2.weight": np.full_like(tensors["2.weight"], 2**15 - 1)}, path)
    with pytest.raises(ArtifactError) as refused:
        DeepFeatureExtractor(path)
    assert refused.value.code == "deep_weights_unreadable"


@pytest.mark.usefixtures("small_steps")
def test_the_written_network_is_the_trained_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pool, rng = render_scenes(4, seed=1), np.random.default_rng(0)
    network = TransmissionNetwork()
    for _ in fit(network, pool, 10, rng):
        pass
    pictures = hazy_pictures(pool, rng, 10).pictures
    codes = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    path = tmp_path / "deep.safetensors"
    path.write_bytes(save(network.in_whole_numbers(codes)))
    extractor = DeepFeatureExtractor(path)
    with torch.inference_mode():
        output = network(codes)
    seen = [extractor.map(picture) for picture in pictures]
    depth = np.stack([one.log_optical_depth for one in seen])
    low, high = FAMILY.features[0].range
    assert np.abs(depth - output[:, 0].clamp(low, high).numpy()).mean() < 0.02
    ground = np.stack([one.ground for one in seen])
    assert np.abs(ground - output[:, 1].sigmoid().numpy()).mean() < 0.02


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitting in steps of twelve pictures."""
    monkeypatch.setattr(deep_network, "SCENES_A_STEP", 4)


@pytest.mark.usefixtures("small_steps")
def test_fitting_lessens_the_error() -> None:
    torch.manual_seed(0)
    progress = list(
        fit(TransmissionNetwork(), render_scenes(4, seed=1), 40, np.random.default_rng(0))
    )
    assert progress[-1].step == progress[-1].steps == 40
    assert progress[-1].loss < 0.9 * progress[0].loss


@pytest.mark.usefixtures("small_steps")
def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        train_deep(tmp_path / name, places=2, steps=2, seed=3)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert DeepFeatureExtractor(tmp_path / "one").names == FAMILY.names
