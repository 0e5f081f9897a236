"""Features of altered copies: a few photos of each session, each with all its alterations.

A photo's copies are made and read in one go, so that it is decoded once, and stored like any other
reading, so that a run that was stopped goes on where it ended.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray

from features.light import light_of
from features.photo import decode_photo
from features.sun import solar_position
from training import alterations
from training.alterations import ALTERATIONS, altered
from training.dataset import LabelledPhoto
from training.extraction import Extractor, progress_bar, reading_conditions
from training.feature_store import FeatureStore, PhotoKey, Reading

# A fixed camera's photos are worth all their copies: what haze does to this one view is learned
# from them. Of a visit a few frames are enough.
PHOTOS_OF_A_VISIT = 4
T = TypeVar("T")

LOWEST_SUN = 5.0  # [deg] lamps, not airlight, make the picture of the night


def altered_features(
    rows: Sequence[LabelledPhoto],
    store: FeatureStore,
    extractor: Extractor,
    *,
    jobs: int = 2,
    progress: bool = True,
) -> NDArray[np.float64]:
    """Features (n, K, F) of the K = len(ALTERATIONS) copies of the n `rows`.

    All nan for a photo that was not chosen. Those that `rows` holds have been read before and were
    not refused.
    """
    chosen = chosen_photos(rows)
    keys = {number: _keys(rows[number]) for number in chosen}
    known = store.get_many([key for own in keys.values() for key in own], extractor.feature_set)
    missing = [n for n in chosen if any(key not in known for key in keys[n])]
    with (
        progress_bar(
            "altered copies", len(chosen), len(chosen) - len(missing), progress
        ) as advance,
        parallel_config("loky", n_jobs=min(jobs, len(missing)) or 1, inner_max_num_threads=1),
    ):
        for number, values in Parallel(return_as="generator_unordered", batch_size=1)(
            delayed(_read_copies)(number, rows[number], extractor) for number in missing
        ):
            readings = {key: Reading(row) for key, row in zip(keys[number], values, strict=True)}
            store.put(readings, extractor.feature_set, extractor=type(extractor).__name__)
            known.update(readings)
            advance()
    result = np.full((len(rows), len(ALTERATIONS), len(extractor.names)), np.nan)
    for number, own in keys.items():
        result[number] = [known[key].values for key in own]
    return result


def chosen_photos(rows: Sequence[LabelledPhoto]) -> list[int]:
    """The photos whose copies are read, as rows, ascending.

    By day: every photo of a fixed camera, and of each other visit `PHOTOS_OF_A_VISIT`, evenly
    spaced.
    """
    chosen = []
    visits: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if _is_night(row):
            continue
        if row.camera:
            chosen.append(number)
        else:
            visits[row.visit].append(number)
    for visit in visits.values():
        chosen += _evenly(visit, PHOTOS_OF_A_VISIT)
    return sorted(chosen)


def _evenly(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items, or all if there are fewer, evenly spaced."""
    count = min(count, len(items))
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]


def _is_night(row: LabelledPhoto) -> bool:
    around = row.metadata
    if around.captured_at is None or around.lat is None or around.lon is None:
        return False
    sun = solar_position(around.captured_at, around.lat, around.lon)
    return sun.elevation < LOWEST_SUN


def _keys(row: LabelledPhoto) -> list[PhotoKey]:
    conditions = f"{reading_conditions(row.min_side)} alterations={_code()}"
    return [PhotoKey(row.sha256, f"{conditions} {change.name}") for change in ALTERATIONS]


@cache
def _code() -> str:
    return hashlib.sha256(Path(str(alterations.__file__)).read_bytes()).hexdigest()[:16]


def _read_copies(
    number: int, row: LabelledPhoto, extractor: Extractor
) -> tuple[int, NDArray[np.float64]]:
    """Features (K, F) of all copies of one photo, on one thread."""
    cv2.setNumThreads(1)
    photo = decode_photo(row.path.read_bytes())
    copies = altered(photo.pixels, light_of(photo.pixels), seed=int(row.sha256[:12], 16))
    rows = []
    for change in ALTERATIONS:
        features = extractor.extract(light_of(copies[change.name]))
        rows.append([features[name] for name in extractor.names])
    return number, np.array(rows)
