"""Published photos become a data set's folder, which appears whole or not at all.

Photos are written one by one into a hidden folder beside the new one, each in one step; a run that
was stopped goes on there, and copies or changes no photo twice. What was left out, and why, stands
in `left_out.csv`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import DataSetError, MetadataError
from features.metadata import ALLOWED_FIELDS, parse_metadata
from training.dataset import read_dataset
from training.dataset_folder import card_toml, csv_text, labels_csv, put_in_place
from training.importers.imported_photo import ImportedPhoto, LeftOut, PublishedSet, number
from training.label_lines import HIGHEST_LABEL
from training.progress import progress_bar

LEFT_OUT_COLUMNS = ("where", "reason", "detail")


@dataclass
class ImportedFolder:
    """What became of the photos: how many are in the set, how many left out by reason."""

    folder: Path
    photos: int = 0
    labelled: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def import_photos(
    published: PublishedSet,
    folder: Path,
    out: Path,
    *,
    sites: Collection[str] = (),
    progress: bool = True,
) -> ImportedFolder:
    """Write the data set `out`, which must not exist, from the set published in `folder`.

    sites  take these alone; all if empty

    Raises DataSetError: folder_exists, layout_changed, no_photos, and whatever the new folder
    breaks of its contract.
    """
    if out.exists():
        raise DataSetError("folder_exists", f"{out} exists already.", "Name a new folder.")
    photos, left_out = _planned(published, folder, sites)
    result = ImportedFolder(out, left_out=Counter(row["reason"] for row in left_out))
    if not photos:
        counts = ", ".join(f"{n} × {reason}" for reason, n in result.left_out.most_common())
        raise DataSetError(
            "no_photos",
            f"Nothing in {folder} can be imported{': ' + counts if counts else ''}.",
            "Name the folder that holds the data set as it was published, unpacked.",
        )
    unfinished = out.parent / f".{out.name}-{_key(published, folder, sites)}.importing"
    (unfinished / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    with progress_bar("importing", len(photos), 0, progress) as advance:
        for photo in photos:
            _write_photo(photo, unfinished / "images" / photo.name)
            rows.append({**photo.cells, "file": f"images/{photo.name}"})
            result.photos += 1
            result.labelled += bool(photo.cells.get("pm25"))
            advance(1)
    put_in_place(unfinished / "left_out.csv", csv_text(LEFT_OUT_COLUMNS, left_out))
    put_in_place(unfinished / "labels.csv", _labels(rows))
    card = card_toml(published.title, published.licence, published.source, published.min_side)
    put_in_place(unfinished / "dataset.toml", card)
    read_dataset(unfinished)
    unfinished.rename(out)
    return result


def _planned(
    published: PublishedSet, folder: Path, sites: Collection[str]
) -> tuple[list[ImportedPhoto], list[dict[str, str]]]:
    """What is to be written, one photo a name, and what is not."""
    photos: dict[str, ImportedPhoto] = {}
    left_out: list[dict[str, str]] = []

    def leave(where: str, reason: str, detail: str) -> None:
        left_out.append({"where": where, "reason": reason, "detail": detail})

    for item in published.read(folder):
        if isinstance(item, LeftOut):
            leave(item.where, item.reason, item.detail)
        elif sites and item.cells["site"] not in sites:
            leave(str(item.source), "other_site", item.cells["site"])
        elif not item.source.is_file():
            leave(str(item.source), "photo_missing", "the table names it, and it is not there")
        elif fault := _fault(item.cells):
            leave(str(item.source), *fault)
        elif item.name in photos:
            leave(str(item.source), "photo_twice", f"{item.name} is there already")
        else:
            photos[item.name] = item
    return list(photos.values()), left_out


def _fault(cells: Mapping[str, str]) -> tuple[str, str] | None:
    """Why a row would break the contract of labels.csv: a code, and a sentence."""
    try:
        parse_metadata({name: cells.get(name, "") for name in ALLOWED_FIELDS})
    except MetadataError as error:
        return error.code, error.detail
    for name in ("pm25", "pm10"):
        text = cells.get(name, "")
        value = number(text)
        if text and (value is None or not 0 <= value <= HIGHEST_LABEL):
            return "invalid_label", f"{name} is {text!r:.40}"
    return None


def _write_photo(photo: ImportedPhoto, target: Path) -> None:
    if target.is_file():  # it was put there in one step, so it is whole
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    data = photo.source.read_bytes()
    put_in_place(target, photo.change(data) if photo.change else data)


def _labels(rows: list[dict[str, str]]) -> str:
    """`labels.csv`; the column pm10, which may be absent, where a photo has a value for it."""
    if any(row.get("pm10") for row in rows):
        return labels_csv(rows, further=("pm10",))
    return labels_csv([{k: v for k, v in row.items() if k != "pm10"} for row in rows])


def _key(published: PublishedSet, folder: Path, sites: Collection[str]) -> str:
    """Names one import: another folder or choice never goes on with what this one began."""
    parts = (published.name, published.source, str(folder.resolve()), *sorted(sites))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
