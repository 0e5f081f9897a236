"""The named ways to hold photos back. Every published figure names the one it comes from.

    unseen_days    a day that was not trained on, at a place that was
    unseen_months  a later season, at a camera that was trained on
    unseen_sites   a place that was not trained on
    random         single photos: a leakage control, never a result

All but `random` keep every session whole, since the photos of one visit are one moment seen many
times: split them, and the model is asked what it was told. PM2.5 also lasts for days, so that
`unseen_days` keeps runs of consecutive days together. A session that near-copies of a photo link
to one that is tested (near_duplicates.py) is not trained on in that fold. Folds depend on what the
rows say, not on their order; only `random` depends on both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from training.dataset import LabelledPhoto

FOLDS = 5
MONTHS_CUT = (4, 1)  # April, 1st: what comes before is trained on
Visit = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to train on and rows to test on, (n,) int64 each, ascending and without overlap."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    name: str


def unseen_days(rows: Sequence[LabelledPhoto], folds: int = FOLDS) -> list[Fold]:
    """`folds` folds of whole runs of consecutive days; every row is tested exactly once.

    A run is a chain of local days at one site, each at most one day after the one before it. The
    sessions of a site without a time form one run, since nothing says that they are apart. Each
    site's runs, the longest first, go where that site has the fewest sessions yet. With fewer
    runs than folds there are fewer folds; with a single one, none. A site with one run is tested
    too, although then nothing of it was trained on.
    """
    sessions_of_site: Counter[tuple[str, int]] = Counter()
    sessions_of_fold: Counter[int] = Counter()
    fold_of: dict[Visit, int] = {}
    for site, runs in sorted(_runs_of_days(rows).items()):
        for run in sorted(runs, key=lambda run: (-len(run), run)):
            fold = min(
                range(folds), key=lambda f: (sessions_of_site[site, f], sessions_of_fold[f], f)
            )
            sessions_of_site[site, fold] += len(run)
            sessions_of_fold[fold] += len(run)
            fold_of.update(dict.fromkeys(run, fold))
    number = np.array([fold_of[row.visit] for row in rows], dtype=np.int64)
    return _folds(rows, ((f"days {fold + 1}", number == fold) for fold in range(folds)))


def unseen_months(rows: Sequence[LabelledPhoto]) -> list[Fold]:
    """One fold per site with a fixed camera: its photos from 1 April on, and all earlier ones.

    The year is the last whose 1 April has photos of the site's cameras on both sides of it.
    Trained on is whatever any site saw before that day and nothing from after it; sessions
    without a time are neither trained on nor tested. A session counts by its first day.
    """
    first_day = {visit: min(days) for visit, days in _days_of_visits(rows).items() if days}
    day = [first_day.get(row.visit) for row in rows]
    folds = []
    for site in sorted({row.site for row in rows if row.camera}):
        here = [row.site == site and bool(row.camera) for row in rows]
        seen = {d for d, is_here in zip(day, here, strict=True) if is_here and d is not None}
        cuts = [date(year, *MONTHS_CUT) for year in {d.year for d in seen}]
        cuts = [cut for cut in cuts if min(seen) < cut <= max(seen)]
        if not cuts:
            continue
        cut = max(cuts)
        train = np.array([d is not None and d < cut for d in day])
        test = np.array([d is not None and d >= cut for d in day]) & np.array(here)
        train &= ~_linked_to(rows, test)
        if train.any():
            folds.append(Fold(np.flatnonzero(train), np.flatnonzero(test), f"{site} from {cut}"))
    return folds


def unseen_sites(rows: Sequence[LabelledPhoto]) -> list[Fold]:
    """One fold per site, trained on all others and named by it. Empty with fewer than two."""
    sites = np.array([row.site for row in rows])
    return _folds(rows, ((str(site), sites == site) for site in np.unique(sites)))


def random(rows: Sequence[LabelledPhoto], folds: int = FOLDS, seed: int = 0) -> list[Fold]:
    """`folds` folds of single photos, sessions cut at will: shows what leakage would add."""
    number = np.random.default_rng(seed).permutation(len(rows)) % folds
    return _folds((), ((f"random {fold + 1}", number == fold) for fold in range(folds)))


def run_names(rows: Sequence[LabelledPhoto]) -> list[str]:
    """For each row (n,) the name of its site's run of consecutive days; see `joined`."""
    name_of: dict[Visit, str] = {}
    for site, runs in _runs_of_days(rows).items():
        for number, run in enumerate(runs):
            name_of.update(dict.fromkeys(run, f"{site} run {number}"))
    return joined([name_of[row.visit] for row in rows], rows)


def joined(groups: Sequence[str], rows: Sequence[LabelledPhoto]) -> list[str]:
    """`groups` (n,) with one name, the first, for those that near-copies of a photo link."""
    leader: dict[str, str] = {}

    def first_of(group: str) -> str:
        while group in leader:
            group = leader[group]
        return group

    first_linked: dict[str, str] = {}
    for group, row in sorted(zip(groups, rows, strict=True), key=itemgetter(0)):
        if row.linked:
            one, other = sorted(map(first_of, (first_linked.setdefault(row.linked, group), group)))
            if one != other:
                leader[other] = one
    return [first_of(group) for group in groups]


def _folds(
    rows: Sequence[LabelledPhoto], named: Iterable[tuple[str, NDArray[np.bool_]]]
) -> list[Fold]:
    """Folds that train on what they do not test, less what near-copies link to it.

    One that tests nothing, or has nothing to train on, is left out.
    """
    folds = []
    for name, test in named:
        train = ~test & ~_linked_to(rows, test) if rows else ~test
        if test.any() and train.any():
            folds.append(Fold(np.flatnonzero(train), np.flatnonzero(test), name))
    return folds


def _linked_to(rows: Sequence[LabelledPhoto], test: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The rows (n,) whose session is linked to that of a row in `test`, themselves included."""
    tested = {row.linked for row, is_tested in zip(rows, test, strict=True) if is_tested}
    return np.array([bool(row.linked) and row.linked in tested for row in rows], dtype=bool)


def _days_of_visits(rows: Sequence[LabelledPhoto]) -> dict[Visit, set[date]]:
    """The local days of each session; none where its photos have no time."""
    days: defaultdict[Visit, set[date]] = defaultdict(set)
    for row in rows:
        times = days[row.visit]
        if row.metadata.captured_at is not None:
            times.add(row.metadata.captured_at.date())
    return days


def _runs_of_days(rows: Sequence[LabelledPhoto]) -> dict[str, list[list[Visit]]]:
    """For each site its runs: sessions in order of time, split where a whole day lies between."""
    dated: defaultdict[str, list[tuple[date, date, Visit]]] = defaultdict(list)
    runs: defaultdict[str, list[list[Visit]]] = defaultdict(list)
    undated: defaultdict[str, list[Visit]] = defaultdict(list)
    for visit, days in _days_of_visits(rows).items():
        if days:
            dated[visit[0]].append((min(days), max(days), visit))
        else:
            undated[visit[0]].append(visit)
    for site, visits in dated.items():
        last_day = date.min
        for first, last, visit in sorted(visits):
            if not runs[site] or first > last_day + timedelta(days=1):
                runs[site].append([])
            runs[site][-1].append(visit)
            last_day = max(last_day, last)
    for site, sessions in undated.items():
        runs[site].append(sorted(sessions))
    return runs
