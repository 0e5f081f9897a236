"""What a collection has taken and heard: one SQLite file in the data set's folder.

It is the only memory. `labels.csv` and the other files are written anew from it, so that a process
may end anywhere: what is recorded is done, what is not will be done again. A frame is announced
here before its file appears and confirmed after it, so that a file without a row, or a row without
a file, is never left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from handlers.sqlite_file import SqliteFile
from training.collection.camera import SeenFile
from training.collection.configuration import CollectionError
from training.collection.frame import Frame, Refused
from training.dataset_folder import unfinished
from training.ground_truth.measurement import HOUR, Sensor, SensorHour

FILE = "collection.db"
MIGRATIONS = (
    (
        "0001_collection",
        (
            "CREATE TABLE identity (what TEXT PRIMARY KEY) STRICT",
            """
            CREATE TABLE frames (
                file          TEXT PRIMARY KEY,
                slot          INTEGER NOT NULL UNIQUE,
                captured_at   TEXT NOT NULL,
                sha256        TEXT NOT NULL UNIQUE,
                pixels_sha256 TEXT NOT NULL UNIQUE,
                taken_at      TEXT NOT NULL,
                whole         INTEGER NOT NULL CHECK (whole IN (0, 1))
            ) STRICT
            """,
            """
            CREATE TABLE refused (
                slot    INTEGER NOT NULL,
                reason  TEXT NOT NULL,
                detail  TEXT NOT NULL,
                times   INTEGER NOT NULL,
                PRIMARY KEY (slot, reason)
            ) STRICT
            """,
            """
            CREATE TABLE seen_files (
                name        TEXT NOT NULL,
                size        INTEGER NOT NULL,
                modified_ns INTEGER NOT NULL,
                PRIMARY KEY (name, size, modified_ns)
            ) STRICT
            """,
            """
            CREATE TABLE sensors (
                id          TEXT PRIMARY KEY,
                source      TEXT NOT NULL,
                name        TEXT NOT NULL,
                lat         REAL NOT NULL,
                lon         REAL NOT NULL,
                quality     TEXT NOT NULL,
                listed_at   TEXT NOT NULL,
                asked_at    TEXT
            ) STRICT
            """,
            """
            CREATE TABLE hours (
                sensor_id    TEXT NOT NULL,
                ends_at      TEXT NOT NULL,
                pm25         REAL,
                as_published TEXT NOT NULL,
                correction   TEXT NOT NULL,
                flags        TEXT NOT NULL,
                heard_at     TEXT NOT NULL,
                PRIMARY KEY (sensor_id, ends_at)
            ) STRICT
            """,
            """
            CREATE TABLE labels (
                file       TEXT PRIMARY KEY REFERENCES frames (file),
                cells      TEXT NOT NULL CHECK (json_valid(cells)),
                pairing    TEXT NOT NULL CHECK (json_valid(pairing)),
                settled_at TEXT NOT NULL
            ) STRICT
            """,
        ),
    ),
    # Every frame that waits asks for its hour, of all sensors, in each round.
    ("0002_hours_by_end", ("CREATE INDEX hours_by_end ON hours (ends_at)",)),
)


@dataclass(frozen=True)
class KeptFrame:
    """A frame of the data set: its file, relative to the folder, and its time with its offset."""

    file: str
    captured_at: datetime


@dataclass(frozen=True)
class KnownSensor:
    """A sensor, and when it was last listed and asked, UTC."""

    sensor: Sensor
    listed_at: datetime
    asked_at: datetime | None


@dataclass(frozen=True)
class HeardHour:
    """An hour of a sensor, and when it was last heard of, UTC."""

    hour: SensorHour
    heard_at: datetime


class Journal:
    """The journal of the data set in `folder`; `identity` says which camera's at which place.

    Raises CollectionError: another_collection, store_unusable, store_busy, store_too_new.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self._file = SqliteFile(
            folder / FILE,
            MIGRATIONS,
            what="journal of a collection",
            if_damaged="labels.csv and the pictures stay, but nobody knows what was taken.",
            error=CollectionError,
        )
        # A camera on a balcony loses its power now and then; what was recorded must be on the disk.
        self._file.connection.execute("PRAGMA synchronous = FULL")
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT * FROM identity)",
                (identity,),
            )
            (known,) = db.execute("SELECT what FROM identity").fetchone()
        if known != identity:
            self.close()
            raise CollectionError(
                "another_collection",
                f"{folder} holds the frames of {known}, not of {identity}.",
                "Give every camera, and a camera that has moved, a folder and a name of its own.",
            )

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- frames

    def recover(self) -> None:
        """Finish what the end of a process left open: a frame is there with its file, or not."""
        with self._file.transaction() as db:
            for (file,) in db.execute("SELECT file FROM frames WHERE whole = 0").fetchall():
                path = self.folder / file
                if path.is_file():
                    db.execute("UPDATE frames SET whole = 1 WHERE file = ?", (file,))
                else:
                    unfinished(path).unlink(missing_ok=True)
                    db.execute("DELETE FROM frames WHERE file = ?", (file,))

    def has_slot(self, slot: int) -> bool:
        """Whether a frame of these minutes was taken."""
        return bool(self._one("SELECT count(*) FROM frames WHERE slot = ?", slot))

    def knows(self, sha256: str) -> bool:
        """Whether a file with these bytes was taken."""
        return bool(self._one("SELECT count(*) FROM frames WHERE sha256 = ?", sha256))

    def keep(
        self, frame: Frame, file: str, slot: int, now: datetime, write: Callable[[Path], None]
    ) -> Refused | None:
        """Record `frame` as `file` of `slot` and let `write` put it there.

        Nothing is written for a picture that is known or minutes that are taken: the refusal.
        """
        same = "SELECT count(*) FROM frames WHERE pixels_sha256 = ?"
        if self.knows(frame.sha256) or self._one(same, frame.pixels_sha256):
            return Refused("frame_frozen", "The same picture was taken before.")
        if self.has_slot(slot):
            return Refused("slot_taken", "A frame of these minutes was taken before.")
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, 0)",
                (
                    *(file, slot, frame.captured_at.isoformat()),
                    *(frame.sha256, frame.pixels_sha256, now.isoformat()),
                ),
            )
        write(self.folder / file)
        with self._file.transaction() as db:
            db.execute("UPDATE frames SET whole = 1 WHERE file = ?", (file,))
        return None

    def refuse(self, slot: int, refused: Refused) -> None:
        """Count a frame that was not kept."""
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO refused VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE "
                "SET times = times + 1, detail = excluded.detail",
                (slot, refused.reason, refused.detail),
            )

    def seen_files(self) -> set[SeenFile]:
        """The files of a camera's folder that were looked at."""
        with self._file.naming_the_file():
            return {SeenFile(*row) for row in self._all("SELECT * FROM seen_files")}

    def see(self, file: SeenFile) -> None:
        """A file was looked at, whatever became of it."""
        with self._file.transaction() as db:
            db.execute("INSERT OR IGNORE INTO seen_files VALUES (?, ?, ?)", file)

    def newest(self) -> datetime | None:
        """When the last frame was taken, UTC."""
        return _time(self._one("SELECT max(taken_at) FROM frames"))

    def frames(self) -> list[KeptFrame]:
        """All frames, in the order of their time."""
        return _frames(self._all("SELECT file, captured_at FROM frames WHERE whole ORDER BY slot"))

    def unsettled(self) -> list[KeptFrame]:
        """The frames of which it is not settled what their label is, in the order of their time."""
        return _frames(
            self._all(
                "SELECT file, captured_at FROM frames WHERE whole AND file NOT IN "
                "(SELECT file FROM labels) ORDER BY slot"
            )
        )

    # ---- sensors and their hours

    def list_sensors(self, sensors: Iterable[Sensor], now: datetime) -> None:
        """The sensors around are these; others are forgotten, their hours are not."""
        rows = [(s.id, s.source, s.name, s.lat, s.lon, s.quality, now.isoformat()) for s in sensors]
        with self._file.transaction() as db:
            db.execute(
                "DELETE FROM sensors WHERE id NOT IN (SELECT value FROM json_each(?))",
                (json.dumps([row[0] for row in rows]),),
            )
            db.executemany(
                "INSERT INTO sensors VALUES (?, ?, ?, ?, ?, ?, ?, NULL) "
                "ON CONFLICT DO UPDATE SET name = excluded.name, lat = excluded.lat, "
                "lon = excluded.lon, quality = excluded.quality, listed_at = excluded.listed_at",
                rows,
            )

    def sensors(self) -> list[KnownSensor]:
        """The sensors as they were last listed."""
        rows = self._all(
            "SELECT source, id, name, lat, lon, quality, listed_at, asked_at "
            "FROM sensors ORDER BY id"
        )
        return [
            KnownSensor(Sensor(*row[:6]), datetime.fromisoformat(row[6]), _time(row[7]))
            for row in rows
        ]

    def ask(self, sensor_id: str, now: datetime) -> None:
        """A sensor is being asked."""
        with self._file.transaction() as db:
            db.execute("UPDATE sensors SET asked_at = ? WHERE id = ?", (now.isoformat(), sensor_id))

    def hear(self, hours: Iterable[SensorHour], now: datetime) -> None:
        """A sensor has said this. A value that is known stays; a gap may still be filled."""
        rows = [
            (
                *(hour.sensor_id, _text(hour.ends_at.astimezone(UTC)), hour.pm25),
                *(hour.as_published, hour.correction, " ".join(hour.flags), now.isoformat()),
            )
            for hour in hours
        ]
        with self._file.transaction() as db:
            db.executemany(
                "INSERT INTO hours VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "pm25 = excluded.pm25, as_published = excluded.as_published, "
                "correction = excluded.correction, flags = excluded.flags, "
                "heard_at = excluded.heard_at WHERE pm25 IS NULL",
                rows,
            )

    def hours(self, moment: datetime) -> dict[str, list[HeardHour]]:
        """What is known of the hours that hold `moment`, by sensor."""
        at = moment.astimezone(UTC)
        found: dict[str, list[HeardHour]] = {}
        for row in self._all(
            "SELECT sensor_id, ends_at, pm25, as_published, correction, flags, heard_at "
            "FROM hours WHERE ends_at > ? AND ends_at <= ? ORDER BY ends_at",
            *(_text(at), _text(at + HOUR)),
        ):
            ends_at, flags = datetime.fromisoformat(row[1]), tuple(row[5].split())
            hour = SensorHour(row[0], ends_at, row[2], row[3], row[4], flags)
            found.setdefault(row[0], []).append(HeardHour(hour, datetime.fromisoformat(row[6])))
        return found

    # ---- labels

    def settle(
        self, file: str, cells: dict[str, str], pairing: dict[str, str], now: datetime
    ) -> None:
        """The label of a frame, or that it has none, is this from now on."""
        with self._file.transaction() as db:
            db.execute(
                "INSERT INTO labels VALUES (?, ?, ?, ?)",
                (file, json.dumps(cells), json.dumps(pairing), now.isoformat()),
            )

    def labels(self) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
        """The cells of `labels.csv` and the row of `pairing.csv`, by file, of what is settled."""
        return {
            file: (json.loads(cells), json.loads(pairing))
            for file, cells, pairing in self._all("SELECT file, cells, pairing FROM labels")
        }

    def refused(self) -> dict[str, int]:
        """How many frames were refused, by reason."""
        rows = self._all("SELECT reason, sum(times) FROM refused GROUP BY reason ORDER BY reason")
        return {reason: int(times) for reason, times in rows}

    def _all(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._file.naming_the_file():
            return self._file.connection.execute(statement, values).fetchall()

    def _one(self, statement: str, *values: object) -> Any:
        return self._all(statement, *values)[0][0]


def _frames(rows: Sequence[tuple[Any, ...]]) -> list[KeptFrame]:
    return [KeptFrame(file, datetime.fromisoformat(captured_at)) for file, captured_at in rows]


def _text(time: datetime) -> str:
    """To the second: such texts are in the order of their times."""
    return time.isoformat(timespec="seconds")


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
