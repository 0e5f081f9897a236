"""What every split promises, on data sets of every shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.metadata import PhotoMetadata
from training.dataset import LabelledPhoto, read_dataset
from training.splits import (
    Fold,
    random,
    run_names,
    unseen_days,
    unseen_months,
    unseen_sites,
)

SHARED = Path(__file__).parents[2] / "shared" / "datasets"
BOGOTA = timezone(timedelta(hours=-5))


def photo(site: str, session: str, captured_at: datetime | None, camera: str = "") -> LabelledPhoto:
    return LabelledPhoto(
        path=Path("photo.jpg"),
        file="photo.jpg",
        sha256="0" * 64,
        min_side=512,
        site=site,
        camera=camera,
        country="CO",
        session=session,
        pm25=12.0,
        pm25_quality="A",
        pm25_as_published="12",
        pm10=None,
        metadata=PhotoMetadata(captured_at=captured_at),
    )


def on(site: str, day: date, camera: str = "", hour: int = 9, visit: int = 0) -> LabelledPhoto:
    time = datetime(day.year, day.month, day.day, hour, tzinfo=BOGOTA)
    return photo(site, f"{day}_{visit}", time, camera)


@st.composite
def data_sets(draw: st.DrawFn) -> list[LabelledPhoto]:
    """Up to four sites with up to 25 sessions each, some over midnight, some without a time."""
    rows = []
    for site in draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True)):
        camera = draw(st.sampled_from(["", f"camera_{site}"]))
        for number in range(draw(st.integers(1, 25))):
            day = draw(st.integers(-60, 420))
            start = datetime(2025, 1, 1, draw(st.integers(0, 23)), tzinfo=BOGOTA)
            start += timedelta(days=day)
            dated = draw(st.integers(0, 9)) > 0
            for photo_number in range(draw(st.integers(1, 3))):
                time = start + timedelta(hours=photo_number) if dated else None
                rows.append(photo(site, f"session_{number}", time, camera))
    return draw(st.permutations(rows))


SPLITS: list[Callable[[Sequence[LabelledPhoto]], list[Fold]]] = [
    unseen_days,
    unseen_months,
    unseen_sites,
    random,
]


@pytest.mark.parametrize("split", SPLITS, ids=lambda s: s.__name__)
@settings(max_examples=20, deadline=None)
@given(rows=data_sets())
def test_no_row_is_on_both_sides_and_none_is_tested_twice(
    split: Callable[[Sequence[LabelledPhoto]], list[Fold]], rows: list[LabelledPhoto]
) -> None:
    folds = split(rows)
    tested = np.concatenate([fold.test for fold in folds]) if folds else np.array([], dtype=int)
    assert len(np.unique(tested)) == len(tested)
    for fold in folds:
        assert len(fold.train) > 0
        assert len(fold.test) > 0
        assert not np.intersect1d(fold.train, fold.test).size
    assert len({fold.name for fold in folds}) == len(folds)


@pytest.mark.parametrize("split", SPLITS[:-1], ids=lambda s: s.__name__)
@settings(max_examples=20, deadline=None)
@given(rows=data_sets())
def test_no_session_is_cut(
    split: Callable[[Sequence[LabelledPhoto]], list[Fold]], rows: list[LabelledPhoto]
) -> None:
    for fold in split(rows):
        trained = {rows[i].visit for i in fold.train}
        assert not trained & {rows[i].visit for i in fold.test}


def folds_by_content(rows: list[LabelledPhoto], folds: list[Fold]) -> list[list[str]]:
    return [sorted(f"{rows[i].visit}" for i in fold.test) for fold in folds]


@pytest.mark.parametrize("split", SPLITS[:-1], ids=lambda s: s.__name__)
@settings(max_examples=20, deadline=None)
@given(rows=data_sets())
def test_the_order_of_the_rows_does_not_matter(
    split: Callable[[Sequence[LabelledPhoto]], list[Fold]], rows: list[LabelledPhoto]
) -> None:
    turned = rows[::-1]
    assert folds_by_content(rows, split(rows)) == folds_by_content(turned, split(turned))


@settings(max_examples=20, deadline=None)
@given(rows=data_sets())
def test_unseen_days_keeps_neighbouring_days_of_a_site_together(rows: list[LabelledPhoto]) -> None:
    folds = unseen_days(rows)
    assert not folds or sum(len(fold.test) for fold in folds) == len(rows)
    for fold in folds:
        trained = {(rows[i].site, day) for i in fold.train for day in local_days(rows[i])}
        for i in fold.test:
            for day in local_days(rows[i]):
                for apart in (-1, 0, 1):
                    assert (rows[i].site, day + timedelta(days=apart)) not in trained


def local_days(row: LabelledPhoto) -> list[date]:
    time = row.metadata.captured_at
    return [] if time is None else [time.date()]


@settings(max_examples=20, deadline=None)
@given(rows=data_sets())
def test_a_run_has_one_name_and_one_fold(rows: list[LabelledPhoto]) -> None:
    names = run_names(rows)
    assert sorted(names) == sorted(run_names(rows[::-1]))
    site_of = dict(zip(names, (row.site for row in rows), strict=True))
    assert [site_of[name] for name in names] == [row.site for row in rows]
    for fold in unseen_days(rows):
        assert not {names[i] for i in fold.train} & {names[i] for i in fold.test}


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 300), min_size=10, max_size=60))
def test_unseen_days_spreads_the_sessions_of_a_site_evenly(days: set[int]) -> None:
    rows = [on("a", date(2025, 1, 1) + timedelta(days=day)) for day in days]
    sizes = [len(fold.test) for fold in unseen_days(rows)] or [len(rows)]
    smallest = 0 if len(sizes) < 5 else min(sizes)
    assert max(sizes) - smallest <= max(run_lengths(days))


def run_lengths(days: set[int]) -> list[int]:
    starts = sorted(day for day in days if day - 1 not in days)
    return [next(n for n in range(1, 400) if start + n not in days) for start in starts]


def test_a_day_is_the_local_one() -> None:
    # 23:30 and 00:30 UTC are both the evening of 1 March in Bogotá; 4 March is two days later.
    utc = timezone.utc  # noqa: UP017
    rows = [
        photo("a", "one", datetime(2025, 3, 1, 23, 30, tzinfo=utc).astimezone(BOGOTA)),
        photo("a", "two", datetime(2025, 3, 2, 0, 30, tzinfo=utc).astimezone(BOGOTA)),
        photo("a", "three", datetime(2025, 3, 4, 2, tzinfo=utc).astimezone(BOGOTA)),
    ]
    assert folds_by_content(rows, unseen_days(rows)) == [
        ["('a', 'one')", "('a', 'two')"],
        ["('a', 'three')"],
    ]


def test_sessions_of_the_same_name_at_two_sites_are_two() -> None:
    rows = [photo("a", "first", datetime(2025, 1, 1, tzinfo=BOGOTA)) for _ in range(2)]
    rows += [replace(row, site="b") for row in rows]
    assert [fold.name for fold in unseen_sites(rows)] == ["a", "b"]
    assert len(unseen_days(rows)) == 2


def test_unseen_months_trains_on_the_past_alone() -> None:
    rows = [on("a", date(2025, month, 15), camera="south") for month in range(1, 7)]
    rows += [on("b", date(2025, month, 15)) for month in range(1, 7)]
    (fold,) = unseen_months(rows)
    assert fold.name == "a from 2025-04-01"
    assert fold.train.tolist() == [0, 1, 2, 6, 7, 8]
    assert fold.test.tolist() == [3, 4, 5]


def test_unseen_months_takes_the_last_april_that_it_can() -> None:
    days = [date(2023, 5, 1), date(2024, 3, 31), date(2024, 4, 1), date(2025, 2, 1)]
    (fold,) = unseen_months([on("a", day, camera="south") for day in days])
    assert (fold.train.tolist(), fold.test.tolist()) == ([0, 1], [2, 3])


@pytest.mark.parametrize(
    "days", [[date(2025, 1, 1), date(2025, 3, 31)], [date(2025, 4, 1), date(2025, 12, 31)]]
)
def test_unseen_months_needs_both_sides(days: list[date]) -> None:
    assert unseen_months([on("a", day, camera="south") for day in days]) == []


@settings(max_examples=20, deadline=None)
@given(rows=data_sets())
def test_unseen_months_never_looks_ahead(rows: list[LabelledPhoto]) -> None:
    for fold in unseen_months(rows):
        site = {rows[i].site for i in fold.test}
        assert len(site) == 1
        days = {
            side: [min(local_days(rows[j])[0] for j in whole_visit(rows, i)) for i in part]
            for side, part in (("train", fold.train), ("test", fold.test))
        }
        assert max(days["train"]) < min(days["test"])


def whole_visit(rows: list[LabelledPhoto], row: np.int64) -> list[int]:
    return [i for i, other in enumerate(rows) if other.visit == rows[row].visit]


@settings(max_examples=20, deadline=None)
@given(rows=data_sets())
def test_unseen_sites_shares_no_site(rows: list[LabelledPhoto]) -> None:
    folds = unseen_sites(rows)
    sites = {row.site for row in rows}
    assert {fold.name for fold in folds} == (sites if len(sites) > 1 else set())
    for fold in folds:
        assert {rows[i].site for i in fold.test} == {fold.name}
        assert fold.name not in {rows[i].site for i in fold.train}
        assert len(fold.train) + len(fold.test) == len(rows)


def test_random_is_even_and_repeatable() -> None:
    rows = [on("a", date(2025, 1, 1)) for _ in range(103)]
    sizes = sorted(len(fold.test) for fold in random(rows))
    assert sizes == [20, 20, 21, 21, 21]
    assert all(
        (one.test == two.test).all() for one, two in zip(random(rows), random(rows), strict=True)
    )


@pytest.mark.parametrize("split", SPLITS, ids=lambda s: s.__name__)
def test_a_single_photo_cannot_be_split(
    split: Callable[[Sequence[LabelledPhoto]], list[Fold]],
) -> None:
    assert split([on("a", date(2025, 1, 1), camera="south")]) == []


def test_the_real_sets_split_as_they_are_described() -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared data sets are not beside this repository")
    rows = [row for name in ("milan", "india_nepal") for row in read_dataset(SHARED / name).rows]
    milan_sessions = [
        len({rows[i].visit for i in fold.test if rows[i].site == "milan"})
        for fold in unseen_days(rows)
    ]
    assert sum(milan_sessions) == 30
    assert max(milan_sessions) - min(milan_sessions) <= 2
    (months,) = unseen_months(rows)
    assert months.name == "milan from 2025-04-01"
    assert Counter(rows[i].site for i in months.train)["milan"] + len(months.test) == 305
    assert len(unseen_sites(rows)) == 7
    # ten photos of Greater Noida stand in two sessions each; no split may put them on both sides
    for fold in [*unseen_days(rows), months, *unseen_sites(rows)]:
        assert not {rows[i].sha256 for i in fold.train} & {rows[i].sha256 for i in fold.test}
