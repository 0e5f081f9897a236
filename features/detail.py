"""Detail: how much the lightness changes from cell to cell, and where in the picture that sets in.

Haze shrinks every step of lightness in the distance alike, and 8 bits hide what is left of them.
So steps are taken between means of 4 × 4 pixels that keep 12 bits: in haze of optical depth 1.6
the rows under the horizon of a real photo still have 2 to 3 times the detail of the sky above.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from features.light import LIGHTNESS_LEVELS, Light, quarter_of

CODE = LIGHTNESS_LEVELS / 256  # of `Light.lightness_code`: what one sRGB-like code of 256 is

HORIZON_ROWS = 8  # quarter-size rows that are held against as many above them
_NOISE = 0.1  # [sRGB codes] detail of a sky in which nothing is to be seen
_NEARLY_HIGHEST = 0.7  # of the largest ratio: the highest such row is the horizon's
_LEAST_RATIO = 1.2  # of the detail below a horizon to that above

# The gain brings the detail under the horizon to this [sRGB codes over 8 px], within its bound.
_VISIBLE_DETAIL = 4.0
_MAX_GAIN = 10.0


@dataclass(frozen=True)
class Detail:
    """Steps of lightness over two cells of 4 × 4 px.

    down, across  (H // 4, W // 4) uint16, in 1/16 of an sRGB code of 256
    rows          (H // 4,) mean of across in each row [sRGB codes]
    horizon       the highest row of cells below which detail sets in
    gain          [1..10] by how much the steps under the horizon fall short of what 8 bits show;
                  1 where no row stands out
    """

    down: NDArray[np.uint16]
    across: NDArray[np.uint16]
    rows: NDArray[np.float64]
    horizon: int
    gain: float


def detail_of(light: Light) -> Detail:
    """The detail of one photo."""
    fine: NDArray[np.uint16] = quarter_of(light.lightness_code)
    smooth = cv2.GaussianBlur(fine, (5, 5), 0)
    padded = cv2.copyMakeBorder(smooth, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    down: NDArray[np.uint16] = cv2.absdiff(padded[2:, 1:-1], padded[:-2, 1:-1])
    across: NDArray[np.uint16] = cv2.absdiff(padded[1:-1, 2:], padded[1:-1, :-2])
    total = cv2.reduce(across, 1, cv2.REDUCE_SUM, dtype=cv2.CV_64F)  # 20 µs less than a mean
    rows: NDArray[np.float64] = total[:, 0] / (CODE * across.shape[1])
    horizon, below, ratio = horizon_step(rows)
    gain = 1.0
    if ratio >= _LEAST_RATIO:  # otherwise there is no horizon, and what would grow is noise
        gain = min(max(_VISIBLE_DETAIL / max(below, _NOISE), 1.0), _MAX_GAIN)
    return Detail(down, across, rows, horizon, gain)


def horizon_step(rows: NDArray[np.float64]) -> tuple[int, float, float]:
    """The highest row below which detail sets in, how much there is, and its ratio to that above.

    Eight of the `rows` (h,) are held against the eight above them: added haze shrinks both, so
    that their ratio stays where their difference goes.
    """
    total = np.concatenate([[0.0], np.cumsum(rows)])
    n, height = HORIZON_ROWS, len(rows)
    row = np.arange(min(n, height - 2), max(height - n // 2, min(n, height - 2) + 1))
    first, last = np.maximum(row - n, 0), np.minimum(row + 1 + n, height)
    above = (total[row - 1] - total[first]) / np.maximum(row - 1 - first, 1)
    below = (total[last] - total[row + 1]) / np.maximum(last - row - 1, 1)
    ratio = below / (above + _NOISE)
    highest = int(np.argmax(ratio >= _NEARLY_HIGHEST * ratio.max()))
    return int(row[highest]), float(below[highest]), float(ratio[highest])
