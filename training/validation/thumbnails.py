"""Small pictures of the worst cases, for reading a report on one's own machine.

They go into the HTML as data URIs. Photos are not ours to publish: a report with thumbnails is
never committed.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from features.errors import DataSetError
from training.validation.figures import SPLITS, Figures

WIDTH, HEIGHT = 192, 144  # [px]: twice what the page shows, for fine screens
QUALITY = 70


def worst_files(report: Mapping[str, Any]) -> set[str]:
    """The files that the page of a report shows among its worst cases."""
    figures = Figures(report)
    shown = (judged for split in SPLITS if (judged := figures.single_photos(split)) is not None)
    return {case["file"] for j in shown for case in figures.value(*j.path, "worst_cases")}


def thumbnails(folder: Path, files: Iterable[str]) -> dict[str, str]:
    """A JPEG of at most 192 × 144 px as a data URI for each of `files` that is found.

    folder  a data set, or a folder of data sets; names that lead out of it are not followed

    Raises DataSetError when `folder` holds none of the files.
    """
    wanted = sorted(files)
    found = {name: uri for name in wanted if (uri := _thumbnail(folder, name)) is not None}
    if wanted and not found:
        raise DataSetError(
            "no_photos",
            f"--thumbnails: {folder} holds none of the {len(wanted)} worst cases.",
            "Name the data set folder that the version was trained on, or the folder around it.",
        )
    return found


def _thumbnail(folder: Path, name: str) -> str | None:
    for path in _places(folder, name):
        picture = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            continue
        scale = min(1.0, WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        return f"data:image/jpeg;base64,{b64encode(jpeg.tobytes()).decode('ascii')}"
    return None


def _places(folder: Path, name: str) -> Iterator[Path]:
    """Where the file may lie: in the data set itself, or in one below `folder`."""
    sets = [folder, *(inner for inner in sorted(folder.glob("*")) if inner.is_dir())]
    for root in sets:
        path = (root / name).resolve()
        if path.is_relative_to(root.resolve()) and path.is_file() and path.stat().st_size:
            yield path
