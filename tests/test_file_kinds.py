"""One picture in every kind of file: the same answer, as far as the file holds the same pixels."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from features.errors import PhotoError
from handlers.predictor import Predictor
from tests.photo_files import ORIENTATIONS
from tests.serving import METADATA, scene

PICTURE = scene(40.0)
Pixels = NDArray[np.uint8]


def saved(picture: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(pixels: NDArray[Any]) -> bytes:
    """RGB(A) or grey pixels of 8 or 16 bits as PNG."""
    order = {2: slice(None), 3: [2, 1, 0], 4: [2, 1, 0, 3]}[
        pixels.shape[2] if pixels.ndim > 2 else 2
    ]
    stored = pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., order])
    return cv2.imencode(".png", stored)[1].tobytes()


def with_alpha(pixels: Pixels, alpha: int) -> Pixels:
    return np.dstack([pixels, np.full(pixels.shape[:2], alpha, np.uint8)])


def turned(orientation: int, kind: str) -> bytes:
    """As a camera saves it that was held so: the sensor's picture, and a tag that turns it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(PICTURE).transpose(ORIENTATIONS[orientation])
    return saved(
        stored, kind, exif=exif.tobytes(), **({"lossless": True} if kind == "WEBP" else {})
    )


def answer(predictor: Predictor, data: bytes) -> dict[str, Any]:
    return dict(predictor.answer(data, METADATA))


@pytest.fixture(scope="module")
def of_png(predictor: Predictor) -> dict[str, Any]:
    return answer(predictor, png(PICTURE))


GREY = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY)
SAME_PIXELS: dict[str, bytes] = {
    "PNG, 16 bits": png(PICTURE.astype(np.uint16) * 257),
    "PNG, half transparent": png(with_alpha(PICTURE, 128)),
    "PNG, wholly transparent": png(with_alpha(PICTURE, 0)),
    "PNG, interlaced writer": saved(PICTURE, "PNG", optimize=True),
    "WebP, lossless": saved(PICTURE, "WEBP", lossless=True),
    "WebP, lossless, opaque alpha": saved(with_alpha(PICTURE, 255), "WEBP", lossless=True),
    **{f"PNG, orientation {o}": turned(o, "PNG") for o in (2, 3, 4)},
    **{f"WebP, orientation {o}": turned(o, "WEBP") for o in (2, 3)},
}


@pytest.mark.parametrize("kind", SAME_PIXELS)
def test_the_same_pixels_get_the_same_answer(
    predictor: Predictor, of_png: dict[str, Any], kind: str
) -> None:
    assert answer(predictor, SAME_PIXELS[kind]) == of_png


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_photo_that_was_held_upright_is_answered_as_the_others(
    predictor: Predictor, of_png: dict[str, Any], orientation: int, kind: str
) -> None:
    """Columns and rows of a stored picture are scaled with different roundings: not to the bit."""
    found = answer(predictor, turned(orientation, kind))
    assert found["pm25_estimate"] == pytest.approx(of_png["pm25_estimate"], rel=0.01)


def test_grey_is_grey_however_it_is_stored(predictor: Predictor) -> None:
    as_grey = answer(predictor, png(GREY))
    with_alpha_channel = saved(Image.fromarray(GREY).convert("LA"), "PNG")
    for data in (
        png(np.dstack([GREY] * 3)),
        png(GREY.astype(np.uint16) * 257),
        with_alpha_channel,
        saved(np.dstack([GREY] * 3), "WEBP", lossless=True),
    ):
        assert answer(predictor, data) == as_grey


def test_a_progressive_jpeg_is_answered_as_a_baseline_one(predictor: Predictor) -> None:
    """Both hold the same coefficients."""
    baseline = saved(PICTURE, "JPEG", quality=90)
    for options in ({"progressive": True}, {"optimize": True}):
        assert answer(predictor, saved(PICTURE, "JPEG", quality=90, **options)) == answer(
            predictor, baseline
        )


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("JPEG", saved(PICTURE, "JPEG", quality=95, subsampling=0)),
        ("JPEG, turned", turned(6, "JPEG")),
        ("CMYK", saved(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95)),
        ("WebP", saved(PICTURE, "WEBP", quality=95)),
        ("palette", saved(Image.fromarray(PICTURE).quantize(256), "PNG")),
    ],
)
def test_what_loses_a_little_moves_the_answer_a_little(
    predictor: Predictor, of_png: dict[str, Any], kind: str, data: bytes
) -> None:
    found = answer(predictor, data)
    assert found["pm25_estimate"] == pytest.approx(of_png["pm25_estimate"], rel=0.15), kind
    assert found["camera_reference"] is None


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1", b"avif"])
def test_heic_is_told_how_to_become_a_jpeg(predictor: Predictor, brand: bytes) -> None:
    with pytest.raises(PhotoError) as caught:
        answer(predictor, b"\0\0\0\x18ftyp" + brand + bytes(4096))
    assert (caught.value.status, caught.value.code) == (415, "unsupported_media_type")
    assert "Convert it to JPEG" in caught.value.how_to_fix
