"""Where a command is told to write: asked before the work, and written in one step after it."""

from __future__ import annotations

from pathlib import Path

from features.errors import PM25Error


def check_place(option: str, file: Path) -> None:
    """Raise PM25Error no_place unless `file`, given with `option`, names a file in a folder."""
    if file.is_dir() or not file.parent.is_dir():
        state = "is a folder" if file.is_dir() else "lies in a folder that does not exist"
        raise PM25Error("no_place", f"{option}: {file} {state}.", "Name a file in a folder.")


def write_whole(file: Path, text: str) -> None:
    """Put `text` into `file` in one step: on a full disk the file of before stays as it was.

    What is no file (a device, a pipe) is written to and stays what it is.
    """
    if file.exists() and not file.is_file():
        file.write_text(text, encoding="utf-8")
        return
    unfinished = file.with_name(f".{file.name}.part")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
