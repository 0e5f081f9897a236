"""The deep features: within their ranges, mirrored alike, depths that rise with haze."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from features.deep import FAMILY, DeepFeatureExtractor
from features.haze_network import WEIGHTS, HazeNetwork, network_picture, weights_digest
from features.light import Light, light_of
from features.scene import Scene
from features.schema import feature_set_hash
from features.sky import FAR, NEAR, SKY, PictureGeometry, picture_geometry
from tests.added_haze import exposed, hazy_series, mirrored
from training.rendering.renderer import draw_moment, draw_place, render
from training.rendering.scenery import PLACE_KINDS

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


def features_of(
    extractor: DeepFeatureExtractor, picture: NDArray[np.uint8], weights: Path = WEIGHTS
) -> dict[str, float]:
    light = light_of(picture)
    return extractor.extract(seen(light, picture_geometry(light), weights))


def seen(light: Light, geometry: PictureGeometry, weights: Path = WEIGHTS) -> Scene:
    return Scene(light, geometry, HazeNetwork(weights).see(light, geometry.sky_share))


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
        before = extractor.extract(seen(light, geometry))
        height = len(geometry.bands)
        lost = ((geometry.skyline.astype(np.int64) + height) // 2).astype(np.int32)
        below = np.arange(height)[:, None] >= lost
        bands = np.where(below, np.where(np.arange(height)[:, None] < lost + 40, FAR, NEAR), SKY)
        cut = replace(geometry, skyline=lost, bands=bands.astype(np.uint8))
        after = extractor.extract(seen(light_of(hazy), cut))
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
    value = extractor.extract(seen(light, bare))[DISTANCE]
    air = HazeNetwork().map(network_picture(light, sky=1.0))
    weight = air.ground.astype(np.float64) ** 3 * np.exp(-np.arange(14)[:, None] / 4)
    anywhere = (weight * air.log_optical_depth).sum() / weight.sum()
    held = min(anywhere, air.log_optical_depth[6:10].mean()) - 0.6
    assert value == pytest.approx(held, rel=1e-5)


def test_the_distance_is_the_upper_ground_under_the_skyline(
    extractor: DeepFeatureExtractor, scenes: list[NDArray[np.uint8]]
) -> None:
    """Against a sum over the cells, one by one, with the share of each under the skyline."""
    for scene in scenes[:6]:
        light = light_of(scene)
        geometry = picture_geometry(light)
        height, width = geometry.bands.shape
        air = HazeNetwork().map(network_picture(light, geometry.skyline.mean() / height))
        rows, columns = air.ground.shape
        assert width % columns == 0
        sums = {"under": [0.0, 0.0], "any": [0.0, 0.0]}
        for i in range(rows):
            for j in range(columns):
                edge = geometry.skyline[j * width // columns : (j + 1) * width // columns].mean()
                share = min(max(i + 1 - edge * rows / height, 0.0), 1.0)
                weight = float(air.ground[i, j]) ** 3 * np.exp(-i / 4)
                for name, part in (("under", share), ("any", 1.0)):
                    sums[name][0] += weight * part * float(air.log_optical_depth[i, j])
                    sums[name][1] += weight * part
        under, anywhere = (total / by for total, by in sums.values())
        belt = float(air.log_optical_depth[6:10].mean())
        expected = max(under, min(anywhere, belt) - 0.6)
        value = extractor.extract(seen(light, geometry))[DISTANCE]
        assert value == pytest.approx(expected, rel=1e-5)


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
    extractor: DeepFeatureExtractor, tmp_path: Path, scenes: list[NDArray[np.uint8]]
) -> None:
    depth, is_ground = 0.4, 30.0
    path = with_one_value(tmp_path, depth, is_ground)
    values = features_of(extractor, scenes[0], path)
    assert [values[name] for name in DEPTHS] == pytest.approx([depth] * len(DEPTHS), rel=1e-5)
    assert values["deep_transmission_far"] == pytest.approx(np.exp(0.1 - np.exp(depth)), rel=1e-5)


def test_what_is_no_ground_has_no_optical_depth(
    extractor: DeepFeatureExtractor, tmp_path: Path, scenes: list[NDArray[np.uint8]]
) -> None:
    path = with_one_value(tmp_path, 0.4, -30.0)
    values = features_of(extractor, scenes[0], path)
    assert {name for name, value in values.items() if not np.isnan(value)} == {
        "deep_log_optical_depth_belt"  # fixed rows, whatever they show
    }
