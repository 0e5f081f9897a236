"""The prediction log: one row for each answer, in one SQLite file that every worker appends to.

What it keeps is what drift is judged from. Never the photo or a hash of it, no header, no precise
place: the position is rounded to 0.1° (11 km) before anything is computed from it, so that the
sun's height in a row is that of the rounded place too.

Two versions of the code may write to one file at once. So a migration only ever adds, with
defaults, and a file that newer code has migrated is written on.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import PM25Error
from features.meteorology import MeteorologicalFeatureExtractor
from handlers.circumstances import PLACE_DECIMALS
from handlers.metrics import DAMAGED, DISK_FULL, IO_ERROR, LOCKED, NO_FOLDER, OTHER, READ_ONLY
from handlers.sqlite_file import BUSY_TIMEOUT, Migrations, SqliteFile
from handlers.trace import STAGES, Trace

FEATURE_VALUES = np.dtype("<f4")

MIGRATIONS: Migrations = (
    (
        "0001_predictions",
        (
            """
            CREATE TABLE feature_sets (
                id          INTEGER PRIMARY KEY,
                feature_set TEXT NOT NULL,
                names       TEXT NOT NULL CHECK (json_type(names) = 'array'),
                UNIQUE (feature_set, names)
            ) STRICT
            """,
            """
            CREATE TABLE predictions (
                id              INTEGER PRIMARY KEY,
                answered_at     TEXT NOT NULL,
                model_version   TEXT NOT NULL,
                request_id      TEXT,
                pm25_estimate   REAL NOT NULL,
                lower           REAL NOT NULL,
                upper           REAL NOT NULL,
                epistemic       REAL NOT NULL,
                aleatoric       REAL NOT NULL,
                quality_score   REAL NOT NULL,
                issues          TEXT NOT NULL CHECK (json_type(issues) = 'array'),
                applicability   REAL NOT NULL,
                warnings        TEXT NOT NULL CHECK (json_type(warnings) = 'array'),
                camera          TEXT,
                lat             REAL CHECK (abs(lat * 10 - round(lat * 10)) < 1e-6),
                lon             REAL CHECK (abs(lon * 10 - round(lon * 10)) < 1e-6),
                decode_us       INTEGER NOT NULL,
                quality_us      INTEGER NOT NULL,
                features_us     INTEGER NOT NULL,
                ensemble_us     INTEGER NOT NULL,
                bayesian_us     INTEGER NOT NULL,
                total_us        INTEGER NOT NULL,
                feature_set_id  INTEGER NOT NULL REFERENCES feature_sets,
                feature_values  BLOB NOT NULL,
                CHECK (lower <= pm25_estimate AND pm25_estimate <= upper),
                CHECK ((lat IS NULL) = (lon IS NULL))
            ) STRICT
            """,
            "CREATE INDEX predictions_by_time ON predictions (answered_at)",
            "CREATE INDEX predictions_by_version ON predictions (model_version)",
        ),
    ),
)
_COLUMNS = (
    *("answered_at", "model_version", "request_id"),
    *("pm25_estimate", "lower", "upper", "epistemic", "aleatoric"),
    *("quality_score", "issues", "applicability", "warnings"),
    *("camera", "lat", "lon"),
    *(f"{stage}_us" for stage in STAGES),
    *("total_us", "feature_set_id", "feature_values"),
)
# What a row needs of an answer; an explanation's pictures must not wait in a queue.
ANSWER_FIELDS = (
    *("pm25_estimate", "interval", "uncertainty_parts", "quality", "applicability"),
    *("model_version", "feature_set"),
)
# Named columns: a file of newer code may have more of them.
_INSERT = (
    f"INSERT INTO predictions ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
)
_REASONS = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: NO_FOLDER,
    sqlite3.SQLITE_IOERR: IO_ERROR,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
}
# What says that an answer is no row; anything else says that the file cannot be written.
_NO_ROW = (
    *(sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError),
    *(AttributeError, KeyError, OverflowError, TypeError, ValueError),
)
_SYSTEM_REASONS = {
    errno.ENOENT: NO_FOLDER,
    errno.ENOTDIR: NO_FOLDER,
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: DISK_FULL,
    errno.EACCES: READ_ONLY,
    errno.EPERM: READ_ONLY,
    errno.EROFS: READ_ONLY,
}


@dataclass(frozen=True)
class Prediction:
    """One answer, as the log is told of it.

    seconds  from bytes to answer [s]
    answer   what the client got, at least ANSWER_FIELDS of it
    trace    what was seen on the way
    """

    answered_at: datetime
    request_id: str | None
    seconds: float
    answer: Mapping[str, Any]
    trace: Trace


class PredictionLogError(PM25Error):
    """The file cannot be used as a prediction log."""


class NoRowError(PredictionLogError):
    """What should be written is no whole answer; the file is in order."""


class PredictionLog(SqliteFile):
    """The log in the file `path`, made if it is not there, for its owner alone (mode 600).

    The folder must be there: one that is missing may be a disk that is not mounted. One object
    per thread. Raises OSError, and PredictionLogError: store_unusable, store_busy.
    """

    def __init__(self, path: Path, *, patience: float = BUSY_TIMEOUT) -> None:
        self._file = _for_its_owner_alone(path)
        self._feature_sets: dict[tuple[str, tuple[str, ...]], int] = {}
        super().__init__(
            path,
            MIGRATIONS,
            what="prediction log",
            if_damaged="a server begins another.",
            error=PredictionLogError,
            patience=patience,
            newer_is_fine=True,
        )
        self.connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted is overwritten, and not only marked as free.
        self.connection.execute("PRAGMA secure_delete = ON")

    @property
    def is_in_place(self) -> bool:
        """Whether `path` still leads to the file that is open: it may have been moved away."""
        try:
            state = self.path.stat()
        except OSError:
            return False
        return (state.st_dev, state.st_ino) == self._file

    def append(self, predictions: Sequence[Prediction]) -> None:
        """Add a row for each of `predictions`, in one transaction.

        Raises NoRowError when one of them is no whole answer; then none is added.
        """
        try:
            with self.transaction() as connection:
                connection.executemany(_INSERT, [self._row(one) for one in predictions])
        except Exception as error:
            self._feature_sets.clear()  # they may have been taken back
            cause = _cause(error)
            if not isinstance(cause, _NO_ROW):
                raise
            raise NoRowError(
                "no_row",
                f"An answer is no row of the prediction log ({type(cause).__name__}).",
                "It is left out; report it.",
            ) from cause

    def forget(self, before: datetime | None = None, *, at_most: int | None = None) -> int:
        """Delete the oldest rows, `at_most` so many: those before a time, or all; return how many.

        Of what was deleted, nothing stays in the file; `vacuum` makes it smaller.
        """
        latest = "9999" if before is None else _as_text(before)
        limit = -1 if at_most is None else at_most
        with self.transaction() as connection:
            deleted = connection.execute(
                """
                DELETE FROM predictions WHERE id IN (
                    SELECT id FROM predictions WHERE answered_at < ? ORDER BY answered_at LIMIT ?
                )
                """,
                (latest, limit),
            )
        return deleted.rowcount

    def vacuum(self) -> None:
        """Give back the room of deleted rows, and empty the file of recent changes beside it."""
        with self.naming_the_file():
            self.connection.execute("VACUUM")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _row(self, prediction: Prediction) -> tuple[object, ...]:
        answer, seconds = prediction.answer, prediction.trace.seconds
        features, lat, lon = without_the_precise_place(prediction.trace)
        return (
            _as_text(prediction.answered_at),
            answer["model_version"],
            prediction.request_id,
            answer["pm25_estimate"],
            answer["interval"]["lower"],
            answer["interval"]["upper"],
            answer["uncertainty_parts"]["epistemic"],
            answer["uncertainty_parts"]["aleatoric"],
            answer["quality"]["quality_score"],
            _codes(answer["quality"]["issues"]),
            answer["applicability"]["score"],
            _codes(answer["applicability"]["warnings"]),
            prediction.trace.metadata.camera,
            lat,
            lon,
            *(round(1e6 * seconds[stage]) for stage in STAGES),
            round(1e6 * prediction.seconds),
            self._feature_set_id(answer["feature_set"], tuple(features)),
            np.fromiter(features.values(), FEATURE_VALUES).tobytes(),
        )

    def _feature_set_id(self, feature_set: str, names: tuple[str, ...]) -> int:
        """The row that names the features of this set, added inside the running transaction."""
        if (feature_set, names) not in self._feature_sets:
            key = feature_set, json.dumps(names)
            self.connection.execute(
                "INSERT OR IGNORE INTO feature_sets (feature_set, names) VALUES (?, ?)", key
            )
            ((found,),) = self.connection.execute(
                "SELECT id FROM feature_sets WHERE feature_set = ? AND names = ?", key
            )
            self._feature_sets[feature_set, names] = found
        return self._feature_sets[feature_set, names]


def reason_of(error: Exception) -> str:
    """Why the log could not be written, as `pm25_prediction_log_failures_total` names it."""
    cause = _cause(error)
    if isinstance(cause, sqlite3.Error):
        return _REASONS.get((getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF, OTHER)
    if isinstance(cause, OSError):
        return _SYSTEM_REASONS.get(cause.errno or 0, IO_ERROR)
    return OTHER


def _cause(error: BaseException) -> BaseException:
    """What SQLite said, behind an error of ours."""
    return error.__cause__ or error if isinstance(error, PredictionLogError) else error


def _for_its_owner_alone(path: Path) -> tuple[int, int]:
    """Make the file if need be, and take every right from others; device and inode of it.

    SQLite gives the files beside it the rights that it has.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        state = os.fstat(descriptor)
        if state.st_mode & 0o077:
            os.fchmod(descriptor, state.st_mode & 0o700)
    finally:
        os.close(descriptor)
    return state.st_dev, state.st_ino


def _as_text(time: datetime) -> str:
    """A time in UTC with all its digits, so that the order of texts is that of times."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")


def _codes(findings: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps([finding["code"] for finding in findings])


def without_the_precise_place(
    trace: Trace,
) -> tuple[dict[str, float], float | None, float | None]:
    """Features, latitude and longitude, with the place rounded before the sun is looked up."""
    metadata = trace.metadata
    if metadata.lat is None or metadata.lon is None:
        return dict(trace.features), None, None
    lat, lon = (round(degrees, PLACE_DECIMALS) + 0.0 for degrees in (metadata.lat, metadata.lon))
    seen_from_there = MeteorologicalFeatureExtractor().extract(replace(metadata, lat=lat, lon=lon))
    return {**trace.features, **seen_from_there}, lat, lon
