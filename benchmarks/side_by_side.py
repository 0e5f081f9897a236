"""Two ways to read the same photos, compared so that a busy machine slows both.

They take each photo one after the other, and each goes first in turn, since what ran before
leaves its mark on the caches. The best of some rounds stands for a photo, and the median over the
photos for the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROUNDS = 5

Way = Callable[[Path], float]


@dataclass(frozen=True)
class Comparison:
    """Medians over the photos [ms]."""

    first: float
    second: float

    @property
    def ratio(self) -> float:
        """How many times longer the first way takes."""
        return self.first / self.second

    def __str__(self) -> str:
        return f"{self.first:.1f} / {self.second:.1f} ms"


def compared(photos: Sequence[Path], first: Way, second: Way, rounds: int = ROUNDS) -> Comparison:
    """Take `photos` both ways, `rounds` times; a way returns its milliseconds for a photo."""
    best = np.full((2, len(photos)), np.inf)
    for number in range(rounds):
        for i, photo in enumerate(photos):
            turns = ((0, first), (1, second))
            for which, way in turns if (number + i) % 2 else reversed(turns):
                best[which, i] = min(best[which, i], way(photo))
    return Comparison(*np.median(best, axis=1).tolist())
