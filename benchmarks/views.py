"""Which photos the metamorphic report looks at, and what each of them shows.

Rendered: one photo of each of a dozen places. Milan: every photo with the sun at least 5° up.
India: two frames of each session, at a quarter and at three quarters of its file names. What an
Indian frame shows was judged by eye, so that it rests on no feature.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features.sun import solar_position
from training.dataset import LabelledPhoto, read_dataset
from training.rendering.renderer import render_dataset

DATASETS = Path(__file__).resolve().parents[2] / "shared" / "datasets"
MILAN, INDIA = DATASETS / "milan", DATASETS / "india_nepal"
HORIZON, BARE_SKY, NO_FAR_FIELD = "horizon", "bare_sky", "no_far_field"
DAY_SUN_ELEVATION_DEG = 5.0
_SEED = 7

# Site, day and hour, then the numbers of the frames.
_BARE_SKY = """
delhi_20230215_1130 06 18
delhi_20230216_1800 06 18
greater_noida_20230207_0830 00
greater_noida_20230208_0830 06 18
greater_noida_20230213_0830 00 02
greater_noida_20230213_1100 00 02
greater_noida_20230214_1000 01 03
greater_noida_20230215_0830 01 04
greater_noida_20230216_0830 05
greater_noida_20230216_1600 03
greater_noida_20230217_1200 03
greater_noida_20230219_1430 06
greater_noida_20230220_0830 06 18
greater_noida_20230221_0830 01 03
greater_noida_20230222_0900 01 04
greater_noida_20230224_0830 06 18
greater_noida_20230225_1430 02
greater_noida_20230227_1030 18
greater_noida_20230301_0830 06
greater_noida_20230302_0900 06
greater_noida_20230306_1130 06 18
tamil_nadu_20230306_0900 18
tamil_nadu_20230309_0900 18
"""
_NO_FAR_FIELD = """
delhi_20230204_1700 06
delhi_20230207_1400 06 18
delhi_20230220_1400 06
dimapur_20230202_0900 06
dimapur_20230210_0830 06 18
greater_noida_20230301_0830 18
greater_noida_20230302_0900 18
tamil_nadu_20230210_0830 06 18
tamil_nadu_20230220_1630 06 18
tamil_nadu_20230302_0830 18
"""


@dataclass(frozen=True)
class View:
    """A photo and what it shows: HORIZON, BARE_SKY (next to no ground), or NO_FAR_FIELD."""

    photo: LabelledPhoto
    shows: str


@dataclass(frozen=True)
class Group:
    """Views that are asked about alike.

    titles    of the blocks of answers, one for each way of asking
    photos    what `relations.REQUIRED` knows them by; empty where nothing is required
    withheld  for each way of asking, the groups of metadata that are kept back
    changed   one view in so many is changed by more than haze; 0 for none
    """

    titles: tuple[str, ...]
    photos: str
    views: tuple[View, ...]
    withheld: tuple[tuple[str, ...], ...] = ((),)
    changed: int = 1


def rendered_group(folder: Path, places: int = 12) -> Group:
    """One photo of each of `places`, rendered into `folder`, which must not exist yet."""
    render_dataset(folder, places, 1, 1, seed=_SEED)
    views = tuple(View(photo, HORIZON) for photo in read_dataset(folder).rows)
    return Group(("Rendered photos",), "rendered", views)


def real_groups() -> list[Group]:
    """Milan and India, where the development data are there."""
    groups = []
    if MILAN.is_dir():
        titles = ("Milan by day, camera named", "Milan by day, camera withheld")
        ways = ((), ("camera",))
        groups.append(Group(titles, "milan", tuple(milan_by_day()), ways, changed=3))
    if INDIA.is_dir():
        frames = indian_frames()
        for shows, title, photos in (
            (HORIZON, "Indian frames with a horizon", "india"),
            (BARE_SKY, "Indian frames of bare sky", ""),
            (NO_FAR_FIELD, "Indian frames without a far field", ""),
        ):
            views = tuple(view for view in frames if view.shows == shows)
            groups.append(Group((title,), photos, views, changed=int(shows == HORIZON)))
    return groups


def milan_by_day(folder: Path = MILAN) -> list[View]:
    """Every photo with the sun at least DAY_SUN_ELEVATION_DEG up."""
    return [View(photo, HORIZON) for photo in read_dataset(folder).rows if _is_by_day(photo)]


def indian_frames(folder: Path = INDIA) -> list[View]:
    """Two frames of each session."""
    sessions: dict[str, list[LabelledPhoto]] = defaultdict(list)
    for photo in read_dataset(folder).rows:
        sessions[photo.session].append(photo)
    bare_sky, no_far_field = _frames(_BARE_SKY), _frames(_NO_FAR_FIELD)
    views = []
    for _, photos in sorted(sessions.items()):
        for photo in _quarters(sorted(photos, key=lambda photo: photo.file)):
            name = photo.path.stem
            shows = BARE_SKY if name in bare_sky else HORIZON
            views.append(View(photo, NO_FAR_FIELD if name in no_far_field else shows))
    return views


def _is_by_day(photo: LabelledPhoto) -> bool:
    known = photo.metadata
    if known.captured_at is None or known.lat is None or known.lon is None:
        return False
    elevation = solar_position(known.captured_at, known.lat, known.lon).elevation
    return elevation >= DAY_SUN_ELEVATION_DEG


def _quarters(photos: Sequence[LabelledPhoto]) -> list[LabelledPhoto]:
    chosen = sorted({len(photos) // 4, 3 * len(photos) // 4})
    return [photos[i] for i in chosen]


def _frames(table: str) -> frozenset[str]:
    lines = (line.split() for line in table.split("\n") if line)
    return frozenset(f"{visit}_{number}" for visit, *numbers in lines for number in numbers)
