"""The versions that this machine knows of, in `datasets.db`, by store.

Manifests never change, so each is fetched once; whatever else has registered versions in the same
store, `refresh` brings the table up to date.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from training.data_versions.manifest import DatasetVersion, VersionManifest
from training.datasets_db import DatasetsDatabase

_COUNTS = ("photos", "labelled", "sites", "cameras", "sessions", "bytes")
_STATISTICS = ("min", "median", "mean", "sd", "max")
_PLAIN = (
    *("name", "version", "content_hash", "dataset_hash", "parent", "created_at"),
    *("title", "licence", "source", "min_side"),
)
_COLUMNS = (
    *("store", *_PLAIN),
    *(f"n_{count}" for count in _COUNTS),
    *(f"pm25_{statistic}" for statistic in _STATISTICS),
    "manifest_sha256",
)


class VersionCatalogue:
    """The table `versions` of `database`, for the store at `address`."""

    def __init__(self, database: DatasetsDatabase, address: str) -> None:
        self._database, self._address = database, address

    def versions(self) -> list[dict[str, Any]]:
        """What is known of each version, a row each; of a name, the oldest version first."""
        shown = _COLUMNS[1:]
        with self._database.naming_the_file():
            rows = self._database.connection.execute(
                f"SELECT {', '.join(shown)} FROM versions WHERE store = ?", (self._address,)
            ).fetchall()
        versions = [dict(zip(shown, row, strict=True)) for row in rows]
        return sorted(versions, key=lambda row: version_of(row).precedence)

    def put(self, manifest: VersionManifest, content: bytes) -> None:
        """Remember a version, whose manifest is stored as `content`."""
        summary = manifest.summary()
        row = (
            self._address,
            *(summary[column] for column in _PLAIN),
            *(manifest.counts[count] for count in _COUNTS),
            *(manifest.labels[statistic] for statistic in _STATISTICS),
            hashlib.sha256(content).hexdigest(),
        )
        with self._database.transaction() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO versions ({', '.join(_COLUMNS)}) "
                f"VALUES ({', '.join('?' * len(_COLUMNS))})",
                row,
            )

    def forget(self, gone: Iterable[DatasetVersion]) -> None:
        """Drop versions that their store no longer has."""
        with self._database.transaction() as connection:
            connection.executemany(
                "DELETE FROM versions WHERE store = ? AND name = ? AND version = ?",
                [(self._address, *version) for version in gone],
            )


def version_of(row: dict[str, Any]) -> DatasetVersion:
    """The name and version of a row of `VersionCatalogue.versions`."""
    return DatasetVersion(row["name"], row["version"])
