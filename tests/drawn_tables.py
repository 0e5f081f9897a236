"""Tables and steps of drawn numbers: what training does to rows, without a photo behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.metadata import PhotoMetadata
from handlers.ensemble import MEMBERS
from training.alterations import ALTERATIONS
from training.dataset import LabelledPhoto
from training.demonstrations import Demonstrations
from training.lesson import Lesson
from training.table import TrainingTable


def drawn_photo(
    session: object, *, site: object = "site", camera: str | None = None, pm25: float = 20.0
) -> LabelledPhoto:
    """A row of a data set whose photo nobody reads."""
    return LabelledPhoto(
        path=Path("none.jpg"),
        file="none.jpg",
        sha256="0" * 64,
        min_side=64,
        site=str(site),
        camera=camera or "",
        country="",
        session=str(session),
        pm25=pm25,
        pm25_quality="",
        pm25_as_published="",
        pm10=None,
        metadata=PhotoMetadata(camera=camera),
    )


def drawn_table(
    X: NDArray[np.float64],
    names: Sequence[str],
    *,
    pm25: NDArray[np.float64] | None = None,
    sessions: Sequence[object] | None = None,
    cameras: Sequence[str | None] | None = None,
    copies: NDArray[np.float64] | None = None,
) -> TrainingTable:
    """The rows X (n, F) of one site; unless told otherwise each photo is a session, seen once."""
    n = len(X)
    pm25 = np.full(n, 20.0) if pm25 is None else pm25
    sessions = range(n) if sessions is None else sessions
    cameras = [None] * n if cameras is None else cameras
    return TrainingTable(
        tuple(names),
        np.asarray(X, dtype=np.float64),
        pm25,
        tuple(
            drawn_photo(session, camera=camera, pm25=float(value))
            for session, camera, value in zip(sessions, cameras, pm25, strict=True)
        ),
        np.full((n, len(ALTERATIONS), len(names)), np.nan) if copies is None else copies,
    )


def drawn_steps(
    n_rows: int, count: int, k: int, seed: int, kinds: Sequence[int] = (0,)
) -> Demonstrations:
    """`count` steps of k features from photos among `n_rows`, of one of the `kinds`."""
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(count, k))
    rise = rng.uniform(0.0, 1.0, count)
    return Demonstrations(
        origin=rng.integers(0, max(n_rows, 1), count),
        before=before,
        after=before + 0.5 * rng.normal(size=(count, k)) + 0.3 * rise[:, np.newaxis],
        rise=rise,
        total=rise + rng.uniform(0.0, 1.0, count),
        weights=rng.uniform(0.1, 2.0, count),
        kind=rng.choice(np.array(kinds, dtype=np.int64), count),
    )


def no_steps(k: int) -> Demonstrations:
    """Nothing is shown beside the rows."""
    return drawn_steps(0, 0, k, seed=0)


def drawn_lesson(n: int, n_steps: int, seed: int) -> Lesson:
    """n rows of three features, and steps of every kind that start from them."""
    rng = np.random.default_rng(seed)
    kinds = (-1, *range(len(ALTERATIONS)))
    return Lesson(
        X=rng.normal(size=(n, 3)),
        y=rng.normal(3.0, 0.5, n),
        weights=rng.uniform(0.1, 2.0, n),
        sessions=np.arange(n) // 2,
        groups=np.arange(n) // 5,
        judges=rng.random(n) < 0.7,
        slopes=rng.random(n) < 0.7,
        trust=tuple([1.0 / len(MEMBERS)] * len(MEMBERS)),
        hold=2.0,
        signs=np.array([1, 0, -1]),
        steps=drawn_steps(n, n_steps, 3, seed, kinds),
    )
