"""Photos become rows of features: side by side, once each, and from the store ever after.

Each photo walks the way it walks when served: decode, light, quality gate, extractor. Results are
stored one by one as they arrive, so that a run that was stopped, however it was, goes on where it
ended. Only what the picture shows is stored; sun and weather are computed from the metadata anew.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Protocol

import cv2
import numpy as np
from joblib import Parallel, delayed, parallel_config
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from features import capture, light, photo, quality, sky, skyline
from features.errors import DataSetError, PhotoError
from features.light import Light, light_of
from features.photo import decode_photo
from features.quality import ImageQualityValidator
from training.dataset import LabelledPhoto
from training.feature_store import FeatureStore, PhotoKey, Reading, Refusal

# What turns bytes into light and judges it. Feature families carry a version of their own.
_READING_CODE: tuple[ModuleType, ...] = (photo, light, capture, quality, sky, skyline)


class Extractor(Protocol):
    """What is asked of ScientificFeatureExtractor; it is sent to other processes by value."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def feature_set(self) -> str: ...

    def extract(self, light: Light) -> Mapping[str, float]: ...


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
    matrix: NDArray[np.float64]
    refused: dict[Path, Refusal]
    kept: NDArray[np.int64]

    @property
    def refused_by_reason(self) -> dict[str, int]:
        """Number of refused photos by code, the most frequent first."""
        return dict(Counter(refusal.code for refusal in self.refused.values()).most_common())


def extract_features(
    rows: Sequence[LabelledPhoto],
    store: FeatureStore,
    extractor: Extractor,
    *,
    jobs: int = 2,
    progress: bool = True,
) -> ExtractedRows:
    """The features of all `rows`; what `store` does not hold is computed in `jobs` processes.

    progress  shows a bar with rate and remaining time on stderr

    Raises DataSetError photo_changed when a photo is not the one that its data set was read with.
    """
    keys = [PhotoKey(row.sha256, reading_conditions(row.min_side)) for row in rows]
    readings = store.get_many(keys, extractor.feature_set)
    missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in readings}
    made_by = f"{type(extractor).__name__}, numpy {np.__version__}"
    with progress_bar("features", len(rows), len(rows) - len(missing), progress) as advance:
        for key, reading in _computed(missing, extractor, jobs):
            store.put({key: reading}, extractor.feature_set, extractor=made_by)
            readings[key] = reading
            advance()
    matrix = np.full((len(rows), len(extractor.names)), np.nan)
    refused = {}
    for number, (row, key) in enumerate(zip(rows, keys, strict=True)):
        reading = readings[key]
        if reading.refusal is not None:
            refused[row.path] = reading.refusal
        else:
            matrix[number] = reading.values
    kept = [number for number, row in enumerate(rows) if row.path not in refused]
    return ExtractedRows(extractor.names, matrix, refused, np.array(kept, dtype=np.int64))


def reading_conditions(min_side: int) -> str:
    """All that decides, beside the feature set, what is read from a photo and whether it is."""
    return f"min_side={min_side} code={_reading_code()} opencv={cv2.__version__}"


@cache
def _reading_code() -> str:
    sources = (Path(str(module.__file__)).read_bytes() for module in _READING_CODE)
    return hashlib.sha256(b"\0".join(sources)).hexdigest()[:16]


def read_photo(path: Path, min_side: int, extractor: Extractor) -> tuple[str, Reading]:
    """SHA-256 of the bytes in `path`, and what is read from them on one thread."""
    cv2.setNumThreads(1)
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        picture = decode_photo(data)
    except PhotoError as error:
        return sha256, Reading(None, Refusal(error.code, error.detail))
    light = light_of(picture.pixels)
    verdict = ImageQualityValidator(min_side=min_side).validate(picture, light)
    if not verdict.is_valid:
        worst = next(issue for issue in verdict.issues if issue.severity == "error")
        return sha256, Reading(None, Refusal(worst.code, worst.detail))
    features = extractor.extract(light)
    return sha256, Reading(np.array([features[name] for name in extractor.names]))


def _computed(
    missing: Mapping[PhotoKey, LabelledPhoto], extractor: Extractor, jobs: int
) -> Iterator[tuple[PhotoKey, Reading]]:
    """Readings as they are finished, in any order."""
    # One photo per task and one thread per process: what is finished is stored at once, and no
    # process waits for the threads of another.
    with parallel_config("loky", n_jobs=min(jobs, len(missing)) or 1, inner_max_num_threads=1):
        done = Parallel(return_as="generator_unordered", batch_size=1)(
            delayed(_task)(key, row.path, row.min_side, extractor) for key, row in missing.items()
        )
        for key, sha256, reading in done:
            if sha256 != key.sha256:
                raise DataSetError(
                    "photo_changed",
                    f"{missing[key].path} is not the photo that it was when its data set was read.",
                    "Let nothing write to the folder, and read the data set again.",
                )
            yield key, reading


def _task(
    key: PhotoKey, path: Path, min_side: int, extractor: Extractor
) -> tuple[PhotoKey, str, Reading]:
    try:
        return key, *read_photo(path, min_side, extractor)
    except Exception as error:
        error.add_note(f"This happened with the photo {path}.")
        raise


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} photos/s" if task.speed else "")


@contextmanager
def progress_bar(what: str, total: int, done: int, shown: bool) -> Iterator[Callable[[], None]]:
    """A bar with rate and remaining time on stderr; call what it gives after each photo."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(what, total=total, completed=done)
        yield lambda: bar.advance(task)
