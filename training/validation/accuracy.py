"""How near the estimates come to the labels.

With label y, estimate ŷ and error e = ŷ − y, all [ug m-3]:

    n, n_sessions, n_sites   photos, sessions and sites
    mae, rmse, r2, spearman, bias, slope, sd_y   as `training.scores` defines them
    mape               mean |e| / max(y, 1): relative error, labels floored as in ln PM2.5  [1]
    error_sd           standard deviation of e, √(rmse² − bias²)
    error_sd_robust    1.4826 · median |e − median e|: the same for normal errors, deaf to tails
    outlier_rate       share with |e − median e| > 3 error_sd_robust; 0.0027 of normal errors
                       (Leys 2013, doi:10.1016/j.jesp.2013.03.013)
    within_factor_two  share with ½ ≤ ŷ / y ≤ 2, FAC2 (Chang & Hanna 2004,
                       doi:10.1007/s00703-003-0070-7)
    intercept          least squares of ŷ on y, beside `slope`
    pearson            correlation of ŷ and y
    intervals          [lower, upper] by bootstrap of some of these

Undefined is None: everything without photos; with fewer than 3 what needs a spread; slope,
intercept and correlations where the labels are equal, the correlations also where the estimates
are; outlier_rate where error_sd_robust is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.held_out import HeldOutAnswers
from training.scores import score, spearman
from training.validation.bootstrap import Resampling

Array = NDArray[np.float64]

FLOOR = 1.0  # of a label that an error is divided by [ug m-3]
_WITH_INTERVAL = ("mae", "rmse", "r2", "bias", "slope", "spearman")
_FEWEST = 3  # photos that have a spread
_NORMAL = 1.4826  # standard deviation of a normal variable over its median absolute deviation


def accuracy(answers: HeldOutAnswers, resampling: Resampling | None = None) -> dict[str, Any]:
    """The figures above; `intervals` holds mae, rmse, r2, bias, slope and spearman."""
    y, estimate = answers.pm25, answers.estimate
    given = answers.predictions
    scores = score(y, estimate, given.lower, given.upper, given.quantiles, given.baseline)
    slope, error = scores["slope"], estimate - y
    wide, robust = _spread(error), _robust_spread(error)
    return {
        **counts(answers),
        "sd_y": scores["sd_y"],
        **{name: scores[name] for name in ("mae", "rmse", "r2")},
        "mape": _mean(relative_error(answers)),
        "bias": scores["bias"],
        "error_sd": wide,
        "error_sd_robust": robust,
        "outlier_rate": _mean(np.abs(error - np.median(error)) > 3 * robust) if robust else None,
        "within_factor_two": _mean((y / 2 <= estimate) & (estimate <= 2 * y)),
        "slope": slope,
        "intercept": None if slope is None else float(estimate.mean() - slope * y.mean()),
        "spearman": scores["spearman"],
        "pearson": pearson(y, estimate),
        "intervals": _intervals(answers, resampling or Resampling()),
    }


def accuracy_by_quality(
    answers: HeldOutAnswers, resampling: Resampling | None = None
) -> dict[str, dict[str, Any]]:
    """`accuracy` of `all` labels, of `quality_a_b`, and of `quality_c`, the converted ones.

    Labels without a quality are in `all` alone.
    """
    quality = answers.pm25_quality
    return {
        "all": accuracy(answers, resampling),
        "quality_a_b": accuracy(answers.of((quality == "A") | (quality == "B")), resampling),
        "quality_c": accuracy(answers.of(quality == "C"), resampling),
    }


def counts(answers: HeldOutAnswers) -> dict[str, int]:
    """`n` photos, `n_sessions`, `n_sites`: what a figure rests on."""
    return {
        "n": len(answers),
        "n_sessions": len(np.unique(answers.visits())),
        "n_sites": len(np.unique(answers.site)),
    }


def relative_error(answers: HeldOutAnswers) -> Array:
    """|ŷ − y| / max(y, 1) of each photo (n,) [1]."""
    error = np.abs(answers.estimate - answers.pm25)
    return np.asarray(error / np.maximum(answers.pm25, FLOOR))


def pearson(one: Array, other: Array) -> float | None:
    """Correlation of two (n,) arrays [1]; None where one is constant, or n < 3."""
    if len(one) < _FEWEST or one.min() == one.max() or other.min() == other.max():
        return None
    a, b = one - one.mean(), other - other.mean()
    # Scaled first, so that no square vanishes.
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return min(1.0, max(-1.0, float(a @ b) / float(np.sqrt((a @ a) * (b @ b)))))


def _intervals(answers: HeldOutAnswers, resampling: Resampling) -> dict[str, list[float] | None]:
    if not len(answers):
        return dict.fromkeys(_WITH_INTERVAL)
    # Centred: the squares of large labels with a small spread would cancel.
    y = answers.pm25 - answers.pm25.mean()
    estimate = answers.estimate - answers.pm25.mean()
    error = estimate - y
    values = np.column_stack([np.abs(error), error**2, error, y, y**2, estimate, y * estimate])

    def variance(means: Array) -> Array:
        return np.asarray(means[:, 4] - means[:, 3] ** 2)

    return {
        **resampling.of_means(
            answers,
            values,
            {
                "mae": lambda means: means[:, 0],
                "rmse": lambda means: np.sqrt(means[:, 1]),
                "r2": lambda means: 1 - _divided(means[:, 1], variance(means)),
                "bias": lambda means: means[:, 2],
                "slope": lambda means: _divided(
                    means[:, 6] - means[:, 3] * means[:, 5], variance(means)
                ),
            },
        ),
        "spearman": resampling.interval(
            answers, lambda drawn: spearman(drawn.pm25, drawn.estimate)
        ),
    }


def _divided(numerator: Array, variance: Array) -> Array:
    """nan where the resampled labels are equal."""
    positive = variance > 1e-12
    return np.where(positive, numerator / np.where(positive, variance, 1.0), np.nan)


def _spread(values: Array) -> float | None:
    return float(np.std(values)) if len(values) >= _FEWEST else None


def _robust_spread(error: Array) -> float | None:
    if len(error) < _FEWEST:
        return None
    return float(_NORMAL * np.median(np.abs(error - np.median(error))))


def _mean(values: NDArray[Any]) -> float | None:
    return float(np.mean(values)) if len(values) else None
