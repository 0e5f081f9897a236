"""Maps over a photo: they lie on what they speak of, and a viewer can decode them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.views import MILAN, milan_by_day
from features.haze import FAMILY, haze_features, transmission_map
from features.light import Light, light_of
from features.overlay import LEVELS, overlays_of
from features.photo import decode_photo
from features.sky import FAR, FAR_ZONE, SKY, picture_geometry
from tests.added_haze import horizon_row
from tests.landscape import DATASETS, landscape
from tests.serving import jpeg


def decoded(png: bytes) -> NDArray[np.uint8]:
    """(H, W, 4) BGRA."""
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def shown(light: Light) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Where the sky's map is drawn (H, W), and how opaque the transmission's is (H, W)."""
    overlays = overlays_of(light)
    return decoded(overlays.sky)[:, :, 3] > 0, decoded(overlays.transmission)[:, :, 3]


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (304, 640), (427, 639), (214, 641)])
def test_maps_have_the_photos_size(size: tuple[int, int]) -> None:
    pixels, _ = landscape(0.5, height=size[0], width=size[1])
    overlays = overlays_of(light_of(pixels))
    assert (overlays.height, overlays.width) == size
    for png in (overlays.sky, overlays.transmission):
        assert png.startswith(b"\x89PNG")
        assert decoded(png).shape == (*size, 4)


@pytest.mark.parametrize("extinction", [0.1, 0.7])
def test_the_sky_is_blue_where_there_is_sky_and_nowhere_else(extinction: float) -> None:
    pixels, skyline = landscape(extinction)
    sky, haze = shown(light_of(pixels))
    truth = np.arange(len(pixels))[:, None] < skyline
    assert np.mean(sky == truth) > 0.97
    assert not haze[sky].any()


def test_more_haze_covers_more_and_most_of_all_what_is_far() -> None:
    opacity = {}
    for extinction in (0.1, 1.0):
        pixels, _ = landscape(extinction)
        light = light_of(pixels)
        _, haze = shown(light)
        opacity[extinction] = haze
        far = picture_geometry(light).bands == FAR
        assert haze[far].mean() > haze[-100:].mean()
    assert opacity[1.0].mean() > 1.5 * opacity[0.1].mean()


def test_the_map_is_what_the_features_are_read_from() -> None:
    pixels, _ = landscape(0.5)
    light = light_of(pixels)
    geometry = picture_geometry(light)
    transmission = transmission_map(light, geometry)
    features = haze_features(light, geometry)
    assert np.isnan(transmission[geometry.zones < FAR_ZONE]).all()
    assert np.nanmean(transmission) == pytest.approx(features["ground_transmission_mean"], abs=1e-3)
    assert "ground_transmission_mean" in FAMILY.names
    haze = decoded(overlays_of(light).transmission)[2::4, 2::4, 3].astype(float)
    ground = geometry.bands[2::4, 2::4] != SKY
    lost = 1.0 - transmission
    both = ground & np.isfinite(lost)
    assert np.abs(haze / 200 - lost)[both].max() <= 0.5 / (LEVELS - 1) + 0.003


def test_maps_of_a_turned_photo_are_upright() -> None:
    """The camera was held on its side: EXIF says so, and the maps follow."""
    pixels = cv2.imdecode(np.frombuffer(jpeg(40.0), np.uint8), cv2.IMREAD_COLOR)
    lying = cv2.imencode(".jpg", cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE))[1].tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = lying[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + lying[2:]
    photo = decode_photo(turned)
    overlays = overlays_of(light_of(photo.pixels))
    assert (photo.original_width, photo.original_height) == (1024, 768)
    assert (overlays.width, overlays.height) == (640, 480)
    sky = decoded(overlays.sky)[:, :, 3] > 0
    assert sky[:40].mean() > 0.5
    assert not sky[-100:].any()


@pytest.mark.parametrize("picture", ["noise", "black", "white", "grain"])
def test_no_picture_makes_maps_that_a_reply_cannot_carry(picture: str) -> None:
    """32 photos at once must fit the server's 4 MiB, in base64 and beside their answers."""
    rng = np.random.default_rng(1)
    shape = (640, 640, 3)
    grain = np.repeat(np.repeat(rng.integers(0, 256, (160, 160, 3), np.uint8), 4, 0), 4, 1)
    pixels = {
        "noise": rng.integers(0, 256, shape, dtype=np.uint8),
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
        "grain": grain,
    }[picture]
    overlays = overlays_of(light_of(pixels))
    assert len(overlays.sky) + len(overlays.transmission) < 60_000


@pytest.mark.skipif(not MILAN.is_dir(), reason=f"{DATASETS} is absent")
def test_on_real_photos_the_sky_ends_at_the_horizon() -> None:
    """Of one camera, whose horizon does not move: towers reach above it, nothing blue below."""
    for view in milan_by_day()[::16]:
        sky, _ = shown(light_of(decode_photo(view.photo.path.read_bytes()).pixels))
        horizon = horizon_row(len(sky), "milan_south")
        assert sky[: int(0.6 * horizon)].mean() > 0.97, view.photo.file
        assert sky[int(1.25 * horizon) :].mean() < 0.02, view.photo.file
