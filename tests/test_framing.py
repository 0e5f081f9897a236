"""What is in the picture besides, or instead of, a landscape under a sky."""

from __future__ import annotations

import numpy as np
import pytest

from tests.test_quality import Picture, codes, judged, scene, webcam_photos
from training.rendering.renderer import draw_moment, draw_place, render


def test_a_white_sky_is_no_border() -> None:
    picture = scene().copy()
    picture[:200] = 250
    assert "borders" not in codes(judged(picture))


def lower_third(picture: Picture) -> Picture:
    rows = round(0.35 * len(picture))
    return np.ascontiguousarray(picture[-rows:, : 2 * rows])


def test_roofs_and_roads_are_no_sky_where_they_are_as_smooth() -> None:
    whole, cut = [], []
    for place in range(12):
        rng = np.random.default_rng([13, place])
        scene = draw_place(rng)
        picture = render(scene, draw_moment(rng, scene, pm25=10.0), 960, 720)
        whole.append("no_sky" in codes(judged(picture, min_side=200)))
        cut.append("no_sky" in codes(judged(lower_third(picture), min_side=200)))
    assert sum(whole) <= 1  # a street whose skyline falls through a tree: its sky was not found
    assert sum(cut) >= 6


def test_a_view_without_its_sky_has_none() -> None:
    photos = webcam_photos(lambda hour: 10 <= hour <= 14, every=8)
    cut = [judged(lower_third(photo.pixels), min_side=200) for photo in photos]
    assert np.mean(["no_sky" in codes(result) for result in cut]) > 0.8


@pytest.mark.parametrize("seed", range(3))
def test_the_dark_says_nothing_of_the_sky(seed: int) -> None:
    dark = (scene(seed).astype(np.float64) * 0.03).astype(np.uint8)
    assert codes(judged(dark)) & {"too_dark", "no_sky"} == {"too_dark"}
