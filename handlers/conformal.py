"""Quantiles and intervals of PM2.5 whose coverage was measured on photos that were held out.

The score of a training photo is the size of its out-of-fold error in units of its own uncertainty,

    s = |y − mu| / sigma,   y = ln PM2.5,

and the central interval at level c of a new photo is exp(mu ± sigma · Q_c) [ug m-3], with Q_c the
c-quantile of the scores of its group: photos with a predicted mu in the same range. It is symmetric
in ln PM2.5 so that the correction for few sessions is paid once: on the development webcam's 24 to
30 sessions, tails of their own covered 0.98 of new days where 0.90 was asked, this 0.93 with
intervals 27 % narrower.

Sessions, not photos, are exchangeable: each has the same total weight, and a new session one more
(hierarchical conformal prediction: Dunn, Wasserman & Ramdas, doi:10.1080/01621459.2022.2060112;
Lee, Barber & Willett 2023, arXiv 2306.06342): a guarantee for new days of a known camera.

A new place is no new session of an old one. Its errors share an effect of the place, of which K
places in training show K draws: too few for a guarantee at the level of places, so that there the
scores follow a model, |tau · T + w| with T Student's t (`training/calibration.py`, `SiteEffect`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.errors import ArtifactError

__all__ = [
    "CENTRAL_LEVELS",
    "QUANTILE_LEVELS",
    "ConformalTable",
    "ScoreGroup",
    "SiteEffect",
    "interval_columns",
    "total_sigma",
]

FloatArray = npt.NDArray[np.float64]

CENTRAL_LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
# 0.025, 0.05, 0.10 … 0.95, 0.975: they bound the central intervals at 95, 90, 80 … 0, … 95 %.
QUANTILE_LEVELS = (0.025, *(round(0.05 * i, 2) for i in range(1, 20)), 0.975)
_SIDE = np.sign(np.arange(-10, 11))
_CENTRAL = np.abs(np.arange(-10, 11))


def interval_columns(level: float) -> tuple[int, int]:
    """Which of `QUANTILE_LEVELS` bound the central interval at `level`: 0, 0.1 … 0.9, or 0.95.

    Raises ValueError for another one.
    """
    if level not in CENTRAL_LEVELS:
        raise ValueError(f"level is {level}; allowed are {CENTRAL_LEVELS}")
    middle, reach = len(QUANTILE_LEVELS) // 2, CENTRAL_LEVELS.index(level)
    return middle - reach, middle + reach


def total_sigma(
    epistemic_sd: FloatArray, aleatoric_sd: FloatArray, disagreement: FloatArray
) -> FloatArray:
    """sigma = √(epistemic² + aleatoric² + disagreement²) [ln ug m-3]; the unit of a score."""
    return np.asarray(np.sqrt(epistemic_sd**2 + aleatoric_sd**2 + disagreement**2))


@dataclass(frozen=True)
class ScoreGroup:
    """Photos judged alike: those with mu below `mu_below`, and not below that of the group before.

    mu_below         [ln ug m-3], infinite for the last group
    n_sessions       how many sessions its scores come from
    score_quantiles  of |y − mu| / sigma, one for each of `CENTRAL_LEVELS`, from 0 upwards [1]
    """

    mu_below: float
    n_sessions: int
    score_quantiles: tuple[float, ...]


@dataclass(frozen=True)
class SiteEffect:
    """What the photos of one place have in common in their scores (y − mu) / sigma [1].

    sd               tau, standard deviation of the effect between places
    degrees_of_freedom  of Student's t: as many as there are places, fewer with unequal weights
    within_sd        standard deviation of a photo's score around its place's
    session_sd       standard deviation of a session's mean score around its place's
    """

    sd: float
    degrees_of_freedom: float
    within_sd: float
    session_sd: float


@dataclass(frozen=True)
class ConformalTable:
    """How far from its estimate PM2.5 is, in units of sigma.

    groups       mu ascending
    site_effect  where places are new
    unit         sigma of every photo [ln ug m-3] where their own spreads tell no good estimate from
                 a bad one; None: each photo's own
    """

    groups: tuple[ScoreGroup, ...]
    site_effect: SiteEffect | None = None
    unit: float | None = None

    def sigma(self, spread: FloatArray) -> FloatArray:
        """The unit (n,) of the scores of photos with that `spread` (n,), both [ln ug m-3]."""
        return spread if self.unit is None else np.full(len(spread), self.unit)

    @property
    def n_sessions(self) -> int:
        """How many sessions all scores come from."""
        return sum(group.n_sessions for group in self.groups)

    def quantiles(self, mu: FloatArray, sigma: FloatArray) -> FloatArray:
        """PM2.5 at `QUANTILE_LEVELS` [ug m-3], each > 0, ascending along axis 1.

        mu (n,): ln PM2.5, whose exp is the median; sigma (n,) > 0, both [ln ug m-3].
        Returns (n, 21).
        """
        edges = [group.mu_below for group in self.groups[:-1]]
        own = np.array([group.score_quantiles for group in self.groups])[
            np.searchsorted(edges, mu, side="right")
        ]
        return np.asarray(np.exp(mu[:, None] + sigma[:, None] * _SIDE * own[:, _CENTRAL]))

    def guaranteed(self, level: float) -> bool:
        """Whether coverage ≥ level on one new exchangeable session follows from the sessions.

        What the interval leaves out must be at least one in n + 1 in every group; below that, and
        for a new place at any level, it is modelled.
        """
        fewest = min(group.n_sessions for group in self.groups)
        return self.site_effect is None and (fewest + 1) * (1.0 - level) >= 1.0 - 1e-9

    def save(self, path: Path) -> None:
        """Write JSON: the levels, the groups, the effect of places, the unit."""
        groups = [asdict(group) for group in self.groups]
        groups[-1]["mu_below"] = None  # JSON has no infinity
        table = {
            "levels": CENTRAL_LEVELS,
            "groups": groups,
            "site_effect": None if self.site_effect is None else asdict(self.site_effect),
            "unit": self.unit,
        }
        path.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ConformalTable:
        """Read what `save` wrote. Raises ArtifactError when it is missing, damaged or foreign."""
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            if tuple(table["levels"]) != CENTRAL_LEVELS:
                raise ValueError("other levels than this code uses")
            groups = tuple(_group(entry) for entry in table["groups"])
            edges = [group.mu_below for group in groups]
            if not edges or edges[-1] != np.inf or not np.all(np.diff(edges) > 0.0):
                raise ValueError("groups that do not ascend to the last")
            effect, unit = table["site_effect"], table["unit"]
            if unit is not None and not 0.0 < float(unit) < np.inf:
                raise ValueError("a unit that is not > 0")
            return cls(
                groups,
                None if effect is None else _site_effect(effect),
                None if unit is None else float(unit),
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                "conformal_table_unreadable",
                f"{path.name} is not a conformal table of this version: {error}.",
                "Train again, or fetch the archive again.",
            ) from error


def _group(entry: Mapping[str, Any]) -> ScoreGroup:
    scores = tuple(float(score) for score in entry["score_quantiles"])
    if len(scores) != len(CENTRAL_LEVELS):
        raise ValueError("other levels than this code uses")
    if scores[0] != 0.0 or not np.all(np.diff(scores) >= 0.0) or np.isinf(scores[-1]):
        raise ValueError("score quantiles that do not rise from 0, or are not numbers")
    below = np.inf if entry["mu_below"] is None else float(entry["mu_below"])
    return ScoreGroup(below, int(entry["n_sessions"]), scores)


def _site_effect(entry: Mapping[str, Any]) -> SiteEffect:
    effect = SiteEffect(**{name: float(value) for name, value in entry.items()})
    if not (0.0 <= effect.sd < np.inf and effect.degrees_of_freedom > 0.0):
        raise ValueError("an effect of places that is no spread")
    return effect
