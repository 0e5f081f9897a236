"""Photos that do not exist and readings of them, as many as a benchmark of the store needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from features.extractor import ScientificFeatureExtractor
from features.metadata import PhotoMetadata
from training.dataset import LabelledPhoto
from training.extraction import photo_key
from training.feature_store import FeatureStore
from training.photo_reading import PhotoKey, Provenance, Reading

_MIN_SIDE = 512
_AT_ONCE = 10_000  # readings that are put in one transaction


def made_up_photo(number: int) -> LabelledPhoto:
    """The photo of this number; nothing lies at its path."""
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


def made_up_keys(photos: int) -> Iterator[PhotoKey]:
    """The keys of that many photos, as today's code asks for them."""
    conditions = photo_key(made_up_photo(0))[1:]
    for number in range(photos):
        digest = hashlib.sha256(number.to_bytes(4, "big")).hexdigest()
        yield PhotoKey(digest, *conditions)


def fill(path: Path, photos: int) -> None:
    """Put a reading of each of that many photos into the store at `path`."""
    extractor = ScientificFeatureExtractor()
    rng = np.random.default_rng(25)
    keys = made_up_keys(photos)
    with FeatureStore(path) as store:
        store.register(extractor.feature_set, extractor.families)
        for start in range(0, photos, _AT_ONCE):
            count = min(_AT_ONCE, photos - start)
            values = rng.normal(size=(count, len(extractor.names)))
            readings = {next(keys): Reading(row) for row in values}
            store.put(readings, extractor.feature_set, Provenance("made up"))
