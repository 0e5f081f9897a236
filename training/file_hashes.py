"""SHA-256 of files, each read once for as long as its size, mtime and inode stay the same."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from training.datasets_db import DatasetsDatabase
from training.meter import Meter, silent

_THREADS = 4  # SHA-256 and reading release the GIL; more only wait for the disk
_SETTLED = 2_000_000_000  # [ns] a file that was written this recently may be written again
# unnoticed: some disks keep no finer times


class _Identity(NamedTuple):
    device: int
    inode: int
    size: int
    mtime_ns: int


class FileHashes:
    """Hashes of files, remembered in `database`, or not at all without one.

    What was hashed before an end at any moment is not hashed again.
    """

    def __init__(self, database: DatasetsDatabase | None = None, meter: Meter = silent) -> None:
        self._database, self._meter = database, meter

    def of(self, paths: Iterable[Path]) -> Iterator[str | OSError]:
        """The hash of each path in hexadecimal, in order, or why it cannot be read."""
        given = [(path, self._known(path)) for path in paths]
        with self._meter("hashing", len(given)) as advance, ThreadPoolExecutor(_THREADS) as threads:
            for identity, sha256 in threads.map(_hashed, given):
                if identity is not None and self._database is not None:
                    with self._database.transaction() as connection:
                        connection.execute(
                            "INSERT OR REPLACE INTO file_hashes VALUES (?, ?, ?, ?, ?)",
                            (*identity, sha256),
                        )
                advance(1)
                yield sha256

    def _known(self, path: Path) -> str | None:
        identity = _identity(path)
        if self._database is None or identity is None:
            return None
        with self._database.naming_the_file():
            row = self._database.connection.execute(
                "SELECT sha256 FROM file_hashes "
                "WHERE device = ? AND inode = ? AND size = ? AND mtime_ns = ?",
                identity,
            ).fetchone()
        return None if row is None else str(row[0])


def _hashed(given: tuple[Path, str | None]) -> tuple[_Identity | None, str | OSError]:
    """The hash of a file, and what to remember it by if that is new and safe to rely on."""
    path, known = given
    if known is not None:
        return None, known
    before, now = _identity(path), time.time_ns()
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return None, error
    settled = before is not None and now - before.mtime_ns > _SETTLED
    return before if settled and before == _identity(path) else None, sha256


def _identity(path: Path) -> _Identity | None:
    try:
        about = path.stat()
    except OSError:
        return None
    # SQLite's integers have 63 bits and a sign; some disks number their files with 64.
    device, inode = (number % (1 << 63) for number in (about.st_dev, about.st_ino))
    return _Identity(device, inode, about.st_size, about.st_mtime_ns)
