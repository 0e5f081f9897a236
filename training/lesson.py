"""What one set of models is fitted on: standardised rows, weights, and what is shown beside.

Altered copies are rows too, for the learners that know nothing of steps: the copy of a photo with
more haze has a higher target, its darker copy the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.alterations import ALTERATIONS
from training.demonstrations import Demonstrations

# The copies that learners see as rows: enough to show a direction, few enough to be quick.
SHOWN = ("haze_0.2", "haze_0.8", "haze_3.0", "exposure_-1", "exposure_+1", "jpeg_60")
SHOWN_WEIGHT = 1.0  # of all copies together, in that of the rows
_SHOWN = [k for k, change in enumerate(ALTERATIONS) if change.name in SHOWN]


@dataclass(frozen=True, eq=False)
class Lesson:
    """n training rows of k standardised features.

    X         (n, k)
    y         (n,) target [ln ug m-3]
    weights   (n,)
    sessions  (n,) what is one moment
    groups    (n,) what a photo in use will not have seen any of; unions of sessions
    judges    (n,) rows that may judge: fit the stack and the interval
    slopes    (n,) rows from which the physics path learns its slopes, beside the steps; where
              they are others than those that judge, the usual place of the judges is its level
    trust     the stack's coefficients before anything has been judged, by member
    hold      λ of the stack: how firmly it holds to them
    signs     (k,) which way haze moves a feature: +1, −1, 0 for no sign that is certain
    steps     of known meaning; their origins are rows
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    weights: NDArray[np.float64]
    sessions: NDArray[np.int64]
    groups: NDArray[np.int64]
    judges: NDArray[np.bool_]
    slopes: NDArray[np.bool_]
    trust: tuple[float, ...]
    hold: float
    signs: NDArray[np.int64]
    steps: Demonstrations

    def __len__(self) -> int:
        return len(self.y)

    def of(self, kept: NDArray[np.bool_]) -> Lesson:
        """The lesson of the `kept` rows (n,), and of the steps that start from them."""
        steps = self.steps.of(kept[self.steps.origin])
        number = np.cumsum(kept) - 1
        return Lesson(
            self.X[kept],
            self.y[kept],
            self.weights[kept],
            self.sessions[kept],
            self.groups[kept],
            self.judges[kept],
            self.slopes[kept],
            self.trust,
            self.hold,
            self.signs,
            steps.renumbered(number),
        )

    def with_copies(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """X (m, k), y (m,) and weights (m,) of the rows and, below them, of the `SHOWN` copies."""
        shown = self.steps.of(np.isin(self.steps.kind, _SHOWN))
        if not len(shown):
            return self.X, self.y, self.weights
        share = self.weights[shown.origin]
        share = share * (SHOWN_WEIGHT * self.weights.sum() / share.sum())
        return (
            np.vstack([self.X, shown.after]),
            np.concatenate([self.y, self.y[shown.origin] + shown.total]),
            np.concatenate([self.weights, share]),
        )
