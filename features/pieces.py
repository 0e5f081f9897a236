"""Pieces of rows: how bright, how contrasty and how steep a picture is, place by place.

32 px are long enough for the border of a drop on the lens, and short enough that one piece shows
one thing. Along rows alone: from row to row the distance changes, and with it haze, as slowly as
the border of a drop. Every eighth row is looked at: what a check asks fills more than eight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from features.light import Light
from features.sky import PictureGeometry

LENGTH, STEP = 32, 8  # [px]

Plane = NDArray[np.uint8]


@dataclass(frozen=True)
class Pieces:
    """All of shape (H / 8, pieces of a row); none in a picture narrower than 34 px.

    highest, lowest  L* x 2.55 in each piece
    steepest         largest difference between two pixels that are two apart
    band             the farthest of its depth bands: SKY where any of it is sky
    """

    highest: Plane
    lowest: Plane
    steepest: Plane
    band: Plane

    @property
    def contrast(self) -> Plane:
        """highest − lowest."""
        return self.highest - self.lowest


def pieces_of(light: Light, geometry: PictureGeometry) -> Pieces:
    """Those of one photo."""
    rows, bands = light.grey[::STEP], geometry.bands[::STEP]
    rises = np.asarray(cv2.absdiff(rows[:, 2:], rows[:, :-2]), dtype=np.uint8)
    length = max(rows.shape[1] - 2, 0) // LENGTH * LENGTH
    return Pieces(
        highest=_extreme(rows[:, :length], np.maximum),
        lowest=_extreme(rows[:, :length], np.minimum),
        steepest=_extreme(rises[:, :length], np.maximum),
        band=_extreme(bands[:, :length], np.minimum),
    )


def _extreme(plane: Plane, pick: Callable[[Plane, Plane], Plane]) -> Plane:
    """Of each piece: by doubling, ten times as fast as a reduction of short rows."""
    reach = 1
    while reach < LENGTH and plane.shape[1]:
        plane = pick(plane[:, reach:], plane[:, :-reach])
        reach *= 2
    return plane[:, ::LENGTH]
