"""From bytes to estimate, and the yardsticks: other ways to read a photo. CPU time [ms] of each.

The reading of the file itself is never counted.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from benchmarks.cpu_time import cpu_ms
from benchmarks.side_by_side import Way
from benchmarks.straightforward import straightforward_estimate
from handlers.predictor import Predictor

_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def answering(predictor: Predictor) -> Way:
    """From bytes to estimate, as the server does it."""
    return lambda photo: cpu_ms(predictor.answer, photo.read_bytes())


def reduced_decode(factor: int) -> Way:
    """A JPEG decode at 1 / `factor` of its sides, and nothing else."""
    flags = _REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    return lambda photo: cpu_ms(cv2.imdecode, np.fromfile(photo, np.uint8), flags)


def straightforward(photo: Path) -> float:
    """The sketch of `benchmarks/straightforward.py`."""
    return cpu_ms(straightforward_estimate, photo.read_bytes())
