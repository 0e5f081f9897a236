"""India–Nepal: frames of hand-held videos at eight places, Rouniyar et al. 2023.

doi:10.34740/KAGGLE/DS/3152196, layout as described by its users in 2024 and 2025:

    …/Combined_Dataset/IND_and_Nep_AQI_Dataset.csv   Location, Filename, Year, Month, Day, Hour,
                                                     AQI, PM2.5, PM10, O3, CO, SO2, NO2, AQI_Class
    …/Combined_Dataset/All_img/                      the frames, 224 × 224, such as
                                                     BENGR_Good_2023-02-19-08.30-1-1.jpg

The time stands in the file's name, without an offset; it is taken to be the place's own. Frames
with one place, time and PM2.5 are one visit. They are near-copies of each other, and at most 24 of
a visit are taken, evenly over it in the order of their names.

At Delhi, Greater Noida and Faridabad `PM2.5` is above `PM10` in a third of the visits and reaches
exactly 500: what is published there looks like the Indian sub-index (CPCB 2014) and is converted
(quality C); the authors do not say so. Elsewhere it is taken as it stands (B), and `PM10` with it.

Seen in the set that pm25-1.2.0 was trained on: 78 visits at six places, their labels, times and
positions, which this importer repeats. Not verified, since the original was not at hand: how places
are spelled in `Location` (they are told by a word in it or by the file's first letters), and which
frames of a visit that set holds. Its two other places, Mumbai and Biratnagar, are imported as well;
`--site` chooses.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from training.importers.imported_photo import (
    Imported,
    ImportedPhoto,
    LeftOut,
    PublishedSet,
    east_of_greenwich,
    layout_changed,
    moment,
    moment_in_name,
    number,
    published_rows,
    written,
)
from training.importers.published_index import pm25_of_index

MOST_FRAMES = 24  # of one visit
_TABLE = "IND_and_Nep_AQI_Dataset.csv"
_TIME = re.compile(r"(\d{4})-(\d{2})-(\d{2})-(\d{2})\.(\d{2})")


@dataclass(frozen=True)
class _Place:
    """words: any of them in `Location` or at the beginning of the file's name tells the place."""

    site: str
    country: str
    lat: str
    lon: str
    offset: float
    words: tuple[str, ...]
    is_index: bool = False


_PLACES = (
    _Place("bengaluru", "IN", "12.96", "77.72", 5.5, ("bengaluru", "bangalore", "bengr")),
    _Place("greater_noida", "IN", "28.47", "77.48", 5.5, ("noida", "knowledge park"), True),
    _Place("delhi", "IN", "28.63", "77.24", 5.5, ("delhi", "ito"), True),
    _Place("dimapur", "IN", "25.91", "93.73", 5.5, ("dimapur", "nagaland")),
    _Place("faridabad", "IN", "28.39", "77.31", 5.5, ("faridabad", "industrial town"), True),
    _Place("tamil_nadu", "IN", "12.83", "79.95", 5.5, ("tamil", "tn")),
    _Place("mumbai", "IN", "19.23", "72.86", 5.5, ("mumbai", "borivali")),
    _Place("biratnagar", "NP", "26.45", "87.27", 5.75, ("biratnagar", "nepal", "bir")),
)


def read_india_nepal(folder: Path) -> Imported:
    """The frames of the unpacked data set in `folder`, thinned to at most 24 a visit."""
    table = next(iter(sorted(folder.rglob(_TABLE))), None)
    if table is None:
        raise layout_changed(f"{folder} holds no {_TABLE}")
    frames = {path.name: path for path in sorted((table.parent / "All_img").rglob("*.*"))}
    visits: defaultdict[tuple[str, datetime], dict[float, list[_Frame]]] = defaultdict(dict)
    for line, row in published_rows(table, "Location", "Filename", "PM2.5", "PM10"):
        where = f"{_TABLE} line {line}"
        name = Path(row["Filename"]).name
        place, published = _place(row["Location"], name), number(row["PM2.5"])
        taken = moment_in_name(name, _TIME, east_of_greenwich(place.offset)) if place else None
        if place is None:
            yield LeftOut(where, "place_unknown", f"{row['Location']!r}, {name!r}")
        elif taken is None:
            yield LeftOut(where, "time_unknown", f"no date and time in {name!r}")
        elif published is None or published < 0:
            yield LeftOut(where, "label_missing", f"PM2.5 is {row['PM2.5']!r}")
        elif (pm25 := _pm25(published, place)) is None:
            yield LeftOut(where, "index_out_of_range", f"an index of {published:g}")
        elif name not in frames:
            yield LeftOut(where, "photo_missing", f"no {name!r} in All_img")
        else:
            of_visit = visits[place.site, taken].setdefault(published, [])
            of_visit.append(_Frame(place, taken, frames[name], published, pm25, row["PM10"]))
    for of_time in visits.values():
        yield from _visits_at_one_time(of_time)


@dataclass(frozen=True)
class _Frame:
    place: _Place
    taken: datetime
    path: Path
    published: float
    pm25: float
    pm10: str


def _visits_at_one_time(of_time: dict[float, list[_Frame]]) -> Imported:
    """A visit for each published value; numbered where one place and time has several."""
    for number_of, published in enumerate(sorted(of_time)):
        frames = sorted(of_time[published], key=lambda frame: _in_order(frame.path.name))
        first = frames[0]
        session = f"{first.place.site}_{first.taken:%Y%m%d_%H%M}"
        session += f"_{number_of}" if len(of_time) > 1 else ""
        chosen = set(_evenly(len(frames), MOST_FRAMES))
        kept = 0
        for place_in_visit, frame in enumerate(frames):
            if place_in_visit not in chosen:
                yield LeftOut(str(frame.path), "near_copy", f"{MOST_FRAMES} of {session} are taken")
                continue
            name = f"{session}_{kept:02}{frame.path.suffix.lower()}"
            yield ImportedPhoto(name, frame.path, _cells(frame, session))
            kept += 1


def _cells(frame: _Frame, session: str) -> dict[str, str]:
    place = frame.place
    return {
        "site": place.site,
        "country": place.country,
        "lat": place.lat,
        "lon": place.lon,
        "captured_at": moment(frame.taken),
        "session": session,
        "pm25": written(frame.pm25, 1),
        "pm25_quality": "C" if place.is_index else "B",
        "pm25_as_published": f"{frame.published:g}",
        "pm10": "" if place.is_index else written(number(frame.pm10), 1),
    }


def _pm25(published: float, place: _Place) -> float | None:
    return pm25_of_index(published, "cpcb_2014") if place.is_index else published


def _place(location: str, name: str) -> _Place | None:
    """By a word of the location as the table spells it, or else by the file's first letters."""
    words = re.split(r"[^a-z]+", location.lower())
    spelled = " ".join(words)
    for place in _PLACES:
        if any(word in words or (len(word) > 3 and word in spelled) for word in place.words):
            return place
    code = re.split(r"[^a-z]+", name.lower(), maxsplit=1)[0]
    return next((place for place in _PLACES if code and code in place.words), None)


def _in_order(name: str) -> list[int]:
    """The numbers in a name, so that frame 10 comes after frame 9."""
    return [int(digits) for digits in re.findall(r"\d+", name)]


def _evenly(n: int, most: int) -> list[int]:
    """At most `most` of 0 … n − 1, the first and the last among them."""
    return [*range(n)] if n <= most else [round(i * (n - 1) / (most - 1)) for i in range(most)]


INDIA_NEPAL = PublishedSet(
    name="india_nepal",
    title="India and Nepal 2023, hand-held video frames",
    licence="CC BY-NC-SA 3.0 IGO",
    source="Rouniyar et al. 2023, Air Pollution Image Dataset from India and Nepal, "
    "doi 10.34740/KAGGLE/DS/3152196",
    min_side=200,
    read=read_india_nepal,
)
