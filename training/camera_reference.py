"""Fitting what is known about each fixed camera: its usual photo and its usual dust."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from handlers.camera import CameraReference
from training.calibration import session_weights
from training.selection import weighted_median
from training.table import TrainingTable

LEAST_SESSIONS = 10  # with fewer, a camera's usual dust is a guess, and it counts as a new place
LEVELS = (0.05, 0.5, 0.95)


def fit_camera_references(table: TrainingTable, feature_set: str) -> dict[str, CameraReference]:
    """A reference for each camera of `table` with at least ten sessions.

    Sun and weather are the same whatever looks at them and have no place in a reference.
    """
    cameras = np.array([camera or "" for camera in table.cameras])
    around = {*SUN_FEATURES, *WEATHER_FEATURES}
    references = {}
    for camera in sorted({str(camera) for camera in cameras} - {""}):
        own = table.take(np.flatnonzero(cameras == camera))
        n = len(np.unique(own.sessions))
        if n < LEAST_SESSIONS:
            continue
        references[camera] = CameraReference(
            camera=camera,
            content_hash="",
            feature_set=feature_set,
            quantiles={
                name: _quantiles(column)
                for name, column in zip(own.names, own.X.T, strict=True)
                if name not in around and np.isfinite(column).any()
            },
            shift=weighted_median(own.ln_pm25, session_weights(own.sessions)),
            scale=1.0,
            n=n,
            interval_factors=(1.0, 1.0),
        )
    return references


def _quantiles(column: NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = np.nanquantile(column, LEVELS)
    return float(low), float(middle), float(high)


def relative_rows(
    X: NDArray[np.float64],
    names: Sequence[str],
    cameras: Sequence[str | None],
    references: dict[str, CameraReference],
) -> NDArray[np.float64]:
    """Rows (n, F), each relative to the reference of its camera."""
    seen_by = np.array(cameras)
    result = X.copy()
    for name, reference in references.items():
        result[seen_by == name] = reference.relative(X[seen_by == name], names)
    return result
