"""TRAQID: front and rear views of traffic in Hyderabad and Secunderabad with sensors on board.

Kathalkar et al. 2024, doi:10.1145/3702250.3702260, layout of the authors' README of 2024:

    TRAQID.csv                       a row a moment: Image, created_at, Sequence, PM2.5, PM10, AQI …
    Images/<day>/Front, Images/<day>/Rear    its two photos, both named by `Image`

The sensors ride along, so the place changes from photo to photo and is not published: every photo
is at the site hyderabad, and a drive (a day's folder and its Sequence) is one visit. PM2.5 is taken
as published (B).

Not verified: the time's offset (taken to be India's where none is written) and the names of the
columns for temperature and humidity (any that begins with `temp` or `hum`). An `Image` that lies in
several days' folders is left out, since the table does not say which is meant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from training.dataset_folder import SUFFIXES
from training.importers.imported_photo import (
    Imported,
    ImportedPhoto,
    LeftOut,
    PublishedSet,
    east_of_greenwich,
    moment,
    moment_of,
    number,
    published_rows,
    written,
)

_TABLE = "TRAQID.csv"
_VIEWS = ("Front", "Rear")
_INDIA = east_of_greenwich(5.5)
# The twin cities, to a tenth of a degree.
_PLACE = {"site": "hyderabad", "country": "IN", "lat": "17.4", "lon": "78.5"}


def read_traqid(folder: Path) -> Imported:
    """Both views of each moment of the data set in `folder`."""
    photos = _photos(folder / "Images")
    for line, row in published_rows(folder / _TABLE, "Image", "created_at", "PM2.5"):
        where = f"{_TABLE} line {line}"
        pm25, taken = number(row["PM2.5"]), moment_of(row["created_at"], _INDIA)
        found = photos.get(Path(row["Image"]).stem, [])
        days = {path.parent.parent.name for path in found}
        if pm25 is None or pm25 < 0:
            yield LeftOut(where, "label_missing", f"PM2.5 is {row['PM2.5']!r}")
        elif taken is None:
            yield LeftOut(where, "time_unknown", f"created_at is {row['created_at']!r}")
        elif not found:
            yield LeftOut(where, "photo_missing", f"no photo {row['Image']!r}")
        elif len(days) > 1:
            yield LeftOut(where, "photo_ambiguous", f"{row['Image']!r} lies in {len(days)} folders")
        else:
            session = "_".join(filter(None, ("hyderabad", *days, row.get("Sequence", ""))))
            cells = {**_cells(row, pm25, taken), "session": session}
            for path in found:
                view = path.parent.name.lower()
                yield ImportedPhoto(f"{path.parent.parent.name}_{view}_{path.name}", path, cells)


def _cells(row: Mapping[str, str], pm25: float, taken: datetime) -> dict[str, str]:
    humidity = _beginning_with(row, "hum")
    return {
        **_PLACE,
        "captured_at": moment(taken),
        "pm25": written(pm25, 2),
        "pm25_quality": "B",
        "pm25_as_published": row["PM2.5"],
        "pm10": written(number(row.get("PM10", "")), 2),
        "temperature_c": written(_beginning_with(row, "temp"), 2),
        "relative_humidity_pct": written(humidity, 1),
    }


def _photos(images: Path) -> dict[str, list[Path]]:
    """The photos of each name without its ending, over all days and both views."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for path in sorted(images.glob("*/*/*")):
        if path.suffix.lower() in SUFFIXES and path.parent.name in _VIEWS:
            found[path.stem].append(path)
    return found


def _beginning_with(row: Mapping[str, str], beginning: str) -> float | None:
    return next((number(v) for k, v in row.items() if k.lower().startswith(beginning)), None)


TRAQID = PublishedSet(
    name="traqid",
    title="TRAQID, traffic in Hyderabad and Secunderabad",
    licence="as its authors state: ask them before passing it on",
    source="Kathalkar et al. 2024, TRAQID, doi 10.1145/3702250.3702260",
    min_side=512,
    read=read_traqid,
)
