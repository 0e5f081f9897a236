"""A data set's folder: the pictures in one, and its files, each put in place in one step.

The reader is `dataset.py`, whose docstring is the contract. What is put in place has reached the
disk: after a power cut the file is the old one or the new one.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from training.dataset import REQUIRED_COLUMNS

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def pictures_below(folder: Path) -> list[Path]:
    """The pictures in `folder` and below it, by name; nothing hidden, such as half an upload."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def labels_csv(rows: Iterable[Mapping[str, str]], further: Sequence[str] = ()) -> str:
    """`labels.csv` of these rows, with `further` columns; one that a row lacks is empty."""
    return csv_text((*REQUIRED_COLUMNS, *further), rows)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """CSV with a header, in the order of `columns`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def card_toml(name: str, licence: str, source: str, min_side: int) -> str:
    """`dataset.toml`. JSON's strings are TOML's."""
    texts = (("name", name), ("licence", licence), ("source", source))
    lines = [f"{key} = {json.dumps(text, ensure_ascii=False)}\n" for key, text in texts]
    return "".join(lines) + f"min_side = {min_side}\n"


def put_in_place(path: Path, content: bytes | str) -> None:
    """Write `content` beside `path`, see it on the disk, and move it there."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with unfinished(path).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished(path).replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too
    finally:
        os.close(folder)


def unfinished(path: Path) -> Path:
    """Where `path` is written before it is put in place."""
    return path.with_name(f".{path.name}.part")
