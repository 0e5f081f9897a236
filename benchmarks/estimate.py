"""From bytes to estimate, against three yardsticks that see the same photos at the same time.

The yardsticks are the reduced decode that the estimate itself uses, a full decode in its own
process, and `straightforward.py`. Each photo is taken by all of them in turn, so that whatever
else the machine does slows them all; the medians over the photos are divided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from benchmarks.cpu_time import cpu_ms
from benchmarks.full_decode import FullDecoder
from benchmarks.photos import Size
from benchmarks.straightforward import straightforward_estimate
from handlers.predictor import Predictor

_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


@dataclass(frozen=True)
class EstimateTimes:
    """CPU time, medians over the photos of one size, of each the best of the rounds [ms]."""

    answer: float
    reduced_decode: float
    full_decode: float
    straightforward: float | None


def estimate_times(
    predictor: Predictor, photos: Sequence[Path], size: Size, *, rounds: int, against_sketch: int
) -> EstimateTimes:
    """Measure all `photos`, `rounds` times each; the sketch only on the first `against_sketch`."""
    files = [photo.read_bytes() for photo in photos]
    times = np.full((3, len(photos)), np.inf)
    sketch = []
    if against_sketch:
        straightforward_estimate(files[0])  # builds its net
    with FullDecoder() as full_decoder:
        for number in range(rounds):
            for i, (photo, data) in enumerate(zip(photos, files, strict=True)):
                # What ran before warms the caches, so each goes first in turn.
                if (number + i) % 2:
                    answer, reduced = cpu_ms(predictor.answer, data), _reduced_decode(data, size)
                else:
                    reduced, answer = _reduced_decode(data, size), cpu_ms(predictor.answer, data)
                full = full_decoder.milliseconds(photo)
                times[:, i] = np.minimum(times[:, i], (answer, reduced, full))
                if number == 0 and i < against_sketch:
                    sketch.append(cpu_ms(straightforward_estimate, data))
    answer, reduced, full = np.median(times, axis=1).tolist()
    return EstimateTimes(answer, reduced, full, median(sketch) if sketch else None)


def _reduced_decode(data: bytes, size: Size) -> float:
    flags = _REDUCED[size.decode_factor] | cv2.IMREAD_IGNORE_ORIENTATION
    return cpu_ms(cv2.imdecode, np.frombuffer(data, np.uint8), flags)
