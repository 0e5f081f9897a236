"""Taking answers out of the prediction log, so that nothing of them stays in its file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from handlers.prediction_log import PredictionLog, PredictionLogError

AT_ONCE = 5000  # rows in one transaction
IN_FLIGHT = 1.5  # [s] in which a worker has written what it had answered


@dataclass(frozen=True)
class Forgotten:
    """rows: how many were deleted; the file's size before and after [bytes]."""

    rows: int
    bytes_before: int
    bytes_after: int


def forget(path: Path, before: datetime | None = None) -> Forgotten:
    """Delete what was answered before a time, or up to now; make the file smaller.

    Workers may go on: rows wait in their queues while the file is made smaller. Raises OSError, and
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
        rows = _delete(log, limit)
        if before is None:
            time.sleep(IN_FLIGHT)
            rows += _delete(log, limit)
        log.vacuum()
    return Forgotten(rows, before_it, _size(path))


def _delete(log: PredictionLog, limit: datetime) -> int:
    """Bit by bit, so that workers can write between."""
    rows = 0
    while deleted := log.forget(limit, at_most=AT_ONCE):
        rows += deleted
    return rows


def _size(path: Path) -> int:
    """With the recent changes that lie beside the file."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.is_file())
