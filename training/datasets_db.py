"""`datasets.db`: what is known of versions and photos, in one SQLite file that can be made again.

Nothing in it is the only copy. Remove it, and `pm25 data list` reads the versions back from the
store, and photos are hashed and looked at again when they are next needed.
"""

from __future__ import annotations

from pathlib import Path

from features.errors import DataStoreError
from handlers.sqlite_file import SqliteFile

DATASETS_DB = Path("build/datasets.db")

# Name and statements. Applied once each, in this order; never edited, only added to.
MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "0001_versions",
        (
            """
            CREATE TABLE versions (
                store           TEXT NOT NULL,
                name            TEXT NOT NULL,
                version         TEXT NOT NULL,
                content_hash    TEXT NOT NULL,
                dataset_hash    TEXT NOT NULL,
                parent          TEXT,
                created_at      TEXT NOT NULL,
                title           TEXT NOT NULL,
                licence         TEXT NOT NULL,
                source          TEXT NOT NULL,
                min_side        INTEGER NOT NULL,
                n_photos        INTEGER NOT NULL,
                n_labelled      INTEGER NOT NULL,
                n_sites         INTEGER NOT NULL,
                n_cameras       INTEGER NOT NULL,
                n_sessions      INTEGER NOT NULL,
                n_bytes         INTEGER NOT NULL,
                pm25_min        REAL,
                pm25_median     REAL,
                pm25_mean       REAL,
                pm25_sd         REAL,
                pm25_max        REAL,
                manifest_sha256 TEXT NOT NULL,
                PRIMARY KEY (store, name, version)
            ) STRICT
            """,
            "CREATE INDEX versions_by_dataset_hash ON versions (dataset_hash)",
        ),
    ),
    (
        "0002_file_hashes",
        (
            """
            CREATE TABLE file_hashes (
                device   INTEGER NOT NULL,
                inode    INTEGER NOT NULL,
                size     INTEGER NOT NULL,
                mtime_ns INTEGER NOT NULL,
                sha256   TEXT NOT NULL,
                PRIMARY KEY (device, inode)
            ) STRICT
            """,
        ),
    ),
    (
        "0003_first_looks",
        (
            """
            CREATE TABLE first_looks (
                sha256       TEXT NOT NULL,
                conditions   TEXT NOT NULL,
                issues       TEXT NOT NULL,
                picture_hash BLOB,
                PRIMARY KEY (sha256, conditions)
            ) STRICT
            """,
        ),
    ),
)


class DatasetsDatabase(SqliteFile):
    """The file `path`, made if it is not there. One object per thread."""

    def __init__(self, path: Path = DATASETS_DB) -> None:
        super().__init__(
            path,
            MIGRATIONS,
            what="register of data sets",
            if_damaged="`pm25 data list` makes it again from the store.",
            error=DataStoreError,
        )
