"""What the training data looked like: quantiles for drift and applicability, and the baselines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from handlers.applicability import TrainingStatistics
from training.calibration import session_weights
from training.scores import baselines
from training.table import TrainingTable

LEVELS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def weighted_quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64], levels: Sequence[float]
) -> tuple[float, ...]:
    """The smallest value at which a share `level` of all weight is reached, for each level."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    at = np.searchsorted(cumulative, np.array(levels) * cumulative[-1])
    return tuple(float(v) for v in values[order][np.minimum(at, len(values) - 1)])


def training_statistics(table: TrainingTable, selected: Sequence[str]) -> TrainingStatistics:
    """Statistics of `table` for the photo features among `selected`; sessions weigh the same."""
    weights = session_weights(table.sessions)
    around = {*SUN_FEATURES, *WEATHER_FEATURES}
    quantiles = {}
    for name, column in zip(table.names, table.X.T, strict=True):
        known = np.isfinite(column)
        if name in selected and name not in around and known.any():
            quantiles[name] = weighted_quantiles(column[known], weights[known], LEVELS)
    new_place, by_camera = baselines(table.photos)
    return TrainingStatistics(
        levels=LEVELS,
        feature_quantiles=quantiles,
        pm25_quantiles=weighted_quantiles(table.pm25, weights, LEVELS),
        baseline_pm25=new_place,
        baseline_by_camera=by_camera,
    )
