"""Conformal quantiles and intervals of PM2.5 that hold for a session not seen in training.

The score of a training photo is the size of its out-of-fold error in units of its own uncertainty,

    s = |y − mu| / sigma,   y = ln PM2.5,   sigma² = epistemic² + aleatoric² + disagreement²

and the central interval at level c of a new photo is exp(mu ± sigma · Q_c) [ug m-3], with Q_c the
finite-sample corrected c-quantile of the scores. It is symmetric in ln PM2.5 so that the correction
is paid once: on the development webcam's 24 to 30 sessions, tails of their own covered 0.98 of new
days where 0.90 was asked, this covers 0.93 with intervals 27 % narrower.

Sessions, not photos, are exchangeable: each session has the same total weight, and a new session
one more (hierarchical conformal prediction: Dunn, Wasserman & Ramdas 2023,
doi:10.1080/01621459.2022.2060112; Lee, Barber & Willett 2023, arXiv 2306.06342). The table is
fitted in `training/calibration.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.errors import ArtifactError

__all__ = ["CENTRAL_LEVELS", "ConformalTable", "total_sigma"]

FloatArray = npt.NDArray[np.float64]

CENTRAL_LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
# The 5, 10, … 95 % quantiles bound the central intervals at 90, 80, … 0, … 90 %.
_SIDE = np.sign(np.arange(-9, 10))
_CENTRAL = np.abs(np.arange(-9, 10))


def total_sigma(
    epistemic_sd: FloatArray, aleatoric_sd: FloatArray, disagreement: FloatArray
) -> FloatArray:
    """sigma = √(epistemic² + aleatoric² + disagreement²) [ln ug m-3]; the unit of a score."""
    return np.asarray(np.sqrt(epistemic_sd**2 + aleatoric_sd**2 + disagreement**2))


@dataclass(frozen=True)
class ConformalTable:
    """Quantiles of |y − mu| / sigma, one for each of `CENTRAL_LEVELS`, from 0 upwards [1].

    n_sessions: how many sessions they come from; `guaranteed(level)` says how far that reaches.
    """

    score_quantiles: tuple[float, ...]
    n_sessions: int

    def quantiles(self, mu: FloatArray, sigma: FloatArray) -> FloatArray:
        """The 5, 10, … 95 % quantiles of PM2.5 [ug m-3], each > 0, ascending along axis 1.

        mu (n,): ln PM2.5, whose exp is the median; sigma (n,) > 0, both [ln ug m-3].
        Returns (n, 19).
        """
        scores = _SIDE * np.array(self.score_quantiles)[_CENTRAL]
        return np.asarray(np.exp(mu[:, None] + sigma[:, None] * scores))

    def interval(
        self, mu: FloatArray, sigma: FloatArray, level: float = 0.9
    ) -> tuple[FloatArray, FloatArray]:
        """Lower ≥ 0 and upper bound (n,) [ug m-3] of the central interval, around exp(mu).

        Raises ValueError for a level that is not one of `CENTRAL_LEVELS`.
        """
        if level not in CENTRAL_LEVELS:
            raise ValueError(f"level is {level}; the table holds {CENTRAL_LEVELS}")
        reach = sigma * self.score_quantiles[CENTRAL_LEVELS.index(level)]
        return np.exp(mu - reach), np.exp(mu + reach)

    def guaranteed(self, level: float) -> bool:
        """Whether there are sessions enough for coverage ≥ level on one new exchangeable session.

        What the interval leaves out must be at least one in n + 1; below that it is modelled.
        """
        return (self.n_sessions + 1) * (1.0 - level) >= 1.0 - 1e-9

    def save(self, path: Path) -> None:
        """Write JSON: the levels, the score quantiles, the number of sessions."""
        table = {
            "levels": CENTRAL_LEVELS,
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
            if tuple(table["levels"]) != CENTRAL_LEVELS or len(scores) != len(CENTRAL_LEVELS):
                raise ValueError("other levels than this code uses")
            if scores[0] != 0.0 or not np.all(np.diff(scores) >= 0.0) or np.isinf(scores[-1]):
                raise ValueError("score quantiles that do not rise from 0, or are not numbers")
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                "conformal_table_unreadable",
                f"{path.name} is not a conformal table of this version: {error}.",
                "Train again, or fetch the archive again.",
            ) from error
        return cls(scores, n_sessions)
