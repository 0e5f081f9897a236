"""Pictures to lay over a photo: how much haze lies before what it shows, and what counts as sky.

PNG with transparency, upright, of the photo's proportions at the working size (640 px on the long
side): scaled to the photo, every pixel lies on what it speaks of. They show the very maps that the
features are read from, in cells of 4 × 4 px.

    transmission  t = e^(−τ) of the ground: clear things show through, hazy things are covered, from
                  yellow (some light is lost) to dark red (hardly any gets through)
    sky           blue where the sky was found; nothing where there is none
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from features.haze import transmission_map
from features.light import Light
from features.sky import SKY, picture_geometry

# Steps of the transmission's colours: more cannot be told apart, and would take more bytes.
LEVELS = 24
_MOST_OPAQUE = 200  # of 255: what lies below stays to be seen
_CLEAR, _HAZY = (0, 215, 255), (30, 0, 110)  # BGR
_SKY = (255, 120, 0, 130)  # BGR and opacity
_COMPRESSION = 5  # a tenth larger than the smallest, in half the time


@dataclass(frozen=True)
class Overlays:
    """PNG files of width × height [px], with an alpha channel."""

    width: int
    height: int
    transmission: bytes
    sky: bytes


def overlays_of(light: Light) -> Overlays:
    """Those of the photo whose light it is."""
    geometry = picture_geometry(light)
    height, width = geometry.bands.shape
    sky = np.zeros((height, width, 4), np.uint8)
    sky[geometry.bands == SKY] = _SKY
    cells = _coloured(transmission_map(light, geometry))
    # Cells stand on their 4 × 4 px, and the sky's edge is drawn to the pixel.
    haze = cells[_cell_of(height, len(cells))[:, None], _cell_of(width, cells.shape[1])]
    haze[geometry.bands == SKY] = 0
    return Overlays(width, height, _png(haze), _png(sky))


def _coloured(transmission: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(h, w, 4) BGRA of a transmission (h, w), transparent where it is 1 or unknown."""
    steps = np.linspace(0.0, 1.0, LEVELS)[:, None]  # of what is lost, 1 − t
    colours = (1.0 - steps) * _CLEAR + steps * _HAZY
    table = np.rint(np.hstack([colours, _MOST_OPAQUE * steps])).astype(np.uint8)
    table[0] = 0
    lost = np.rint((1.0 - np.nan_to_num(transmission, nan=1.0)) * (LEVELS - 1)).astype(np.intp)
    return table[lost]


def _cell_of(pixels: int, cells: int) -> NDArray[np.intp]:
    """(pixels,) the cell of each pixel of a side; the last one's reaches to the border."""
    return np.minimum(np.arange(pixels) // 4, cells - 1)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    settings = [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION]
    return cv2.imencode(".png", pixels, settings)[1].tobytes()
