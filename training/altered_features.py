"""Features of altered copies: a few photos of each session, each with all its alterations.

A photo's copies are made and read in one go, so that it is decoded once, and stored like any other
reading, so that a run that was stopped goes on where it ended.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from features.photo import decode_photo
from features.scene import scene_of
from features.sun import solar_position
from training import alterations
from training.alterations import ALTERATIONS, altered
from training.dataset import LabelledPhoto
from training.extraction import (
    Extractor,
    carried_readings,
    check_code,
    check_photo,
    made_by,
    naming_the_photo,
    on_one_thread,
    values_of,
)
from training.feature_store import FeatureStore
from training.photo_reading import PhotoKey, Provenance, Reading
from training.progress import progress_bar
from training.reading_conditions import picture_conditions
from training.workers import LocalProcesses, Workers

# A fixed camera's photos are worth all their copies: what haze does to this one view is learned
# from them. Of a visit a few frames are enough.
PHOTOS_OF_A_VISIT = 4
T = TypeVar("T")

_PHOTOS_AT_ONCE = 100  # whose copies are taken from the store
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
    store_altered_features(rows, store, extractor, LocalProcesses(jobs), progress=progress)
    chosen = chosen_photos(rows)
    result = np.full((len(rows), len(ALTERATIONS), len(extractor.names)), np.nan)
    for start in range(0, len(chosen), _PHOTOS_AT_ONCE):
        keys = {number: _keys(rows[number]) for number in chosen[start : start + _PHOTOS_AT_ONCE]}
        asked = (key for own in keys.values() for key in own)
        readings = store.get_many(asked, extractor.feature_set)
        for number, own in keys.items():
            result[number] = [readings[key].values for key in own]
    return result


def store_altered_features(
    rows: Sequence[LabelledPhoto],
    store: FeatureStore,
    extractor: Extractor,
    workers: Workers,
    *,
    progress: bool = True,
) -> int:
    """See that `store` holds the copies of all that are chosen among `rows`: the number of photos.

    Raises DataSetError, WorkerError as `store_features` does.
    """
    feature_set = extractor.feature_set
    store.register(feature_set, extractor.families)
    chosen = [rows[number] for number in chosen_photos(rows)]
    known = store.known((key for row in chosen for key in _keys(row)), feature_set)
    missing = [row for row in chosen if not known.issuperset(_keys(row))]
    with progress_bar(
        "altered copies", len(chosen), len(chosen) - len(missing), progress
    ) as advance:

        def parts() -> Iterator[tuple[Any, ...]]:
            for row in missing:
                keys = _keys(row)
                earlier = store.carried(keys, extractor.families)
                whole = carried_readings(earlier, extractor, gate=False)
                if len(whole) == len(keys):
                    store.put(whole, feature_set, made_by(extractor, ("all",)))
                    advance(1)
                else:
                    families = [earlier[key].families if key in earlier else {} for key in keys]
                    yield row, keys, extractor, feature_set, families

        for readings, provenance in workers.results(_read_copies, parts()):
            store.put(readings, feature_set, provenance)
            advance(1)
    return len(chosen)


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
    """No gate judges a copy: its picture is all that its values depend on."""
    kinds = (f"{picture_conditions()} alterations={_code()} {c.name}" for c in ALTERATIONS)
    return [PhotoKey(row.sha256, kind, kind) for kind in kinds]


@cache
def _code() -> str:
    return hashlib.sha256(Path(str(alterations.__file__)).read_bytes()).hexdigest()[:16]


def _read_copies(
    row: LabelledPhoto,
    keys: Sequence[PhotoKey],
    extractor: Extractor,
    feature_set: str,
    carried: Sequence[Mapping[str, NDArray[np.float64]]],
) -> tuple[dict[PhotoKey, Reading], Provenance]:
    """All copies of one photo, on one thread."""
    on_one_thread()
    check_code(keys[0].conditions, _keys(row)[0].conditions, feature_set, extractor)
    readings = {}
    with naming_the_photo(row.path):
        data = row.path.read_bytes()
        check_photo(row.path, hashlib.sha256(data).hexdigest(), row.sha256)
        photo = decode_photo(data)
        copies = altered(photo.pixels, photo.light(), seed=int(row.sha256[:12], 16))
        for change, key, known in zip(ALTERATIONS, keys, carried, strict=True):
            scene = scene_of(replace(photo, pixels=copies[change.name]).light())
            readings[key] = Reading(values_of(scene, extractor, known))
    return readings, made_by(extractor, {name for known in carried for name in known})
