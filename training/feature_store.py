"""The feature store: what was read from each photo once is not computed again.

One SQLite file. A reading is found by the photo's SHA-256, the hash of the feature set, and the
conditions it was read under (size limit, code of the decoder and the quality gate). A refused
photo is a reading too: it keeps its reason. Values lie in the order of the feature set as one
BLOB of float64, little-endian, so that every bit of them returns, NaN included.

Several processes may read and write at once (WAL). What `put` has returned from survives the end
of the process at any moment.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from features.errors import PM25Error

BUSY_TIMEOUT = 60.0  # [s] a writer waits for the others before it gives up
_VALUES = np.dtype("<f8")
_KEYS_PER_QUERY = 1000

# Name and statements. Applied once each, in this order; never edited, only added to.
MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "0001_readings",
        (
            """
            CREATE TABLE readings (
                sha256         TEXT NOT NULL,
                feature_set    TEXT NOT NULL,
                conditions     TEXT NOT NULL,
                feature_values BLOB,
                refusal_code   TEXT,
                refusal_detail TEXT,
                created_at     TEXT NOT NULL,
                extractor      TEXT NOT NULL,
                PRIMARY KEY (sha256, feature_set, conditions),
                CHECK ((feature_values IS NULL) <> (refusal_code IS NULL)),
                CHECK ((refusal_code IS NULL) = (refusal_detail IS NULL))
            ) STRICT
            """,
        ),
    ),
)


class FeatureStoreError(PM25Error):
    """The file cannot be used as a feature store."""


class PhotoKey(NamedTuple):
    """Which photo, by the SHA-256 of its bytes, and under which conditions it was read."""

    sha256: str
    conditions: str


class Refusal(NamedTuple):
    """Why a photo was not read: a code for programs, a sentence for people."""

    code: str
    detail: str


@dataclass(frozen=True, eq=False)
class Reading:
    """Either the feature values of a photo, (F,) float64 in the set's order, or its refusal."""

    values: NDArray[np.float64] | None
    refusal: Refusal | None = None

    def __post_init__(self) -> None:
        if (self.values is None) == (self.refusal is None):
            raise ValueError("A reading holds either values or a refusal.")


class FeatureStore:
    """The store in the file `path`, made if it is not there. One object per thread.

    Raises FeatureStoreError: store_unusable, store_busy, store_too_new.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._naming_the_file():
            self._connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            with self._naming_the_file():
                self._switch_to_wal()
                # Safe against the end of a process; a power cut may take the last commits back.
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._migrate()
        except FeatureStoreError:
            self._connection.close()
            raise

    def get_many(self, keys: Iterable[PhotoKey], feature_set: str) -> dict[PhotoKey, Reading]:
        """The stored readings among `keys`; those that are missing have no entry."""
        photos_under: defaultdict[str, list[str]] = defaultdict(list)
        for key in keys:
            photos_under[key.conditions].append(key.sha256)
        readings: dict[PhotoKey, Reading] = {}
        for conditions, photos in photos_under.items():
            for start in range(0, len(photos), _KEYS_PER_QUERY):
                chunk = photos[start : start + _KEYS_PER_QUERY]
                for sha256, blob, code, detail in self._select(chunk, feature_set, conditions):
                    values = None if blob is None else np.frombuffer(blob, dtype=_VALUES)
                    refusal = None if code is None else Refusal(code, detail or "")
                    readings[PhotoKey(sha256, conditions)] = Reading(values, refusal)
        return readings

    def put(
        self, readings: Mapping[PhotoKey, Reading], feature_set: str, *, extractor: str
    ) -> None:
        """Store `readings` in one transaction; an earlier reading of the same key is replaced.

        extractor  name and version of the code that computed them, kept as provenance
        """
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [
            (
                key.sha256,
                feature_set,
                key.conditions,
                None if reading.values is None else reading.values.astype(_VALUES).tobytes(),
                *(reading.refusal or (None, None)),
                created_at,
                extractor,
            )
            for key, reading in readings.items()
        ]
        with self._naming_the_file(), self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    def _select(
        self, photos: list[str], feature_set: str, conditions: str
    ) -> list[tuple[str, bytes | None, str | None, str | None]]:
        with self._naming_the_file():
            return self._connection.execute(
                """
                SELECT sha256, feature_values, refusal_code, refusal_detail
                FROM json_each(?) JOIN readings ON sha256 = json_each.value
                WHERE feature_set = ? AND conditions = ?
                """,
                (json.dumps(photos), feature_set, conditions),
            ).fetchall()

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _migrate(self) -> None:
        """Bring an older file up to date, each step in a transaction with its record."""
        known = [name for name, _ in MIGRATIONS]
        with self._transaction():
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations "
                "(name TEXT PRIMARY KEY, applied_at TEXT NOT NULL) STRICT"
            )
        for name, statements in MIGRATIONS:
            with self._transaction():  # a second process waits here and then finds the record
                applied = {n for (n,) in self._connection.execute("SELECT name FROM migrations")}
                newer = sorted(applied.difference(known))
                if newer:
                    raise FeatureStoreError(
                        "store_too_new",
                        f"The feature store {self.path} was written by newer code: it has the "
                        f"migrations {', '.join(newer)}; this code knows {', '.join(known)}.",
                        "Use the newer code, or another file.",
                    )
                if name not in applied:
                    for statement in statements:
                        self._connection.execute(statement)
                    self._connection.execute(
                        "INSERT INTO migrations VALUES (?, ?)",
                        (name, datetime.now(UTC).isoformat(timespec="seconds")),
                    )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing. IMMEDIATE: two writers queue up instead of failing at their commit."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _switch_to_wal(self) -> None:
        """Two processes that switch a new file at once can lock each other out without a wait."""
        give_up_at = time.monotonic() + BUSY_TIMEOUT
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.02)

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        """SQLite's errors as ours: which file, and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            raise FeatureStoreError(
                "store_busy" if busy else "store_unusable",
                f"{self.path} cannot be used as a feature store: {error}.",
                "Wait until the other process has finished with it."
                if busy
                else "Check the disk and the file's permissions; a damaged file may be removed: "
                "features are computed again from the photos.",
            ) from error
