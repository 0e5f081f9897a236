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
the smallest short side [px] of a photo of this set. A row is never repaired: either all problems
of a folder are reported together, or the rows that have some are set apart (quarantine.py).
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from features.errors import DataSetError
from features.metadata import PhotoMetadata
from training.file_hashes import FileHashes
from training.label_lines import REQUIRED_COLUMNS as REQUIRED_COLUMNS
from training.label_lines import Problem, read_lines

DEFAULT_MIN_SIDE = 512  # [px]
SHOWN_PROBLEMS = 20


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


class SourceRow(NamedTuple):
    """A photo, and the line of `labels.csv` that describes it, cells as they stand there."""

    line: int
    cells: Mapping[str, str]
    photo: LabelledPhoto


class QuarantinedRow(NamedTuple):
    """A line of `labels.csv` that is not used, and why: a code for programs, text for people."""

    line: int
    cells: Mapping[str, str]
    code: str
    reason: str


def read_dataset(folder: Path, hashes: FileHashes | None = None) -> DataSet:
    """Read and check the data set in `folder`, photos hashed; `hashes` may know some already.

    Raises DataSetError with every problem found (the first 20 written out): where it is, what
    stands there, what is allowed. Its code is that of the first problem.
    """
    problems: list[Problem] = []
    card, rows = _read(folder, hashes or FileHashes(), problems, strict=True)
    if problems:
        raise _data_set_error(folder, problems)
    return _data_set(folder, card, [row.photo for row in rows])


def read_sound_rows(
    folder: Path, hashes: FileHashes | None = None
) -> tuple[DataSet, list[SourceRow], list[QuarantinedRow]]:
    """The data set of those rows that keep the contract, where each stands, and the other rows.

    Raises DataSetError for what no row is to blame for: the card, the header, no row at all.
    """
    problems: list[Problem] = []
    card, rows = _read(folder, hashes or FileHashes(), problems, strict=False)
    if any(problem.line is None for problem in problems):
        raise _data_set_error(folder, [p for p in problems if p.line is None])
    of_line: defaultdict[int, list[Problem]] = defaultdict(list)
    for problem in problems:
        of_line[problem.line or 0].append(problem)
    sound = [row for row in rows if row.line not in of_line]
    cells = {row.line: row.cells for row in rows}
    quarantined = [
        QuarantinedRow(line, cells.get(line, {}), found[0].code, "; ".join(map(str, found)))
        for line, found in sorted(of_line.items())
    ]
    return _data_set(folder, card, [row.photo for row in sound]), sound, quarantined


def _read(
    folder: Path, hashes: FileHashes, problems: list[Problem], *, strict: bool
) -> tuple[dict[str, Any], list[SourceRow]]:
    """The card and the rows, problems added. Strictly, nothing is hashed once there is one."""
    card = _read_card(folder, problems)
    rows = _read_rows(folder.resolve(), card.get("min_side", DEFAULT_MIN_SIDE), problems)
    at_fault = {problem.line for problem in problems}
    if at_fault and (strict or None in at_fault):
        return card, rows
    return card, _with_hashes(rows, at_fault, hashes, problems)


def _data_set(folder: Path, card: dict[str, Any], rows: list[LabelledPhoto]) -> DataSet:
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


def _read_card(folder: Path, problems: list[Problem]) -> dict[str, Any]:
    """The content of `dataset.toml`; complete and well-typed if no problem was added."""
    try:
        card = tomllib.loads((folder / "dataset.toml").read_text(encoding="utf-8"))
    except OSError as error:
        what = error.strerror or "cannot be read"
        allowed = "a text file with name, licence, source and min_side"
        problems.append(Problem("card_missing", "dataset.toml", what, allowed))
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(Problem("invalid_card", "dataset.toml", str(error), "TOML in UTF-8"))
        return {}
    for key in ("name", "licence", "source"):
        value = card.get(key)
        if not isinstance(value, str) or not value.strip():
            shown = repr(value) if key in card else "absent"
            problems.append(Problem("invalid_card", f"dataset.toml, {key}", shown, "some text"))
    min_side = card.get("min_side", DEFAULT_MIN_SIDE)
    if type(min_side) is not int or min_side < 1:
        allowed = "a whole number of pixels ≥ 1"
        problems.append(Problem("invalid_card", "dataset.toml, min_side", repr(min_side), allowed))
    return card


def _read_rows(folder: Path, min_side: int, problems: list[Problem]) -> list[SourceRow]:
    rows: list[SourceRow] = []
    line_of_photo: dict[Path, int] = {}
    sites_of_session: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for line in read_lines(folder, problems):
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
        photo = LabelledPhoto(
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
        rows.append(SourceRow(line.number, line.cells, photo))
    return rows


def _with_hashes(
    rows: list[SourceRow],
    at_fault: Collection[int | None],
    hashes: FileHashes,
    problems: list[Problem],
) -> list[SourceRow]:
    """`rows` with the hashes of their photos, those of lines `at_fault` as they are."""
    sound = [row for row in rows if row.line not in at_fault]
    found = {}
    sha256s = hashes.of(row.photo.path for row in sound)
    for row, sha256 in zip(sound, sha256s, strict=True):
        if isinstance(sha256, OSError):
            allowed = "a readable file"
            problem = Problem("file_unreadable", row.photo.file, str(sha256), allowed, row.line)
            problems.append(problem)
        else:
            found[row.line] = row._replace(photo=replace(row.photo, sha256=sha256))
    return [found.get(row.line, row) for row in rows]


def _duplicates(rows: Iterable[LabelledPhoto]) -> tuple[tuple[str, ...], ...]:
    files: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        files[row.sha256].append(row.file)
    return tuple(tuple(group) for group in files.values() if len(group) > 1)


def _data_set_error(folder: Path, problems: list[Problem]) -> DataSetError:
    shown = [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        shown.append(f"  and {len(problems) - SHOWN_PROBLEMS} more.")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return DataSetError(
        problems[0].code,
        f"{count} in the data set {folder}:\n" + "\n".join(shown) + "\n",
        "Correct them in labels.csv or dataset.toml and read the folder again.",
    )
