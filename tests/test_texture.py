"""Texture against scikit-image, and what a texture may not depend on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from features import texture
from features.light import light_of
from features.sky import PictureGeometry

PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
SHAPES = ((480, 640), (304, 640), (640, 480), (640, 427), (213, 640), (640, 637))
# Diagonals reach d rows and d columns; scikit-image rounds d sin 45°, so it is asked for more.
DIAGONAL_DISTANCE = {1: 1, 2: 3, 4: 6}

greys = arrays.arrays(np.uint8, st.tuples(st.integers(12, 24), st.integers(12, 24)))


def scene(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth sky over ground with detail of many sizes, sRGB (H, W, 3)."""
    rng = np.random.default_rng(seed)
    detail = sum(
        np.kron(rng.normal(size=(height // n + 1, width // n + 1)), np.ones((n, n)))[
            :height, :width
        ]
        for n in (1, 2, 4, 8, 16)
    )
    down = np.linspace(0, 1, height)[:, None]
    plane = np.where(down < 0.35, 200 - 60 * down, 110 + 14 * detail) + rng.normal(
        size=(height, width)
    )
    return np.repeat(np.clip(plane, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def pictures(count: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Grey pictures of random sizes: smooth planes under noise of little spread or of much."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        height, width = rng.integers(12, 60, 2)
        ramp = rng.normal(size=3) @ np.stack(
            [np.ones((height, width)), *np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]]
        ).reshape(3, -1)
        plane = 128 + 40 * ramp.reshape(height, width)
        plane += rng.choice([2, 10, 60]) * rng.normal(size=(height, width))
        yield np.clip(plane, 0, 255).astype(np.uint8)


def layered(height: int, width: int) -> PictureGeometry:
    """Bands of fixed shares of the height."""
    rows = np.arange(height) / height
    bands = np.digitize(rows, [0.35, 0.5, 0.7]).astype(np.uint8)[:, None].repeat(width, axis=1)
    skyline = np.full(width, int(np.argmax(bands[:, 0] > 0)), dtype=np.int32)
    return PictureGeometry(bands, skyline, 1.0)


@pytest.mark.parametrize("distance", texture.DISTANCES)
def test_glcm_and_properties_equal_scikit_image(distance: int) -> None:
    for grey in pictures(200, seed=distance):
        ours = texture.co_occurrences(grey, distance, row_step=1)
        values = texture.haralick(ours)
        for directions, reach, angles in (
            ([0, 2], distance, [0.0, 0.5 * np.pi]),
            ([1, 3], DIAGONAL_DISTANCE[distance], [0.75 * np.pi, 0.25 * np.pi]),
        ):
            glcm = graycomatrix(grey // 8, [reach], angles, levels=32, symmetric=True, normed=True)
            theirs = glcm[:, :, 0].transpose(2, 0, 1)
            np.testing.assert_allclose(ours[directions], theirs, rtol=0, atol=1e-14)
            properties = np.array([graycoprops(glcm, name)[0] for name in PROPERTIES]).T
            np.testing.assert_allclose(values[directions], properties, rtol=1e-9, atol=1e-12)


@settings(max_examples=40)
@given(grey=greys, distance=st.sampled_from(list(texture.DISTANCES)))
def test_even_and_odd_reference_rows_together_are_all_rows(
    grey: NDArray[np.uint8], distance: int
) -> None:
    def counts(rows: NDArray[np.uint8], step: int) -> NDArray[np.float64]:
        height, width = rows.shape
        upper = len(range(0, height - distance, step))
        pairs = [
            len(range(0, height, step)) * (width - distance),
            upper * (width - distance),
            upper * width,
            upper * (width - distance),
        ]
        glcms = texture.co_occurrences(rows, distance, row_step=step)
        return glcms * 2.0 * np.reshape(pairs, (4, 1, 1))

    np.testing.assert_allclose(
        counts(grey, 2) + counts(grey[1:], 2), counts(grey, 1), rtol=0, atol=1e-9
    )


def test_a_single_grey_has_the_properties_of_perfect_order() -> None:
    glcms = texture.co_occurrences(np.full((40, 50), 77, dtype=np.uint8), 1, 2)
    np.testing.assert_allclose(texture.haralick(glcms), [[0, 0, 1, 1, 1, 0]] * 4, atol=1e-12)


def test_axis_neighbours_of_a_pattern_are_those_of_scikit_image() -> None:
    """Four points at radius 1 are pixels, so that nothing is interpolated: equal to the bit."""
    for grey in pictures(300, seed=11):
        codes = texture.local_binary_patterns(grey, row_step=1)
        theirs = local_binary_pattern(grey, 4, 1).astype(np.uint8)[1:-1, 1:-1]
        for k in range(4):
            np.testing.assert_array_equal(codes >> (7 - 2 * k) & 1, theirs >> k & 1)


def test_lbp_labels_are_those_of_scikit_image_but_for_ties() -> None:
    """Three hundred pictures of noise, of many greys and few, and a scene."""
    different = []
    for grey in (*pictures(300, seed=12), scene(213, 320, seed=3)[:, :, 0]):
        labels = texture.UNIFORM_LABELS[texture.local_binary_patterns(grey, row_step=1)]
        theirs = local_binary_pattern(grey, 8, 1, "uniform")[1:-1, 1:-1]
        different.append((labels != theirs).ravel())
    assert np.mean(different[-1]) < 0.01
    assert np.mean(np.concatenate(different[:-1])) < 0.01


@given(
    grey=arrays.arrays(np.uint8, (13, 17), elements=st.integers(0, 200)), more=st.integers(0, 55)
)
@settings(max_examples=30)
def test_lbp_does_not_see_a_change_of_brightness(grey: NDArray[np.uint8], more: int) -> None:
    np.testing.assert_array_equal(
        texture.local_binary_patterns(grey),
        texture.local_binary_patterns(grey + np.uint8(more)),
    )


@given(grey=greys)
@settings(max_examples=30)
def test_lbp_labels_turn_and_mirror_with_the_picture(grey: NDArray[np.uint8]) -> None:
    def labels(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        codes = texture.local_binary_patterns(np.ascontiguousarray(picture), 1)
        return texture.UNIFORM_LABELS[codes]

    np.testing.assert_array_equal(labels(np.rot90(grey)), np.rot90(labels(grey)))
    np.testing.assert_array_equal(labels(grey[:, ::-1]), labels(grey)[:, ::-1])


@given(grey=greys)
@settings(max_examples=30)
def test_every_second_row_of_patterns_is_every_second_row(grey: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(
        texture.local_binary_patterns(grey, row_step=2),
        texture.local_binary_patterns(grey, row_step=1)[::2],
    )


def test_steps_of_a_band_are_those_of_its_own_pixels() -> None:
    grey = np.zeros((40, 60), dtype=np.uint8)
    grey[20:, ::2] = 80
    bands = np.ones((40, 60), dtype=np.uint8)
    bands[20:] = 3
    histogram = texture.step_histogram(grey, bands)
    assert histogram[1].nonzero()[0].tolist() == [0]
    assert histogram[3, 10] == 10 * 59  # every horizontal pair of the ten even rows
    assert histogram.sum() == 20 * 59 + 20 * 60


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_family_and_its_mirror_image_the_same(shape: tuple[int, int]) -> None:
    pixels, geometry = scene(*shape), layered(*shape)
    values = texture.texture_features(light_of(pixels), geometry)
    assert tuple(values) == texture.FAMILY.names
    assert np.isfinite(list(values.values())).all()
    mirrored = texture.texture_features(
        light_of(np.ascontiguousarray(pixels[:, ::-1])),
        PictureGeometry(geometry.bands[:, ::-1], geometry.skyline[::-1], 1.0),
    )
    np.testing.assert_allclose(list(mirrored.values()), list(values.values()), rtol=1e-6)


def test_shares_of_patterns_sum_to_one() -> None:
    values = texture.texture_features(light_of(scene(304, 640)), layered(304, 640))
    for prefix in ("lbp8_far_", "lbp8_near_"):
        assert sum(v for k, v in values.items() if k.startswith(prefix)) == pytest.approx(1.0)


def test_a_missing_band_is_unknown_and_nothing_else_is() -> None:
    geometry = PictureGeometry(
        np.full((304, 640), 3, dtype=np.uint8), np.zeros(640, dtype=np.int32), 0.0
    )
    values = texture.texture_features(light_of(scene(304, 640)), geometry)
    unknown = {name for name, value in values.items() if np.isnan(value)}
    assert unknown == {name for name in texture.FAMILY.names if "_far" in name}


def test_haze_moves_texture_the_way_the_schema_says() -> None:
    pixels, geometry = scene(304, 640), layered(304, 640)
    clear = texture.texture_features(light_of(pixels), geometry)
    veiled = np.clip(0.4 * pixels + 0.6 * 200, 0, 255).astype(np.uint8)
    hazy = texture.texture_features(light_of(veiled), geometry)
    for feature in texture.FAMILY.features:
        if feature.expected_sign and feature.name != "glcm_contrast_far_to_near":
            moved = hazy[feature.name] - clear[feature.name]
            assert np.sign(moved) == feature.expected_sign, feature.name


def test_every_feature_is_documented() -> None:
    for feature in texture.FAMILY.features:
        assert feature.meaning and feature.unit and feature.reference
    assert len(set(texture.FAMILY.names)) == len(texture.FAMILY.names)
