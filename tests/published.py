"""Small data sets in the layouts that their authors publish, made of rendered scenes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2

from tests.serving import scene


@cache
def photo(pm25: float = 30.0, width: int = 320, height: int = 240) -> bytes:
    """A rendered scene as JPEG bytes."""
    bgr = cv2.cvtColor(scene(pm25, width, height), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", bgr)[1])


def write_photo(path: Path, pm25: float = 30.0) -> Path:
    """A rendered scene at `path`, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo(pm25))
    return path


def write_lines(path: Path, *lines: str) -> Path:
    """A text file of these lines, whose folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
