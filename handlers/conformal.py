"""Conformal quantiles and intervals of PM2.5 that hold for a session not seen in training.

The score of a training photo is its out-of-fold error in units of its own uncertainty,

    s = (y − mu) / sigma,   y = ln PM2.5,   sigma² = epistemic² + aleatoric² + disagreement²

and the quantile at level p of a new photo is exp(mu + sigma · q_p) [ug m-3], with q_p the
finite-sample corrected p-quantile of the scores. Sessions, not photos, are exchangeable: each
session has the same total weight, and a new session one more (hierarchical conformal prediction:
Dunn, Wasserman & Ramdas 2023, doi:10.1080/01621459.2022.2060112; Lee, Barber & Willett 2023,
arXiv 2306.06342). The table is fitted in `training/calibration.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.errors import ArtifactError

__all__ = ["INTERVAL_LEVELS", "QUANTILE_LEVELS", "TABLE_LEVELS", "ConformalTable", "total_sigma"]

FloatArray = npt.NDArray[np.float64]

QUANTILE_LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
INTERVAL_LEVELS = (0.5, 0.8, 0.9, 0.95)
TABLE_LEVELS = (0.025, *QUANTILE_LEVELS, 0.975)


def total_sigma(
    epistemic_sd: FloatArray, aleatoric_sd: FloatArray, disagreement: FloatArray
) -> FloatArray:
    """sigma = √(epistemic² + aleatoric² + disagreement²) [ln ug m-3]; the unit of a score."""
    return np.asarray(np.sqrt(epistemic_sd**2 + aleatoric_sd**2 + disagreement**2))


@dataclass(frozen=True)
class ConformalTable:
    """Score quantiles, one for each of `TABLE_LEVELS`, non-decreasing [1].

    n_sessions: how many sessions they come from. The guarantee at an interval level reaches as
    far as the scores do: `guaranteed(level)`.
    """

    score_quantiles: tuple[float, ...]
    n_sessions: int

    def quantiles(self, mu: FloatArray, sigma: FloatArray) -> FloatArray:
        """The 5, 10, … 95 % quantiles of PM2.5 [ug m-3], each > 0, ascending along axis 1.

        mu (n,): ln PM2.5; sigma (n,) > 0, both [ln ug m-3]. Returns (n, 19).
        """
        scores = np.array(self.score_quantiles[1:-1])
        return np.asarray(np.exp(mu[:, None] + sigma[:, None] * scores))

    def interval(
        self, mu: FloatArray, sigma: FloatArray, level: float = 0.9
    ) -> tuple[FloatArray, FloatArray]:
        """Lower ≥ 0 and upper bound (n,) [ug m-3] of the central interval at 0.5, 0.8, 0.9 or 0.95.

        The estimate exp(mu) always lies inside: where the scores say that the model is biased by
        more than the interval is wide, the interval is extended up to the estimate.
        Raises ValueError for a level that the table does not hold.
        """
        lower, upper = _tails(level)
        low = min(self.score_quantiles[TABLE_LEVELS.index(lower)], 0.0)
        high = max(self.score_quantiles[TABLE_LEVELS.index(upper)], 0.0)
        return np.exp(mu + sigma * low), np.exp(mu + sigma * high)

    def guaranteed(self, level: float) -> bool:
        """Whether there are sessions enough for coverage ≥ level on one new exchangeable session.

        A tail of (1 − level)/2 needs at least one in n + 1; below that the bound is modelled.
        """
        return (self.n_sessions + 1) * _tails(level)[0] >= 1.0

    def save(self, path: Path) -> None:
        """Write JSON: the levels, the score quantiles, the number of sessions."""
        table = {
            "levels": TABLE_LEVELS,
            "score_quantiles": self.score_quantiles,
            "n_sessions": self.n_sessions,
        }
        path.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ConformalTable:
        """Read what `save` wrote. Raises ArtifactError when it is missing, damaged or foreign."""
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            scores = tuple(float(score) for score in table["score_quantiles"])
            n_sessions = int(table["n_sessions"])
            if tuple(table["levels"]) != TABLE_LEVELS or len(scores) != len(TABLE_LEVELS):
                raise ValueError("other levels than this code uses")
            if not np.all(np.diff(scores) >= 0.0):
                raise ValueError("score quantiles that fall, or are not numbers")
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                "conformal_table_unreadable",
                f"{path.name} is not a conformal table of this version: {error}.",
                "Train again, or fetch the archive again.",
            ) from error
        return cls(scores, n_sessions)


def _tails(level: float) -> tuple[float, float]:
    """The two entries of `TABLE_LEVELS` that bound a central interval."""
    if level not in INTERVAL_LEVELS:
        raise ValueError(f"level is {level}; the table holds {INTERVAL_LEVELS}")
    return round((1.0 - level) / 2.0, 3), round((1.0 + level) / 2.0, 3)
