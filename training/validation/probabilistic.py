"""The whole predictive distribution against what was measured.

With label y, quantiles q_τ at 21 levels τ = 0.025, 0.05 … 0.95, 0.975 and intervals [l, u]:

    crps               2 · mean over τ = 0.05 … 0.95 of the pinball loss: see `training.scores`
    interval_score_c   (u − l) + 2/α (l − y)₊ + 2/α (y − u)₊, α = 1 − c: Winkler's, proper; Gneiting
                       & Raftery 2007, doi:10.1198/016214506000001437             [ug m-3]
    pit                F(y), uniform on 0 … 1 for a calibrated forecaster: a heap at both ends tells
                       of intervals too narrow, one in the middle too wide, one at the right of
                       estimates too low (Gneiting 2007, doi:10.1111/j.1467-9868.2007.00587.x)
    calibration        the share of y ≤ q_τ against τ; `ece` is the mean of their distance over
                       τ = 0.05 … 0.95 (Kuleshov 2018, arXiv 1807.00263, with |·| for its square)
    ence               mean |RMV − RMSE| / RMV over 10 bins of equally many photos by predicted
                       standard deviation σ = √(epistemic² + aleatoric²), RMV = √mean σ²
                       (Levi 2022, doi:10.3390/s22155540)

All photos count alike; for sessions to count alike give `answers.per_session()`. Undefined is None.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from handlers.conformal import QUANTILE_LEVELS
from training.held_out import HeldOutAnswers
from training.scores import pinball_loss
from training.validation.coverage import LEVELS, percent

Array = NDArray[np.float64]

PIT_BINS = 20
SIGMA_BINS = 10
_LEVELS = np.array(QUANTILE_LEVELS)


def probabilistic(answers: HeldOutAnswers) -> dict[str, Any]:
    """`n`, `crps`, `interval_score_50` … `_95`, `pit`, `calibration`, `ence`."""
    return {
        "n": len(answers),
        "crps": _mean(crps(answers)),
        **{
            f"interval_score_{percent(level)}": _mean(interval_score(answers, level))
            for level in LEVELS
        },
        "pit": pit_histogram(answers),
        "calibration": calibration_curve(answers),
        "ence": ence(answers),
    }


def crps(answers: HeldOutAnswers) -> Array:
    """Continuous ranked probability score of each photo (n,) [ug m-3], from 19 quantiles."""
    loss = pinball_loss(answers.pm25, answers.predictions.quantiles)
    return np.asarray(np.mean(2 * loss, axis=1))


def interval_score(answers: HeldOutAnswers, level: float = 0.9) -> Array:
    """Winkler's score of the central interval at `level` of each photo (n,) [ug m-3].

    Raises ValueError for a level without bounds among the quantiles.
    """
    lower, upper = answers.interval(level)
    y, alpha = answers.pm25, 1 - level
    outside = np.maximum(lower - y, 0) + np.maximum(y - upper, 0)
    return np.asarray(upper - lower + 2 / alpha * outside)


def pit(answers: HeldOutAnswers) -> Array:
    """Probability integral transform F(y) of each photo (n,) [1], 0 … 1.

    F is linear between neighbouring quantiles. Outside them it is a guess: exponential tails, whose
    density goes on from that of the outermost step. Where several quantiles are equal F jumps, and
    the middle of the jump is taken. Histogram bins of 5 % do not depend on the tails.
    """
    y, q = answers.pm25[:, None], answers.quantiles
    rows = np.arange(len(answers))
    below, not_above = (q < y).sum(axis=1), (q <= y).sum(axis=1)
    value = np.empty(len(answers))
    met = not_above > below  # y is itself one quantile, or several
    first, last = below[met], not_above[met] - 1
    value[met] = (_LEVELS[first] + _LEVELS[last]) / 2
    low, high = below == 0, below == len(_LEVELS)
    inner, low, high = ~met & ~low & ~high, ~met & low, ~met & high
    after = below[inner]
    left, right = q[rows[inner], after - 1], q[rows[inner], after]
    share = (answers.pm25[inner] - left) / (right - left)
    value[inner] = _LEVELS[after - 1] + share * (_LEVELS[after] - _LEVELS[after - 1])
    value[low] = _tail(q[low, 0] - answers.pm25[low], q[low, 1] - q[low, 0])
    value[high] = 1 - _tail(answers.pm25[high] - q[high, -1], q[high, -1] - q[high, -2])
    return value


def pit_histogram(answers: HeldOutAnswers) -> dict[str, Any]:
    """`edges` (21,) and `shares` (20,) of the PIT, its `mean` (nominal 0.5) and `sd` (0.289)."""
    values = pit(answers)
    # Rounded first: 0.15000000000000002 belongs to the bin that 0.15 closes.
    bins = np.clip(np.ceil(np.round(values * PIT_BINS, 9)) - 1, 0, PIT_BINS - 1).astype(np.int64)
    shares = np.bincount(bins, minlength=PIT_BINS) / max(len(values), 1)
    return {
        "edges": [round(k / PIT_BINS, 6) for k in range(PIT_BINS + 1)],
        "shares": shares.tolist() if len(values) else None,
        "mean": _mean(values),
        "sd": float(np.std(values)) if len(values) > 1 else None,
    }


def calibration_curve(answers: HeldOutAnswers) -> dict[str, Any]:
    """`levels` (21,), `observed` (21,) shares of y ≤ q_τ, and `ece` [1]."""
    levels = list(QUANTILE_LEVELS)
    if not len(answers):
        return {"levels": levels, "observed": None, "ece": None}
    observed = np.mean(answers.pm25[:, None] <= answers.quantiles, axis=0)
    error = np.abs(observed - _LEVELS)[1:-1]
    return {"levels": levels, "observed": observed.tolist(), "ece": float(error.mean())}


def ence(answers: HeldOutAnswers) -> float | None:
    """Expected normalised calibration error of σ [1]; None with fewer than 20 photos, or σ = 0."""
    if len(answers) < 2 * SIGMA_BINS:
        return None
    variance = answers.epistemic**2 + answers.aleatoric**2
    squared_error = (answers.estimate - answers.pm25) ** 2
    bins = np.array_split(np.argsort(variance, kind="stable"), SIGMA_BINS)
    predicted = np.sqrt([variance[rows].mean() for rows in bins])
    found = np.sqrt([squared_error[rows].mean() for rows in bins])
    if not predicted.all():
        return None
    return float(np.mean(np.abs(predicted - found) / predicted))


def _tail(beyond: Array, step: Array) -> Array:
    """The probability that is left `beyond` the outermost quantile, 0.025 at it."""
    scale = np.where(step > 0, step, 1.0)
    return np.where(step > 0, _LEVELS[0] * np.exp(-beyond / scale), 0.0)


def _mean(values: Array) -> float | None:
    return float(np.mean(values)) if len(values) else None
