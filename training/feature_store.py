"""The feature store: what was read from each photo once is not computed again.

One SQLite file. A reading is found by the photo's SHA-256, the hash of the feature set, and the
conditions it was read under (`reading_conditions.py`). A refused photo is a reading too: it keeps
its reason. Values lie in the order of the feature set as one BLOB of float64, little-endian, so
that every bit of them returns, NaN included. Beside them stands where they come from: the
extractor, the libraries and the moment, never a machine.

The store knows the families of each feature set by their own hashes. When the set changes, the
families that did not are carried over from readings of the same picture.

Several processes may read and write at once. What `put` has returned from survives the end of the
process at any moment.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from heapq import nlargest
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import PM25Error
from features.photo import WORKING_SIDE
from features.schema import FeatureFamily, feature_set_hash
from handlers.sqlite_file import SqliteFile
from training.feature_store_migrations import MIGRATIONS
from training.photo_reading import Carried, PhotoKey, Provenance, Reading, Refusal

_VALUES = np.dtype("<f8")
KEYS_PER_QUERY = 1000
_PAGE_SIZE = 16384  # [bytes] holds five readings; the usual 4096 would hold one, and a gap


class FeatureStoreError(PM25Error):
    """The file cannot be used as a feature store."""


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
            page_size=_PAGE_SIZE,
        )
        self.connection.execute("PRAGMA foreign_keys = ON")

    def register(self, feature_set: str, families: Sequence[FeatureFamily]) -> None:
        """Say which families the set of this hash has, so that they can be carried over from it."""
        with self.transaction():
            self._execute(
                "INSERT INTO feature_sets (feature_set) VALUES (?) ON CONFLICT DO NOTHING",
                (feature_set,),
            )
            for position, family in enumerate(families):
                described = json.dumps([[f.name, f.unit] for f in family.features])
                self._execute(
                    """
                    INSERT INTO feature_families
                    SELECT id, ?, ?, ?, ?, ? FROM feature_sets WHERE feature_set = ?
                    ON CONFLICT DO NOTHING
                    """,
                    (
                        *(position, family.name, family.version, family_hash(family), described),
                        feature_set,
                    ),
                )

    def known(self, keys: Iterable[PhotoKey], feature_set: str) -> set[PhotoKey]:
        """Those of `keys` that have a reading; it is not looked into."""
        return {
            PhotoKey(sha256, *kind)
            for kind, photos in _by_conditions(keys)
            for (sha256,) in self._rows("sha256", photos, feature_set, kind[0])
        }

    def refusals(self, keys: Iterable[PhotoKey], feature_set: str) -> dict[PhotoKey, str]:
        """The codes of those of `keys` that were refused."""
        return {
            PhotoKey(sha256, *kind): code
            for kind, photos in _by_conditions(keys)
            for sha256, code in self._rows("sha256, refusal_code", photos, feature_set, kind[0])
            if code is not None
        }

    def get_many(self, keys: Iterable[PhotoKey], feature_set: str) -> dict[PhotoKey, Reading]:
        """The stored readings among `keys`; those that are missing have no entry.

        All of them at once: ask for a chunk at a time where there are many.
        """
        return {
            PhotoKey(sha256, *kind): _reading(*stored)
            for kind, photos in _by_conditions(keys)
            for sha256, *stored in self._rows(
                "sha256, feature_values, refusal_code, refusal_detail",
                photos,
                feature_set,
                kind[0],
            )
        }

    def put(
        self, readings: Mapping[PhotoKey, Reading], feature_set: str, made_by: Provenance
    ) -> None:
        """Store `readings` in one transaction; an earlier reading of the same key is replaced."""
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        with self.transaction():
            set_id = self._id("feature_sets", {"feature_set": feature_set})
            provenance_id = self._id("provenances", made_by._asdict())
            conditions_ids: dict[str, int] = {}
            for key, reading in readings.items():
                if key.conditions not in conditions_ids:
                    conditions_ids[key.conditions] = self._conditions_id(key)
                values = reading.values
                self._execute(
                    "INSERT OR REPLACE INTO readings VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(key.sha256, set_id, conditions_ids[key.conditions]),
                        *(provenance_id, created_at, *(reading.refusal or (None, None))),
                        None if values is None else values.astype(_VALUES).tobytes(),
                    ),
                )

    def carried(
        self, keys: Iterable[PhotoKey], families: Sequence[FeatureFamily]
    ) -> dict[PhotoKey, Carried]:
        """What earlier readings of other feature sets, or behind another gate, say of `keys`.

        Values of a family are true wherever its hash and the picture are the same; a refusal, where
        all conditions are. Where there are several, the latest counts.
        """
        names = {family_hash(family): family.name for family in families}
        places = self._places(names)
        found = {}
        for (conditions, picture), photos in _by_conditions(keys):
            for chunk in _chunks(photos) if picture else ():
                carried: defaultdict[str, Carried] = defaultdict(Carried)
                for sha256, set_id, under, code, detail, blob in self._of_picture(chunk, picture):
                    of_photo = carried[sha256]
                    if under == conditions:
                        of_photo.passed = code is None
                        of_photo.refusal = None if code is None else Refusal(code, detail)
                    if blob is not None:
                        values = np.frombuffer(blob, dtype=_VALUES)
                        for name, start, stop in places.get(set_id, ()):
                            of_photo.families[name] = values[start:stop]
                found.update({PhotoKey(s, conditions, picture): c for s, c in carried.items()})
        return found

    def latest(self, count: int, feature_set: str, picture: str) -> list[tuple[str, str, Reading]]:
        """SHA-256, moment and reading of the last `count` that came in, the newest first."""
        with self.naming_the_file():
            kinds = self._execute(
                """
                SELECT s.id, c.id FROM feature_sets AS s, reading_conditions AS c
                WHERE feature_set = ? AND picture = ?
                """,
                (feature_set, picture),
            ).fetchall()
            # Under each kind of conditions by its index: a sort of all rows would take a second.
            latest = nlargest(
                count,
                (
                    reading_id
                    for kind in kinds
                    for (reading_id,) in self._execute(
                        """
                        SELECT id FROM readings WHERE feature_set_id = ? AND conditions_id = ?
                        ORDER BY id DESC LIMIT ?
                        """,
                        (*kind, count),
                    )
                ),
            )
            rows = self._execute(
                """
                SELECT sha256, created_at, feature_values, refusal_code, refusal_detail
                FROM json_each(?) CROSS JOIN readings ON readings.id = json_each.value
                """,
                (json.dumps(latest),),
            )
            return [(sha256, moment, _reading(*stored)) for sha256, moment, *stored in rows]

    def _execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        return self.connection.execute(statement, values)

    def _rows(
        self, columns: str, photos: Sequence[str], feature_set: str, conditions: str
    ) -> Iterator[Any]:
        for chunk in _chunks(photos):
            with self.naming_the_file():
                yield from self._execute(
                    f"""
                    SELECT {columns} FROM json_each(?)
                    CROSS JOIN readings ON sha256 = json_each.value
                    WHERE feature_set_id = (SELECT id FROM feature_sets WHERE feature_set = ?)
                    AND conditions_id = (SELECT id FROM reading_conditions WHERE conditions = ?)
                    """,
                    (json.dumps(chunk), feature_set, conditions),
                ).fetchall()

    def _of_picture(self, photos: Sequence[str], picture: str) -> list[Any]:
        with self.naming_the_file():
            rows: list[Any] = self._execute(
                """
                SELECT sha256, feature_set_id, conditions, refusal_code, refusal_detail,
                    feature_values
                FROM json_each(?) CROSS JOIN readings ON sha256 = json_each.value
                JOIN reading_conditions AS c ON c.id = conditions_id
                WHERE picture = ? ORDER BY readings.id
                """,
                (json.dumps(photos), picture),
            ).fetchall()
        return rows

    def _places(self, names: Mapping[str, str]) -> dict[int, list[tuple[str, int, int]]]:
        """Per stored feature set: which of the families it holds, and where they begin and end."""
        with self.naming_the_file():
            stored = self._execute(
                """
                SELECT feature_set_id, family_hash, json_array_length(features)
                FROM feature_families ORDER BY feature_set_id, position
                """
            ).fetchall()
        ends: defaultdict[int, int] = defaultdict(int)
        places: defaultdict[int, list[tuple[str, int, int]]] = defaultdict(list)
        for set_id, digest, length in stored:
            start = ends[set_id]
            ends[set_id] += length
            if digest in names:
                places[set_id].append((names[digest], start, start + length))
        return dict(places)

    def _conditions_id(self, key: PhotoKey) -> int:
        if key.picture:
            self._execute(
                "UPDATE reading_conditions SET picture = ? WHERE conditions = ? AND picture = ''",
                (key.picture, key.conditions),
            )
        names = {"conditions": key.conditions}
        return self._id("reading_conditions", names, {"picture": key.picture})

    def _id(
        self, table: str, names: Mapping[str, str], more: Mapping[str, str] | None = None
    ) -> int:
        """The id of the row of `table` with these names, made if it is not there."""
        row = {**names, **(more or {})}
        self._execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) "
            "ON CONFLICT DO NOTHING",
            tuple(row.values()),
        )
        where = " AND ".join(f"{name} = ?" for name in names)
        statement = f"SELECT id FROM {table} WHERE {where}"
        ((found,),) = self._execute(statement, tuple(names.values())).fetchall()
        return int(found)


def family_hash(family: FeatureFamily) -> str:
    """Equal hash, equal meaning of every number of the family: the hash of a set of it alone."""
    return feature_set_hash((family,), WORKING_SIDE)


def _reading(blob: bytes | None, code: str | None, detail: str | None) -> Reading:
    if blob is None:
        return Reading(None, Refusal(code or "", detail or ""))
    return Reading(np.frombuffer(blob, dtype=_VALUES))


def _by_conditions(keys: Iterable[PhotoKey]) -> list[tuple[tuple[str, str], list[str]]]:
    photos: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for key in keys:
        photos[key.conditions, key.picture].append(key.sha256)
    return list(photos.items())


def _chunks(photos: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(photos), KEYS_PER_QUERY):
        yield photos[start : start + KEYS_PER_QUERY]
