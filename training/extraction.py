"""Photos become rows of features: side by side, once each, and from the store ever after.

Each photo walks the way it walks when served: decode, light, quality gate, extractor. Results are
stored one by one as they arrive, so that a run that was stopped, however it was, goes on where it
ended. Only what the picture shows is stored; sun and weather are computed from the metadata anew.

When the extractor or the gate has changed, a photo is read again only for what that change asks:
families that are new or have a new version, or the verdict of the new gate.
"""

from __future__ import annotations

import hashlib
import json
import platform
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from features.errors import DataSetError, PhotoError
from features.photo import decode_photo
from features.quality import ImageQualityValidator
from features.scene import Scene, scene_of
from features.schema import FeatureFamily
from training.dataset import LabelledPhoto
from training.feature_store import KEYS_PER_QUERY, FeatureStore
from training.photo_reading import Carried, PhotoKey, Provenance, Reading, Refusal
from training.progress import progress_bar
from training.reading_conditions import reading_conditions
from training.workers import LocalProcesses, WorkerError, Workers

_LIBRARIES = ("numpy", "opencv-python-headless")

Floats = NDArray[np.float64]


class Extractor(Protocol):
    """What is asked of ScientificFeatureExtractor; it is sent to other processes by value."""

    @property
    def families(self) -> tuple[FeatureFamily, ...]: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def feature_set(self) -> str: ...

    def extract(
        self, scene: Scene, families: Collection[str] | None = None
    ) -> Mapping[str, float]: ...


@dataclass(frozen=True, eq=False)
class ExtractedRows:
    """Features of n photos in the order that they were given.

    names    (F,) of the columns
    matrix   (n, F) float64; nan where a photo does not define a feature, and all along the rows
             of refused photos
    refused  path of each refused photo → why
    kept     (m,) int64, the rows of the others
    """

    names: tuple[str, ...]
    matrix: Floats
    refused: dict[Path, Refusal]
    kept: NDArray[np.int64]

    @property
    def refused_by_reason(self) -> dict[str, int]:
        """Number of refused photos by code, the most frequent first."""
        return dict(Counter(refusal.code for refusal in self.refused.values()).most_common())


@dataclass(frozen=True)
class Extraction:
    """What a run did: distinct photos that were there, and those that it added to the store.

    known    had a reading before
    carried  got one without being opened: only the composition of the feature set had changed
    read     were opened
    """

    known: int
    carried: int
    read: int

    def as_json(self, refusals: Iterable[str]) -> dict[str, Any]:
        """These counts, their sum and how many of it were refused, by code."""
        return {
            "photos": self.known + self.carried + self.read,
            **asdict(self),
            "refused_by_reason": dict(Counter(refusals).most_common()),
        }


def extract_features(
    rows: Sequence[LabelledPhoto],
    store: FeatureStore,
    extractor: Extractor,
    *,
    jobs: int = 2,
    progress: bool = True,
) -> ExtractedRows:
    """The features of all `rows`; what `store` does not hold is computed in `jobs` processes.

    Raises what `store_features` raises.
    """
    store_features(rows, store, extractor, LocalProcesses(jobs), progress=progress)
    matrix = np.full((len(rows), len(extractor.names)), np.nan)
    refused: dict[Path, Refusal] = {}
    kept = []
    for start in range(0, len(rows), KEYS_PER_QUERY):
        chunk = rows[start : start + KEYS_PER_QUERY]
        keys = [photo_key(row) for row in chunk]
        readings = store.get_many(keys, extractor.feature_set)
        for number, (row, key) in enumerate(zip(chunk, keys, strict=True), start):
            reading = readings[key]
            if reading.refusal is not None:
                refused[row.path] = reading.refusal
            else:
                matrix[number] = reading.values
                kept.append(number)
    return ExtractedRows(extractor.names, matrix, refused, np.array(kept, dtype=np.int64))


def store_features(
    rows: Sequence[LabelledPhoto],
    store: FeatureStore,
    extractor: Extractor,
    workers: Workers,
    *,
    progress: bool = True,
) -> Extraction:
    """See that `store` holds a reading of each of `rows`; no two of them are in memory for long.

    progress  shows a bar with rate and remaining time on stderr

    Raises DataSetError photo_changed when a photo is not the one that its data set was read with,
    WorkerError when the work cannot be done.
    """
    feature_set = extractor.feature_set
    store.register(feature_set, extractor.families)
    row_of = {photo_key(row): row for row in rows}
    missing = row_of.keys() - store.known(row_of, feature_set)
    ordered = [key for key in row_of if key in missing]  # as the data set has them
    carried = read = 0
    with progress_bar("features", len(row_of), len(row_of) - len(missing), progress) as advance:

        def parts() -> Iterator[tuple[Any, ...]]:
            nonlocal carried
            for start in range(0, len(ordered), KEYS_PER_QUERY):
                chunk = ordered[start : start + KEYS_PER_QUERY]
                earlier = store.carried(chunk, extractor.families)
                whole = carried_readings(earlier, extractor)
                if whole:
                    store.put(whole, feature_set, made_by(extractor, ("all",)))
                    carried += len(whole)
                    advance(len(whole))
                for key in chunk:
                    if key not in whole:
                        row = row_of[key]
                        families = earlier[key].families if key in earlier else {}
                        yield key, row.path, row.min_side, extractor, feature_set, families

        for key, reading, provenance in workers.results(_task, parts()):
            store.put({key: reading}, feature_set, provenance)
            read += 1
            advance(1)
    return Extraction(len(row_of) - len(missing), carried, read)


def photo_key(row: LabelledPhoto) -> PhotoKey:
    """Under which the reading of this photo is stored by the code at hand."""
    return PhotoKey(row.sha256, *reading_conditions(row.min_side))


def read_photo(
    path: Path, min_side: int, extractor: Extractor, carried: Mapping[str, Floats] | None = None
) -> tuple[str, Reading]:
    """SHA-256 of the bytes in `path`, and what is read from them on one thread.

    carried  values of families that need not be computed, by name
    """
    on_one_thread()
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        picture = decode_photo(data)
    except PhotoError as error:
        return sha256, Reading(None, Refusal(error.code, error.detail))
    scene = scene_of(picture.light())
    verdict = ImageQualityValidator(min_side=min_side).validate(picture, scene)
    if not verdict.is_valid:
        worst = next(issue for issue in verdict.issues if issue.severity == "error")
        return sha256, Reading(None, Refusal(worst.code, worst.detail))
    return sha256, Reading(values_of(scene, extractor, carried or {}))


@cache
def on_one_thread() -> None:
    """From here on: whoever reads photos side by side needs no threads that wait for each other."""
    cv2.setNumThreads(1)
    threadpool_limits(1)  # of the product of matrices in the deep network


def values_of(scene: Scene, extractor: Extractor, carried: Mapping[str, Floats]) -> Floats:
    """All values (F,) of one picture; only the families that are not `carried` are computed."""
    missing = [family.name for family in extractor.families if family.name not in carried]
    features = extractor.extract(scene, missing) if missing else {}
    return np.concatenate(
        [
            carried[family.name]
            if family.name in carried
            else np.array([features[name] for name in family.names])
            for family in extractor.families
        ]
    )


def carried_readings(
    earlier: Mapping[PhotoKey, Carried], extractor: Extractor, *, gate: bool = True
) -> dict[PhotoKey, Reading]:
    """Those readings that need no photo, because earlier ones say all.

    gate  whether only what passed the same gate may be carried over
    """
    names = [family.name for family in extractor.families]
    whole = {}
    for key, carried in earlier.items():
        if carried.refusal is not None:
            whole[key] = Reading(None, carried.refusal)
        elif (carried.passed or not gate) and all(name in carried.families for name in names):
            whole[key] = Reading(np.concatenate([carried.families[name] for name in names]))
    return whole


def made_by(extractor: Extractor, carried: Collection[str] = ()) -> Provenance:
    """The provenance of what is read here and now: nothing in it names a machine or a person.

    carried  families whose values are those of an earlier reading
    """
    kept = f", {', '.join(sorted(carried))} of an earlier reading" if carried else ""
    return Provenance(type(extractor).__name__ + kept, _libraries())


@cache
def _libraries() -> str:
    versions = {"python": platform.python_version(), **{n: version(n) for n in _LIBRARIES}}
    return json.dumps(versions, sort_keys=True)


def _task(
    key: PhotoKey,
    path: Path,
    min_side: int,
    extractor: Extractor,
    feature_set: str,
    carried: Mapping[str, Floats],
) -> tuple[PhotoKey, Reading, Provenance]:
    """What a worker does: one photo, which must be the one that was asked for, by the same code."""
    check_code(key.conditions, reading_conditions(min_side).text, feature_set, extractor)
    with naming_the_photo(path):
        sha256, reading = read_photo(path, min_side, extractor, carried)
    check_photo(path, sha256, key.sha256)
    return key, reading, made_by(extractor, carried)


@contextmanager
def naming_the_photo(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a photo among thousands says with which, and where."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataSetError(
            "photo_missing",
            f"{path} does not exist on {socket.gethostname()}.",
            "Let every machine see the data set's folder under the same path.",
        ) from error
    except Exception as error:
        error.add_note(f"This happened with the photo {path}.")
        raise


def check_photo(path: Path, sha256: str, expected: str) -> None:
    """Raise DataSetError photo_changed unless the bytes at `path` are those of the data set."""
    if sha256 != expected:
        raise DataSetError(
            "photo_changed",
            f"{path} is not the photo that it was when its data set was read.",
            "Let nothing write to the folder, and read the data set again.",
        )


def check_code(asked: str, here: str, feature_set: str, extractor: Extractor) -> None:
    """Raise WorkerError worker_differs unless this process reads photos as the one that asks."""
    if asked != here or feature_set != extractor.feature_set:
        raise WorkerError(
            "worker_differs",
            f"A worker on {socket.gethostname()} reads photos with other code or another OpenCV "
            f"than was asked for: {here}, feature set {extractor.feature_set[:12]}; asked were "
            f"{asked}, {feature_set[:12]}.",
            "Install the same version of this project on every machine and restart its workers.",
        )
