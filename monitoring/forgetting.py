"""Taking answers out of the prediction log, so that nothing of them stays in its file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from handlers.prediction_log import PredictionLog, PredictionLogError

IN_FLIGHT = 1.5  # [s] in which a worker has written what it had answered


@dataclass(frozen=True)
class Forgotten:
    """rows: how many were deleted; the file's size before and after [bytes]."""

    rows: int
    bytes_before: int
    bytes_after: int


def forget(path: Path, before: datetime | None = None) -> Forgotten:
    """Delete what was answered before a time, or up to now; make the file smaller.

    Workers may go on writing: they wait, and lose nothing. Raises OSError, and
    PredictionLogError: no_log, store_busy, store_unusable.
    """
    if not path.is_file():
        raise PredictionLogError(
            "no_log",
            f"There is no prediction log {path}.",
            "Name the file: PM25_PREDICTION_LOG=…, or the server's port: --port.",
        )
    limit = before or datetime.now(UTC)
    before_it = _size(path)
    with PredictionLog(path) as log:
        rows = log.forget(limit)
        if before is None:
            time.sleep(IN_FLIGHT)
            rows += log.forget(limit)
        log.vacuum()
    return Forgotten(rows, before_it, _size(path))


def _size(path: Path) -> int:
    """With the recent changes that lie beside the file."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())
