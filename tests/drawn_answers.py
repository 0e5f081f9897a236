"""Answers to held-out photos with what a test puts into them, and nothing remarkable elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import NormalDist
from typing import Any

import numpy as np

from handlers.conformal import QUANTILE_LEVELS
from training.dataset import LabelledPhoto
from training.held_out import HAZE_DEPTHS, HeldOutAnswers
from training.scores import sun_elevation

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def answers(
    pm25: Sequence[float] | np.ndarray,
    estimate: Sequence[float] | np.ndarray | None = None,
    *,
    half_width: float | np.ndarray = 10.0,
    **given: Any,
) -> HeldOutAnswers:
    """One photo a label: exact unless `estimate` says otherwise, an hour after the one before.

    The quantiles rise in a line from `half_width` below the estimate (5 %) to as much above (95 %).
    `given` replaces whole columns; a single word or number stands for every row.
    """
    labels = np.array(pm25, dtype=np.float64)
    n = len(labels)
    guess = labels.copy() if estimate is None else np.array(estimate, dtype=np.float64)
    reach = (np.array(QUANTILE_LEVELS) - 0.5) / 0.45
    columns: dict[str, Any] = {
        "file": np.array([f"{i}.jpg" for i in range(n)], dtype=np.str_),
        "site": "hill",
        "session": "one",
        "camera": "",
        "fold": "0",
        "captured_at": tuple(NOON + timedelta(hours=i) for i in range(n)),
        "lat": 6.25,
        "lon": -75.57,
        "sun_elevation": 45.0,
        "pm25_quality": "A",
        "pm25": labels,
        "estimate": guess,
        "quantiles": guess[:, None] + np.full(n, half_width)[:, None] * reach,
        "epistemic": 1.0,
        "aleatoric": 2.0,
        "known_camera": False,
        "constant": 20.0,
        "climatology": 20.0,
        "hazed": np.full((n, len(HAZE_DEPTHS)), np.nan),
        **given,
    }
    for name, value in columns.items():
        if isinstance(value, str | float | bool):
            columns[name] = np.array([value] * n, dtype=np.str_ if isinstance(value, str) else None)
        elif isinstance(value, list):
            columns[name] = np.array(value)
    columns["known_camera"] = columns["known_camera"].astype(np.bool_)
    return HeldOutAnswers(**columns)


def forecasts(n: int, *, seed: int = 0, sharpness: float = 1.0, **given: Any) -> HeldOutAnswers:
    """Draws of a forecaster that knows how uncertain it is: ln PM2.5 is normal about its estimate.

    The spread differs from photo to photo; what it says of it is divided by `sharpness`, so that
    above 1 the intervals are too narrow. Three photos make a session and share a level, ten
    sessions make a site; quality, sun and hour take every value there is.
    """
    rng = np.random.default_rng(seed)
    session = np.arange(n) // 3
    level = rng.normal(3.4, 0.7, session.max(initial=0) + 1)[session]
    mu = level + rng.normal(0.0, 0.1, n)
    sigma = rng.uniform(0.15, 0.6, n)
    z = np.array([NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS])
    estimate = np.exp(mu)
    columns: dict[str, Any] = {
        "quantiles": np.exp(mu[:, None] + sigma[:, None] / sharpness * z),
        "site": np.array([f"site {k // 10}" for k in session], dtype=np.str_),
        "session": np.array([f"session {k}" for k in session], dtype=np.str_),
        "pm25_quality": np.array(["ABC"[k % 3] for k in session], dtype=np.str_),
        "sun_elevation": rng.uniform(-20.0, 80.0, n),
        "epistemic": estimate * sigma / sharpness / 2,
        "aleatoric": estimate * sigma / sharpness,
        "constant": 30.0,
        "climatology": np.exp(level),
        **given,
    }
    return answers(np.exp(mu + sigma * rng.normal(size=n)), estimate, **columns)


def answers_to(photos: Sequence[LabelledPhoto], estimate: np.ndarray) -> HeldOutAnswers:
    """Given estimates [ug m-3] of `photos`, the interval half of each wide on either side."""
    return answers(
        [photo.pm25 or 0.0 for photo in photos],
        estimate,
        half_width=estimate / 2,
        site=[photo.site for photo in photos],
        session=[photo.session for photo in photos],
        camera=[photo.camera for photo in photos],
        captured_at=tuple(photo.metadata.captured_at for photo in photos),
        sun_elevation=[sun_elevation(photo) for photo in photos],
    )
