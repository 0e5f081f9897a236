"""Labels that cannot be true are found, and such as are merely odd are left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.metadata import PhotoMetadata
from training.dataset import LabelledPhoto, read_dataset
from training.label_checks import check_labels

SHARED = Path(__file__).parents[2] / "shared" / "datasets"
MEDELLIN = timezone(timedelta(hours=-5))
START = datetime(2025, 3, 1, 6, tzinfo=MEDELLIN)


def photo(hour: float, pm25: float | None, site: str = "hill", **changed: object) -> LabelledPhoto:
    known = LabelledPhoto(
        path=Path("photo.jpg"),
        file=f"{site}_{hour}.jpg",
        sha256=f"{site} {hour}",
        min_side=512,
        site=site,
        camera="",
        country="CO",
        session="s",
        pm25=pm25,
        pm25_quality="A",
        pm25_as_published="",
        pm10=None,
        metadata=PhotoMetadata(captured_at=START + timedelta(hours=hour)),
    )
    return replace(known, **changed)  # type: ignore[arg-type]


def codes(photos: Sequence[LabelledPhoto]) -> list[tuple[int, str, str]]:
    return [(finding.row, finding.code, finding.severity) for finding in check_labels(photos)]


def hourly(*labels: float) -> list[LabelledPhoto]:
    return [photo(hour, label) for hour, label in enumerate(labels)]


def test_sound_labels_have_no_finding() -> None:
    assert codes(hourly(12, 14, 14, 19, 60, 140, 90, 45, 30)) == []


@pytest.mark.parametrize(
    ("pm25", "pm10", "code"),
    [
        (985.0, None, "sentinel"),
        (995.0, None, "sentinel"),
        (1000.5, None, "above_range"),
        (60.0, 50.0, "above_pm10"),
        (6.5, 1.0, "above_pm10"),
    ],
)
def test_a_value_that_cannot_be(pm25: float, pm10: float | None, code: str) -> None:
    assert codes([photo(0, 12), photo(1, pm25, pm10=pm10)]) == [(1, code, "error")]


@pytest.mark.parametrize(
    ("pm25", "pm10"),
    [(984.0, None), (1000.0, None), (52.0, 50.0), (5.0, 1.0), (0.0, 0.0), (None, 3.0), (20, 300)],
)
def test_a_value_that_can_be(pm25: float | None, pm10: float | None) -> None:
    assert codes([photo(0, pm25, pm10=pm10)]) == []


def test_a_stuck_sensor_is_found_in_hourly_labels() -> None:
    moving = [20 + hour % 5 for hour in range(10)]
    stuck = [17.0] * 12
    found = codes(hourly(*moving, *stuck, *moving))
    assert found == [(row, "constant_run", "error") for row in range(10, 22)]
    assert codes(hourly(*moving, *stuck[1:], *moving)) == []
    assert codes(hourly(*moving, *[2.0] * 40, *moving)) == []  # near the limit of detection


def test_daily_labels_may_stand_all_day_but_not_for_a_week() -> None:
    def days(*labels: float) -> list[LabelledPhoto]:
        return [photo(24 * d + h, pm25) for d, pm25 in enumerate(labels) for h in range(12)]

    assert codes(days(20, 25, 25, 31)) == []
    found = codes(days(20, *[25] * 7, 31))
    assert {row for row, code, _ in found if code == "constant_run"} == set(range(12, 96))
    assert codes(days(20, *[25] * 6, 31)) == []


def test_another_sites_labels_do_not_break_a_run() -> None:
    stuck = hourly(*[17.0] * 12, 18)
    others = [photo(hour, 20 + hour, "valley") for hour in range(13)]
    found = codes([row for pair in zip(stuck, others, strict=True) for row in pair])
    assert [row for row, code, _ in found] == list(range(0, 24, 2))


@pytest.mark.parametrize(
    "labels",
    [(20, 400, 22), (300, 20, 310)],
    ids=["up and back", "down and back"],
)
def test_an_impossible_jump_is_the_hour_that_jumps(labels: tuple[float, ...]) -> None:
    assert codes(hourly(*labels)) == [(1, "impossible_jump", "error")]


@pytest.mark.parametrize(
    "labels",
    [(20, 400, 200, 120), (20, 25, 400, 390), (20, 110, 22), (200, 350, 210)],
    ids=["a firework that clears slowly", "a step", "too little", "too small a factor"],
)
def test_air_can_change_quickly(labels: tuple[float, ...]) -> None:
    assert codes(hourly(*labels)) == []


def test_a_neighbour_of_another_day_says_nothing() -> None:
    assert codes([photo(0, 20), photo(9, 400), photo(18, 22)]) == []


def test_one_photo_has_one_label() -> None:
    same = [photo(0, 20, sha256="x"), photo(5, 60, "valley", sha256="x"), photo(6, 30)]
    assert codes(same) == [(row, "photo_with_two_labels", "error") for row in (0, 1)]
    assert codes([photo(0, 20, sha256="x"), photo(5, 20.9, sha256="x")]) == []
    assert codes([photo(0, 20, sha256="x"), photo(5, None, sha256="x")]) == []


@pytest.mark.parametrize(("quality", "severity"), [("A", "error"), ("B", "warning")])
def test_a_site_has_one_label_at_a_time(quality: str, severity: str) -> None:
    rows = [
        replace(photo(0, pm25, pm25_quality=quality), sha256=f"{pm25}", session=f"{pm25}")
        for pm25 in (54.0, 76.0)
    ]
    assert codes(rows) == [(row, "site_with_two_labels", severity) for row in (0, 1)]
    assert codes([rows[0], replace(rows[1], pm25=55.0)]) == []


def test_photos_without_a_time_are_not_compared_in_time() -> None:
    timeless = PhotoMetadata()
    rows = [photo(hour, 17.0, metadata=timeless) for hour in range(20)]
    assert codes([*rows, photo(30, 400.0, metadata=timeless)]) == []


@given(st.permutations(range(16)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    rows = hourly(*[17.0] * 12, 20, 400, 22, 1000.5)
    expected = {(rows[row].file, code) for row, code, _ in codes(rows)}
    turned = [rows[place] for place in order]
    assert {(turned[row].file, code) for row, code, _ in codes(turned)} == expected


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
def test_of_the_real_labels_only_the_repeated_video_is_impossible() -> None:
    assert codes(read_dataset(SHARED / "milan").rows) == []
    rows = read_dataset(SHARED / "india_nepal").rows
    found = codes(rows)
    errors = {rows[row].session for row, _, severity in found if severity == "error"}
    assert errors == {
        *("greater_noida_20230215_1700", "greater_noida_20230216_0830"),
        *("greater_noida_20230218_1100", "greater_noida_20230218_1430"),
    }
    assert sum(severity == "error" for _, _, severity in found) == 20
    warned = {rows[row].session for row, _, severity in found if severity == "warning"}
    assert warned == {"bengaluru_20230203_0830_0", "bengaluru_20230203_0830_1"}
