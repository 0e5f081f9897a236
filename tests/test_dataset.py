"""A data set's folder: what is read, what is refused, and how the refusal reads."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.errors import DataSetError
from training.dataset import REQUIRED_COLUMNS, DataSet, dataset_hash, read_dataset

SHARED = Path(__file__).parents[2] / "shared" / "datasets"
CARD = 'name = "Two sites"\nlicence = "CC0"\nsource = "made for this test"\nmin_side = 300\n'
Cells = dict[str, str]


def cells(number: int, **changed: str) -> Cells:
    row = dict.fromkeys(REQUIRED_COLUMNS, "")
    row.update(
        file=f"images/{number}.jpg",
        site="hill" if number < 3 else "valley",
        session="hill_1" if number < 3 else "valley_1",
        captured_at=f"2025-03-01T1{number}:00-05:00",
        lat="6.24",
        lon="-75.58",
        pm25=f"{10 + number}.5",
        pm25_quality="A",
    )
    return row | changed


def write(folder: Path, rows: Iterable[Mapping[str, str]], card: str = CARD) -> Path:
    """A data set of `rows`; each photo's bytes are the digits of its file name."""
    rows = list(rows)
    (folder / "images").mkdir(parents=True)
    (folder / "dataset.toml").write_text(card)
    columns = dict.fromkeys(column for row in rows for column in row)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows)
    for number in range(5):
        (folder / "images" / f"{number}.jpg").write_bytes(b"photo %d" % number)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "set", [cells(number) for number in range(5)])


def error_of(folder: Path) -> DataSetError:
    with pytest.raises(DataSetError) as caught:
        read_dataset(folder)
    return caught.value


def error_in_row(tmp_path: Path, changed: Cells) -> DataSetError:
    rows = [cells(n, **(changed if n == 1 else {})) for n in range(5)]
    return error_of(write(tmp_path / "bad", rows))


def test_what_the_files_say_is_what_is_read(folder: Path) -> None:
    dataset = read_dataset(folder)
    assert (dataset.name, dataset.licence, dataset.min_side) == ("Two sites", "CC0", 300)
    assert [row.file for row in dataset.rows] == [f"images/{n}.jpg" for n in range(5)]
    row = dataset.rows[1]
    assert row.path.read_bytes() == b"photo 1"
    assert (row.site, row.session, row.visit) == ("hill", "hill_1", ("hill", "hill_1"))
    assert (row.pm25, row.pm25_quality, row.min_side) == (11.5, "A", 300)
    assert row.metadata.captured_at == datetime(2025, 3, 1, 16, tzinfo=UTC)
    assert row.metadata.captured_at.utcoffset() == timedelta(hours=-5)
    assert row.metadata.temperature_c is None
    assert dataset.duplicates == ()


def test_an_empty_label_is_an_unlabelled_photo_and_not_an_error(tmp_path: Path) -> None:
    rows = [cells(0, pm25="", pm25_quality="", pm10="31.5"), cells(1, pm25="0")]
    unlabelled, clean = read_dataset(write(tmp_path / "set", rows)).rows
    assert unlabelled.pm25 is None
    assert unlabelled.pm10 == 31.5
    assert clean.pm25 == 0.0
    assert clean.pm10 is None


def test_the_size_limit_has_a_default(tmp_path: Path) -> None:
    card = CARD.replace("min_side = 300\n", "")
    assert read_dataset(write(tmp_path / "set", [cells(0)], card)).rows[0].min_side == 512


def test_photos_with_the_same_bytes_are_reported(folder: Path) -> None:
    (folder / "images" / "4.jpg").write_bytes(b"photo 0")
    assert read_dataset(folder).duplicates == (("images/0.jpg", "images/4.jpg"),)


@pytest.mark.parametrize(
    ("changed", "code", "shown"),
    [
        ({"pm25": "-3"}, "invalid_label", "'-3'"),
        ({"pm25": "1e300"}, "invalid_label", "a number from 0 to 10000 [ug m-3]"),
        ({"pm25": "about 12"}, "invalid_label", "a number from 0 to 10000 [ug m-3]"),
        ({"pm25": "nan"}, "invalid_label", "'nan'"),
        ({"pm25": "inf"}, "invalid_label", "'inf'"),
        ({"pm10": "-1"}, "invalid_label", "column pm10"),
        ({"pm25_quality": "D"}, "invalid_quality", "A reference station"),
        ({"pm25_quality": ""}, "invalid_quality", "''"),
        ({"captured_at": "2025-03-01T11:00"}, "invalid_time", "without an offset"),
        ({"captured_at": "yesterday"}, "invalid_time", "'yesterday'"),
        ({"lat": "91"}, "out_of_range", "lat"),
        ({"lon": ""}, "incomplete_position", "without lon"),
        ({"relative_humidity_pct": "104"}, "out_of_range", "relative_humidity_pct"),
        ({"site": " "}, "site_missing", "every photo needs a site"),
        ({"session": ""}, "session_missing", "every photo needs a session"),
        ({"session": "valley_1"}, "session_at_two_sites", "in line 3 it is at 'hill'"),
        ({"file": ""}, "file_missing", "column file"),
        ({"file": "images/9.jpg"}, "file_missing", "'images/9.jpg' does not exist"),
        ({"file": "images"}, "file_missing", "does not exist"),
        ({"file": "x" * 5000}, "file_missing", "does not exist"),
        ({"file": "../outside.jpg"}, "file_outside", "inside the data set's folder"),
        ({"file": "/etc/hostname"}, "file_outside", "inside the data set's folder"),
        ({"file": "images/../images/0.jpg"}, "file_twice", "it stands in line 2"),
    ],
)
def test_a_bad_cell_is_named_with_its_place_and_what_is_allowed(
    tmp_path: Path, changed: Cells, code: str, shown: str
) -> None:
    (tmp_path / "outside.jpg").write_bytes(b"a photo of somebody else")
    error = error_in_row(tmp_path, changed)
    assert error.code == code
    assert "labels.csv line" in error.detail
    assert f"column {next(iter(changed))}" in error.detail or "column lat and lon" in error.detail
    assert shown in error.detail
    assert "1 problem in" in error.detail
    assert "labels.csv" in error.how_to_fix


def test_a_link_does_not_lead_out_of_the_folder(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "outside.jpg").write_bytes(b"a photo of somebody else")
    (folder / "images" / "2.jpg").unlink()
    (folder / "images" / "2.jpg").symlink_to(tmp_path / "outside.jpg")
    assert error_of(folder).code == "file_outside"


def without(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def with_text(file: str, text: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / file).write_text(text, encoding="latin-1")

    return damage


HEADER = ",".join(REQUIRED_COLUMNS)


@pytest.mark.parametrize(
    ("damage", "code", "shown"),
    [
        (shutil.rmtree, "card_missing", "2 problems"),
        (without("labels.csv"), "labels_missing", "labels.csv: No such file"),
        (without("dataset.toml"), "card_missing", "dataset.toml: No such file"),
        (with_text("labels.csv", ""), "column_missing", "column file is absent"),
        (with_text("labels.csv", HEADER), "no_rows", "one row per photo"),
        (with_text("labels.csv", HEADER.replace("session", "visit")), "column_missing", "session"),
        (with_text("labels.csv", HEADER + ",site"), "column_twice", "site stands there twice"),
        (with_text("labels.csv", HEADER + "\nimages/0.jpg,hill"), "invalid_row", "2 cells"),
        (with_text("labels.csv", HEADER + "\n\xe9"), "invalid_labels", "CSV in UTF-8"),
        (with_text("labels.csv", HEADER + '\n"a" b,c'), "invalid_labels", "expected after"),
        (with_text("dataset.toml", "name = "), "invalid_card", "TOML in UTF-8"),
        (with_text("dataset.toml", CARD.replace("licence", "lizenz")), "invalid_card", "licence"),
        (with_text("dataset.toml", CARD.replace("300", '"300"')), "invalid_card", "≥ 1"),
        (with_text("dataset.toml", CARD.replace("300", "0")), "invalid_card", "≥ 1"),
        (with_text("dataset.toml", CARD.replace("CC0", " ")), "invalid_card", "some text"),
    ],
)
def test_a_damaged_folder_is_refused_with_its_reason(
    folder: Path, damage: Callable[[Path], None], code: str, shown: str
) -> None:
    damage(folder)
    error = error_of(folder)
    assert error.code == code
    assert shown in error.detail


def test_all_problems_of_a_folder_are_reported_together(tmp_path: Path) -> None:
    rows = [cells(0, pm25="-1", pm25_quality="Z", lat="100", wind_speed_ms="fast")]
    rows += [cells(n, file="images/1.jpg", site="", captured_at="") for n in range(1, 25)]
    error = error_of(write(tmp_path / "bad", rows, CARD.replace("CC0", "")))
    assert "labels.csv line 2, column wind_speed_ms: wind_speed_ms is 'fast'" in error.detail
    assert "labels.csv line 2, column lat and lon: lat is 100" in error.detail
    assert error.detail.count("\n  ") == 21
    # the licence, 4 cells of the first row, 24 empty sites, 23 repeated files
    assert "52 problems" in error.detail
    assert error.detail.splitlines()[-1] == "  and 32 more."


def hash_of(folder: Path, change: Callable[[DataSet], DataSet] = lambda dataset: dataset) -> str:
    return dataset_hash([change(read_dataset(folder))])


def test_the_hash_does_not_know_folders_file_names_or_order(tmp_path: Path, folder: Path) -> None:
    rows = [cells(n, file=f"images/{n}.jpg") for n in (3, 1, 0, 4, 2)]
    renamed = [row | {"file": row["file"].replace("images/", "images/p")} for row in rows]
    other = write(tmp_path / "elsewhere" / "other", renamed)
    for number in range(5):
        (other / "images" / f"{number}.jpg").rename(other / "images" / f"p{number}.jpg")
    assert hash_of(other) == hash_of(folder)


def test_the_hash_of_several_sets_does_not_know_their_order(tmp_path: Path, folder: Path) -> None:
    one = read_dataset(folder)
    other = read_dataset(write(tmp_path / "other", [cells(0, pm25="99")]))
    assert dataset_hash([one, other]) == dataset_hash([other, one]) != dataset_hash([one])


@pytest.mark.parametrize(
    "changed",
    [
        {"pm25": "11.6"},
        {"pm25": ""},
        {"pm25_quality": "B"},
        {"site": "hilltop", "session": "hilltop_1"},
        {"session": "hill_2"},
        {"camera": "south"},
        {"captured_at": "2025-03-01T11:00-04:00"},
        {"temperature_c": "21"},
        {"pm10": "40"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_hash_knows_every_label(tmp_path: Path, folder: Path, changed: Cells) -> None:
    rows = [cells(n, **(changed if n == 1 else {})) for n in range(5)]
    assert hash_of(write(tmp_path / "changed", rows)) != hash_of(folder)


def test_the_hash_knows_the_photos(folder: Path) -> None:
    before = hash_of(folder)
    (folder / "images" / "2.jpg").write_bytes(b"another photo")
    assert hash_of(folder) != before
    assert hash_of(folder, lambda d: replace(d, rows=d.rows[:4])) != hash_of(folder)


@pytest.mark.parametrize(
    ("name", "photos", "sessions", "sites"), [("milan", 305, 30, 1), ("india_nepal", 1555, 78, 6)]
)
def test_the_real_data_sets_keep_the_contract(
    name: str, photos: int, sessions: int, sites: int
) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the data set {name} is not beside this repository")
    rows = read_dataset(SHARED / name).rows
    assert len(rows) == photos
    assert len({row.visit for row in rows}) == sessions
    assert len({row.site for row in rows}) == sites
    assert all(row.pm25 is not None for row in rows)
