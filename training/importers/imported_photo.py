"""One photo of a published data set on its way into ours, or the reason why it stays behind."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path

from features.errors import DataSetError


@dataclass(frozen=True)
class ImportedPhoto:
    """A row to be: `cells` by the columns of labels.csv, without `file`.

    name    of the photo below images/
    source  where it lies as published
    change  what is done to its bytes; None: they are copied as they are
    """

    name: str
    source: Path
    cells: Mapping[str, str]
    change: Callable[[bytes], bytes] | None = None


@dataclass(frozen=True)
class LeftOut:
    """A published row or photo that becomes none of ours: where it stands, a code, and why."""

    where: str
    reason: str
    detail: str


Imported = Iterator[ImportedPhoto | LeftOut]


@dataclass(frozen=True)
class PublishedSet:
    """A source: what its card says, and how its folder is read.

    min_side  smallest short side of its photos [px], for dataset.toml
    read      the photos and what is left out, given the folder as published
    """

    name: str
    title: str
    licence: str
    source: str
    min_side: int
    read: Callable[[Path], Imported] = field(repr=False)


def published_rows(path: Path, *columns: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and stripped cells of each row of a published CSV file.

    Raises DataSetError: layout_changed when the file is absent or lacks one of `columns`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            header = [(name or "").strip() for name in reader.fieldnames or ()]
            missing = [name for name in columns if name not in header]
            if missing:
                raise layout_changed(f"{path} has no column {', '.join(missing)}")
            reader.fieldnames = header
            for row in reader:
                yield (
                    reader.line_num,
                    {name: (row[name] or "").strip() for name in header if name},
                )
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise layout_changed(f"{path} cannot be read: {error}") from None


def layout_changed(what: str) -> DataSetError:
    """A folder that is not laid out as its authors published it when its importer was written."""
    return DataSetError(
        "layout_changed",
        f"{what}.",
        "Name the folder that holds the data set as it was published, unpacked; if its authors "
        "have changed the layout, `pm25 data import csv` takes any table with a column map.",
    )


def number(text: str) -> float | None:
    """A published number; None where there is none, or none that is finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def written(value: float | None, decimals: int) -> str:
    """A number as labels.csv writes it; empty for None, no minus before a zero."""
    return "" if value is None else str(round(value, decimals) + 0.0)


def east_of_greenwich(hours: float) -> tzinfo:
    """The fixed offset of a place without summer time [h]."""
    return timezone(timedelta(hours=hours))


def moment_of(text: str, zone: tzinfo) -> datetime | None:
    """A time in ISO 8601, in `zone` where it names no offset; None where it is no time."""
    with suppress(ValueError):
        time = datetime.fromisoformat(text)
        return time if time.tzinfo else time.replace(tzinfo=zone)
    return None


def moment_in_name(name: str, digits: re.Pattern[str], zone: tzinfo) -> datetime | None:
    """The time in a file's name: `digits` finds YYYY, MM, DD, HH, MM and perhaps SS as groups."""
    found = digits.search(name)
    if found is None:
        return None
    year, month, day, *clock = found.groups()
    return moment_of(f"{year}{month}{day}T{''.join(clock)}", zone)


def moment(time: datetime) -> str:
    """A time with an offset as labels.csv writes it, to the minute where it has no seconds."""
    return time.isoformat(timespec="minutes" if not time.second else "seconds")
