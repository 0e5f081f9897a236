"""Fitting the feature pipeline: medians, standardisation, and the F-test that selects features.

The F-test is scored on one median per session with the site's mean removed from feature and
target. Frames of one visit are one observation, not twenty; and a feature that only tells two
places apart (their buildings, their camera) would otherwise win over one that tells their
clear days from their hazy ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.pipeline import FeaturePipeline

SELECTED_FEATURES = 50


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value at which half of the weight is reached; 0 when no value is finite."""
    known = np.isfinite(values)
    if not known.any():
        return 0.0
    order = np.argsort(values[known], kind="stable")
    ordered, cumulative = values[known][order], np.cumsum(weights[known][order])
    return float(ordered[np.searchsorted(cumulative, 0.5 * cumulative[-1])])


def session_medians(
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    sessions: NDArray[np.int64],
    sites: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """One row per session: medians of its features (m, F) and target (m,), its site (m,)."""
    names, first, inverse = np.unique(sessions, return_index=True, return_inverse=True)
    rows = [np.flatnonzero(inverse == i) for i in range(len(names))]
    return (
        np.array([np.median(X[r], axis=0) for r in rows]),
        np.array([np.median(y[r]) for r in rows]),
        sites[first],
    )


def without_site_mean(values: NDArray[np.float64], sites: NDArray[np.int64]) -> NDArray[np.float64]:
    """`values` (m,) or (m, F) minus the mean of their site."""
    centred = values.astype(np.float64).copy()
    for site in np.unique(sites):
        centred[sites == site] -= centred[sites == site].mean(axis=0)
    return centred


def f_statistic(X: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """F of the univariate regression of y (m,) on each column of X (m, F), (F,) [1].

    F = r² / (1 − r²) · (m − 2), with r the Pearson correlation; 0 for a constant column.
    """
    Xc, yc = X - X.mean(axis=0), y - y.mean()
    norm = np.sqrt((Xc**2).sum(axis=0) * (yc**2).sum())
    # A column whose spread is rounding error is constant.
    spread = np.sqrt((Xc**2).mean(axis=0)) > 1e-12 * (1 + np.abs(X).max(axis=0, initial=0))
    r = np.divide(Xc.T @ yc, norm, out=np.zeros(X.shape[1]), where=(norm > 0) & spread)
    r2 = np.minimum(r**2, 1 - 1e-15)
    return np.asarray(r2 / (1 - r2) * (len(y) - 2))


def fit_pipeline(
    X: NDArray[np.float64],
    y: NDArray[np.float64],
    weights: NDArray[np.float64],
    sessions: NDArray[np.int64],
    sites: NDArray[np.int64],
    names: Sequence[str],
    *,
    keep: Sequence[str] = (),
    count: int = SELECTED_FEATURES,
) -> FeaturePipeline:
    """Fit imputation, standardisation and selection on training rows.

    X (n, F) with nan for unknown, y (n,) ln(PM2.5 [ug m-3]), weights (n,), sessions and sites
    (n,) as numbers. `keep` names the features that are selected whatever the test says; those
    that `names` does not hold are passed over. The rest of the `count` places go to the largest
    F, ties to the earlier name.
    """
    fill = np.array([weighted_median(column, weights) for column in X.T])
    imputed = np.where(np.isfinite(X), X, fill)
    mean = np.average(imputed, axis=0, weights=weights)
    variance = np.average((imputed - mean) ** 2, axis=0, weights=weights)
    constant = variance <= (1e-12 * (1 + np.abs(mean))) ** 2
    sd = np.where(constant, 1.0, np.sqrt(variance))

    medians, target, session_sites = session_medians(imputed, y, sessions, sites)
    F = f_statistic(
        without_site_mean(medians, session_sites), without_site_mean(target, session_sites)
    )
    F[constant] = -1.0
    position = {name: i for i, name in enumerate(names)}
    kept = [position[name] for name in keep if name in position]
    ranked = [int(i) for i in np.argsort(-F, kind="stable") if F[i] >= 0 and int(i) not in kept]
    selected = np.sort(np.array(kept + ranked[: max(count - len(kept), 0)], dtype=np.int64))
    return FeaturePipeline(tuple(names), fill, mean, sd, selected)
