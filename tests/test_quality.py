"""The verdict on a photo: what must be refused, what must be said, and that haze is neither."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.light import light_of
from features.photo import Photo, decode_photo, photo_from_pixels
from features.quality import ImageQualityValidator, ImageValidationResult
from features.scene import scene_of
from tests.added_haze import hazy_series
from training.rendering.renderer import draw_moment, draw_place, render

Picture = NDArray[np.uint8]
DATASETS = Path(__file__).parents[2] / "shared" / "datasets"


@cache
def scene(seed: int = 0, width: int = 960, height: int = 720) -> Picture:
    """Sky above hills, a town of sharp blocks below: contrast in every octave."""
    rng = np.random.default_rng(seed)
    picture = np.empty((height, width, 3), dtype=np.float32)
    picture[:] = (165, 195, 225)
    ground = height // 3
    picture[ground:] = (95, 110, 85)
    for _ in range(400):
        x, y = rng.integers(0, width), rng.integers(ground, height)
        size = rng.integers(6, 20) + (y - ground) // 12
        colour = tuple(map(float, rng.uniform(40, 200) + rng.normal(0, 12, 3)))
        cv2.rectangle(picture, (int(x), int(y)), (int(x + size), int(y + size)), colour, -1)
    picture += rng.normal(0, 3, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def hazed(picture: Picture, extinction: float) -> Picture:
    """Koschmieder's I t + A (1 - t) in linear light; `extinction` times the farthest distance."""
    height = picture.shape[0]
    rows = np.arange(height, dtype=np.float64)
    ground = height // 3
    near = np.clip((rows - ground) / (height - ground), 0.02, 1)
    distance = np.where(rows < ground, 1.0, 0.02 / near)[:, None, None]
    transmission = np.exp(-extinction * distance)
    linear = (picture / 255.0) ** 2.2
    mixed = linear * transmission + 0.75 * (1 - transmission)
    return np.rint(255 * mixed ** (1 / 2.2)).clip(0, 255).astype(np.uint8)


def judged(picture: Picture, min_side: int = 512) -> ImageValidationResult:
    return verdict_on(photo_from_pixels(picture), min_side)


def verdict_on(photo: Photo, min_side: int = 512) -> ImageValidationResult:
    return ImageQualityValidator(min_side).validate(photo, scene_of(light_of(photo.pixels)))


def codes(result: ImageValidationResult) -> set[str]:
    return {issue.code for issue in result.issues}


def blurred(sigma: float) -> Callable[[Picture], Picture]:
    return lambda picture: cv2.GaussianBlur(picture, (0, 0), sigma)


def moved(picture: Picture) -> Picture:
    return cv2.blur(picture, (31, 1))


def darkened(factor: float) -> Callable[[Picture], Picture]:
    return lambda picture: (picture * factor).astype(np.uint8)


def framed(picture: Picture) -> Picture:
    return cv2.copyMakeBorder(picture, 50, 50, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0))


def overexposed(picture: Picture) -> Picture:
    return (picture.astype(float) * 1.9).clip(0, 255).astype(np.uint8)


def against_the_light(picture: Picture) -> Picture:
    dark = picture.astype(float)
    dark[picture.shape[0] // 3 :] = (dark[picture.shape[0] // 3 :] - 70).clip(0, 255)
    return dark.astype(np.uint8)


def under_tungsten(picture: Picture) -> Picture:
    return (picture * np.array([1.3, 0.7, 0.35])).clip(0, 255).astype(np.uint8)


def with_drops(picture: Picture) -> Picture:
    """Unsharp discs of the scene upside down, as water on the lens shows it."""
    mask = np.zeros(picture.shape[:2], np.float32)
    for x, y in ((200, 500), (480, 420), (700, 560), (330, 640), (860, 470)):
        cv2.circle(mask, (x, y), 55, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 6)[:, :, None]
    inside = cv2.GaussianBlur(picture[::-1], (0, 0), 20).astype(np.float32)
    return (picture * (1 - mask) + 0.8 * inside * mask).astype(np.uint8)


def with_finger(picture: Picture) -> Picture:
    mask = np.zeros(picture.shape[:2], np.float32)
    cv2.circle(mask, (0, picture.shape[0]), 420, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 25)[:, :, None]
    skin = np.array([190, 120, 90], np.float32)
    return (picture * (1 - mask) + skin * mask).astype(np.uint8)


def near_ground_alone(picture: Picture) -> Picture:
    rng = np.random.default_rng(5)
    leaves = rng.integers(20, 120, (picture.shape[0] // 6, picture.shape[1] // 6, 1))
    green = (leaves * np.array([0.5, 1.0, 0.4])).astype(np.uint8)
    return cv2.resize(green, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def sky_alone(picture: Picture) -> Picture:
    rng = np.random.default_rng(6)
    rows = np.linspace(0, 1, picture.shape[0])[:, None, None]
    sky = np.array([90, 140, 215]) * (1 - rows) + np.array([190, 205, 225]) * rows
    return (sky + rng.normal(0, 2, picture.shape)).clip(0, 255).astype(np.uint8)


def page_of_text(picture: Picture) -> Picture:
    page = np.full(picture.shape, 225, np.uint8)
    for y in range(50, picture.shape[0] - 20, 36):
        cv2.putText(page, "haze city valley morning report sensor " * 2, (30, y), 0, 0.8, (40,) * 3)
    return page


@pytest.mark.parametrize("seed", range(3))
def test_a_good_photo_is_good(seed: int) -> None:
    result = judged(scene(seed))
    assert result.is_valid
    assert result.issues == ()
    assert result.quality_score > 0.8


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (blurred(4), "blurred"),
        (moved, "blurred"),
        (darkened(0.5), "night"),
        (darkened(0.1), "too_dark"),
        (framed, "borders"),
        (overexposed, "overexposed"),
        (against_the_light, "underexposed"),
        (under_tungsten, "white_balance"),
        (with_drops, "obstructed"),
        (with_finger, "obstructed"),
        (near_ground_alone, "no_sky"),
        (sky_alone, "no_ground"),
        (page_of_text, "not_outdoors"),
    ],
)
def test_damage_is_named_and_costs_quality_but_does_not_refuse(
    damage: Callable[[Picture], Picture], code: str
) -> None:
    result = judged(damage(scene()))
    assert result.is_valid
    assert code in codes(result)
    assert all(issue.severity == "warning" for issue in result.issues)
    assert all(issue.detail and issue.how_to_fix for issue in result.issues)
    assert 0 <= result.quality_score <= 0.5


@pytest.mark.parametrize("level", [0, 40, 128, 255])
def test_a_picture_of_nothing_is_refused(level: int) -> None:
    rng = np.random.default_rng(1)
    grain = rng.normal(level, 1, (720, 960, 1)).clip(0, 255).astype(np.uint8)
    result = judged(np.repeat(grain, 3, axis=2))
    assert not result.is_valid
    assert result.issues[0].code == "featureless"
    assert result.quality_score == 0


@pytest.mark.parametrize("grey", [127, 128])
@pytest.mark.parametrize("left", [0.3, 0.9])
def test_a_file_without_its_end_is_refused(left: float, grey: int) -> None:
    picture = scene().copy()
    picture[round(left * len(picture)) :] = grey
    result = judged_file(jpeg(picture, 92))
    assert not result.is_valid
    assert "truncated" in codes(result)


def test_a_download_that_was_closed_is_refused() -> None:
    data = jpeg(scene(), 92)
    assert "truncated" in codes(judged_file(data[: len(data) // 2] + b"\xff\xd9"))


def test_a_grey_road_is_no_missing_end() -> None:
    picture = scene().copy()
    road = np.random.default_rng(0).normal(128, 3, picture[600:].shape)
    picture[600:] = road.clip(0, 255).astype(np.uint8)
    assert "truncated" not in codes(judged(picture))


def test_a_white_sky_is_not_overexposed_and_white_ground_is() -> None:
    picture = scene().copy()
    picture[:240] = 255
    assert "overexposed" not in codes(judged(picture))
    assert "overexposed" in codes(judged(overexposed(picture)))


@pytest.mark.parametrize(("short", "refused"), [(511, True), (512, False), (1080, False)])
def test_the_short_side_of_the_original_decides(short: int, refused: bool) -> None:
    for width, height in ((short, short + 200), (short + 200, short)):
        result = judged(cv2.resize(scene(), (width, height), interpolation=cv2.INTER_AREA))
        assert ("too_small" in codes(result)) is refused
        assert result.is_valid is not refused


def test_the_limit_is_a_setting() -> None:
    small = cv2.resize(scene(), (224, 224), interpolation=cv2.INTER_AREA)
    assert not judged(small).is_valid
    result = judged(small, min_side=200)
    assert result.is_valid
    assert "blurred" not in codes(result)  # soft by its size, not by its focus


def test_one_pixel_is_judged_too() -> None:
    assert codes(judged(np.zeros((1, 1, 3), dtype=np.uint8))) >= {"too_small", "featureless"}


@pytest.mark.parametrize("extinction", [1, 4, 16, 32])
@pytest.mark.parametrize("seed", range(3))
def test_added_haze_is_never_refused_nor_called_blur(extinction: float, seed: int) -> None:
    """Up to 32 times the extinction that leaves a third of the skyline's contrast."""
    result = judged(hazed(scene(seed), extinction))
    assert result.is_valid
    assert not codes(result) & {"featureless", "blurred", "night", "white_balance", "no_sky"}
    assert result.quality_score > 0.5


@settings(max_examples=8, deadline=None)
@given(st.floats(0.1, 1.0), st.floats(0.5, 0.9))
def test_a_uniform_veil_is_not_blur(transmission: float, airlight: float) -> None:
    linear = (scene() / 255.0) ** 2.2
    veiled = 255 * (linear * transmission + airlight * (1 - transmission)) ** (1 / 2.2)
    result = judged(np.rint(veiled).astype(np.uint8))
    assert result.is_valid
    assert "blurred" not in codes(result)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 64), st.integers(1, 64))
def test_any_picture_gets_a_verdict(seed: int, width: int, height: int) -> None:
    rng = np.random.default_rng(seed)
    width, height = min(width, 3 * height), min(height, 3 * width)
    low, high = sorted(rng.integers(0, 257, 2))
    picture = rng.integers(low, max(high, low + 1), (height, width, 3)).astype(np.uint8)
    result = judged(picture)
    assert 0 <= result.quality_score <= 1
    severities = [issue.severity for issue in result.issues]
    assert severities == sorted(severities)
    assert result.is_valid is ("error" not in severities)


def webcam_photos(condition: Callable[[int], bool], every: int) -> list[Photo]:
    labels = DATASETS / "milan" / "labels.csv"
    if not labels.exists():
        pytest.skip("the data set 'milan' is not beside the repository")
    with labels.open() as lines:
        rows = [row for row in csv.DictReader(lines) if condition(int(row["captured_at"][11:13]))]
    return [decode_photo((labels.parent / row["file"]).read_bytes()) for row in rows[::every]]


def test_real_photos_by_day_pass_and_by_night_are_called_so() -> None:
    by_day = webcam_photos(lambda hour: 10 <= hour <= 14, every=8)
    by_night = webcam_photos(lambda hour: hour >= 21 or hour <= 4, every=4)
    for photo in by_day:
        assert codes(verdict_on(photo)) == set()
    called = ["night" in codes(verdict_on(photo)) for photo in by_night]
    assert np.mean(called) > 0.8
    assert all(verdict_on(photo).is_valid for photo in by_night)


def test_haze_added_to_real_photos_is_not_refused() -> None:
    for photo in webcam_photos(lambda hour: 10 <= hour <= 14, every=16):
        for extinction in (1, 4, 16):
            result = judged(hazed(photo.pixels, extinction), min_side=200)
            assert result.is_valid
            assert not codes(result) & {"blurred", "featureless"}


def test_haze_that_grows_toward_the_horizon_is_no_flaw() -> None:
    """Not even where a slow veil is all that the upper rows show."""
    for photo in webcam_photos(lambda hour: 10 <= hour <= 14, every=24):
        for picture in hazy_series(photo.pixels, "milan_south"):
            assert codes(judged(picture, min_side=200)) == set()


@pytest.mark.parametrize("place", range(3))
def test_the_air_of_a_rendered_place_changes_no_verdict(place: int) -> None:
    rng = np.random.default_rng([11, place])
    scene = draw_place(rng)
    moment = draw_moment(rng, scene, pm25=5.0)
    for pm25 in (5.0, 50.0, 400.0):
        air = replace(moment.air, pm25=pm25)
        result = judged(render(scene, replace(moment, air=air), 800, 600))
        assert result.is_valid
        unfit = {"blurred", "no_sky", "no_ground", "obstructed", "not_outdoors"}
        assert not codes(result) & unfit


def judged_file(data: bytes) -> ImageValidationResult:
    return verdict_on(decode_photo(data))


def jpeg(picture: Picture, quality: int) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@pytest.mark.parametrize(("quality", "said"), [(95, False), (60, False), (50, True), (20, True)])
def test_strong_compression_is_said_and_not_refused(quality: int, said: bool) -> None:
    verdict = judged_file(jpeg(scene(), quality))
    assert ("strong_compression" in codes(verdict)) == said
    assert verdict.is_valid


def test_how_strong_compression_is_judged_does_not_depend_on_haze() -> None:
    for extinction in (0.0, 0.5, 2.0):
        for quality in (90, 30):
            found = codes(judged_file(jpeg(hazed(scene(), extinction), quality)))
            assert ("strong_compression" in found) == (quality == 30)


@pytest.mark.parametrize(
    ("time_s", "f_number", "iso", "said"),
    [(0.01, 16.0, 100.0, False), (0.004, 1.8, 50.0, False), (1 / 30, 1.8, 800.0, True)],
)
def test_a_room_is_dim_and_daylight_is_not(
    time_s: float, f_number: float, iso: float, said: bool
) -> None:
    photo = replace(photo_from_pixels(scene()), exposure_time_s=time_s, f_number=f_number, iso=iso)
    verdict = verdict_on(photo)
    assert ("dim_scene" in codes(verdict)) == said
    assert verdict.is_valid


@pytest.mark.parametrize("seed", range(3))
def test_an_enlarged_thumbnail_is_called_so(seed: int) -> None:
    picture = scene(seed, 1440, 1080)
    small = cv2.resize(picture, (200, 150), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(small, (1440, 1080), interpolation=cv2.INTER_CUBIC)
    assert "upscaled" not in codes(judged(picture))
    assert "upscaled" in codes(judged(enlarged))
    assert judged(enlarged).is_valid


@given(st.floats(0.05, 1.0), st.integers(0, 2))
def test_a_veil_does_not_make_a_photo_look_enlarged(transmission: float, seed: int) -> None:
    veiled = scene(seed) * transmission + 200 * (1 - transmission)
    assert "upscaled" not in codes(judged(np.rint(veiled).astype(np.uint8)))
