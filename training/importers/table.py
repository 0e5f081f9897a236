"""Any table of photos and labels, from a CSV file or a database, with a map of its columns.

What a row must say, under its own names or by the map: `file` (relative to the folder of photos),
`site`, and whatever else of training/dataset.py's columns is known. Constants fill what a table
does not hold, such as the one camera that took all. `session` is the site's day where nothing says
it. Labels are taken as they are, in ug m-3: a table of index values is no table of labels.
"""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from features.errors import DataSetError
from training.importers.imported_photo import Imported, ImportedPhoto, LeftOut, PublishedSet
from training.label_lines import QUALITY_CODES, REQUIRED_COLUMNS

COLUMNS = (*REQUIRED_COLUMNS, "pm10")
ADDRESS = "PM25_DATABASE_URL"


def published_table(
    table: Path | None,
    query: str,
    column_of: Mapping[str, str],
    constants: Mapping[str, str],
    card: tuple[str, str, str, int],
) -> PublishedSet:
    """The CSV file `table`, or else the rows of `query`, with a card of its own.

    card  name, licence, source and min_side [px]
    Raises DataSetError: no_table, card_incomplete.
    """
    if (table is None) == (not query):
        raise DataSetError(
            "no_table", "The labels are in one place.", "Give either --table FILE or --query SQL."
        )
    title, licence, source, min_side = card
    if not licence or not source:
        raise DataSetError(
            "card_incomplete",
            "A data set says under what it may be used and who made it.",
            "Give --licence and --origin.",
        )

    def read(photos: Path) -> Imported:
        rows = rows_of_query(query) if table is None else rows_of_csv(table)
        return read_table(rows, photos, column_of, constants)

    return PublishedSet(str(table or query), title, licence, source, min_side, read)


def read_table(
    rows: Iterable[tuple[str, Mapping[str, str]]],
    photos: Path,
    column_of: Mapping[str, str],
    constants: Mapping[str, str],
) -> Imported:
    """The photos below `photos` that `rows` (where it stands, cells) name.

    column_of  our column → the table's, where the names differ
    constants  our column → a value for every row that has none

    Raises DataSetError: unknown_column, column_missing.
    """
    for name in (*column_of, *constants):
        if name not in COLUMNS:
            raise DataSetError(
                "unknown_column",
                f"There is no column {name!r} in a data set.",
                f"Map to any of {', '.join(COLUMNS)}.",
            )
    for where, row in rows:
        absent = sorted(theirs for theirs in column_of.values() if theirs not in row)
        if absent or column_of.get("file", "file") not in row:
            raise DataSetError(
                "column_missing",
                f"The table has no column {', '.join(absent) or 'file'}; it has {', '.join(row)}.",
                "Map it: --map file=NAME, where NAME is the table's own.",
            )
        cells = {name: row.get(column_of.get(name, name), "") for name in COLUMNS}
        cells = {name: text or constants.get(name, "") for name, text in cells.items()}
        yield _photo(where, cells, photos)


def _photo(where: str, cells: dict[str, str], photos: Path) -> ImportedPhoto | LeftOut:
    file = cells.pop("file").replace("\\", "/")
    path = (photos / file).resolve()
    if not file:
        return LeftOut(where, "photo_missing", "no file is named")
    if not path.is_relative_to(photos.resolve()):
        return LeftOut(where, "photo_outside", f"{file!r} is not below the folder of photos")
    if not cells["site"]:
        return LeftOut(where, "place_unknown", "no site")
    if cells["pm25"] and cells["pm25_quality"] not in QUALITY_CODES:
        return LeftOut(where, "quality_unknown", f"pm25_quality is {cells['pm25_quality']!r}")
    if not cells["session"]:
        try:
            day = f"{datetime.fromisoformat(cells['captured_at']):%Y%m%d}"
        except ValueError:
            day = Path(file).stem  # a visit of its own
        cells["session"] = f"{cells['site']}_{cells['camera'] or 'visit'}_{day}"
    return ImportedPhoto(path.relative_to(photos.resolve()).as_posix(), path, cells)


def rows_of_csv(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row stands, and its cells. Raises DataSetError table_unreadable."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            for row in reader:
                cells = {k.strip(): (v or "").strip() for k, v in row.items() if k}
                yield f"{table.name} line {reader.line_num}", cells
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DataSetError(
            "table_unreadable", f"{table} cannot be read: {error}.", "Write CSV in UTF-8."
        ) from None


def rows_of_query(query: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a SQL query to the database at $PM25_DATABASE_URL, its columns by their aliases.

    postgresql://… needs the extra `postgres`; sqlite:///FILE needs nothing. The address, which may
    hold a password, is never shown. Nothing is written: the transaction is read-only.
    Raises DataSetError: address_missing, unknown_database, driver_missing, query_failed.
    """
    address = os.environ.get(ADDRESS, "")
    scheme = urlsplit(address).scheme
    if not address:
        raise DataSetError(
            "address_missing",
            f"{ADDRESS} is not set.",
            f"export {ADDRESS}=postgresql://user:password@host/database, or sqlite:///file.db.",
        )
    if scheme == "sqlite":
        rows = _of_sqlite(Path(address.removeprefix("sqlite:///")), query)
    elif scheme in ("postgresql", "postgres"):
        rows = _of_postgres(address, query)
    else:
        raise DataSetError(
            "unknown_database",
            f"{ADDRESS} begins with {scheme[:20]!r}.",
            "It takes postgresql:// and sqlite:///.",
        )
    for number, (names, row) in enumerate(rows, start=1):
        yield f"row {number}", {n: _text(v) for n, v in zip(names, row, strict=True)}


def _of_sqlite(file: Path, query: str) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
        try:
            cursor = connection.execute(query)
            names = [column[0] for column in cursor.description or ()]
            for row in cursor:
                yield names, row
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _query_failed(str(error)) from None


def _of_postgres(address: str, query: str) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
    try:
        import psycopg
    except ImportError:
        raise DataSetError(
            "driver_missing",
            "psycopg is not installed.",
            'pip install "two-point-five-vision[postgres]"',
        ) from None
    try:
        with psycopg.connect(address) as connection:
            connection.read_only = True
            # A cursor of the server's own: a table of any length passes through little memory.
            with connection.cursor(name="pm25_import") as cursor:
                cursor.execute(query.encode())
                for row in cursor:
                    yield [column.name for column in cursor.description or ()], row
    except psycopg.OperationalError:
        raise _query_failed("the database does not answer or refuses the login") from None
    except psycopg.Error as error:
        raise _query_failed(str(error).splitlines()[0]) from None


def _query_failed(what: str) -> DataSetError:
    return DataSetError(
        "query_failed",
        f"The query failed: {what}.",
        f"Try it with psql or sqlite3, and check {ADDRESS}.",
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value).strip()
