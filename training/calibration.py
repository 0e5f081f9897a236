"""Fit the conformal table from out-of-fold scores.

Every session weighs 1, shared among its photos, and the session to come weighs 1 as well, at +∞:
with n sessions of one photo each the quantile at c is the ⌈(n + 1) c⌉-th smallest |y − mu| / sigma,
the textbook split-conformal rank. With many photos a session it is hierarchical conformal
prediction (Lee, Barber & Willett 2023, arXiv 2306.06342), which holds for a new session as long
as sessions are exchangeable.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from features.errors import DataSetError
from handlers.conformal import CENTRAL_LEVELS, ConformalTable

__all__ = ["fit_conformal", "session_weights"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def session_weights(sessions: IntArray, w: FloatArray | None = None) -> FloatArray:
    """Row weights (n,) that sum to 1 in every session, in proportion to `w` within it.

    Raises DataSetError when a weight is negative or a session has no weight at all.
    """
    relative = np.ones(len(sessions)) if w is None else w
    _, index = np.unique(sessions, return_inverse=True)
    totals = np.bincount(index, weights=relative)
    if np.any(relative < 0.0) or np.any(totals <= 0.0):
        raise DataSetError(
            "session_without_weight",
            f"{int((totals <= 0.0).sum())} sessions have a total weight of 0, or a row's is < 0.",
            "Give every row a weight ≥ 0 and every session at least one row with a weight > 0.",
        )
    return np.asarray(relative / totals[index])


def fit_conformal(
    y: FloatArray,
    mu: FloatArray,
    sigma: FloatArray,
    sessions: IntArray,
    w: FloatArray | None = None,
) -> ConformalTable:
    """The table of score quantiles.

    y, mu (n,): ln PM2.5, measured and estimated out of fold; sigma (n,) > 0 [ln ug m-3].
    sessions (n,): what is exchangeable. w (n,): weights within a session, None for equal ones.
    Raises DataSetError for fewer than two sessions, or a sigma that is not > 0.
    """
    if not np.all(sigma > 0.0):
        raise DataSetError(
            "sigma_not_positive",
            f"sigma has a smallest value of {float(np.min(sigma, initial=np.inf))}.",
            "Every row needs an uncertainty > 0.",
        )
    weights = session_weights(sessions, w)
    n_sessions = len(np.unique(sessions))
    if n_sessions < 2:
        raise DataSetError(
            "too_few_sessions",
            f"Conformal calibration got {n_sessions} session(s).",
            "Give at least 2; 9 for a guaranteed 90 % interval.",
        )
    scores = np.abs(y - mu) / sigma
    quantiles = [_corrected_quantile(scores, weights, level) for level in CENTRAL_LEVELS[1:]]
    return ConformalTable((0.0, *quantiles), n_sessions)


def _corrected_quantile(scores: FloatArray, weights: FloatArray, level: float) -> float:
    """Smallest score below or at which a share `level` of all weight lies, the new session's at +∞.

    Where that share is out of reach (few sessions), the largest score is continued as the size of
    a normal error would, in units of the scores' root mean square: modelled, not guaranteed.
    """
    order = np.argsort(scores, kind="stable")
    total = weights.sum()
    share = np.cumsum(weights[order]) / (total + 1.0)
    reached = int(np.searchsorted(share, level - 1e-12))
    if reached < len(scores):
        return float(scores[order[reached]])
    normal = NormalDist()
    largest = (1.0 + total / (total + 1.0)) / 2.0
    beyond = normal.inv_cdf((1.0 + level) / 2.0) - normal.inv_cdf(largest)
    spread = float(np.sqrt((weights * scores**2).sum() / total))
    return float(scores[order[-1]] + max(beyond, 0.0) * spread)
