"""From a folder of photos to a data set: each photo labelled by the sensors around it.

Time and place come from a CSV file, and where that is silent from EXIF. The new folder keeps the
contract of `dataset.py`; beside it `pairing.csv` says what each label rests on and which photos
were left out, and why. It appears whole or not at all.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from features.errors import DataSetError, MetadataError, PhotoError
from features.metadata import ALLOWED_FIELDS, PhotoMetadata, parse_metadata
from features.photo import decode_photo
from training.dataset_folder import (
    SUFFIXES,
    card_toml,
    csv_text,
    labels_csv,
    pictures_below,
    put_in_place,
)
from training.ground_truth.measurement import (
    HOUR,
    GroundTruthError,
    GroundTruthSource,
    Sensor,
    SensorHour,
    hour_end,
)
from training.pairing import Label, PairingRule, Unpaired, pair
from training.pairing_table import PAIRING_COLUMNS, label_cells, pairing_row
from training.progress import progress_bar

_JOINED = timedelta(hours=24)  # hours that lie closer than this are asked for together
_PLACE_KM = 0.8  # a position lies at most so far from its hundredths of a degree


@dataclass(frozen=True)
class Card:
    """What `dataset.toml` and rows say where nothing else does. `lat`, `lon`: of every photo."""

    name: str
    licence: str
    source: str
    min_side: int
    site: str = ""
    country: str = ""
    camera: str = ""
    lat: float | None = None
    lon: float | None = None


@dataclass
class PairedFolder:
    """What became of the photos: how many have a label, and how many not, by reason."""

    folder: Path
    paired: int = 0
    unpaired: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Taken:
    """One photo: where it lies, its cells and its metadata; `fault` where it cannot be read."""

    path: Path
    file: str
    cells: Mapping[str, str]
    metadata: PhotoMetadata
    fault: str = ""


def pair_photos(
    photos: Path,
    out: Path,
    source: GroundTruthSource,
    rule: PairingRule,
    card: Card,
    *,
    times: Path | None = None,
    progress: bool = False,
) -> PairedFolder:
    """Write the data set `out`, which must not exist, from the photos below `photos`.

    times  a CSV file with a column `file` (relative to `photos`) and any of captured_at, lat, lon,
           site, camera, country and the weather; what it says goes before EXIF and `card`

    Raises DataSetError: folder_exists, no_photos, invalid_times, site_missing, no_pairs; and
    GroundTruthError.
    """
    if out.exists():
        raise DataSetError("folder_exists", f"{out} exists already.", "Name a new folder.")
    paths = pictures_below(photos)
    if not paths:
        raise DataSetError(
            "no_photos", f"{photos} holds no {', '.join(SUFFIXES)}.", "Name a folder of photos."
        )
    cells_of = _read_times(times, photos) if times else {}
    taken = []
    with progress_bar("reading photos", len(paths), 0, progress) as advance:
        for path in paths:
            taken.append(_look_at(path, path.relative_to(photos).as_posix(), cells_of, card))
            advance(1)
    found = dict(zip(paths, _labels(taken, source, rule), strict=True))
    result = PairedFolder(out)
    rows, kept = [], []
    for photo in taken:
        label = found[photo.path]
        if isinstance(label, Unpaired):
            result.unpaired[label.reason] += 1
        else:
            result.paired += 1
            kept.append(photo)
            rows.append(_row(photo, label, card))
    if not rows:
        counts = ", ".join(f"{n} × {reason}" for reason, n in result.unpaired.most_common())
        first = next(label.detail for label in found.values() if isinstance(label, Unpaired))
        raise DataSetError(
            "no_pairs",
            f"None of {len(taken)} photos found a label: {counts}. The first: {first}.",
            "Check times and places, the radius, and that the source knows that time.",
        )
    pairing = [
        pairing_row(f"images/{p.file}", p.metadata.captured_at, found[p.path]) for p in taken
    ]
    _write(out, kept, rows, pairing, card)
    return result


def _read_times(times: Path, photos: Path) -> dict[str, dict[str, str]]:
    """The rows of the CSV file, by file; every row must name a photo and be valid metadata."""
    cells_of: dict[str, dict[str, str]] = {}
    try:
        with times.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            if "file" not in (reader.fieldnames or ()):
                raise _invalid_times(times, 1, "there is no column `file`")
            for row in reader:
                cells = {k: v.strip() for k, v in row.items() if k and isinstance(v, str)}
                file = cells.pop("file", "")
                if not (photos / file).is_file():
                    raise _invalid_times(times, reader.line_num, f"no photo {file!r}")
                if file in cells_of:
                    raise _invalid_times(times, reader.line_num, f"{file!r} stands there twice")
                parse_metadata({k: v for k, v in cells.items() if k in ALLOWED_FIELDS})
                cells_of[file] = cells
    except MetadataError as error:
        raise _invalid_times(times, reader.line_num, f"{error.detail} {error.how_to_fix}") from None
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise _invalid_times(times, 1, str(error)) from None
    return cells_of


def _invalid_times(times: Path, line: int, what: str) -> DataSetError:
    return DataSetError(
        "invalid_times",
        f"{times}, line {line}: {what}",
        "Write CSV with the column file, and captured_at (with offset), lat, lon, site, camera.",
    )


def _look_at(path: Path, file: str, cells_of: Mapping[str, dict[str, str]], card: Card) -> _Taken:
    """What is known of a photo: the table first, then EXIF, then the card."""
    cells = cells_of.get(file, {})
    given = parse_metadata({k: v for k, v in cells.items() if k in ALLOWED_FIELDS})
    try:
        photo = decode_photo(path.read_bytes())
    except (PhotoError, OSError) as error:
        detail = error.detail if isinstance(error, PhotoError) else str(error)
        return _Taken(path, file, cells, given, fault=detail)
    metadata = replace(
        given,
        captured_at=given.captured_at or photo.captured_at,
        camera=given.camera or card.camera or None,
    )
    for lat, lon in ((photo.lat, photo.lon), (card.lat, card.lon)):
        if metadata.lat is None:
            metadata = replace(metadata, lat=lat, lon=lon)
    return _Taken(path, file, cells, metadata)


def _labels(
    taken: list[_Taken], source: GroundTruthSource, rule: PairingRule
) -> Iterator[Label | Unpaired]:
    """What is found for each photo. A source is asked once per place and per sensor."""
    places: defaultdict[tuple[float, float], list[datetime]] = defaultdict(list)
    for photo in taken:
        at = photo.metadata
        if at.captured_at and at.lat is not None and at.lon is not None and not photo.fault:
            places[_place(at.lat, at.lon)].append(at.captured_at)
    around: dict[tuple[float, float], tuple[list[Sensor], _HoursOnDemand]] = {}
    for place, times in places.items():
        sensors = source.sensors(*place, rule.radius_km + _PLACE_KM, min(times) - HOUR)
        around[place] = sensors, _HoursOnDemand(source, sensors, _spans(times, rule.max_age))
    for photo in taken:
        at = photo.metadata
        if photo.fault:
            yield Unpaired("unreadable", photo.fault)
        elif at.captured_at is None or at.lat is None or at.lon is None:
            yield pair(at.captured_at, at.lat, at.lon, (), {}, rule)
        else:
            yield pair(at.captured_at, at.lat, at.lon, *around[_place(at.lat, at.lon)], rule)


def _place(lat: float, lon: float) -> tuple[float, float]:
    return round(lat, 2), round(lon, 2)


class _HoursOnDemand(Mapping[str, Sequence[SensorHour]]):
    """The hours of a sensor, fetched when they are first looked at: `nearest` asks few sensors."""

    def __init__(
        self,
        source: GroundTruthSource,
        sensors: list[Sensor],
        spans: list[tuple[datetime, datetime]],
    ) -> None:
        self._source, self._spans = source, spans
        self._sensors = {sensor.id: sensor for sensor in sensors}
        self._known: dict[str, list[SensorHour]] = {}

    def __getitem__(self, sensor_id: str) -> list[SensorHour]:
        if sensor_id not in self._known:
            sensor, hours = self._sensors[sensor_id], list[SensorHour]()
            for start, end in self._spans:
                try:
                    hours += self._source.hours(sensor, start, end)
                except GroundTruthError as error:
                    if error.code != "not_found":  # a station that was taken down: others go on
                        raise
            self._known[sensor_id] = hours
        return self._known[sensor_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sensors)

    def __len__(self) -> int:
        return len(self._sensors)


def _spans(times: list[datetime], max_age: timedelta) -> list[tuple[datetime, datetime]]:
    """Start and end of the hours that photos of these times may need; near ones joined.

    An hour more on both sides: in India and Nepal hours end at 30 and 15 past.
    """
    spans: list[tuple[datetime, datetime]] = []
    for time in sorted(times):
        start, end = hour_end(time - max_age) - 2 * HOUR, hour_end(time + max_age) + HOUR
        if spans and start - spans[-1][1] <= _JOINED:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans


def _row(photo: _Taken, label: Label | Unpaired, card: Card) -> dict[str, str]:
    """The photo's row of `labels.csv`."""
    at, cells = photo.metadata, photo.cells
    site = cells.get("site") or card.site
    if not site:
        raise DataSetError(
            "site_missing",
            f"Nothing says at which site {photo.file} was taken.",
            "Give --site NAME, or a column `site` in the table of times.",
        )
    day = f"{at.captured_at:%Y-%m-%d}" if at.captured_at else "undated"
    return {
        **{name: cells.get(name, "") for name in ALLOWED_FIELDS},
        "file": f"images/{photo.file}",
        "site": site,
        "camera": at.camera or "",
        "country": cells.get("country") or card.country,
        "lat": f"{at.lat:.6f}",
        "lon": f"{at.lon:.6f}",
        "captured_at": at.captured_at.isoformat() if at.captured_at else "",
        "session": cells.get("session") or f"{site}-{at.camera or 'visit'}-{day}",
        **label_cells(label),
    }


def _write(
    out: Path,
    kept: list[_Taken],
    rows: list[dict[str, str]],
    pairing: list[dict[str, str]],
    card: Card,
) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        unfinished.chmod(0o755)
        for photo in kept:
            target = unfinished / "images" / photo.file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(photo.path, target)
        put_in_place(unfinished / "pairing.csv", csv_text(PAIRING_COLUMNS, pairing))
        put_in_place(unfinished / "labels.csv", labels_csv(rows))
        text = card_toml(card.name, card.licence, card.source, card.min_side)
        put_in_place(unfinished / "dataset.toml", text)
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
