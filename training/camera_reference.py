"""Fitting what is known about each fixed camera: its usual photo and its usual dust."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features.meteorology import SUN_FEATURES, WEATHER_FEATURES
from handlers.camera import CameraReference
from handlers.estimator import is_night
from training.calibration import session_weights
from training.selection import weighted_median
from training.table import TrainingTable

LEAST_SESSIONS = 10  # with fewer, a camera's usual dust is a guess, and it counts as a new place
LEVELS = (0.05, 0.5, 0.95)


def fit_camera_references(table: TrainingTable, feature_set: str) -> dict[str, CameraReference]:
    """A reference for each camera of `table` with at least ten sessions.

    Its usual photo is that of the day, where there are photos by day. Sun and weather are the same
    whatever looks at them and have no place in a reference.
    """
    cameras = np.array([camera or "" for camera in table.cameras])
    around = {*SUN_FEATURES, *WEATHER_FEATURES}
    references = {}
    for camera in sorted({str(camera) for camera in cameras} - {""}):
        own = table.take(np.flatnonzero(cameras == camera))
        n = len(np.unique(own.sessions))
        if n < LEAST_SESSIONS:
            continue
        by_day = own.X[~is_night(own.X, own.names)]
        usual = by_day if len(by_day) else own.X
        references[camera] = CameraReference(
            camera=camera,
            content_hash="",
            feature_set=feature_set,
            quantiles={
                name: _quantiles(column)
                for name, column in zip(own.names, usual.T, strict=True)
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


def relative_to_references(
    table: TrainingTable, references: dict[str, CameraReference]
) -> TrainingTable:
    """The table of differences: each row and its copies relative to the reference of its camera."""
    seen_by = np.array(table.cameras)
    X, copies = table.X.copy(), table.copies.copy()
    for name, reference in references.items():
        own = seen_by == name
        X[own] = reference.relative(X[own], table.names)
        flat = copies[own].reshape(-1, len(table.names))
        copies[own] = reference.relative(flat, table.names).reshape(copies[own].shape)
    return replace(table, X=X, copies=copies)
