"""What a file says of its making: read exactly, never raised over, and never a feature."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from io import BytesIO

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from features.capture import Capture, capture_of, jpeg_quality
from features.deep import FAMILY as DEEP
from features.errors import PhotoError
from features.extractor import ScientificFeatureExtractor
from features.light import Light
from features.meteorology import FAMILY as METEOROLOGY
from features.photo import Photo, decode_photo, photo_from_pixels
from features.scene import scene_of
from handlers.estimator import PM25Estimator
from tests.landscape import landscape

EXPOSURE_TIME, F_NUMBER, ISO, EXIF_IFD = 0x829A, 0x829D, 0x8827, 0x8769


def saved(
    quality: int = 90, exposure: Mapping[int, object] | None = None, **options: object
) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD).update(exposure or {})
    buffer = BytesIO()
    picture = Image.fromarray(landscape(0.5)[0])
    picture.save(buffer, "JPEG", quality=quality, exif=exif, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("quality", range(1, 101, 3))
@pytest.mark.parametrize("subsampling", [0, 2])
def test_the_quality_of_pillow_is_found_again(quality: int, subsampling: int) -> None:
    photo = decode_photo(saved(quality, subsampling=subsampling))
    assert capture_of(photo).jpeg_quality == quality


@pytest.mark.parametrize("quality", [10, 50, 75, 95, 100])
def test_the_quality_of_opencv_is_found_again(quality: int) -> None:
    data = cv2.imencode(".jpg", landscape(0.5)[0], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    assert capture_of(decode_photo(data.tobytes())).jpeg_quality == quality


def test_progressive_files_and_tables_of_two_bytes_are_read() -> None:
    assert capture_of(decode_photo(saved(35, progressive=True))).jpeg_quality == 35
    # A DQT of 16-bit numbers (Pq = 1): a table that no 8-bit file can hold is still the worst.
    table = np.full(64, 900, ">u2").tobytes()
    data = b"\xff\xd8\xff\xdb" + (2 + 1 + 128).to_bytes(2, "big") + b"\x10" + table + b"\xff\xda"
    photo = Photo(np.zeros((480, 640, 3), np.uint8), 640, 480, "image/jpeg", data)
    assert capture_of(photo).jpeg_quality == 1


@given(st.integers(1, 100), st.floats(0.9, 1.1))
def test_a_nearby_table_has_a_nearby_quality(quality: int, factor: float) -> None:
    data = saved(quality)
    start = data.index(b"\xff\xdb") + 5
    table = np.frombuffer(data[start : start + 64], np.uint8)
    found = jpeg_quality(np.rint(table * factor).astype(np.int64))
    # 10 % of a table are 10 % of its factor: 200 − 2 q, or 5000 / q below 50.
    assert abs(found - quality) <= 0.11 * min(quality, 100 - quality) + 3


def test_other_formats_and_bare_pixels_have_no_jpeg_quality() -> None:
    png = cv2.imencode(".png", landscape(0.5)[0])[1].tobytes()
    bare = photo_from_pixels(landscape(0.5)[0])
    for photo in (decode_photo(png), bare):
        capture = capture_of(photo)
        assert (capture.width, capture.height) == (640, 480)
        assert capture.jpeg_quality is None and capture.exposure_value is None


def test_exposure_data_give_the_exposure_value() -> None:
    sunny = {EXPOSURE_TIME: IFDRational(1, 100), F_NUMBER: 16.0, ISO: 100}
    capture = capture_of(decode_photo(saved(exposure=sunny)))
    assert (capture.exposure_time_s, capture.f_number, capture.iso) == (0.01, 16.0, 100.0)
    assert capture.exposure_value == pytest.approx(14.64, abs=0.01)


@pytest.mark.parametrize(
    "exposure",
    [
        {},
        {EXPOSURE_TIME: IFDRational(1, 100), F_NUMBER: 2.8},
        {EXPOSURE_TIME: IFDRational(0, 0), F_NUMBER: 2.8, ISO: 100},
        {EXPOSURE_TIME: 0.01, F_NUMBER: IFDRational(0, 1), ISO: 100},
        {EXPOSURE_TIME: 0.01, F_NUMBER: 2.8, ISO: 0},
        {EXPOSURE_TIME: "soon", F_NUMBER: 2.8, ISO: 100},
    ],
)
def test_exposure_data_that_are_missing_or_senseless_are_unknown(
    exposure: dict[int, object],
) -> None:
    assert capture_of(decode_photo(saved(exposure=exposure))).exposure_value is None


@given(st.binary(max_size=400), st.integers(0, 700), st.integers(0, 255))
def test_no_bytes_make_it_raise(tail: bytes, position: int, byte: int) -> None:
    pixels = np.zeros((480, 640, 3), np.uint8)
    spoilt = bytearray(saved())
    spoilt[position] = byte
    for data in (b"\xff\xd8\xff" + tail, bytes(spoilt)):
        capture = capture_of(Photo(pixels, 640, 480, "image/jpeg", data))
        assert capture.jpeg_quality is None or 1 <= capture.jpeg_quality <= 100
    with suppress(PhotoError):
        capture_of(decode_photo(bytes(spoilt)))


def test_the_extractor_cannot_see_it() -> None:
    """A scene is of light alone, which is pixels and by how much they were enlarged: equal ones
    give equal features, whatever the file says.
    """
    parameters = inspect.signature(ScientificFeatureExtractor().extract).parameters
    taken = {name: p.annotation for name, p in parameters.items()}
    assert taken == {"scene": "Scene", "families": "Collection[str] | None"}
    assert list(inspect.signature(scene_of).parameters) == ["light"]
    assert [field.name for field in fields(Light)] == ["srgb", "enlargement"]
    picture = landscape(0.5)[0]

    def features(photo: Photo) -> str:
        return str(ScientificFeatureExtractor().extract(scene_of(photo.light())))

    one = Photo(picture, 640, 480, "image/jpeg", saved(30), iso=100.0, f_number=2.0)
    other = Photo(picture, 4000, 3000, "image/png", b"", exposure_time_s=0.5)
    assert capture_of(one) != capture_of(other)
    assert features(one) == features(other)


def test_enlargement_only_evens_out_what_the_network_is_shown() -> None:
    extractor = ScientificFeatureExtractor()
    pixels = landscape(0.5)[0]
    usual, enlarged = (extractor.extract(scene_of(Light(pixels, times))) for times in (1.0, 4.0))
    moved = {
        name
        for name, value in usual.items()
        if not np.array_equal(value, enlarged[name], equal_nan=True)
    }
    assert moved
    assert moved <= set(DEEP.names)


def test_nothing_of_it_is_a_column_of_any_pipeline(estimator: PM25Estimator) -> None:
    of_capture = {field.name for field in fields(Capture)} | {"exposure_value"}
    names = {*ScientificFeatureExtractor().names, *METEOROLOGY.names, *estimator.names}
    assert not of_capture & names
    words = ("jpeg", "iso", "exposure", "f_number", "resolution", "megapixel", "original", "bytes")
    assert not [name for name in names if set(words) & set(name.split("_"))]
    assert estimator.names == (*ScientificFeatureExtractor().names, *METEOROLOGY.names)


def test_exposure_data_leave_the_pixels_as_they_are() -> None:
    exposure = {EXPOSURE_TIME: 0.01, F_NUMBER: 2.8, ISO: 400}
    plain: NDArray[np.uint8] = decode_photo(saved()).pixels
    assert np.array_equal(plain, decode_photo(saved(exposure=exposure)).pixels)
