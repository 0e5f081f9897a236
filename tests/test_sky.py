"""Where the sky ends, and how the ground is ordered by depth."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.views import MILAN, milan_by_day
from features.light import light_of
from features.sky import (
    FAR,
    HORIZON_SKY,
    MID,
    N_ZONES,
    NEAR,
    SKY,
    UPPER_SKY,
    PictureGeometry,
    picture_geometry,
)
from tests.added_haze import OPTICAL_DEPTHS, horizon_row, with_added_haze
from tests.landscape import AIRLIGHT, DATASETS, landscape, re_encoded, real_photo, to_srgb


def geometry_of(pixels: NDArray[np.uint8]) -> PictureGeometry:
    return picture_geometry(light_of(pixels))


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (304, 640), (640, 427), (427, 640)])
@pytest.mark.parametrize("extinction", [0.1, 0.7])
def test_the_skyline_is_found_to_a_few_pixels(size: tuple[int, int], extinction: float) -> None:
    pixels, skyline = landscape(extinction, height=size[0], width=size[1])
    geometry = geometry_of(pixels)
    assert geometry.confidence > 0.5
    assert np.median(np.abs(geometry.skyline - skyline)) <= 2
    assert np.mean(np.abs(geometry.skyline - skyline) > 8) < 0.15


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 3.0), st.floats(0.15, 0.7))
def test_bands_order_every_column_from_sky_to_near(
    seed: int, extinction: float, horizon: float
) -> None:
    pixels, _ = landscape(extinction, seed=seed, horizon=horizon, height=240, width=320)
    geometry = geometry_of(pixels)
    bands = geometry.bands
    assert bands.shape == pixels.shape[:2]
    assert (np.diff(bands.astype(int), axis=0) >= 0).all()
    assert np.array_equal((bands == SKY).sum(axis=0), geometry.skyline)
    assert set(np.unique(bands)) <= {SKY, FAR, MID, NEAR}
    assert 0.0 <= geometry.confidence <= 1.0


@pytest.mark.parametrize("extinction", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("width", [640, 480, 427, 426])
def test_a_mirrored_picture_has_the_mirrored_geometry(extinction: float, width: int) -> None:
    pixels, _ = landscape(extinction, width=width)
    geometry = geometry_of(pixels)
    mirrored = geometry_of(pixels[:, ::-1])
    assert np.array_equal(mirrored.bands[:, ::-1], geometry.bands)
    assert np.array_equal(mirrored.zones[:, ::-1], geometry.zones)
    assert mirrored.confidence == pytest.approx(geometry.confidence, rel=1e-6)


def test_haze_that_hides_the_distance_moves_the_bands_little() -> None:
    clear, hazy = (geometry_of(landscape(extinction)[0]) for extinction in (0.1, 3.0))
    for band in (MID, NEAR):
        first_clear, first_hazy = (
            np.median((geometry.bands < band).sum(axis=0)) for geometry in (clear, hazy)
        )
        assert abs(first_clear - first_hazy) <= 0.1 * 480
    assert hazy.confidence > 0.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("optical_depth", OPTICAL_DEPTHS)
def test_added_haze_leaves_the_skyline_in_its_place(optical_depth: float, seed: int) -> None:
    pixels, skyline = landscape(0.2, seed=seed)
    geometry = geometry_of(with_added_haze(pixels, optical_depth, round(0.4 * len(pixels))))
    assert np.mean(np.abs(geometry.skyline - skyline) > 8) < 0.15
    assert geometry.confidence > 0.1


@pytest.mark.parametrize(
    "frame", ["20230224_0830_06", "20230226_0830_06", "20230227_0830_06", "20230228_0830_06"]
)
def test_a_deep_blue_sky_that_pales_above_the_roofs_is_sky(frame: str) -> None:
    clear = real_photo(f"india_nepal/images/bengaluru_{frame}.jpg")
    hazy = with_added_haze(clear, 0.2, len(clear) // 2)  # where nothing of that blue is left
    rows = [float(np.median(geometry_of(view).skyline)) for view in (clear, hazy)]
    assert abs(rows[1] - rows[0]) <= 0.015 * len(clear)


@pytest.mark.parametrize("transmission", [0.1, 0.2, 0.35])
@pytest.mark.parametrize("seed", range(3))
def test_a_hazy_mountain_is_no_sky(transmission: float, seed: int) -> None:
    """As smooth as the sky and nearly of its colour, but its crest is one sharp line."""
    pixels, skyline = landscape(0.3, seed=seed)
    columns = np.arange(pixels.shape[1])
    crest = np.round(100 + 25 * np.sin(columns / 90) + 8 * np.sin(columns / 23)).astype(int)
    rock = to_srgb((0.03 * transmission + AIRLIGHT * (1 - transmission))[None])[0]
    row = np.arange(len(pixels))[:, None]
    view = np.where(((row >= crest) & (row < skyline))[:, :, None], rock, pixels)
    found = geometry_of(view)
    assert np.median(np.abs(found.skyline - crest)) <= 4
    assert np.mean(np.abs(found.skyline - crest) > 8) < 0.15


def test_the_skyline_does_not_fall_through_faint_towers() -> None:
    """A tower as blue as the sky in front of it: its column has an edge where its neighbours do."""
    if not MILAN.is_dir():
        pytest.skip("the Milan photos are not here")
    falling = []
    for view in milan_by_day()[::6]:
        picture = real_photo(f"milan/{view.photo.file}")
        hazy = with_added_haze(picture, 0.8, horizon_row(len(picture), view.photo.camera))
        skyline = geometry_of(hazy).skyline
        falling.append(np.mean(skyline > np.median(skyline) + 0.08 * len(picture)))
    assert np.mean(falling) < 0.02


def test_re_encoding_keeps_the_skyline() -> None:
    pixels, _ = landscape(0.5)
    moved = np.abs(geometry_of(pixels).skyline - geometry_of(re_encoded(pixels, 70)).skyline)
    assert np.mean(moved > 2) < 0.05


def test_zones_part_the_sky_by_height_and_repeat_the_bands() -> None:
    geometry = geometry_of(landscape(0.2)[0])
    zones = geometry.zones
    assert zones.shape == (120, 160)
    assert zones.max() < N_ZONES
    assert zones[0].max() == UPPER_SKY
    lowest = (zones == HORIZON_SKY).any(axis=0)
    assert lowest.mean() > 0.9
    assert (np.diff(zones.astype(int), axis=0)[:20] >= 0).all()
    ground = geometry.bands[2::4, 1::4] > SKY
    assert np.mean((zones >= 3) == ground) > 0.98


def test_rough_pictures_have_no_sky() -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    geometry = geometry_of(np.kron(blocks, np.ones((8, 8, 1), np.uint8)))
    assert geometry.confidence == 0.0
    assert not geometry.skyline.any()
    assert {int(band) for band in np.unique(geometry.bands)} == {FAR, MID, NEAR}


@pytest.mark.parametrize("colour", [(90, 150, 60), (150, 40, 120)])
def test_a_plain_wall_in_a_colour_no_sky_has_is_no_sky(colour: tuple[int, int, int]) -> None:
    geometry = geometry_of(np.full((480, 640, 3), colour, np.uint8))
    assert geometry.confidence == 0.0
    assert not geometry.skyline.any()


def test_nothing_but_sky_has_no_ground() -> None:
    blue = np.linspace((90, 130, 200), (150, 180, 220), 480).round().astype(np.uint8)
    geometry = geometry_of(np.repeat(blue[:, None], 640, axis=1))
    assert geometry.confidence == 0.5
    assert (geometry.skyline == 480).all()
    assert not geometry.bands.any()


@pytest.mark.parametrize(
    "name",
    [
        "india_nepal/images/dimapur_20230202_0900_07.jpg",
        "india_nepal/images/delhi_20230207_1400_10.jpg",
    ],
)
def test_photos_of_trees_and_pavement_have_no_sky(name: str) -> None:
    geometry = geometry_of(real_photo(name))
    assert geometry.confidence == 0.0
    assert not geometry.skyline.any()


def test_one_camera_keeps_one_skyline_by_day_and_by_night() -> None:
    labels = DATASETS / "milan" / "labels.csv"
    if not labels.exists():
        pytest.skip("the Milan photos are not here")
    with labels.open() as lines:
        files = [row["file"] for row in csv.DictReader(lines)][::12]
    rows = [float(np.median(geometry_of(real_photo(f"milan/{name}")).skyline)) for name in files]
    # Its roofs stand 133 rows below the upper border of 304.
    assert np.mean(np.abs(np.array(rows) - 134) < 16) >= 0.9


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 20))
def test_cells_under_the_skyline_are_the_ground(seed: int, rows: int, columns: int) -> None:
    height, width = 240, 320
    skyline = np.random.default_rng(seed).integers(0, height + 1, width).astype(np.int32)
    geometry = PictureGeometry(np.zeros((height, width), np.uint8), skyline, 1.0)
    share = geometry.under_skyline(rows, columns)
    assert share.shape == (rows, columns)
    assert ((share >= 0) & (share <= 1)).all()
    assert (np.diff(share, axis=0) >= 0).all()  # sky above, ground below
    assert share.mean() == pytest.approx(1 - geometry.sky_share, abs=1e-6)
