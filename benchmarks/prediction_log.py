"""What the prediction log costs an answer, and how fast a large one is read: `make bench-log`.

    an answer        with and without the log, from bytes to what is handed over to the writer
    a request        the same through two servers at once, one of which keeps no log
    a million rows   their size, and how long it takes to read the last thousand, to forget

Ratios compare what was measured side by side. The million rows take two gigabytes below build/
and a minute or two; `--rows` asks for fewer.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"  # before NumPy reads them

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks.archives import measured_archive, unpacked_artifact  # noqa: E402
from benchmarks.photos import SIZES, photo_files  # noqa: E402
from benchmarks.serving import request_times, serving  # noqa: E402
from benchmarks.side_by_side import Way, compared  # noqa: E402
from features.extractor import ScientificFeatureExtractor  # noqa: E402
from features.metadata import PhotoMetadata  # noqa: E402
from features.meteorology import FAMILY as METEOROLOGY  # noqa: E402
from handlers.account import Account  # noqa: E402
from handlers.prediction_log import Prediction, PredictionLog  # noqa: E402
from handlers.prediction_writer import OFF, SETTING, PredictionWriter  # noqa: E402
from handlers.predictor import Predictor  # noqa: E402
from handlers.service import reply  # noqa: E402
from handlers.tally import Tally  # noqa: E402
from handlers.trace import STAGES, Trace  # noqa: E402
from monitoring.forgetting import forget  # noqa: E402
from monitoring.prediction_history import PredictionHistory  # noqa: E402

FOLDER = Path("build/bench")
ROUNDS, REQUESTS = 12, 20
BATCH = 2000  # rows in one transaction
DAYS = 90  # over which they are spread
LAST = 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction_log")
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    archive, _ = measured_archive(FOLDER)
    photos = photo_files(FOLDER, SIZES[0])
    with tempfile.TemporaryDirectory(prefix="pm25-bench-") as scratch:
        _print_cost_of_an_answer(archive, photos, Path(scratch))
        _print_cost_of_a_request(archive, photos, Path(scratch))
    with tempfile.TemporaryDirectory(prefix="log-", dir=FOLDER) as large:
        _print_large_log(Path(large) / "predictions.db", rows)


def _print_cost_of_an_answer(archive: Path, photos: Sequence[Path], scratch: Path) -> None:
    predictor = Predictor.load(unpacked_artifact(archive, scratch))
    version = predictor.manifest.version
    logging = Account(Tally(version), PredictionWriter(scratch / "answers.db", Tally(version)))
    silent = Account(Tally(version), None)
    with_log, without = (_answering(predictor, account) for account in (logging, silent))
    for photo in photos[:3]:
        with_log(photo), without(photo)
    cost = compared(photos, with_log, without, ROUNDS)
    assert logging.writer
    logging.writer.close()
    with PredictionHistory(scratch / "answers.db") as history:
        print(f"an answer with the log over one without: {cost.ratio:.3f} ({cost})")
        print(f"  rows written meanwhile: {history.count()}")


def _answering(predictor: Predictor, account: Account) -> Way:
    """Milliseconds until an answer stands and its account is told of it."""

    def way(photo: Path) -> float:
        parts = {"body": photo.read_bytes()}
        start = time.perf_counter()
        for outcome in reply(predictor, parts, request_id="r").outcomes:
            account.record(outcome, "r")
        return (time.perf_counter() - start) * 1e3

    return way


def _print_cost_of_a_request(archive: Path, photos: Sequence[Path], scratch: Path) -> None:
    bodies = [photo.read_bytes() for photo in photos[:8]]
    with _logging_to(scratch / "requests.db"), serving(archive) as (logging, _):
        with _logging_to(OFF), serving(archive) as (silent, _):
            times = request_times(logging, silent, bodies, REQUESTS)
        with PredictionHistory(scratch / "requests.db") as history:
            written = history.count()
    print(
        f"a request with the log over one without: {times.answer / times.echo:.3f} "
        f"({times.answer:.1f} / {times.echo:.1f} ms), {written} rows"
    )


@contextmanager
def _logging_to(place: Path | str) -> Iterator[None]:
    before = os.environ.get(SETTING)
    os.environ[SETTING] = str(place)
    try:
        yield
    finally:
        os.environ.pop(SETTING)
        if before is not None:
            os.environ[SETTING] = before


def _print_large_log(path: Path, rows: int) -> None:
    begun = time.monotonic()
    now = datetime.now(UTC)
    with PredictionLog(path) as log:
        for first in range(0, rows, BATCH):
            log.append([_made_up(n, rows, now) for n in range(first, min(first + BATCH, rows))])
    taken = time.monotonic() - begun
    print(f"{rows:,} rows: {taken * 1e6 / rows:.0f} µs each to write, as a worker's thread does")
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    print(f"  {size / 1e6:,.0f} MB, {size / rows:,.0f} bytes a row")
    with PredictionHistory(path) as history:
        _print_time(f"the last {LAST:,}", lambda: history.last(LAST))
        _print_time(
            f"the last {LAST:,} of one version of three",
            lambda: history.last(LAST, model_version="1.0.0"),
        )
        start = now - timedelta(days=DAYS / 2)
        span = timedelta(days=DAYS * LAST / rows)
        _print_time(f"about {LAST:,} by time", lambda: history.between(start, start + span))
    start_of_forgetting = time.monotonic()
    done = forget(path, before=now - timedelta(days=DAYS / 2))
    print(
        f"  forgetting the older half: {time.monotonic() - start_of_forgetting:.1f} s, "
        f"{done.rows:,} rows, {done.bytes_before / 1e6:,.0f} → {done.bytes_after / 1e6:,.0f} MB"
    )


def _print_time(
    what: str, read: Callable[[], list[object]] | Callable[[], Sequence[object]]
) -> None:
    taken, found = [], 0
    for _ in range(9):
        start = time.perf_counter()
        found = len(read())
        taken.append((time.perf_counter() - start) * 1e3)
    print(
        f"  {what}: {median(taken):.1f} ms (first {taken[0]:.1f}, best {min(taken):.1f}), {found}"
    )


_NAMES = (*ScientificFeatureExtractor().names, *METEOROLOGY.names)
_FEATURES = np.random.default_rng(25).normal(size=(64, len(_NAMES)))
_SEEN = [dict(zip(_NAMES, map(float, row), strict=True)) for row in _FEATURES]


def _made_up(number: int, of: int, now: datetime) -> Prediction:
    """An answer of the size that answers have."""
    trace = Trace(
        dict.fromkeys(STAGES, 0.0123),
        _SEEN[number % len(_SEEN)],
        PhotoMetadata(camera=f"camera-{number % 7}"),
    )
    answer = {
        "pm25_estimate": 40.0 + number % 13,
        "uncertainty_parts": {"epistemic": 12.34567, "aleatoric": 23.45678},
        "interval": {"lower": 10.12345, "upper": 160.98765},
        "quality": {"quality_score": 0.87654, "issues": [{"code": "blurred"}]},
        "applicability": {
            "score": 0.76543,
            "warnings": [{"code": "unknown_sun"}, {"code": "unseen_camera"}],
        },
        "model_version": f"1.0.{number % 3}",
        "feature_set": "f" * 64,
    }
    answered_at = now - timedelta(days=DAYS) * (1 - number / of)
    return Prediction(answered_at, f"3f2b8c1e-0000-4000-8000-{number:012d}", 0.05, answer, trace)


if __name__ == "__main__":
    main()
