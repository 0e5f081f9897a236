"""Fitting the feature pipeline: medians, standardisation, and which features are read.

No label chooses a feature. With a few dozen independent moments, whatever is chosen by its
correlation with PM2.5 is chosen by chance for the most part (docs/LOG.md). Altered copies know
better: a feature is read when haze moves it clearly more than a change of exposure, compression or
sharpness does,

    response = √mean (x_haze − x)² / max over nuisances of √mean (x_nuisance − x)²  ≥  3,

with haze of an optical depth of 0.8 at the horizon.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.pipeline import FeaturePipeline
from training.alterations import ALTERATIONS
from training.table import TrainingTable

LEAST_RESPONSE = 3.0
HAZE = "haze_0.8"
# Share of photos in which each step of haze moves a feature the same way before it counts as one
# of known sign.
STEADY = 0.9


def weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value at which half of the weight is reached; 0 when no value is finite."""
    known = np.isfinite(values)
    if not known.any():
        return 0.0
    order = np.argsort(values[known], kind="stable")
    ordered, cumulative = values[known][order], np.cumsum(weights[known][order])
    return float(ordered[np.searchsorted(cumulative, 0.5 * cumulative[-1])])


def haze_response(table: TrainingTable) -> NDArray[np.float64]:
    """How much more haze moves each feature than any nuisance does (F,) [1]; see the module.

    inf for a feature that nothing but haze moves, and for those that no copy was read of: sun and
    weather, or all of a table without copies; 0 for one that not even haze moves.
    """
    rows = table.with_copies
    own, copies = table.X[rows], table.copies[rows]
    moved = {
        change.name: _root_mean_square(copies[:, k] - own)
        for k, change in enumerate(ALTERATIONS)
        if not change.is_haze or change.name == HAZE
    }
    haze = moved.pop(HAZE)
    nuisance = np.nanmax([np.zeros_like(haze), *moved.values()], axis=0)
    response: NDArray[np.float64] = np.full(len(haze), np.inf)
    np.divide(haze, nuisance, out=response, where=nuisance > 0)
    response[haze == 0] = 0.0
    response[~np.isfinite(haze)] = np.inf
    return response


def haze_signs(table: TrainingTable, scale: NDArray[np.float64]) -> NDArray[np.int64]:
    """Which way haze moves each feature (F,): +1, −1, or 0 where photos do not agree.

    A step back by less than a hundredth of `scale` (F,), a feature's spread, is no step.
    """
    rows = table.with_copies
    copies = table.copies[rows]
    sequence = [k for k, change in enumerate(ALTERATIONS) if change.is_haze]
    steps = np.diff(
        np.concatenate([table.X[rows][:, np.newaxis], copies[:, sequence]], axis=1), axis=1
    )
    known = np.isfinite(steps).all(axis=1)
    n = np.maximum(known.sum(axis=0), 1)
    rises = (known & (steps >= -0.01 * scale).all(axis=1)).sum(axis=0) / n
    falls = (known & (steps <= 0.01 * scale).all(axis=1)).sum(axis=0) / n
    signs = np.where(rises >= STEADY, 1, 0) - np.where(falls >= STEADY, 1, 0)
    signs[~known.any(axis=0)] = 0
    return signs.astype(np.int64)


def fit_pipeline(
    table: TrainingTable,
    weights: NDArray[np.float64],
    *,
    only: Sequence[str] = (),
    leave_out: Sequence[str] = (),
) -> FeaturePipeline:
    """Fit imputation, standardisation and selection on the rows of `table`, weights (n,).

    Features that are constant, never known, or named in `leave_out` are not selected. Of those
    named in `only` all others are, whatever their response; where `table` has none of them, `only`
    says nothing.
    """
    X = table.X
    fill = np.array([weighted_median(column, weights) for column in X.T])
    imputed = np.where(np.isfinite(X), X, fill)
    mean = np.average(imputed, axis=0, weights=weights)
    variance = np.average((imputed - mean) ** 2, axis=0, weights=weights)
    constant = variance <= (1e-12 * (1 + np.abs(mean))) ** 2
    sd = np.where(constant, 1.0, np.sqrt(variance))
    left_out = np.array([name in set(leave_out) for name in table.names])
    named = np.array([name in set(only) for name in table.names])
    chosen = named if named.any() else haze_response(table) >= LEAST_RESPONSE
    selected = chosen & ~constant & ~left_out
    return FeaturePipeline(table.names, fill, mean, sd, np.flatnonzero(selected))


def _root_mean_square(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """√mean of the known squares over the rows of change (n, F); nan where none is known."""
    known = np.isfinite(change)
    n = known.sum(axis=0)
    total = np.where(known, change, 0.0) ** 2
    return np.asarray(
        np.sqrt(np.divide(total.sum(axis=0), n, out=np.full(len(n), np.nan), where=n > 0))
    )
