"""Where a command is told to write: asked before the work, not after it."""

from __future__ import annotations

from pathlib import Path

from features.errors import PM25Error


def check_place(option: str, file: Path) -> None:
    """Raise PM25Error no_place unless `file`, given with `option`, names a file in a folder."""
    if file.is_dir() or not file.parent.is_dir():
        state = "is a folder" if file.is_dir() else "lies in a folder that does not exist"
        raise PM25Error("no_place", f"{option}: {file} {state}.", "Name a file in a folder.")
