"""Can this label be true? Questions that need nothing but the labels, their times and places.

    code                    what is asked                                                severity
    sentinel                a code for "no value" that monitors write instead of one     error
    above_range             more than a reference monitor measures                       error
    above_pm10              PM2.5 above PM10, of which it is a part                      error
    constant_run            a site's label does not move for half a day: a stuck sensor  error
    impossible_jump         one hour far above or below both its neighbours              error
    photo_with_two_labels   the same bytes, labelled differently                         error
    site_with_two_labels    one site and moment, two labels             error for A

An error takes the row out of training (quarantine.py); a warning is told. Quality A is what one
station says: two of its values for one hour cannot both be right. B and C come with the photo.

Limits without a source were set on the real sets: in Milan the label of a station moves by at most
a factor of 3.3 or 24 ug m-3 within three hours and stands still for at most 4 photographed hours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from training.dataset import LabelledPhoto

LABEL_CODES = (
    *("sentinel", "above_range", "above_pm10", "constant_run", "impossible_jump"),
    *("photo_with_two_labels", "site_with_two_labels"),
)
SENTINELS = (985.0, 995.0)  # [ug m-3] of SIATA's monitors; -9999 and 99999 cannot be read at all
HIGHEST_HOUR = 1000.0  # [ug m-3] full scale of beta-attenuation monitors
PM10_TOLERANCE = 5.0, 0.1  # [ug m-3] and share of PM10: two noisy monitors
CONSTANT_HOURS, CONSTANT_DAYS = 12, 7
LOWEST_CONSTANT = 5.0  # [ug m-3] near the limit of detection values repeat
JUMP = 100.0, 5.0  # [ug m-3] and factor, from both neighbours
NEIGHBOUR = timedelta(hours=3), 2.0  # how near a neighbour is, and what factor they agree within
SAME_LABEL = 1.0, 0.1  # [ug m-3] and share: labels that differ by no more are one


@dataclass(frozen=True)
class LabelFinding:
    """What is wrong with the label of row `row`: a code for programs, a sentence for people."""

    row: int
    code: str
    severity: Literal["error", "warning"]
    reason: str


@dataclass(frozen=True)
class _Label:
    """One value of a site: its moment (the hour, or the day where labels are daily) and rows."""

    at: datetime
    value: float
    rows: tuple[int, ...]


def check_labels(photos: Sequence[LabelledPhoto]) -> list[LabelFinding]:
    """All findings on the labels of `photos`, by row. Photos without a label have none."""
    found = [finding for check in _CHECKS for finding in check(photos)]
    return sorted(found, key=lambda finding: (finding.row, finding.code))


def _values(photos: Sequence[LabelledPhoto]) -> Iterator[LabelFinding]:
    for row, photo in enumerate(photos):
        if photo.pm25 is None:
            continue
        shown = f"PM2.5 is {photo.pm25:g} ug m-3"
        if photo.pm25 in SENTINELS:
            yield LabelFinding(
                row, "sentinel", "error", f"{shown}, which monitors write for no value"
            )
        elif photo.pm25 > HIGHEST_HOUR:
            reason = f"{shown}; a reference monitor measures up to {HIGHEST_HOUR:g}"
            yield LabelFinding(row, "above_range", "error", reason)
        if photo.pm10 is not None:
            absolute, relative = PM10_TOLERANCE
            if photo.pm25 - photo.pm10 > max(absolute, relative * photo.pm10):
                reason = f"{shown} and PM10, which holds it, {photo.pm10:g}"
                yield LabelFinding(row, "above_pm10", "error", reason)


def _constant_runs(photos: Sequence[LabelledPhoto]) -> Iterator[LabelFinding]:
    for site, labels, daily in _series(photos):
        least, unit = (CONSTANT_DAYS, "days") if daily else (CONSTANT_HOURS, "hours")
        run: list[_Label] = []
        for label in [*labels, None]:
            if label is not None and (not run or label.value == run[0].value):
                run.append(label)
                continue
            if len(run) >= least and run[0].value >= LOWEST_CONSTANT:
                reason = (
                    f"{site} stands at {run[0].value:g} ug m-3 in all {len(run)} photographed "
                    f"{unit} from {run[0].at:%Y-%m-%d %H:%M} to {run[-1].at:%Y-%m-%d %H:%M}"
                )
                for row in (row for one in run for row in one.rows):
                    yield LabelFinding(row, "constant_run", "error", reason)
            run = [label] if label is not None else []


def _jumps(photos: Sequence[LabelledPhoto]) -> Iterator[LabelFinding]:
    near, agreement = NEIGHBOUR
    difference, factor = JUMP
    for site, labels, daily in _series(photos):
        if daily:
            continue
        for before, label, after in zip(labels, labels[1:], labels[2:], strict=False):
            if label.at - before.at > near or after.at - label.at > near:
                continue
            low, high = sorted(max(one.value, 1.0) for one in (before, after))
            value = max(label.value, 1.0)
            up = value - high > difference and value > factor * high
            down = low - value > difference and low > factor * value
            if high <= agreement * low and (up or down):
                reason = (
                    f"{site} goes from {before.value:g} to {label.value:g} and back to "
                    f"{after.value:g} ug m-3 within {(after.at - before.at).seconds // 3600} hours"
                )
                for row in label.rows:
                    yield LabelFinding(row, "impossible_jump", "error", reason)


def _two_labels_of_a_photo(photos: Sequence[LabelledPhoto]) -> Iterator[LabelFinding]:
    for rows in _by(photos, lambda photo: photo.sha256):
        shown = _different(photos, rows)
        for row in rows if shown else ():
            others = ", ".join(photos[other].file for other in rows if other != row)
            reason = f"the same photo as {others}, labelled {shown} ug m-3"
            yield LabelFinding(row, "photo_with_two_labels", "error", reason)


def _two_labels_of_a_site(photos: Sequence[LabelledPhoto]) -> Iterator[LabelFinding]:
    def moment(photo: LabelledPhoto) -> Hashable:
        at = photo.metadata.captured_at
        return None if at is None else (photo.site, at)

    for rows in _by(photos, moment):
        shown = _different(photos, rows)
        station = all(photos[row].pm25_quality == "A" for row in rows)
        for row in rows if shown else ():
            at = photos[row].metadata.captured_at
            reason = f"{photos[row].site} has the labels {shown} ug m-3 at {at:%Y-%m-%d %H:%M}"
            severity: Literal["error", "warning"] = "error" if station else "warning"
            yield LabelFinding(row, "site_with_two_labels", severity, reason)


_CHECKS: tuple[Callable[[Sequence[LabelledPhoto]], Iterator[LabelFinding]], ...] = (
    *(_values, _constant_runs, _jumps),
    *(_two_labels_of_a_photo, _two_labels_of_a_site),
)


def _by(
    photos: Sequence[LabelledPhoto], key: Callable[[LabelledPhoto], Hashable]
) -> Iterable[list[int]]:
    """Rows with a label, gathered by a key that is not None."""
    rows: defaultdict[Hashable, list[int]] = defaultdict(list)
    for row, photo in enumerate(photos):
        name = key(photo)
        if photo.pm25 is not None and name is not None:
            rows[name].append(row)
    return rows.values()


def _different(photos: Sequence[LabelledPhoto], rows: Sequence[int]) -> str:
    """The labels of `rows` as text, empty where they are one."""
    labels = sorted({label for row in rows if (label := photos[row].pm25) is not None})
    absolute, relative = SAME_LABEL
    if labels[-1] - labels[0] <= max(absolute, relative * labels[-1]):
        return ""
    return " and ".join(f"{label:g}" for label in labels)


def _series(photos: Sequence[LabelledPhoto]) -> Iterator[tuple[str, list[_Label], bool]]:
    """Each site with its labels in order of time, and whether they are daily.

    A moment with several labels is left out: `site_with_two_labels` speaks of it. Labels are daily
    where no day has two and some day has photos of several hours.
    """
    for site in sorted({photo.site for photo in photos}):
        hours: defaultdict[datetime, list[int]] = defaultdict(list)
        days: defaultdict[date, set[float]] = defaultdict(set)
        for row, photo in enumerate(photos):
            at = photo.metadata.captured_at
            if photo.site == site and photo.pm25 is not None and at is not None:
                hours[at.replace(minute=0, second=0, microsecond=0)].append(row)
                days[at.date()].add(photo.pm25)
        daily = len(hours) > len(days) and all(len(values) == 1 for values in days.values())
        moments: defaultdict[datetime, list[int]] = defaultdict(list)
        for hour, rows in hours.items():
            moments[hour.replace(hour=0) if daily else hour] += rows
        labels = []
        for at, rows in sorted(moments.items()):
            values = {value for row in rows if (value := photos[row].pm25) is not None}
            if len(values) == 1:
                labels.append(_Label(at, values.pop(), tuple(rows)))
        yield site, labels, daily
