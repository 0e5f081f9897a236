"""PM25Vision: street photos of Mapillary with the daily index of the nearest station (WAQI).

Han 2025, arXiv:2509.16519, huggingface.co/datasets/DeadCardassian/PM25Vision (CC BY 4.0). Layout of
the unpacked download, as used in public code of 2025 and 2026:

    train/metadata.csv, test/metadata.csv   filename, pm25 and others
    train/images/, test/images/             the photos

`pm25` is the PM2.5 index of a **day**, not a concentration of the moment: it is converted by the US
EPA's table of 2012, which was in force for all but the last months of the set, and marked C. So the
label is the mean of a day at a place up to 5 km away.

Not verified: the names of the columns for station, time and place. Any of those below is taken; a
row that names neither a station nor a place belongs to no site and is left out. A photo is one
visit unless station and day join it to others. The Hub's parquet files are not read: export them
first.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from training.importers.imported_photo import (
    Imported,
    ImportedPhoto,
    LeftOut,
    PublishedSet,
    layout_changed,
    moment,
    moment_of,
    number,
    published_rows,
    written,
)
from training.importers.published_index import pm25_of_index

_STATION = ("station_id", "station", "station_name", "uid", "idx")
_TIME = ("captured_at", "timestamp", "datetime", "date", "image_date")
_LAT = ("lat", "latitude", "image_lat")
_LON = ("lon", "lng", "longitude", "image_lon")


def read_pm25vision(folder: Path) -> Imported:
    """The photos of both parts of the download in `folder`."""
    tables = [t for part in ("train", "test") if (t := folder / part / "metadata.csv").is_file()]
    if not tables:
        raise layout_changed(f"{folder} holds neither train/metadata.csv nor test/metadata.csv")
    for table in tables:
        part = table.parent.name
        for line, row in published_rows(table, "filename", "pm25"):
            where = f"{part}/metadata.csv line {line}"
            index, site = number(row["pm25"]), _site(row)
            pm25 = None if index is None else pm25_of_index(index, "us_epa_2012")
            if pm25 is None:
                yield LeftOut(where, "index_out_of_range", f"an index of {row['pm25']!r}")
                continue
            if not site:
                yield LeftOut(where, "place_unknown", "neither a station nor a position")
                continue
            name, text = Path(row["filename"]).name, _first(row, _TIME)
            taken = _time(text)
            day = f"{taken:%Y%m%d}" if taken else Path(name).stem
            yield ImportedPhoto(
                name=f"{part}_{name}",
                source=table.parent / "images" / name,
                cells={
                    "site": site,
                    "lat": _first(row, _LAT),
                    "lon": _first(row, _LON),
                    # A date alone is no time: the sun would be that of midnight.
                    "captured_at": moment(taken) if taken and len(text) > len("2020-01-01") else "",
                    "session": f"{site}_{day}",
                    "pm25": written(pm25, 1),
                    "pm25_quality": "C",
                    "pm25_as_published": row["pm25"],
                },
            )


def _site(row: Mapping[str, str]) -> str:
    """The station, or the hundredth of a degree that the photo was taken in."""
    station = _first(row, _STATION)
    if station:
        return f"waqi_{station}"
    lat, lon = number(_first(row, _LAT)), number(_first(row, _LON))
    return "" if lat is None or lon is None else f"at_{lat:.2f}_{lon:.2f}"


def _first(row: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((row[name] for name in names if row.get(name)), "")


def _time(text: str) -> datetime | None:
    """ISO 8601, or milliseconds since 1970 as Mapillary counts; UTC where no offset is given."""
    if not (text.isdigit() and len(text) > 8):
        return moment_of(text, UTC)
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    return None


PM25VISION = PublishedSet(
    name="pm25vision",
    title="PM25Vision",
    licence="CC BY 4.0; photos Mapillary (CC BY-SA 4.0), index WAQI",
    source="Han 2025, arXiv:2509.16519, DeadCardassian/PM25Vision; daily index, US EPA 2012",
    min_side=224,
    read=read_pm25vision,
)
