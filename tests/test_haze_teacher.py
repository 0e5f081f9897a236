"""The teacher tells the truth: haze is added as Koschmieder says, and that is the target."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.haze_network import CELL, PICTURE_HEIGHT, PICTURE_WIDTH, log_optical_depth
from training import haze_teacher
from training.haze_teacher import (
    MOMENTS,
    PICTURES_OF_A_SCENE,
    ScenePool,
    add_haze,
    free_depth,
    hazy_pictures,
    render_scenes,
)

PLACES = 3
SHAPE = (6, 8)


@pytest.fixture(scope="module")
def pool() -> ScenePool:
    return render_scenes(PLACES, seed=4)


def light(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((*SHAPE, 3), np.float32), rng.random(3, np.float32)


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.floats(0, 3), st.floats(0, 3), st.floats(-0.3, 1.8))
def test_two_hazes_are_one_of_both_optical_depths(
    seed: int, first: float, second: float, exponent: float
) -> None:
    scene, airlight = light(seed)
    one, two = np.full(SHAPE, first, np.float32), np.full(SHAPE, second, np.float32)
    twice = add_haze(add_haze(scene, one, airlight, exponent), two, airlight, exponent)
    np.testing.assert_allclose(twice, add_haze(scene, one + two, airlight, exponent), atol=1e-5)


def test_haze_mixes_light_by_transmission() -> None:
    scene, airlight = light(0)
    depth = np.linspace(0, 4, scene[..., 0].size, dtype=np.float32).reshape(SHAPE)
    t = np.exp(-depth)[..., None]
    hazy = add_haze(scene, depth, airlight, 0.0)
    np.testing.assert_allclose(hazy, scene * t + airlight * (1 - t), atol=1e-6)
    white_out = add_haze(scene, np.full(SHAPE, 40, np.float32), airlight, 1.0)
    np.testing.assert_allclose(white_out, np.broadcast_to(airlight, white_out.shape), atol=1e-6)


def test_fine_particles_hide_blue_before_red() -> None:
    black, depth = np.zeros((*SHAPE, 3), np.float32), np.ones(SHAPE, np.float32)
    red, _, blue = add_haze(black, depth, np.ones(3, np.float32), 1.5)[0, 0]
    assert blue > red


@given(st.integers(0, 10**6))
def test_an_invented_depth_is_never_negative_and_lies_in_the_distance(seed: int) -> None:
    depth = free_depth(np.random.default_rng(seed))
    assert depth.shape == (PICTURE_HEIGHT, PICTURE_WIDTH)
    assert np.isfinite(depth).all()
    assert depth.min() >= 0
    assert depth[: PICTURE_HEIGHT // 4].mean() > depth[-PICTURE_HEIGHT // 8 :].mean()


def test_scenes_are_repeatable_and_another_place_changes_none(pool: ScenePool) -> None:
    more = render_scenes(PLACES + 1, seed=4)
    for field in fields(ScenePool):
        plane = getattr(pool, field.name)
        np.testing.assert_array_equal(plane, getattr(more, field.name)[: len(plane)])
    assert len(pool) == PLACES * MOMENTS
    assert not np.array_equal(render_scenes(PLACES, seed=5).beta, pool.beta)


def test_every_scene_is_light_in_air_of_known_extinction(pool: ScenePool) -> None:
    assert np.isfinite(pool.light).all()
    assert (pool.light >= 0).all()
    assert (pool.path_km > 0).all()
    assert (pool.beta > 0.009).all()  # clean air at 2000 m
    assert (pool.airlight > 0).all()


def test_the_same_seed_draws_the_same_pictures(pool: ScenePool) -> None:
    first, again = (hazy_pictures(pool, np.random.default_rng(9), 2) for _ in range(2))
    for field in fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
    cells = (PICTURE_HEIGHT // CELL, PICTURE_WIDTH // CELL)
    assert first.pictures.shape == (2 * PICTURES_OF_A_SCENE, PICTURE_HEIGHT, PICTURE_WIDTH, 3)
    assert first.depth.shape == first.ground.shape == (2 * PICTURES_OF_A_SCENE, *cells)


def flat(pool: ScenePool, path_km: float) -> ScenePool:
    """The scenes of `pool`, all ground and all at one distance."""
    return replace(
        pool,
        path_km=np.full_like(pool.path_km, path_km),
        is_sky=np.zeros_like(pool.is_sky),
        beta=np.full_like(pool.beta, 0.25),
    )


def test_without_added_haze_the_target_is_the_scene_s_own_air(
    pool: ScenePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(haze_teacher, "UNTOUCHED_SHARE", 1.0)
    lesson = hazy_pictures(flat(pool, 4.0), np.random.default_rng(1), 4)
    np.testing.assert_allclose(lesson.depth, log_optical_depth(np.exp(np.float32(-1.0))), rtol=1e-5)
    np.testing.assert_array_equal(lesson.ground, 1)


def test_added_haze_raises_the_target_above_the_scene_s_own_air(
    pool: ScenePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(haze_teacher, "UNTOUCHED_SHARE", 0.0)
    own = log_optical_depth(np.exp(np.float32(-1.0)))
    lesson = hazy_pictures(flat(pool, 4.0), np.random.default_rng(1), 8)
    assert (lesson.depth > own - 1e-5).all()
    assert (lesson.depth.max(axis=(1, 2)) > own + 1e-3).all()


def test_a_cell_of_two_distances_has_the_mean_transmission(
    pool: ScenePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The haze of a cell is how much light of the ground arrives, not a mean of depths."""
    monkeypatch.setattr(haze_teacher, "UNTOUCHED_SHARE", 1.0)
    rows = np.arange(haze_teacher.STORED_HEIGHT)[:, None] % 2
    scenes = flat(pool, 1.0)
    path = np.broadcast_to(np.where(rows == 0, 0.0, 16.0), scenes.path_km.shape[1:])
    scenes = replace(scenes, path_km=np.stack([path] * PLACES).astype(np.float16))
    lesson = hazy_pictures(scenes, np.random.default_rng(2), 6)
    near, far = 1.0, float(np.exp(-4.0))
    nearest, furthest = log_optical_depth(np.array([near, far]))
    assert nearest < lesson.depth.min()
    # A mean of depths would lie at 2 and give ln 2.1; half of the light gives ln 0.78.
    assert lesson.depth.mean() == pytest.approx(
        float(log_optical_depth(np.array((near + far) / 2))), abs=0.1
    )
    assert lesson.depth.max() < furthest
