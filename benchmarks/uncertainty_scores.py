"""Scores of a predictive law and of intervals over rows of unequal weight, and their table.

All take weights w (n,) ≥ 0, so that a session of many photos counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from handlers.conformal import QUANTILE_LEVELS, interval_columns

Array = NDArray[np.float64]
Figures = Mapping[str, tuple[float, float]]

LEVELS = (0.5, 0.8, 0.9, 0.95)
REMOVED = np.linspace(0.0, 0.95, 20)
_QUANTILES = np.array(QUANTILE_LEVELS)


def law_scores(y: Array, mean: Array, sd: Array, w: Array) -> dict[str, float]:
    """Of Gaussian laws N(mean, sd²) for y, each (n,), as they stand:

    law_50 … law_95  share of y inside the central interval
    ece              mean |p − share of y below the p-quantile| over p = 5 … 95 % (Kuleshov 2018)
    spearman         rank correlation of |y − mean| with sd
    ause             area between the errors left when the largest sd go first and when the largest
                     errors do, over the mean error (Ilg 2018)
    """
    error, z = np.abs(y - mean), (y - mean) / sd
    reach = {level: NormalDist().inv_cdf((1 + level) / 2) for level in LEVELS}
    p = np.arange(1, 20) / 20
    below = np.average(norm.cdf(z)[:, None] <= p, axis=0, weights=w)
    return {
        **{f"law_{100 * k:.0f}": _mean(np.abs(z) <= reach[k], w) for k in LEVELS},
        "ece": float(np.abs(below - p).mean()),
        "spearman": _correlation(rankdata(error), rankdata(sd), w),
        "ause": float((_left(error, sd, w) - _left(error, error, w)).mean() / _mean(error, w)),
    }


def interval_scores(pm25: Array, quantiles: Array, w: Array) -> dict[str, float]:
    """Of quantiles (n, 21) [ug m-3] at QUANTILE_LEVELS for labels pm25 (n,):

    cover_50, cover_90  share of labels inside
    width_90, score_90  mean width and interval score [ug m-3] (Gneiting & Raftery 2007)
    ln_score_90         interval score of ln PM2.5 [ln ug m-3]
    crps                [ug m-3], twice the mean pinball loss over 5, 10 … 95 %
    """
    (low_50, high_50), (low, high) = (
        (quantiles[:, a], quantiles[:, b]) for a, b in map(interval_columns, (0.5, 0.9))
    )
    short = pm25[:, None] - quantiles
    loss = np.maximum(_QUANTILES * short, (_QUANTILES - 1) * short)
    return {
        "cover_50": _mean((low_50 <= pm25) & (pm25 <= high_50), w),
        "cover_90": _mean((low <= pm25) & (pm25 <= high), w),
        "width_90": _mean(high - low, w),
        "score_90": _mean(_interval_score(pm25, low, high), w),
        "ln_score_90": _mean(
            _interval_score(np.log(np.maximum(pm25, 1.0)), np.log(low), np.log(high)), w
        ),
        "crps": _mean(2 * loss[:, 1:-1].mean(axis=1), w),
    }


def mean_and_sd(runs: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Over runs of the same figures: their mean and population standard deviation."""
    return {
        name: (float(np.mean(values)), float(np.std(values).round(12)))
        for name in runs[0]
        for values in [[run[name] for run in runs]]
    }


def text_table(rows: Mapping[str, Figures]) -> str:
    """A line a row, "mean ± sd" in three and one significant digits."""
    names = list(next(iter(rows.values())))
    lines = [f"{'':30}" + "".join(f"{name:>16}" for name in names)]
    for title, figures in rows.items():
        cells = (
            f"{mean:.3g} ± {float(f'{sd:.0e}'):g}" for mean, sd in (figures[name] for name in names)
        )
        lines.append(f"{title:30}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def _interval_score(y: Array, low: Array, high: Array) -> Array:
    beyond = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
    return np.asarray(high - low + 2 / (1 - 0.9) * beyond)


def _mean(values: NDArray[np.bool_] | Array, w: Array) -> float:
    return float(np.average(values, weights=w))


def _correlation(one: Array, other: Array, w: Array) -> float:
    """Pearson's, 0 where one is constant."""
    a, b = one - _mean(one, w), other - _mean(other, w)
    scale = float(np.sqrt((w * a * a).sum() * (w * b * b).sum()))
    return float((w * a * b).sum()) / scale if scale > 0.0 else 0.0


def _left(error: Array, uncertainty: Array, w: Array) -> Array:
    """Mean error of those left when a share REMOVED of the weight, the most uncertain, is gone."""
    order = np.argsort(uncertainty, kind="stable")
    weight, total = np.cumsum(w[order]), np.cumsum((w * error)[order])
    return np.interp(1.0 - REMOVED, weight / weight[-1], total / weight)
