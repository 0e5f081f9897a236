"""Feature extraction when every photo was read before: what the store alone costs."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import numpy as np

from features.extractor import ScientificFeatureExtractor
from features.metadata import PhotoMetadata
from training.dataset import LabelledPhoto
from training.extraction import extract_features, reading_conditions
from training.feature_store import FeatureStore, PhotoKey, Reading

_MIN_SIDE = 512


def cached_extraction_seconds(folder: Path, photos: int) -> float:
    """Seconds to extract `photos` made-up photos whose features a new store in `folder` holds."""
    extractor = ScientificFeatureExtractor()
    rows = [_row(number) for number in range(photos)]
    reading = Reading(np.random.default_rng(25).normal(size=len(extractor.names)))
    conditions = reading_conditions(_MIN_SIDE)
    with FeatureStore(folder / "cached.db") as store:
        readings = {PhotoKey(row.sha256, conditions): reading for row in rows}
        store.put(readings, extractor.feature_set, extractor="made up")
    with FeatureStore(folder / "cached.db") as store:
        start = time.monotonic()
        extract_features(rows, store, extractor, jobs=1, progress=False)
        return time.monotonic() - start


def _row(number: int) -> LabelledPhoto:
    return LabelledPhoto(
        path=Path(f"{number}.jpg"),
        file=f"{number}.jpg",
        sha256=hashlib.sha256(number.to_bytes(4, "big")).hexdigest(),
        min_side=_MIN_SIDE,
        site="a",
        camera="",
        country="",
        session=str(number),
        pm25=10.0,
        pm25_quality="A",
        pm25_as_published="",
        pm10=None,
        metadata=PhotoMetadata(),
    )
