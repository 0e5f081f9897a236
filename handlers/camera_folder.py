"""References of cameras that were calibrated after training: one JSON file a camera.

They are read when a request names the camera, and again when the file has changed: a new reference
serves without a restart. A file is replaced in one step, so that a reader sees an old or a new one,
never half of one.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from features.finding import Finding
from handlers.camera import CameraReference, reference_from

FOLDER = "PM25_CAMERAS"  # the environment variable that names the folder
LARGEST_FILE = 64 * 1024  # [bytes]; one that we write has less than 1,000
IGNORED = "camera_reference_ignored"


class Found(NamedTuple):
    """The reference of a camera, or None; and what kept one from being used."""

    reference: CameraReference | None
    warning: Finding | None


NOTHING = Found(None, None)


class CameraFolder:
    """Reads the references in `folder` that were made for one archive; None: there are none.

    content_hash, feature_set  what a reference has to name
    """

    def __init__(self, folder: Path | None, content_hash: str, feature_set: str) -> None:
        self.folder = folder
        self.content_hash = content_hash
        self.feature_set = feature_set
        self._read: dict[str, tuple[tuple[int, ...], Found]] = {}

    @classmethod
    def of_environment(cls, content_hash: str, feature_set: str) -> CameraFolder:
        """The folder that PM25_CAMERAS names; none when it is not set."""
        named = os.environ.get(FOLDER)
        return cls(Path(named) if named else None, content_hash, feature_set)

    def find(self, camera: str | None) -> Found:
        """What the folder holds for `camera`, a name that features/metadata.py has checked."""
        if self.folder is None or camera is None:
            return NOTHING
        path = reference_path(self.folder, camera)
        try:
            state = path.stat()
            # Each file that is put in place has an inode of its own, even within one tick.
            version = (state.st_ino, state.st_mtime_ns, state.st_size)
            if not stat.S_ISREG(state.st_mode) or state.st_size > LARGEST_FILE:
                return _ignored(camera, f"it is no file of at most {LARGEST_FILE} bytes")
            known = self._read.get(camera)
            if known is None or known[0] != version:
                known = version, self._judged(camera, path.read_bytes())
                self._read[camera] = known
            return known[1]
        except FileNotFoundError:
            self._read.pop(camera, None)
            return NOTHING
        except OSError as error:
            return _ignored(camera, f"it cannot be read ({error.strerror or error})")

    def _judged(self, camera: str, content: bytes) -> Found:
        """The reference in `content`, if it is whole and fits the archive."""
        try:
            reference = reference_from(json.loads(content))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            return _ignored(camera, "it is no whole reference")
        if reference.camera != camera:
            return _ignored(camera, "it is that of another camera")
        if not reference.is_calibrated:
            return _ignored(camera, "it was not made by calibrating a camera")
        if reference.feature_set != self.feature_set:
            return _ignored(camera, "it was made for other features")
        if reference.content_hash != self.content_hash:
            return _ignored(camera, "it was made for another archive")
        return Found(reference, None)


def _ignored(camera: str, reason: str) -> Found:
    return Found(
        None,
        Finding(
            IGNORED,
            "warning",
            f"The reference of the camera '{camera}' was ignored: {reason}.",
            "Calibrate the camera again with the archive that answers.",
        ),
    )


def reference_path(folder: Path, camera: str) -> Path:
    """Where the reference of `camera` lies; its name must be one that requests may give."""
    return folder / f"{camera}.json"


def write_reference(reference: CameraReference, folder: Path) -> Path:
    """Write a reference where a running server finds it, in one step; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    target = reference_path(folder, reference.camera)
    handle, unfinished = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(reference), file, indent=1, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).chmod(0o644)  # the server may be another user
        Path(unfinished).replace(target)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    return target
