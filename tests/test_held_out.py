"""What was answered while held out is kept whole, and read back as it was."""

from __future__ import annotations

import csv
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from features.errors import DataSetError
from handlers.estimator import PM25Estimator
from tests.drawn_answers import answers
from training.climatology import climatology
from training.held_out import (
    HAZE_DEPTHS,
    HeldOutAnswers,
    held_out_answers,
    read_held_out,
    together,
    write_held_out,
)
from training.table import TrainingTable


@pytest.fixture(scope="module")
def record(estimator: PM25Estimator, table: TrainingTable) -> HeldOutAnswers:
    return held_out_answers(estimator, table, table, "all")


def assert_equal(one: HeldOutAnswers, other: HeldOutAnswers, digits: float = 0.0) -> None:
    for field in fields(HeldOutAnswers):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, tuple) or mine.dtype.kind != "f":
            assert list(mine) == list(theirs), field.name
        else:
            np.testing.assert_allclose(mine, theirs, rtol=digits, err_msg=field.name)


def test_it_holds_what_the_estimator_answers(
    record: HeldOutAnswers, estimator: PM25Estimator, table: TrainingTable
) -> None:
    estimates = estimator.estimate(table.X, table.cameras)
    np.testing.assert_array_equal(record.estimate, estimates.pm25)
    for level in (0.5, 0.8, 0.9, 0.95):
        np.testing.assert_array_equal(record.interval(level), estimates.interval(level))
    np.testing.assert_array_equal(record.known_camera, record.camera != "")
    assert set(record.fold) == {"all"}


def test_haze_is_answered_where_copies_were_read(
    record: HeldOutAnswers, estimator: PM25Estimator, table: TrainingTable
) -> None:
    assert record.hazed.shape == (len(table), len(HAZE_DEPTHS))
    read = np.isfinite(record.hazed).all(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(read), table.with_copies)
    if read.any():
        row = table.with_copies[:1]
        copy = estimator.estimate(table.copied_rows(row)[0, :1], [table.cameras[int(row[0])]])
        assert record.hazed[row[0], 0] == pytest.approx(copy.pm25[0])


def test_what_is_written_is_read_back_to_six_digits(record: HeldOutAnswers, tmp_path: Path) -> None:
    few = record.of(np.arange(3))
    write_held_out(tmp_path, {"unseen_days": {"full": record, "photo_without_weather": few}})
    back = read_held_out(tmp_path)
    assert list(back) == ["unseen_days"]
    assert_equal(back["unseen_days"]["full"], record, 1e-5)
    assert_equal(back["unseen_days"]["photo_without_weather"], few, 1e-5)


def test_unknown_times_places_and_hostile_names_are_kept(tmp_path: Path) -> None:
    odd = answers(
        [1.0, 2.0],
        site=['a "place", or\ntwo', "ñandú"],
        captured_at=(None, answers([1.0]).captured_at[0]),
        lat=[np.nan, 6.2],
        sun_elevation=[np.nan, -3.0],
    )
    write_held_out(tmp_path, {"random": {"full": odd}})
    assert_equal(read_held_out(tmp_path)["random"]["full"], odd, 1e-5)


@pytest.mark.parametrize("damage", ["", "file,site\n1,2\n", "x" * 100])
def test_a_damaged_record_is_named(tmp_path: Path, damage: str) -> None:
    write_held_out(tmp_path, {"random": {"full": answers([1.0])}})
    path = tmp_path / "random.full.csv"
    text = path.read_text()
    path.write_text(damage if damage.startswith("file") else text.replace("estimate", "guess"))
    with pytest.raises(DataSetError, match=r"random\.full\.csv"):
        read_held_out(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("pm25", "nan", "pm25 is missing"),
        ("estimate", "", "estimate is missing"),
        ("aleatoric", "-5", "below 0"),
        ("epistemic", "inf", "epistemic is missing or not finite"),
        ("constant", "1e400", "not finite"),
        ("q975", "nan", "quantiles is missing"),
        ("q500", "1000", "do not ascend"),
        ("site", "x" * 200_000, "field larger"),
    ],
)
def test_a_number_that_no_run_writes_is_refused_when_it_is_read(
    tmp_path: Path, column: str, value: str, reason: str
) -> None:
    write_held_out(tmp_path, {"random": {"full": answers([20.0, 30.0])}})
    path = tmp_path / "random.full.csv"
    first, *rest = csv.DictReader(path.read_text().splitlines())
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, first)
        writer.writeheader()
        writer.writerows([first | {column: value}, *rest])
    with pytest.raises(DataSetError, match=reason) as error:
        read_held_out(tmp_path)
    assert error.value.code == "broken_held_out_answers"


def test_a_record_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    write_held_out(tmp_path, {"random": {"full": answers([20.0, 30.0])}})
    path = tmp_path / "random.full.csv"
    path.write_text(path.read_text()[:-160])
    with pytest.raises(DataSetError, match=r"random\.full\.csv"):
        read_held_out(tmp_path)


def test_a_folder_without_records_says_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DataSetError) as error:
        read_held_out(tmp_path)
    assert error.value.code == "no_held_out_answers"
    assert "make train" in error.value.how_to_fix


def test_a_session_is_one_of_one_site_and_counts_once_by_its_medians() -> None:
    record = answers(
        [10.0, 20.0, 60.0, 5.0],
        site=["hill", "hill", "hill", "lake"],
        session=["one", "one", "one", "one"],
        sun_elevation=[10.0, np.nan, 30.0, np.nan],
    )
    np.testing.assert_array_equal(record.visits(), [0, 0, 0, 1])
    medians = record.per_session()
    np.testing.assert_array_equal(medians.pm25, [20.0, 5.0])
    np.testing.assert_array_equal(medians.site, ["hill", "lake"])
    assert medians.sun_elevation[0] == 20.0 and np.isnan(medians.sun_elevation[1])
    np.testing.assert_array_equal(record.daytime(), [True, False, True, False])
    assert medians.quantiles.shape == (2, record.quantiles.shape[1])


def test_parts_are_chosen_and_put_together(record: HeldOutAnswers) -> None:
    odd = np.arange(len(record)) % 2 == 1
    parts = together([record.of(odd), record.of(np.flatnonzero(~odd))])
    order = np.argsort(np.r_[np.flatnonzero(odd), np.flatnonzero(~odd)])
    assert_equal(parts.of(order), record)


def test_climatology_knows_the_site_the_month_and_the_quarter_of_the_day(
    table: TrainingTable,
) -> None:
    photos = table.photos
    expected = climatology(photos, photos)
    labels = table.pm25
    assert np.all((expected >= labels.min()) & (expected <= labels.max()))
    # Alone with itself, a photo's cell says its own label; without a training photo of its site
    # or hour, what is left is the mean over sessions of everything.
    np.testing.assert_allclose(climatology(photos[:1], photos[:1]), labels[:1])
    np.testing.assert_allclose(climatology(photos[:1], photos[1:3]), labels[0])
