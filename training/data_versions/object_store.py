"""Where versions lie: the same keys in an S3 bucket and in a folder of this disk.

    objects/ab/ab34…            each photo, labels.csv and dataset.toml once, named by its SHA-256
    versions/NAME/VERSION.json  what belongs to a version (manifest.py), written last and once

An object never changes, and one that is there is whole. A version is there from the moment its
manifest is: whatever was stopped before leaves objects that the next try finds, and no version.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from features.errors import DataStoreError


class Stored(NamedTuple):
    """One key of a store, and how many bytes lie there."""

    key: str
    size: int


class ObjectStore(Protocol):
    """What is asked of a store. Every method may be called from several threads at once.

    Raises DataStoreError: store_unreachable, store_forbidden, object_missing, file_changed.
    """

    @property
    def address(self) -> str:
        """Names the store in messages and in datasets.db."""

    def tidy(self) -> None:
        """Remove what a writer that was killed has left half-written."""

    def stored(self, prefix: str) -> Iterator[Stored]:
        """Every key below `prefix`, which ends with a slash."""

    def put_file(self, key: str, path: Path, sha256: str) -> None:
        """Put the bytes of `path` at `key`; refused if they are not those of `sha256`."""

    def create(self, key: str, content: bytes) -> bool:
        """Put `content` at `key` unless something is there: of many at once, one gets True."""

    def read(self, key: str) -> bytes:
        """All bytes at `key`."""

    def chunks(self, key: str) -> Iterator[bytes]:
        """The bytes at `key`, piece by piece."""


def object_key(sha256: str) -> str:
    """Where the bytes of that hash lie."""
    return f"objects/{sha256[:2]}/{sha256}"


def file_changed(path: Path) -> DataStoreError:
    """The error for a file that is not what it was when it was hashed."""
    return DataStoreError(
        "file_changed",
        f"{path} has changed while its data set was being registered.",
        "Let nothing write to the folder, and register it again.",
    )


def object_missing(store: ObjectStore, key: str) -> DataStoreError:
    """The error for a key that nothing lies at."""
    return DataStoreError(
        "object_missing",
        f"{store.address} has no {key}.",
        "See what is damaged with `pm25 data verify`.",
    )
