"""Exposure and colour: whether there was daylight, and whether the camera recorded it as it was.

What is clipped and how colours lean is read below the skyline: a sky may be white, and the sky of a
polluted day often is. Where no sky was found, the lower half stands for the ground. Haze adds light
and takes colour away, so that it never looks like night or like a coloured lamp.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from features.capture import Capture
from features.finding import Check, Finding
from features.light import Light
from features.sky import SKY, PictureGeometry

DARK_HIGHLIGHTS = 20.0  # 90th percentile of L*: nearly black
NIGHT_HIGHLIGHTS = 58.0  # the same: night photos 50..55 (5th to 95th percentile), day from 63 up
FEATURELESS_SPREAD = 0.35  # SD of L* [0..100]; a covered lens has 0.2, the flattest bare sky 1.5
CLIPPED_SHARE = 0.05  # of the ground at sRGB codes <= 5 or >= 250
DIM_SCENE_EV = 7.0  # EV at ISO 100: full sun has 15, an overcast day 11 to 13, a lit room 4 to 7
WHITE_BALANCE = (0.6, 1.6)  # mean red or blue over mean green, sRGB codes
_LIGHTNESS = np.arange(256) / 2.55  # L* of each code of `Light.grey`
_DARK_CODE, _BRIGHT_CODE = 3, 250  # of L* x 2.55: sRGB codes 5 and 250 of a grey
ROW_STEP = 4  # every so many rows are looked at
_LEAST_GROUND = 0.05  # of the picture: less is no ground to be judged by


def ground_mask(geometry: PictureGeometry) -> NDArray[np.uint8]:
    """(H / 4, W) uint8 of every fourth row: 255 below the skyline; the lower half where no sky or
    hardly any ground is.
    """
    mask: NDArray[np.uint8] = cv2.compare(geometry.bands[::ROW_STEP], SKY, cv2.CMP_NE)
    few = cv2.countNonZero(mask) < _LEAST_GROUND * mask.size
    if geometry.confidence == 0.0 or few:
        mask[:] = 255
        mask[: len(mask) // 2] = 0
    return mask


def dim_scene(capture: Capture) -> Iterator[Check]:
    """Indoors, or at night: what pixels cannot tell once a camera has exposed for it."""
    if capture.exposure_value is None:
        return
    yield Check(
        max(1.0 + (DIM_SCENE_EV - capture.exposure_value) / DIM_SCENE_EV, 0.0),
        Finding(
            "dim_scene",
            "warning",
            f"The exposure data say the scene was dim (EV {capture.exposure_value:.0f}): a room, "
            "or night.",
            "Take the photo outdoors, between sunrise and sunset.",
        ),
    )


def content_and_daylight(grey: NDArray[np.uint8]) -> Iterator[Check]:
    """A picture of nothing, and one without daylight: from L* in every eighth row."""
    counts = (
        cv2.calcHist([grey[:: 2 * ROW_STEP]], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    )
    share = counts / counts.sum()
    spread = float(np.sqrt(share @ (_LIGHTNESS - share @ _LIGHTNESS) ** 2))
    highlights = float(_LIGHTNESS[np.searchsorted(np.cumsum(share), 0.9)])
    yield Check(
        FEATURELESS_SPREAD / max(spread, 1e-6),
        Finding(
            "featureless",
            "error",
            f"The picture is uniform: its lightness spreads by {spread:.2f} of 100.",
            "Take the cover off the lens, and show sky, horizon and ground.",
        ),
    )
    if highlights < DARK_HIGHLIGHTS:
        finding = Finding(
            "too_dark",
            "warning",
            f"Nine tenths of the picture are darker than L* {highlights:.0f}.",
            "Take the photo by day, or expose it longer.",
        )
    else:
        finding = Finding(
            "night",
            "warning",
            f"There is no bright sky: nine tenths of the picture are darker than "
            f"L* {highlights:.0f}.",
            "Take the photo between sunrise and sunset; at night, haze cannot be told from dark.",
        )
    yield Check(NIGHT_HIGHLIGHTS / max(highlights, 1e-6), finding)


def clipping(grey: NDArray[np.uint8], ground: NDArray[np.uint8]) -> Iterator[Check]:
    """Shares of the ground that the sensor could not tell from white or from black.

    Of `grey` (H, W) in every fourth row, where `ground` (H / 4, W) is set.
    """
    counts = cv2.calcHist([grey[::ROW_STEP]], [0], ground, [256], [0, 256]).ravel()
    total = max(float(counts.sum()), 1.0)
    white = float(counts[_BRIGHT_CODE:].sum()) / total
    black = float(counts[: _DARK_CODE + 1].sum()) / total
    yield Check(
        white / CLIPPED_SHARE,
        Finding(
            "overexposed",
            "warning",
            f"{white:.0%} of what lies below the sky is white.",
            "Keep the sun out of the picture, or lower the exposure.",
        ),
    )
    yield Check(
        black / CLIPPED_SHARE,
        Finding(
            "underexposed",
            "warning",
            f"{black:.0%} of what lies below the sky is black.",
            "Tap on the ground to expose for it, and do not shoot against the light.",
        ),
    )


def white_balance(light: Light, ground: NDArray[np.uint8]) -> Check:
    """Grey-world gains of the ground: mean red and mean blue over mean green."""
    quarter = light.quarter
    height, width = quarter.shape[:2]
    cells = np.ascontiguousarray(ground[:height, 2::4][:, :width])
    if cells.shape != (height, width):  # a picture of a few pixels
        cells = np.full((height, width), 255, np.uint8)
    red, green, blue = (max(mean, 1.0) for mean in cv2.mean(quarter, mask=cells)[:3])
    low, high = WHITE_BALANCE
    gains = (red / green, blue / green)
    shortfall = max(max(np.log(gain) / np.log(high), np.log(gain) / np.log(low)) for gain in gains)
    return Check(
        max(float(shortfall), 0.0),
        Finding(
            "white_balance",
            "warning",
            f"The colours lean: red is {gains[0]:.2f} and blue {gains[1]:.2f} times green.",
            "Switch filters and night modes off, and set the white balance to automatic.",
        ),
    )
