"""Framing: what is in the picture besides, or instead of, a landscape under a sky.

Bars and frames of a screenshot, no sky, nothing but sky, a page of text. A sky that haze has made
as pale as the ground may be missed: then the photo is warned of and answered, never refused.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from features.finding import Check, Finding
from features.light import Light
from features.pieces import LENGTH, STEP, Pieces
from features.scene import Scene
from features.sky import PictureGeometry

ONLY_SKY = 0.95  # of the picture
# [0..1], see `_ground_in_sky`: skies 0.02 to 0.6, brown smog and haze of optical depth 1.6 up to
# 0.69, the lower third of the webcam's photos 0.67 to 0.98.
GROUND_IN_SKY = 0.7
STRUCTURE, _LIVELY = 28.0, 0.98  # of L* x 2.55, and which quantile: walls and clear skies up to 24
EVEN = (
    1.9  # detail of the liveliest row over the median: walls and skies 0.9..1.8, hazy views 2.4..
)
_DETAIL_FLOOR = 0.1  # [sRGB codes]
PAGE_LIGHTNESS = 70.0  # median L* of the lower half: printed pages 76..94, streets 16..76
PAGE_SATURATION = 0.12  # HSV, mean of the lower half: pages 0.01..0.11
TEXT_SHARE = 0.06  # of pieces of rows: pages of text 0.08..0.21
_MAYBE = 0.6  # of PAGE_LIGHTNESS: below it, the score is as good as that of no page
_INK, _PAPER_SHARE = 70, 0.35  # least range of L* x 2.55; how far below paper the mean may lie
_LEAST_SKY = 1.0  # cell of the network's map: of less it says nothing
_BORDER, _BORDER_RANGE = 6, 4  # outermost lines [px], and how much the grey of a border may vary


def borders(grey: NDArray[np.uint8]) -> Check:
    """Uniform bars on two opposite sides: a screenshot or a framed picture.

    One side alone says nothing: a white sky is uniform as well.
    """
    pairs = (
        (grey[:_BORDER], grey[-_BORDER:]),
        (grey[:, :_BORDER], grey[:, -_BORDER:]),
    )
    framed = any(all(np.ptp(bar) <= _BORDER_RANGE for bar in pair) for pair in pairs)
    return Check(
        float(framed),
        Finding(
            "borders",
            "warning",
            "Two opposite sides of the picture are uniform bars.",
            "Send the photo itself, not a screenshot or a framed copy.",
        ),
    )


def sky(scene: Scene, *, dark: bool) -> Check:
    """Whether a sky was found, and whether the network believes it: paving, walls and leaves may
    be as smooth and as pale as one. Haze makes ground look like sky, not sky like ground.

    dark  there is too little light for the network to tell
    """
    missing = 1.0
    if scene.geometry.confidence > 0.0:
        missing = 0.0 if dark else _ground_in_sky(scene) / GROUND_IN_SKY
    return Check(
        missing,
        Finding(
            "no_sky",
            "warning",
            "No sky was found: without it, the colour and the light of the air are unknown.",
            "Hold the camera level outdoors, with a third of the picture sky.",
        ),
    )


def _ground_in_sky(scene: Scene) -> float:
    """How sure the network is of ground, mean over what lies above the skyline [0..1]."""
    ground = scene.air.ground
    sky = 1 - scene.geometry.under_skyline(*ground.shape)
    return float((ground * sky).sum() / max(sky.sum(), _LEAST_SKY))


def ground(geometry: PictureGeometry, rows: Pieces) -> Check:
    """Whether there is anything but sky: its share, or else little contrast, and that everywhere.

    Haze takes contrast as well, but never evenly: near rows keep more of their detail than far ones
    do, where clouds and walls have as much of it in one row as in another.
    """
    sky = 1 - cv2.countNonZero(geometry.bands) / geometry.bands.size
    contrast, detail = np.sort(rows.contrast, axis=None), np.sort(geometry.row_detail)
    plain = 0.0
    if contrast.size and detail.size:
        lively = max(float(contrast[int(_LIVELY * contrast.size)]), 1.0)
        uneven = float(detail[-1]) / (float(detail[detail.size // 2]) + _DETAIL_FLOOR)
        plain = min(STRUCTURE / lively, EVEN / max(uneven, 1e-3))
    return Check(
        max((sky / ONLY_SKY) ** 8, plain),
        Finding(
            "no_ground",
            "warning",
            "Nothing but sky, or a wall, is in view: no near thing and no far one.",
            "Show the horizon and something distant below it.",
        ),
    )


def page(light: Light, rows: Pieces) -> Check:
    """Dark strokes on bright colourless paper, in the lower half and above: text, not a landscape.

    The least of three ratios decides, so that bright haze (no strokes), a sunlit street (colour)
    and a shop's sign (one place alone) are far from it.
    """
    lower = light.grey[light.grey.shape[0] // 2 :: STEP]
    counts = np.cumsum(cv2.calcHist([lower], [0], None, [256], [0, 256]))
    ratios = [float(np.searchsorted(counts, 0.5 * counts[-1])) / 2.55 / PAGE_LIGHTNESS]
    if ratios[0] >= _MAYBE:  # the ground of most photos is darker than paper by far
        saturation = cv2.mean(light.saturation[light.saturation.shape[0] // 2 :])[0]
        ratios.append(_text_share(light.grey, rows) / TEXT_SHARE)
        ratios.append(PAGE_SATURATION / max(saturation, 1e-3))
    return Check(
        min(ratios),
        Finding(
            "not_outdoors",
            "warning",
            "The picture is a page: dark strokes on bright paper, above and below.",
            "Take a photo outdoors, with sky and distant things in view.",
        ),
    )


def _text_share(grey: NDArray[np.uint8], rows: Pieces) -> float:
    """Share of pieces that are mostly paper, with ink in them: of the half that has less [0..1]."""
    lines, count = rows.contrast.shape
    if not count:
        return 0.0
    mean = cv2.resize(grey[::STEP, : count * LENGTH], (count, lines), interpolation=cv2.INTER_AREA)
    below_paper = cv2.subtract(rows.highest, mean)
    allowed = cv2.convertScaleAbs(rows.contrast, alpha=_PAPER_SHARE)
    text = (rows.contrast >= _INK) & (below_paper <= allowed)
    return min(float(text[: lines // 2].mean()), float(text[lines // 2 :].mean()))
