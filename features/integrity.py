"""Integrity: whether the file still holds the picture that the camera took.

A thumbnail, a strongly compressed copy, an enlarged preview (`sharpness.py`) and a download that
broke off have lost what tells haze. What the file says of its making (`capture.py`) is read here,
in `exposure.py` and nowhere else: it names the camera and the place, never the air.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from features.capture import Capture
from features.finding import Check, Finding

JPEG_QUALITY = 50  # estimates must hold from 95 down to 60
LOST_SHARE = 0.02  # of the height; a 640 px picture loses at least 8 of its rows with a row of MCUs
_DECODER_GREY, _GREY_RANGE = 128, 3  # [sRGB codes] of blocks that never came, once saved again


def size(capture: Capture, min_side: int) -> Check:
    """Whether the short side of the original has `min_side` [px]."""
    side = min(capture.width, capture.height)
    # A side of exactly min_side is accepted; integers keep the comparison exact.
    return Check(
        min_side / (side + 1),
        Finding(
            "too_small",
            "error",
            f"The short side has {side} pixels; at least {min_side} are needed.",
            "Send the original photo, not a thumbnail or a preview.",
        ),
    )


def compression(capture: Capture) -> Iterator[Check]:
    """Of a JPEG: by how much its quality falls short of 100."""
    if capture.jpeg_quality is None:
        return
    yield Check(
        (100 - capture.jpeg_quality) / (100 - JPEG_QUALITY),
        Finding(
            "strong_compression",
            "warning",
            f"The JPEG quality is about {capture.jpeg_quality}: compression smooths what is far, "
            "as haze does.",
            "Send the camera's own file; messengers that shrink photos often have a way to send a "
            "file as it is.",
        ),
    )


def truncation(srgb: NDArray[np.uint8]) -> Check:
    """The share of rows at the bottom of `srgb` (H, W, 3) that are the grey of a decoder.

    Where a JPEG's data end too early, decoders leave the rest at code 128 in all channels: as even
    as no surface is, and to a model the densest haze.
    """
    lost = _grey_rows(srgb) / len(srgb)
    return Check(
        lost / LOST_SHARE,
        Finding(
            "truncated",
            "error",
            f"The lowest {lost:.0%} of the picture are the grey that decoders put where data end.",
            "Send the file again: a download or an upload of it broke off.",
        ),
    )


def _grey_rows(srgb: NDArray[np.uint8]) -> int:
    low, high = _DECODER_GREY - _GREY_RANGE, _DECODER_GREY + _GREY_RANGE
    if not low <= int(srgb[-1, 0, 0]) <= high:  # nearly every photo: its last row is not looked at
        return 0
    grey = cv2.inRange(srgb, (low,) * 3, (high,) * 3)
    whole = cv2.reduce(grey, 1, cv2.REDUCE_MIN).ravel()[::-1] > 0
    return int(np.argmin(whole)) if not whole.all() else len(whole)
