"""Rendered scenes as a teacher: what haze does to a picture, known exactly, at hundreds of places.

Real labelled photos come from a handful of places, and what they teach about haze cannot be told
from what they teach about those places. Rendered scenes are worse pictures of better known air.
They join the training rows of the models for new places, never those of a known camera, and judge
nobody: stack, intervals and scores rest on real photos alone.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.errors import DataSetError
from features.extractor import ScientificFeatureExtractor
from features.meteorology import WEATHER_FEATURES
from training.altered_features import altered_features
from training.calibration import session_weights
from training.dataset import read_dataset
from training.extraction import extract_features
from training.feature_store import FeatureStore
from training.label_quality import label_trust
from training.rendering.renderer import render_dataset
from training.table import TrainingTable, training_table

# One photo of each place: places are what real data sets lack (docs/LOG.md).
PLACES = 400
# Of all training weight; with less, unseen cities are ranked by the buildings of the seen ones.
SHARE = 0.6
# Photos of which altered copies are read: to haze, rendered scenes answer much alike.
COPIED = 100


def rendered_scenes(
    folder: Path, store: FeatureStore, *, places: int = PLACES, seed: int, jobs: int = 2
) -> TrainingTable:
    """The table of `places` rendered photos, kept below `folder` and rendered once.

    Their weather is a drawing, not a climate, and is left unknown.
    """
    photos = read_dataset(rendered_folder(folder, places, 1, seed)).rows
    rows = extract_features(photos, store, ScientificFeatureExtractor(), jobs=jobs)
    kept = [photos[i] for i in rows.kept]
    copied = altered_features(kept[:COPIED], store, ScientificFeatureExtractor(), jobs=jobs)
    copies = np.full((len(kept), *copied.shape[1:]), np.nan)
    copies[: len(copied)] = copied
    table = training_table(kept, rows.matrix[rows.kept], rows.names, copies)
    table.X[:, [name in WEATHER_FEATURES for name in table.names]] = np.nan
    return table


def rendered_folder(folder: Path, places: int, sessions: int, seed: int) -> Path:
    """The data set of `sessions` photos at each of `places`, rendered below `folder` unless it is
    there: today's code and the same seed draw the same pictures.
    """
    chosen = folder / f"{_code_hash()}-{places}x{sessions}-{seed}"
    if not chosen.is_dir():
        try:
            render_dataset(chosen, places, sessions, 1, seed)
        except (DataSetError, OSError):
            if not chosen.is_dir():  # unless another run was quicker
                raise
        for leftover in folder.glob(f".{chosen.name}-*"):  # of runs that were killed
            shutil.rmtree(leftover, ignore_errors=True)
    return chosen


def join_rendered(
    real: TrainingTable, rendered: TrainingTable | None
) -> tuple[TrainingTable, NDArray[np.float64], NDArray[np.bool_]]:
    """Real rows, below them the rendered ones with `SHARE` of all weight; which are real (n,).

    Every real session has the same total weight, less where its labels are trusted less, and every
    rendered one.
    """
    weights = session_weights(real.sessions) * label_trust(real.photos)
    if rendered is None:
        return real, weights, np.ones(len(real), dtype=bool)
    taught = session_weights(rendered.sessions)
    taught *= SHARE / (1 - SHARE) * weights.sum() / taught.sum()
    return (
        real.joined(rendered.with_columns(real.names)),
        np.concatenate([weights, taught]),
        np.arange(len(real) + len(rendered)) < len(real),
    )


def _code_hash() -> str:
    code = Path(__file__).parent / "rendering"
    sources = (file.read_bytes() for file in sorted(code.glob("*.py")))
    return hashlib.sha256(b"\0".join(sources)).hexdigest()[:12]
