"""Running an archive with the code inside it, so that an older archive stays measurable.

The archive is unpacked into a temporary folder and a Python is started there; photos and
answers travel as JSON lines. Nothing of the archive is imported into this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from features.errors import ArtifactError

_ENTRY = "handlers/offline.py"
# What would come before the archive's own code, or keep it out.
_WITHHELD = ("PYTHONPATH", "PYTHONSAFEPATH")


class RunningArchive:
    """An unpacked archive with its own Python process, as a context manager.

    Raises ArtifactError: no_archive, broken_archive, archive_died, or what the archive itself says
    when it refuses to load.

    `ready` holds what the archive says of itself: model_version, training_photos (SHA-256),
    baseline_pm25 and baseline_by_camera [ug m-3].
    """

    ready: dict[str, Any]

    def __init__(self, archive: Path) -> None:
        if not archive.is_file():
            state = "is no file" if archive.exists() else "does not exist"
            raise ArtifactError(
                "no_archive",
                f"{archive} {state}.",
                "Name a .mar file, or build one with `make package`.",
            )
        self.archive = archive
        self._folder = tempfile.TemporaryDirectory(prefix="pm25-archive-")
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> RunningArchive:
        try:
            self._unpack()
        except BaseException:
            self._folder.cleanup()
            raise
        environment = {
            **{key: value for key, value in os.environ.items() if key not in _WITHHELD},
            "OMP_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "handlers.offline"],
            cwd=self._folder.name,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            first = self._read_line()
        except BaseException:
            self._process.kill()
            self.close()
            raise
        if "problem" in first:
            self.close()
            problem = first["problem"]
            raise ArtifactError(problem["code"], problem["detail"], problem["how_to_fix"])
        self.ready = first["ready"]
        return self

    def answers(self, requests: Iterable[Mapping[str, object]]) -> Iterator[dict[str, Any]]:
        """One {"answer": …} or {"problem": …} for each request, in order.

        Requests are written from a thread: both pipes are bounded, and writing all before
        reading any would stop both sides for good.
        """
        assert self._process is not None and self._process.stdin is not None
        pending = list(requests)
        stdin = self._process.stdin

        def feed() -> None:
            with contextlib.suppress(OSError, ValueError):  # it ended: `_read_line` says so
                for request in pending:
                    stdin.write(json.dumps(request) + "\n")
                stdin.flush()

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        for _ in pending:
            yield self._read_line()
        feeder.join()

    def _unpack(self) -> None:
        fix = "Build it again with `make package`, or fetch it again."
        try:
            with zipfile.ZipFile(self.archive) as packed:
                packed.extractall(self._folder.name)
        # RuntimeError: an entry is encrypted, or compressed in a way that zipfile does not know.
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise ArtifactError(
                "broken_archive", f"{self.archive} is no whole archive: {error}.", fix
            ) from None
        if not (Path(self._folder.name) / _ENTRY).is_file():
            raise ArtifactError(
                "broken_archive", f"{self.archive} holds no {_ENTRY}, as ours do.", fix
            )

    def _read_line(self) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise ArtifactError(
                "archive_died",
                f"{self.archive.name} stopped with exit status {code} before it answered.",
                "Its own error stands above; it may need another version of the serving set.",
            )
        try:
            content: dict[str, Any] = json.loads(line)
        except ValueError:
            raise ArtifactError(
                "archive_died",
                f"{self.archive.name} wrote {line[:80]!r}, which is no answer.",
                "Build it again with `make package`, or fetch it again.",
            ) from None
        return content

    def close(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):  # what it did not read any more
                        pipe.close()
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:  # its input has ended, and it has not
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and self._process is not None:
            self._process.kill()
        self.close()
