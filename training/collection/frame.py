"""Whether what a camera gave is a new picture, or a page, a stump, or yesterday's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from features.errors import PhotoError
from features.photo import Photo, decode_photo

_SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
REASONS = {
    "frame_unreadable": "what the camera gave is no whole picture",
    "frame_small": "the picture is smaller than the data set takes",
    "frame_frozen": "the camera gave a picture that it had given before",
    "frame_old": "the camera dates its picture long before it was asked for",
    "frame_undated": "the picture's time lies in the future",
    "slot_taken": "another frame of the same minutes was taken already",
}


@dataclass(frozen=True)
class Frame:
    """A picture as it came. `captured_at` with an offset.

    sha256         of the bytes
    pixels_sha256  of what they show at the working size: the same picture sent anew has the same
    """

    data: bytes
    captured_at: datetime
    sha256: str
    pixels_sha256: str
    suffix: str


@dataclass(frozen=True)
class Refused:
    """Why a frame was not kept: a code of `REASONS`, and a sentence."""

    reason: str
    detail: str


def read_frame(data: bytes, min_side: int) -> Photo | Refused:
    """The picture in `data`, whole and with a short side of at least `min_side` [px]."""
    try:
        photo = decode_photo(data)
    except PhotoError as error:
        page = data.lstrip()[:1] == b"<"
        return Refused("frame_unreadable", "It is an HTML page." if page else error.detail)
    short = min(photo.original_width, photo.original_height)
    if short < min_side:
        size = f"{photo.original_width} × {photo.original_height}"
        return Refused("frame_small", f"It has {size} pixels; the short side must have {min_side}.")
    return photo


def frame_of(photo: Photo, captured_at: datetime) -> Frame:
    """The frame that shows `photo`, taken at `captured_at`."""
    return Frame(
        photo.source,
        captured_at,
        photo.sha256,
        hashlib.sha256(photo.pixels.tobytes()).hexdigest(),
        _SUFFIXES[photo.media_type],
    )
