"""A data set on disk: a folder with `labels.csv`, `dataset.toml` and the photos.

`labels.csv` is UTF-8 with a header, one row per photo; an empty cell means unknown:

    file                the photo, relative to the folder
    site                a place; required
    camera              a fixed view
    country             ISO 3166 code
    lat, lon            position [deg north], [deg east]
    captured_at         ISO 8601 with its offset from UTC
    session             one visit or one camera-day, at one site; required
    pm25                the label [ug m-3], ≥ 0; empty for a photo without a label
    pm25_quality        A reference station, B published beside the photo, C converted
    pm25_as_published   as its source wrote it, kept as text
    temperature_c, relative_humidity_pct, pressure_hpa, wind_speed_ms, wind_direction_deg,
    rain_mm, boundary_layer_height_m      the weather, as in a request
    pm10                [ug m-3], the one column that may be absent

Further columns are ignored. `dataset.toml` holds name, licence, source, and optionally min_side,
the smallest short side [px] of a photo of this set. Reading is strict: a row is never repaired,
and all problems of a folder are reported together.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from features.errors import DataSetError, MetadataError
from features.metadata import ALLOWED_FIELDS, PhotoMetadata, parse_metadata
from training.file_hashes import FileHashes

DEFAULT_MIN_SIDE = 512  # [px]
QUALITY_CODES = ("A", "B", "C")
SHOWN_PROBLEMS = 20
HIGHEST_LABEL = 10_000.0  # [ug m-3] no outdoor monitor measures more; a unit or a digit is wrong
REQUIRED_COLUMNS = (
    *("file", "site", "camera", "country", "lat", "lon", "captured_at", "session"),
    *("pm25", "pm25_quality", "pm25_as_published", "temperature_c", "relative_humidity_pct"),
    *("pressure_hpa", "wind_speed_ms", "wind_direction_deg", "rain_mm", "boundary_layer_height_m"),
)


@dataclass(frozen=True)
class LabelledPhoto:
    """One row of `labels.csv`. Empty text where a name is unknown, None where a number is.

    path      the photo on this disk
    file      the same as `labels.csv` writes it
    sha256    of the photo's bytes, hexadecimal
    min_side  smallest short side that its data set accepts [px]
    pm25      the label [ug m-3], None for a photo without one
    metadata  what a request for this photo would send; never the site, session or label
    linked    the sessions that near-copies of a photo link to its own, by the name of the first;
              set by training/near_duplicates.py
    """

    path: Path
    file: str
    sha256: str
    min_side: int
    site: str
    camera: str
    country: str
    session: str
    pm25: float | None
    pm25_quality: str
    pm25_as_published: str
    pm10: float | None
    metadata: PhotoMetadata
    linked: str = ""

    @property
    def visit(self) -> tuple[str, str]:
        """Site and session: names the session among those of all data sets."""
        return self.site, self.session


@dataclass(frozen=True)
class DataSet:
    """A folder that keeps its contract. `duplicates`: groups of files with the same bytes."""

    name: str
    licence: str
    source: str
    min_side: int
    folder: Path
    rows: tuple[LabelledPhoto, ...]
    duplicates: tuple[tuple[str, ...], ...]


def read_dataset(folder: Path, hashes: FileHashes | None = None) -> DataSet:
    """Read and check the data set in `folder`, photos hashed; `hashes` may know some already.

    Raises DataSetError with every problem found (the first 20 written out): where it is, what
    stands there, what is allowed. Its code is that of the first problem.
    """
    problems: list[_Problem] = []
    card = _read_card(folder, problems)
    rows = _read_rows(folder.resolve(), card.get("min_side", DEFAULT_MIN_SIDE), problems)
    if not problems:
        rows = _with_hashes(rows, hashes or FileHashes(), problems)
    if problems:
        raise _data_set_error(folder, problems)
    return DataSet(
        name=card["name"],
        licence=card["licence"],
        source=card["source"],
        min_side=card.get("min_side", DEFAULT_MIN_SIDE),
        folder=folder,
        rows=tuple(rows),
        duplicates=_duplicates(rows),
    )


def dataset_hash(datasets: Iterable[DataSet]) -> str:
    """SHA-256 over what the photos show and say: their bytes, labels, places, times and weather.

    Independent of folders, file names and the order of rows and data sets; any changed label,
    photo or metadata gives another hash.
    """
    lines = sorted(_content(row) for dataset in datasets for row in dataset.rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _content(row: LabelledPhoto) -> str:
    names = (row.site, row.camera, row.country, row.session)
    labels = (row.pm25, row.pm25_quality, row.pm25_as_published, row.pm10)
    return json.dumps([row.sha256, names, labels, astuple(row.metadata)], default=str)


@dataclass(frozen=True)
class _Problem:
    code: str
    where: str
    what: str
    allowed: str


class _Line:
    """One line of `labels.csv` while it is being checked."""

    def __init__(self, number: int, cells: Mapping[str, str], problems: list[_Problem]) -> None:
        self.number = number
        self.cells = cells
        self._problems = problems

    def report(self, code: str, column: str, allowed: str, what: str | None = None) -> None:
        where = f"labels.csv line {self.number}, column {column}"
        shown = what or f"{self.cells[column]!r:.80}"
        self._problems.append(_Problem(code, where, shown, allowed))

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


def _read_card(folder: Path, problems: list[_Problem]) -> dict[str, Any]:
    """The content of `dataset.toml`; complete and well-typed if no problem was added."""
    try:
        card = tomllib.loads((folder / "dataset.toml").read_text(encoding="utf-8"))
    except OSError as error:
        what = error.strerror or "cannot be read"
        allowed = "a text file with name, licence, source and min_side"
        problems.append(_Problem("card_missing", "dataset.toml", what, allowed))
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(_Problem("invalid_card", "dataset.toml", str(error), "TOML in UTF-8"))
        return {}
    for key in ("name", "licence", "source"):
        value = card.get(key)
        if not isinstance(value, str) or not value.strip():
            shown = repr(value) if key in card else "absent"
            problems.append(_Problem("invalid_card", f"dataset.toml, {key}", shown, "some text"))
    min_side = card.get("min_side", DEFAULT_MIN_SIDE)
    if type(min_side) is not int or min_side < 1:
        allowed = "a whole number of pixels ≥ 1"
        problems.append(_Problem("invalid_card", "dataset.toml, min_side", repr(min_side), allowed))
    return card


def _read_rows(folder: Path, min_side: int, problems: list[_Problem]) -> list[LabelledPhoto]:
    rows: list[LabelledPhoto] = []
    line_of_photo: dict[Path, int] = {}
    sites_of_session: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for line in _read_lines(folder, problems):
        path = line.photo(folder)
        first_line = line_of_photo.setdefault(path, line.number) if path else line.number
        if first_line != line.number:
            line.report("file_twice", "file", f"one row per photo; it stands in line {first_line}")
        site, session = line.name("site"), line.name("session")
        sites = sites_of_session[session]
        if site and session and site not in sites:
            if sites:
                first_site, first_line = next(iter(sites.items()))
                what = f"{session!r} at {site!r}"
                allowed = f"one site per session; in line {first_line} it is at {first_site!r}"
                line.report("session_at_two_sites", "session", allowed, what)
            sites[site] = line.number
        rows.append(
            LabelledPhoto(
                path=path or folder,
                file=line.cells["file"],
                sha256="",
                min_side=min_side,
                site=site,
                camera=line.cells["camera"],
                country=line.cells["country"],
                session=session,
                pm25=line.concentration("pm25"),
                pm25_quality=line.quality(),
                pm25_as_published=line.cells["pm25_as_published"],
                pm10=line.concentration("pm10"),
                metadata=line.metadata(),
            )
        )
    return rows


def _read_lines(folder: Path, problems: list[_Problem]) -> list[_Line]:
    """The lines of `labels.csv`, cells stripped; empty if the file as a whole is no good."""
    lines: list[_Line] = []
    try:
        with (folder / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in REQUIRED_COLUMNS if name not in header]
            twice = sorted({name for name in header if name and header.count(name) > 1})
            allowed = f"each of {', '.join(REQUIRED_COLUMNS)} once; cells may be empty"
            for name in missing:
                what = f"column {name} is absent"
                problems.append(_Problem("column_missing", "labels.csv line 1", what, allowed))
            for name in twice:
                what = f"column {name} stands there twice"
                problems.append(_Problem("column_twice", "labels.csv line 1", what, allowed))
            if missing or twice:
                return []
            for cells in reader:
                if len(cells) == len(header):
                    stripped = (cell.strip() for cell in cells)
                    by_column = dict(zip(header, stripped, strict=True))
                    lines.append(_Line(reader.line_num, by_column, problems))
                elif cells:
                    where, what = f"labels.csv line {reader.line_num}", f"{len(cells)} cells"
                    allowed = f"{len(header)} cells, as in the header; quote cells with commas"
                    problems.append(_Problem("invalid_row", where, what, allowed))
    except OSError as error:
        what = error.strerror or "cannot be read"
        allowed = f"a CSV file with the columns {', '.join(REQUIRED_COLUMNS)}"
        problems.append(_Problem("labels_missing", "labels.csv", what, allowed))
        return []
    except (csv.Error, UnicodeDecodeError) as error:
        problems.append(_Problem("invalid_labels", "labels.csv", str(error), "CSV in UTF-8"))
        return []
    if not lines:
        problems.append(_Problem("no_rows", "labels.csv", "no rows", "one row per photo"))
    return lines


def _with_hashes(
    rows: list[LabelledPhoto], hashes: FileHashes, problems: list[_Problem]
) -> list[LabelledPhoto]:
    hashed = []
    for row, sha256 in zip(rows, hashes.of(row.path for row in rows), strict=True):
        if isinstance(sha256, OSError):
            problems.append(_Problem("file_unreadable", row.file, str(sha256), "a readable file"))
        else:
            hashed.append(replace(row, sha256=sha256))
    return hashed


def _duplicates(rows: Iterable[LabelledPhoto]) -> tuple[tuple[str, ...], ...]:
    files: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        files[row.sha256].append(row.file)
    return tuple(tuple(group) for group in files.values() if len(group) > 1)


def _data_set_error(folder: Path, problems: list[_Problem]) -> DataSetError:
    shown = [f"  {p.where}: {p.what}. Allowed: {p.allowed}" for p in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        shown.append(f"  and {len(problems) - SHOWN_PROBLEMS} more.")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return DataSetError(
        problems[0].code,
        f"{count} in the data set {folder}:\n" + "\n".join(shown) + "\n",
        "Correct them in labels.csv or dataset.toml and read the folder again.",
    )
