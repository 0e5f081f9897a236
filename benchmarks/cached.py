"""Feature extraction when every photo was read before: what the store alone costs.

`python -m benchmarks.cached FOLDER PHOTOS` measures in a process of its own, so that its peak of
memory is that of the extraction, and prints the result as JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.made_up_readings import fill, made_up_photo
from features.extractor import ScientificFeatureExtractor
from training.extraction import extract_features, store_features
from training.feature_store import FeatureStore
from training.workers import LocalProcesses

_MB = 2**20
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # [bytes] of ru_maxrss


@dataclass(frozen=True)
class CachedExtraction:
    """Seconds and peaks of resident memory [MB].

    idle    rows of the data set read, nothing extracted
    stored  after `pm25 features extract` has found every photo in the store
    matrix  after the whole matrix has been filled, as for a training; its own size is `of_matrix`
    """

    store_seconds: float
    seconds: float
    idle: float
    stored: float
    matrix: float
    of_matrix: float

    def __str__(self) -> str:
        return (
            f"{self.matrix:.0f} MB at the peak: {self.idle:.0f} before, {self.of_matrix:.0f} the "
            f"matrix; found in the store: {self.store_seconds:.1f} s, {self.stored:.0f} MB"
        )


def cached_extraction(folder: Path, photos: int) -> CachedExtraction:
    """Extract `photos` made-up photos whose features a new store in `folder` holds."""
    path = folder / "cached.db"
    fill(path, photos)
    command = [sys.executable, "-m", "benchmarks.cached", str(path), str(photos)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return CachedExtraction(**json.loads(printed))


def peak_mb(who: int = resource.RUSAGE_SELF) -> float:
    """The largest resident memory that this process has had, or any of its children that ended."""
    return resource.getrusage(who).ru_maxrss * _RSS_UNIT / _MB


def _measured(path: Path, photos: int) -> CachedExtraction:
    extractor = ScientificFeatureExtractor()
    rows = [made_up_photo(number) for number in range(photos)]
    idle = peak_mb()
    with FeatureStore(path) as store:
        start = time.monotonic()
        store_features(rows, store, extractor, LocalProcesses(1), progress=False)
        store_seconds, stored = time.monotonic() - start, peak_mb()
        start = time.monotonic()
        extracted = extract_features(rows, store, extractor, jobs=1, progress=False)
        seconds = time.monotonic() - start
    of_matrix = extracted.matrix.nbytes / _MB
    return CachedExtraction(store_seconds, seconds, idle, stored, peak_mb(), of_matrix)


if __name__ == "__main__":
    print(json.dumps(asdict(_measured(Path(sys.argv[1]), int(sys.argv[2])))))
