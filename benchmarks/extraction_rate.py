"""Feature extraction from photos: how many a second on one process and on two, in what memory.

`python -m benchmarks.extraction_rate FOLDER` measures in a process of its own, so that the peaks of
memory are those of the extraction, and prints the result as JSON.
"""

from __future__ import annotations

import hashlib
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from benchmarks.cached import peak_mb
from benchmarks.made_up_readings import made_up_photo
from benchmarks.photos import SIZES, photo_files
from features.extractor import ScientificFeatureExtractor
from training.dataset import LabelledPhoto
from training.extraction import store_features
from training.feature_store import FeatureStore
from training.workers import LocalProcesses

_COPIES = 8  # of each photo, with a few bytes of their own, so that each is a photo to the store
_TURNS = (1, 2, 2, 1, 1, 2)  # processes: a machine that slows down slows both


@dataclass(frozen=True)
class ExtractionRate:
    """Photos a second with one process and with two; peaks of resident memory [MB].

    one_processor, two_processor  time of all processors that a photo takes [ms]: what is
                                  handed over between processes is in it, the wait for others not
    """

    one: float
    two: float
    one_processor: float
    two_processor: float
    parent: float
    child: float

    @property
    def ratio(self) -> float:
        return self.two / self.one

    def __str__(self) -> str:
        return (
            f"{self.two:.1f} / {self.one:.1f} photos a second, a photo takes "
            f"{self.two_processor:.1f} / {self.one_processor:.1f} ms of processors; at the peak "
            f"{self.child:.0f} MB a process, {self.parent:.0f} MB where they are stored"
        )


def extraction_rate(folder: Path, scratch: Path) -> ExtractionRate:
    """Measured on the 1080p photos below `folder`; stores and copies go to `scratch`."""
    command = [sys.executable, "-m", "benchmarks.extraction_rate", str(folder), str(scratch)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return ExtractionRate(**json.loads(printed))


def _measured(folder: Path, scratch: Path) -> ExtractionRate:
    rows = _copies(photo_files(folder, SIZES[0]), scratch)
    rates: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for jobs in (1, 2):  # tables that are made once, and processes that are started once
        _rate(rows[: 4 * jobs], scratch / f"warm-{jobs}.db", jobs)
    for turn, jobs in enumerate(_TURNS):
        rates[jobs].append(_rate(rows, scratch / f"turn-{turn}.db", jobs))
    parent = peak_mb()
    _end_processes()
    child = peak_mb(resource.RUSAGE_CHILDREN)
    (one, one_processor), (two, two_processor) = (
        [statistics.median(figures) for figures in zip(*rates[jobs], strict=True)]
        for jobs in (1, 2)
    )
    return ExtractionRate(one, two, one_processor, two_processor, parent, child)


def _rate(rows: list[LabelledPhoto], path: Path, jobs: int) -> tuple[float, float]:
    """Photos a second, and milliseconds of all processors a photo."""
    with FeatureStore(path) as store:
        start, worked = time.monotonic(), _processor_seconds()
        extractor = ScientificFeatureExtractor()
        store_features(rows, store, extractor, LocalProcesses(jobs), progress=False)
        rate = len(rows) / (time.monotonic() - start)
        return rate, 1e3 * (_processor_seconds() - worked) / len(rows)


def _processor_seconds() -> float:
    """Of this process and those that it has started."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def _copies(photos: list[Path], scratch: Path) -> list[LabelledPhoto]:
    rows = []
    for number in range(_COPIES * len(photos)):
        path = scratch / f"{number}.jpg"
        path.write_bytes(photos[number % len(photos)].read_bytes() + number.to_bytes(2, "big"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rows.append(replace(made_up_photo(number), path=path, sha256=digest))
    return rows


def _end_processes() -> None:
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)


if __name__ == "__main__":
    print(json.dumps(asdict(_measured(Path(sys.argv[1]), Path(sys.argv[2])))))
