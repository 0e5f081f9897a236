"""A file is read once for as long as its size, mtime and inode stay the same."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.datasets_db import DatasetsDatabase
from training.file_hashes import FileHashes

LONG_AGO = 1_700_000_000  # [s]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DatasetsDatabase]:
    with DatasetsDatabase(tmp_path / "datasets.db") as opened:
        yield opened


def written(path: Path, content: bytes, at: float = LONG_AGO) -> Path:
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_hashes_come_in_the_order_of_the_paths(tmp_path: Path, database: DatasetsDatabase) -> None:
    paths = [written(tmp_path / f"{n}", b"%d" % n * 1000 * (30 - n)) for n in range(30)]
    expected = [sha256(path.read_bytes()) for path in paths]
    for hashes in (FileHashes(), FileHashes(database), FileHashes(database)):
        assert list(hashes.of(paths)) == expected


def test_a_file_that_looks_the_same_is_not_read_again(
    tmp_path: Path, database: DatasetsDatabase
) -> None:
    path = written(tmp_path / "photo", b"one")
    assert list(FileHashes(database).of([path])) == [sha256(b"one")]
    with path.open("r+b") as file:  # behind its back: same size and inode, and the time put back
        file.write(b"two")
    os.utime(path, (LONG_AGO, LONG_AGO))
    assert list(FileHashes(database).of([path])) == [sha256(b"one")]
    assert list(FileHashes().of([path])) == [sha256(b"two")]


@pytest.mark.parametrize("change", ["time", "size", "inode"])
def test_a_file_that_looks_different_is_read_again(
    tmp_path: Path, database: DatasetsDatabase, change: str
) -> None:
    path = written(tmp_path / "photo", b"one")
    assert list(FileHashes(database).of([path])) == [sha256(b"one")]
    content = b"three" if change == "size" else b"two"
    if change == "inode":
        written(tmp_path / "other", content).replace(path)
    else:
        with path.open("r+b") as file:
            file.write(content)
        at = LONG_AGO + 1 if change == "time" else LONG_AGO
        os.utime(path, (at, at))
    assert list(FileHashes(database).of([path])) == [sha256(content)]


def test_a_moved_file_is_known(tmp_path: Path, database: DatasetsDatabase) -> None:
    path = written(tmp_path / "photo", b"one")
    list(FileHashes(database).of([path]))
    moved = path.rename(tmp_path / "moved")
    with moved.open("r+b") as file:
        file.write(b"two")
    os.utime(moved, (LONG_AGO, LONG_AGO))
    assert list(FileHashes(database).of([moved])) == [sha256(b"one")]


def test_a_file_just_written_is_not_relied_on(tmp_path: Path, database: DatasetsDatabase) -> None:
    """It could be written again within the same tick of the disk's clock."""
    now = time.time()
    path = written(tmp_path / "photo", b"one", now)
    assert list(FileHashes(database).of([path])) == [sha256(b"one")]
    with path.open("r+b") as file:
        file.write(b"two")
    os.utime(path, (now, now))
    assert list(FileHashes(database).of([path])) == [sha256(b"two")]


def test_a_file_that_cannot_be_read_stops_no_other(
    tmp_path: Path, database: DatasetsDatabase
) -> None:
    path = written(tmp_path / "photo", b"one")
    missing, found = FileHashes(database).of([tmp_path / "nowhere", path])
    assert isinstance(missing, FileNotFoundError)
    assert found == sha256(b"one")
