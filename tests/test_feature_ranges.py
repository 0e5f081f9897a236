"""No photo, however strange, has a feature outside the range that its record states."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.extractor import ScientificFeatureExtractor
from features.light import light_of
from features.meteorology import FAMILY as METEOROLOGY
from features.scene import scene_of
from features.schema import Feature
from tests.landscape import landscape

EXTRACTOR = ScientificFeatureExtractor()
FEATURES = {f.name: f for family in EXTRACTOR.families for f in family.features}
SHAPES = ((480, 640), (360, 640), (640, 427), (214, 640))


def outside(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """The features of `pixels` that are infinite or out of their range."""
    values = EXTRACTOR.extract(scene_of(light_of(pixels)))
    return {name: value for name, value in values.items() if not allowed(FEATURES[name], value)}


def allowed(feature: Feature, value: float) -> bool:
    low, high = feature.range
    slack = 1e-6 * max(1.0, abs(value))  # of rounding
    return math.isnan(value) or (math.isfinite(value) and low - slack <= value <= high + slack)


@st.composite
def pictures(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Noise of any grain, contrast and colour cast, flat or below a flat sky."""
    height, width = draw(st.sampled_from(SHAPES))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    grain = draw(st.sampled_from((1, 2, 8, 40, 200)))
    levels = draw(st.sampled_from((2, 8, 256)))
    coarse = rng.integers(0, levels, (-(-height // grain), -(-width // grain), 3))
    picture = np.kron(coarse, np.ones((grain, grain, 1), np.int64))[:height, :width]
    picture = picture * (255 // (levels - 1))
    floor = draw(st.integers(0, 255))
    picture = floor + picture * (255 - floor) // 255
    if draw(st.booleans()):
        picture[..., draw(st.integers(0, 2))] = draw(st.sampled_from((0, 255)))
    sky = draw(st.integers(0, height))
    if draw(st.booleans()):
        picture[:sky] = draw(st.tuples(*[st.integers(0, 255)] * 3))
    return picture.astype(np.uint8)


@settings(max_examples=60)
@given(pictures())
def test_random_pictures_stay_in_range(pixels: NDArray[np.uint8]) -> None:
    assert outside(pixels) == {}


@pytest.mark.parametrize("extinction", [0.0, 0.5, 3.0, 30.0])
@pytest.mark.parametrize("exposure", [0.02, 1.0, 8.0])
def test_landscapes_stay_in_range(extinction: float, exposure: float) -> None:
    pixels = landscape(extinction)[0]
    assert outside(np.clip(pixels * exposure, 0, 255).astype(np.uint8)) == {}


def test_checkerboards_and_ramps_stay_in_range() -> None:
    checkerboard = (np.indices((480, 640)).sum(axis=0) % 2 * 255).astype(np.uint8)
    ramp = np.tile(np.linspace(0, 255, 640).astype(np.uint8), (480, 1))
    for plane in (checkerboard, ramp, np.ascontiguousarray(ramp[:, ::-1]).T.copy()):
        assert outside(cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB)) == {}


def test_every_range_is_a_range_and_most_have_an_end() -> None:
    records = [*FEATURES.values(), *METEOROLOGY.features]
    assert all(f.range[0] < f.range[1] for f in records)
    open_ended = {f.name for f in records if not any(map(math.isfinite, f.range))}
    assert open_ended == {"spectral_slope", "spectral_slope_fine", "sky_blue_red_slope"}
