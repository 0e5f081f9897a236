"""From an answer to its row in the prediction log, without a moment's wait for the answer.

One thread in each worker writes what the others put into its queue, as soon as it can: when
TorchServe ends a worker it kills it, and what is written then is all that stays. While the log
cannot be written, rows wait in the queue; when that is full, new ones are dropped and counted.
"""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from handlers.metrics import LOG_DROPPED, LOG_FAILURES, LOG_ROWS
from handlers.prediction_log import (
    NoRowError,
    Prediction,
    PredictionLog,
    PredictionLogError,
    reason_of,
)
from handlers.tally import Tally

SETTING = "PM25_PREDICTION_LOG"  # the environment variable that names the file, or says OFF
OFF = "off"
KEEP_SETTING = "PM25_PREDICTION_LOG_DAYS"
KEEP_DAYS = 90.0
LONGEST_DAYS = 36500.0
QUEUE = 500  # answers that may wait; about 20 kB each
BATCH = 100  # rows in one transaction
PATIENCE = 1.0  # [s] for another writer
RETRY = 1.0  # [s] after a failure
TIDY = 3600.0  # [s] between two looks for rows that are too old
TIDY_BATCH = 500  # of them in one transaction, so that no writer waits for long
_LOG = logging.getLogger(__name__)


class PredictionWriter:
    """Writes predictions into the log in the file `path`, and keeps them for `keep_days`."""

    def __init__(self, path: Path, tally: Tally, *, keep_days: float = KEEP_DAYS) -> None:
        self.path = path
        self.keep = timedelta(days=keep_days)
        self._tally = tally
        self._queue: queue.Queue[Prediction | None] = queue.Queue(QUEUE)
        self._closing = threading.Event()
        self._log: PredictionLog | None = None
        self._failing = ""
        self._tidied = -TIDY
        self._thread = threading.Thread(target=self._run, name="pm25-prediction-log", daemon=True)
        self._thread.start()

    @classmethod
    def of_environment(cls, tally: Tally) -> PredictionWriter | None:
        """As PM25_PREDICTION_LOG and PM25_PREDICTION_LOG_DAYS say; None when it is off or not set.

        Raises PredictionLogError invalid_setting.
        """
        named = os.environ.get(SETTING, "")
        if named in ("", OFF):
            return None
        return cls(Path(named), tally, keep_days=kept_days())

    def put(self, prediction: Prediction) -> None:
        """Have it written. Never waits and never raises."""
        try:
            self._queue.put_nowait(prediction)
        except queue.Full:
            self._tally.add(LOG_DROPPED, 1)

    def close(self, patience: float = 2.0) -> None:
        """Write what waits, `patience` [s] at most."""
        self._closing.set()
        with suppress(queue.Full):
            self._queue.put_nowait(None)  # wakes a thread that has nothing to do
        self._thread.join(patience)

    def _run(self) -> None:
        batch: list[Prediction] = []
        while True:
            batch = batch or self._next_batch()
            if not self._written(batch) and self._closing.wait(RETRY):
                return
            if self._closing.is_set() and not batch and self._queue.empty():
                return

    def _next_batch(self) -> list[Prediction]:
        """What waits, once something does; nothing when it is time to tidy up, and at the end."""
        waiting: list[Prediction | None] = []
        with suppress(queue.Empty):
            until_tidying = max(0.0, self._tidied + TIDY - time.monotonic())
            waiting.append(self._queue.get(timeout=until_tidying))
            while len(waiting) < BATCH:
                waiting.append(self._queue.get_nowait())
        return [one for one in waiting if one is not None]

    def _written(self, batch: list[Prediction]) -> bool:
        """Write `batch`, and empty it as far as that went; whether all went well."""
        try:
            if self._log is None or not self._log.is_in_place:
                self._leave()
                self._log = PredictionLog(self.path, patience=PATIENCE)
            self._store(self._log, batch)
            self._tidy(self._log)
        except Exception as error:  # whatever it is: the thread goes on, and so do the answers
            self._failed(reason_of(error))
            return False
        if self._failing:
            _LOG.warning("prediction_log written again")
        self._failing = ""
        return True

    def _store(self, log: PredictionLog, batch: list[Prediction]) -> None:
        """All rows at once; if one of them is no row, one by one, so that it is lost alone."""
        step = BATCH
        while batch:
            rows = batch[:step]
            try:
                log.append(rows)
                self._tally.add(LOG_ROWS, len(rows))
            except NoRowError as error:
                if len(rows) > 1:
                    step = 1
                    continue
                _LOG.error("prediction_log %s", error.detail)
                self._tally.add(LOG_DROPPED, 1)
            del batch[:step]

    def _tidy(self, log: PredictionLog) -> None:
        """Once in a while, delete what is older than it may be."""
        if time.monotonic() - self._tidied < TIDY:
            return
        too_old = datetime.now(UTC) - self.keep
        while log.forget(too_old, at_most=TIDY_BATCH) == TIDY_BATCH and self._queue.empty():
            pass
        self._tidied = time.monotonic()

    def _failed(self, reason: str) -> None:
        self._tally.add(LOG_FAILURES, 1, reason)
        if reason != self._failing:
            _LOG.warning("prediction_log cannot be written: %s", reason)
        self._failing = reason
        self._leave()

    def _leave(self) -> None:
        if self._log is not None:
            with suppress(sqlite3.Error):
                self._log.close()
            self._log = None


def kept_days() -> float:
    """How long rows are kept [d], as the environment says.

    Raises PredictionLogError invalid_setting.
    """
    text = os.environ.get(KEEP_SETTING) or str(KEEP_DAYS)
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0.0 < days <= LONGEST_DAYS:
        raise PredictionLogError(
            "invalid_setting",
            f"{KEEP_SETTING} is {text!r}.",
            f"Allowed is a number of days above 0, up to {LONGEST_DAYS:g}; the usual is 90.",
        )
    return days
