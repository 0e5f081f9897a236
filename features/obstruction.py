"""Obstruction: something on the lens or close before it, so near that it can only be unsharp.

Drops, smudges and fingers have borders that no lens can focus while the landscape is sharp: steps
of lightness that take many pixels, where sharp things of that contrast take one or two. Haze scales
a step and its steepness alike. Clouds are soft as well, so that only what lies below the skyline
counts; a finger, which may hide the sky, is also known by its smooth red at the picture's edge.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from features.finding import Check, Finding
from features.light import Light
from features.pieces import Pieces
from features.sky import SKY

SOFT_SHARE = 0.005  # of all pieces: good photos up to 0.003, drops from 0.006
FINGER_SHARE = 0.10  # of the picture: red, smooth and at its edge; good photos up to 0.09
_LEAST_RANGE = 24  # of L* x 2.55 within a piece
_SOFTNESS = 0.2  # steepest rise over 2 px, of that range; a Gaussian border of 4 px has 0.2
_SKIN_GREEN, _SKIN_BLUE = 0.80, 0.68  # at most, over red, in sRGB codes
_SKIN_RED, _SMOOTH = 50, 10  # least red; largest step of a colour over two cells [sRGB codes]


def obstruction(light: Light, pieces: Pieces, *, all_soft: bool) -> Check:
    """Soft borders in the `pieces` below the skyline, or a finger at the edge; where a photo is
    `all_soft`, the finger alone.
    """
    soft = 0.0 if all_soft else soft_share(pieces)
    finger = finger_share(light.quarter)
    if finger / FINGER_SHARE > soft / SOFT_SHARE:
        detail = f"{finger:.0%} of the picture are smooth, red and at its edge: a finger?"
    else:
        detail = "Unsharp patches lie over a sharp landscape: drops, dirt or a finger on the lens?"
    return Check(
        max(soft / SOFT_SHARE, finger / FINGER_SHARE),
        Finding(
            "obstructed",
            "warning",
            detail,
            "Wipe the lens, keep fingers off it, and do not shoot through a wet or dirty window.",
        ),
    )


def soft_share(pieces: Pieces) -> float:
    """Share of `pieces` that hold a large and slow step and no sky [0..1]."""
    contrast = pieces.contrast
    if not contrast.size:
        return 0.0
    slow = cv2.compare(pieces.steepest, cv2.convertScaleAbs(contrast, alpha=_SOFTNESS), cv2.CMP_LE)
    soft = (slow > 0) & (contrast >= _LEAST_RANGE) & (pieces.band > SKY)
    return float(np.count_nonzero(soft)) / contrast.size


def finger_share(quarter: NDArray[np.uint8]) -> float:
    """Largest share of `quarter` (h, w, 3) that is smooth, skin-coloured, in one piece and at the
    picture's edge [0..1].
    """
    height, width = quarter.shape[:2]
    if min(height, width) < 3:
        return 0.0
    red, green, blue = cv2.split(quarter)
    skin = cv2.compare(green, cv2.convertScaleAbs(red, alpha=_SKIN_GREEN), cv2.CMP_LT)
    skin &= cv2.compare(blue, cv2.convertScaleAbs(red, alpha=_SKIN_BLUE), cv2.CMP_LT)
    skin &= cv2.compare(red, _SKIN_RED, cv2.CMP_GT)
    if cv2.countNonZero(skin) < 0.5 * FINGER_SHARE * skin.size:
        return 0.0  # nearly every photo: the rest costs more than the colour
    smooth = cv2.GaussianBlur(red, (5, 5), 0)
    padded = cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    steps = cv2.max(
        cv2.absdiff(padded[2:, 1:-1], padded[:-2, 1:-1]),
        cv2.absdiff(padded[1:-1, 2:], padded[1:-1, :-2]),
    )
    skin &= cv2.compare(steps, _SMOOTH, cv2.CMP_LT)
    _, _, pieces, _ = cv2.connectedComponentsWithStats(skin)
    left, top, w, h, area = pieces[1:].T
    at_edge = (left == 0) | (top == 0) | (left + w == width) | (top + h == height)
    return int(np.max(area[at_edge], initial=0)) / int(skin.size)
