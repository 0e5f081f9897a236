"""Photo files of one scene, whole and as a claim, and how a file is refused."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from features.errors import PhotoError
from features.photo import Photo, decode_photo, photo_from_pixels

# What a camera that is held so does to its picture, by EXIF's number for it.
ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def scene(width: int = 800, height: int = 600, seed: int = 0) -> NDArray[np.uint8]:
    """Sky above, textured ground below, a red roof on the left: no symmetry that hides a flip."""
    rng = np.random.default_rng(seed)
    picture = np.empty((height, width, 3), dtype=np.float32)
    picture[: height // 2] = (150, 190, 230)
    picture[height // 2 :] = (90, 110, 60)
    picture[height // 3 : height * 2 // 3, width // 8 : width // 4] = (200, 60, 40)
    coarse = rng.normal(0, 12, (height // 8 + 1, width // 8 + 1)).astype(np.float32)
    picture += cv2.resize(coarse, (width, height))[..., None]
    return picture.clip(0, 255).astype(np.uint8)


def encoded(pixels: NDArray[np.uint8], kind: str = "JPEG", **options: object) -> bytes:
    buffer = BytesIO()
    if kind == "JPEG":
        options = {"quality": 95, **options}
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def refused(data: bytes, code: str, status: int) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        decode_photo(data)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.how_to_fix
    return caught.value


def difference(one: Photo, other: Photo) -> float:
    return float(np.abs(one.pixels.astype(float) - other.pixels.astype(float)).mean())


def claimed_png(width: int, height: int) -> bytes:
    """A PNG whose header promises width × height pixels, and whose data hold next to none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


TRUTH = photo_from_pixels(scene())
JPEG, PNG, WEBP = encoded(scene()), encoded(scene(), "PNG"), encoded(scene(), "WEBP")
FILES = {"jpeg": JPEG, "progressive": encoded(scene(), progressive=True), "png": PNG, "webp": WEBP}
