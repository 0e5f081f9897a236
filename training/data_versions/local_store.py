"""The store in a folder: files appear whole, by a rename, and a manifest once, by a hard link."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from features.errors import DataStoreError
from training.data_versions.object_store import Stored, file_changed, object_missing

_CHUNK = 1 << 20  # [bytes]
_INCOMING = "incoming"  # files that are being written, each locked by its writer


class LocalStore:
    """The store below `folder`, which is made when something is first written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def address(self) -> str:
        return str(self.folder.resolve())

    def tidy(self) -> None:
        """A file in `incoming/` that nobody holds a lock on has lost its writer."""
        for path in (self.folder / _INCOMING).glob("*"):
            with suppress(OSError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    def stored(self, prefix: str) -> Iterator[Stored]:
        for folder, _, names in os.walk(self.folder / prefix):
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self.folder).as_posix()
                yield Stored(key, path.stat().st_size)

    def put_file(self, key: str, path: Path, sha256: str) -> None:
        digest = hashlib.sha256()
        with path.open("rb") as source, self._unfinished() as (unfinished, file):
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != sha256:
                raise file_changed(path)
            _to_disk(file)
            self._place(key).parent.mkdir(parents=True, exist_ok=True)
            unfinished.replace(self._place(key))

    def create(self, key: str, content: bytes) -> bool:
        place = self._place(key)
        with self._unfinished() as (unfinished, file):
            file.write(content)
            _to_disk(file)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(unfinished, place)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
                    raise
                raise DataStoreError(
                    "store_forbidden",
                    f"The disk of {self.folder} cannot link a file under a second name.",
                    "Keep the store on a disk of the system's own kind, not FAT or exFAT.",
                ) from error
        return True

    def read(self, key: str) -> bytes:
        return b"".join(self.chunks(key))

    def chunks(self, key: str) -> Iterator[bytes]:
        try:
            with self._place(key).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except FileNotFoundError as error:
            raise object_missing(self, key) from error

    def _place(self, key: str) -> Path:
        return self.folder / key

    @contextmanager
    def _unfinished(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file in `incoming/`, locked while it is written, gone after it."""
        incoming = self.folder / _INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        while True:
            handle, name = tempfile.mkstemp(dir=incoming)
            with os.fdopen(handle, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                path = Path(name)
                if not path.exists():  # another process tidied up before the lock was ours
                    continue
                path.chmod(0o644)
                try:
                    yield path, file
                finally:
                    path.unlink(missing_ok=True)
                return


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
