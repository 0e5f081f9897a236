"""Changes of a photo whose effect on the estimate is known: haze above all.

Nothing here reads `features/`, so that no error there can hide itself. Pictures are (H, W, 3)
uint8, sRGB in RGB order; light is linear [0..1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

OPTICAL_DEPTHS = (0.1, 0.2, 0.4, 0.8, 1.6)  # of the horizon

# The row of the horizon as a share of the height, of every camera that stands still.
HORIZON_SHARES = {"milan_south": 0.46}
UNKNOWN_HORIZON = 0.5

_CODES = np.arange(256) / 255.0
_TO_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)
_TO_LINEAR_F32 = _TO_LINEAR.astype(np.float32)
_FINE = np.arange(65536) / 65535.0
_TO_CODE = np.rint(
    255 * np.where(_FINE <= 0.0031308, 12.92 * _FINE, 1.055 * _FINE ** (1 / 2.4) - 0.055)
).astype(np.uint8)


def to_linear(picture: Picture) -> NDArray[np.float32]:
    """(H, W, 3) linear light [0..1] (IEC 61966-2-1)."""
    return np.asarray(cv2.LUT(picture, _TO_LINEAR_F32), dtype=np.float32)


def to_picture(linear: NDArray[np.float32]) -> Picture:
    """The sRGB codes of linear light; what is brighter than white is white."""
    fine = np.minimum(linear * np.float32(65535) + np.float32(0.5), np.float32(65535))
    return np.asarray(cv2.LUT(fine.astype(np.uint16), _TO_CODE), dtype=np.uint8)


def horizon_row(height: int, camera: str | None = None) -> int:
    """The row of the horizon: known for a fixed camera, the middle one otherwise."""
    return round(HORIZON_SHARES.get(camera or "", UNKNOWN_HORIZON) * height)


def airlight(picture: Picture) -> NDArray[np.float32]:
    """(3,) linear: the 99th percentile of each channel."""
    counts = np.stack(
        [np.bincount(channel.ravel(), minlength=256) for channel in cv2.split(picture)]
    )
    running = np.cumsum(counts, axis=1)
    codes = (running < 0.99 * running[:, -1:]).sum(axis=1)
    return _TO_LINEAR_F32[codes]


def with_added_haze(picture: Picture, optical_depth: float, horizon: int) -> Picture:
    """The picture in more haze: I·t + A·(1 − t) in linear light, t = exp(−depth of the row).

    The depth rises linearly from 0 in the lowest row to `optical_depth` in row `horizon`, and
    keeps that value above it.
    """
    return _hazy(to_linear(picture), airlight(picture), optical_depth, horizon)


def hazy_series(picture: Picture, camera: str | None = None) -> list[Picture]:
    """The picture itself, then in haze of each of OPTICAL_DEPTHS."""
    row = horizon_row(len(picture), camera)
    linear, air = to_linear(picture), airlight(picture)
    return [picture, *(_hazy(linear, air, depth, row) for depth in OPTICAL_DEPTHS)]


def _hazy(
    linear: NDArray[np.float32], air: NDArray[np.float32], optical_depth: float, horizon: int
) -> Picture:
    height = len(linear)
    share = (height - 1 - np.arange(height)) / max(height - 1 - horizon, 1)
    transmission = np.exp(-optical_depth * np.minimum(share, 1.0)).astype(np.float32)
    t = transmission[:, None, None]
    return to_picture(linear * t + air * (1 - t))


def mirrored(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[:, ::-1])


def exposed(picture: Picture, stops: float) -> Picture:
    """The picture exposed `stops` [EV] longer, in linear light; highlights clip."""
    return to_picture(to_linear(picture) * np.float32(2.0**stops))


def resized(picture: Picture, factor: float) -> Picture:
    """By area when smaller, bicubic when larger."""
    size = (round(picture.shape[1] * factor), round(picture.shape[0] * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=how), dtype=np.uint8)


def read_picture(data: bytes) -> Picture:
    """The pixels of a photo file at full size, upright as stored."""
    bgr = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def as_jpeg(picture: Picture, quality: int) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def as_png(picture: Picture) -> bytes:
    """Lossless, quickly: what a change does is not mixed with what a compression does."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


@dataclass(frozen=True)
class Change:
    """A change that says nothing about the air: its name, and the file it makes of a picture.

    Its estimate is compared with that of the same pixels without loss where the change is one of
    pixels, otherwise with that of the photo as it was sent.
    """

    name: str
    kind: str
    apply: Callable[[Picture], bytes]
    lossless_reference: bool


def _jpeg(quality: int) -> Change:
    return Change(f"jpeg_{quality}", "jpeg", lambda p: as_jpeg(p, quality), False)


def _resize(factor: float) -> Change:
    return Change(f"resize_{factor:g}", "resize", lambda p: as_jpeg(resized(p, factor), 95), False)


def _exposure(stops: float) -> Change:
    return Change(f"exposure_{stops:+g}", "exposure", lambda p: as_png(exposed(p, stops)), True)


CHANGES = (
    Change("mirror", "mirror", lambda picture: as_png(mirrored(picture)), True),
    *map(_jpeg, (60, 75, 85, 95)),
    *map(_resize, (0.5, 0.75, 1.5, 2.0)),
    *map(_exposure, (-1.0, 1.0)),
)
