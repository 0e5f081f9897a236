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
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.errors import PM25Error
from training.sqlite_file import SqliteFile

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


class FeatureStore(SqliteFile):
    """The store in the file `path`, made if it is not there. One object per thread.

    Raises FeatureStoreError: store_unusable, store_busy, store_too_new.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            MIGRATIONS,
            what="feature store",
            if_damaged="features are computed again from the photos.",
            error=FeatureStoreError,
        )

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
        with self.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    def _select(
        self, photos: list[str], feature_set: str, conditions: str
    ) -> list[tuple[str, bytes | None, str | None, str | None]]:
        with self.naming_the_file():
            return self.connection.execute(
                """
                SELECT sha256, feature_values, refusal_code, refusal_detail
                FROM json_each(?) JOIN readings ON sha256 = json_each.value
                WHERE feature_set = ? AND conditions = ?
                """,
                (json.dumps(photos), feature_set, conditions),
            ).fetchall()
