"""The lines of a `labels.csv`: read one by one, with everything that is wrong with each.

What the columns mean stands in training/dataset.py.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import MetadataError
from features.metadata import ALLOWED_FIELDS, PhotoMetadata, parse_metadata

QUALITY_CODES = ("A", "B", "C")
HIGHEST_LABEL = 10_000.0  # [ug m-3] no outdoor monitor measures more; a unit or a digit is wrong
REQUIRED_COLUMNS = (
    *("file", "site", "camera", "country", "lat", "lon", "captured_at", "session"),
    *("pm25", "pm25_quality", "pm25_as_published", "temperature_c", "relative_humidity_pct"),
    *("pressure_hpa", "wind_speed_ms", "wind_direction_deg", "rain_mm", "boundary_layer_height_m"),
)


@dataclass(frozen=True)
class Problem:
    """Something that breaks the contract: where it is, what stands there, what is allowed."""

    code: str
    where: str
    what: str
    allowed: str
    line: int | None = None  # of labels.csv, where a single row is at fault

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. Allowed: {self.allowed}"


class Line:
    """One line of `labels.csv` while it is being checked."""

    def __init__(self, number: int, cells: Mapping[str, str], problems: list[Problem]) -> None:
        self.number = number
        self.cells = cells
        self._problems = problems

    def report(self, code: str, column: str, allowed: str, what: str | None = None) -> None:
        where = f"labels.csv line {self.number}, column {column}"
        shown = what or f"{self.cells[column]!r:.80}"
        self._problems.append(Problem(code, where, shown, allowed, self.number))

    def name(self, column: str) -> str:
        if not self.cells[column]:
            self.report(f"{column}_missing", column, f"every photo needs a {column}", "empty")
        return self.cells[column]

    def concentration(self, column: str) -> float | None:
        text = self.cells.get(column, "")
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and 0 <= value <= HIGHEST_LABEL):
            allowed = f"a number from 0 to {HIGHEST_LABEL:g} [ug m-3], or empty if unknown"
            self.report("invalid_label", column, allowed)
        return value

    def quality(self) -> str:
        code = self.cells["pm25_quality"]
        if code not in QUALITY_CODES and (code or self.cells["pm25"]):
            allowed = "A reference station, B published beside the photo, C converted"
            self.report("invalid_quality", "pm25_quality", allowed)
        return code

    def metadata(self) -> PhotoMetadata:
        given = {name: self.cells[name] for name in ALLOWED_FIELDS}
        try:
            return parse_metadata(given)
        except MetadataError:  # it names the first bad field; a reader wants all of them
            position = {name: given.pop(name) for name in ("lat", "lon")}
            for fields in (position, *({name: text} for name, text in given.items())):
                try:
                    parse_metadata(fields)
                except MetadataError as error:
                    columns = " and ".join(fields)
                    self.report(error.code, columns, error.how_to_fix, error.detail)
            return PhotoMetadata()

    def photo(self, folder: Path) -> Path | None:
        """The photo, links followed, or None after a report."""
        file = self.name("file")
        if not file:
            return None
        try:
            path = (folder / file).resolve()
            if not path.is_relative_to(folder):
                self.report("file_outside", "file", "a path inside the data set's folder")
                return None
            if path.is_file():
                return path
        except (OSError, ValueError):  # a name that no file can have: too long, or with a NUL
            pass
        allowed = "a photo that exists; copy it into the folder, or remove the row"
        self.report("file_missing", "file", allowed, f"{file!r:.80} does not exist")
        return None


def read_lines(folder: Path, problems: list[Problem]) -> list[Line]:
    """The lines of `labels.csv`, cells stripped; empty if the file as a whole is no good."""
    lines: list[Line] = []
    try:
        with (folder / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in REQUIRED_COLUMNS if name not in header]
            twice = sorted({name for name in header if name and header.count(name) > 1})
            allowed = f"each of {', '.join(REQUIRED_COLUMNS)} once; cells may be empty"
            for name in missing:
                what = f"column {name} is absent"
                problems.append(Problem("column_missing", "labels.csv line 1", what, allowed))
            for name in twice:
                what = f"column {name} stands there twice"
                problems.append(Problem("column_twice", "labels.csv line 1", what, allowed))
            if missing or twice:
                return []
            for cells in reader:
                if len(cells) == len(header):
                    stripped = (cell.strip() for cell in cells)
                    by_column = dict(zip(header, stripped, strict=True))
                    lines.append(Line(reader.line_num, by_column, problems))
                elif cells:
                    where, what = f"labels.csv line {reader.line_num}", f"{len(cells)} cells"
                    allowed = f"{len(header)} cells, as in the header; quote cells with commas"
                    problems.append(Problem("invalid_row", where, what, allowed, reader.line_num))
    except OSError as error:
        what = error.strerror or "cannot be read"
        allowed = f"a CSV file with the columns {', '.join(REQUIRED_COLUMNS)}"
        problems.append(Problem("labels_missing", "labels.csv", what, allowed))
        return []
    except (csv.Error, UnicodeDecodeError) as error:
        problems.append(Problem("invalid_labels", "labels.csv", str(error), "CSV in UTF-8"))
        return []
    if not lines:
        problems.append(Problem("no_rows", "labels.csv", "no rows", "one row per photo"))
    return lines
