"""Validation for training: bad rows are set apart with their reason, and harm no other."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from features.errors import DataSetError
from tests.data_stores import Cells, cells, write_set
from tests.test_data_commands import run_pm25
from training.dataset import DataSet, read_dataset
from training.datasets_db import DatasetsDatabase
from training.quarantine import ValidatedDataSet, quarantine_csv, validated

BAD: dict[int, tuple[Cells, str]] = {
    1: ({"pm25": "about 12"}, "invalid_label"),
    2: ({"pm25": "985"}, "sentinel"),
    4: ({"pm25": "80", "pm10": "30"}, "above_pm10"),
    5: ({"captured_at": "yesterday"}, "invalid_time"),
    7: ({"file": "images/nowhere.jpg"}, "file_missing"),
    8: ({"session": "hill_0_0"}, "session_at_two_sites"),
}
TOO_SMALL, NO_PHOTO, TWICE = 9, 10, 11


@pytest.fixture
def photos(rendered: DataSet) -> dict[str, bytes]:
    rows = rendered.rows[:12]
    return {f"images/{n}.jpg": row.path.read_bytes() for n, row in enumerate(rows)}


def bad_set(folder: Path, photos: dict[str, bytes]) -> Path:
    import cv2
    import numpy as np

    rows = [cells(n, **{"pm10": "", **BAD.get(n, ({}, ""))[0]}) for n in range(12)]
    rows[TWICE]["file"] = "images/0.jpg"
    present = {name: data for name, data in photos.items() if name != "images/7.jpg"}
    pixels = cv2.imdecode(np.frombuffer(present[f"images/{TOO_SMALL}.jpg"], np.uint8), 1)
    small = cv2.imencode(".jpg", cv2.resize(pixels, (200, 150)))[1].tobytes()
    content = {**present, f"images/{TOO_SMALL}.jpg": small, f"images/{NO_PHOTO}.jpg": b"no photo"}
    write_set(folder, rows, content)
    (folder / "images" / "nowhere.jpg").unlink()
    return folder


def checked(folder: Path, tmp_path: Path, **options: object) -> ValidatedDataSet:
    with DatasetsDatabase(tmp_path / "datasets.db") as database:
        return validated(folder, database, jobs=1, **options)  # type: ignore[arg-type]


def test_each_bad_row_is_set_apart_with_its_reason_and_the_others_are_used(
    tmp_path: Path, photos: dict[str, bytes]
) -> None:
    folder = bad_set(tmp_path / "set", photos)
    found = checked(folder, tmp_path)
    codes = {row.line - 2: row.code for row in found.quarantined}
    expected = {number: code for number, (_, code) in BAD.items()}
    assert codes.pop(NO_PHOTO) == "unsupported_media_type"
    assert codes == {**expected, TOO_SMALL: "too_small", TWICE: "file_twice"}
    assert [row.file for row in found.dataset.rows] == [f"images/{n}.jpg" for n in (0, 3, 6)]
    assert all(row.reason for row in found.quarantined)
    report = found.report()
    assert (report["n_rows"], report["n_kept"], report["n_quarantined"]) == (12, 3, 9)
    assert sum(report["quarantined_by_code"].values()) == 9
    json.dumps(report, allow_nan=False)


def test_the_quarantine_holds_rows_ready_to_be_put_back(
    tmp_path: Path, photos: dict[str, bytes]
) -> None:
    folder = bad_set(tmp_path / "set", photos)
    found = checked(folder, tmp_path)
    text = quarantine_csv(("hills", row) for row in found.quarantined)
    rows = list(csv.DictReader(io.StringIO(text)))
    with (folder / "labels.csv").open(newline="") as file:
        originals = list(csv.DictReader(file))
    assert len(rows) == 9
    for row in rows:
        original = originals[int(row["line"]) - 2]
        assert {column: row[column] for column in original} == original
        assert row["dataset"] == "hills"


def test_a_sound_set_is_used_as_it_is(tmp_path: Path, rendered: DataSet) -> None:
    card = (rendered.folder / "dataset.toml").read_text()
    assert "min_side" in card  # smaller than what the server takes, and accepted here
    found = checked(rendered.folder, tmp_path)
    assert found.quarantined == ()
    assert found.dataset == read_dataset(rendered.folder)


def test_a_label_may_be_kept_however_odd(tmp_path: Path, photos: dict[str, bytes]) -> None:
    folder = bad_set(tmp_path / "set", photos)
    found = checked(folder, tmp_path, keep=["above_pm10", "sentinel"])
    assert {"images/2.jpg", "images/4.jpg"} <= {row.file for row in found.dataset.rows}
    assert {"above_pm10", "sentinel"} <= {warned.code for warned in found.warnings}
    with pytest.raises(DataSetError, match="above_pm11"):
        checked(folder, tmp_path, keep=["above_pm11"])


@pytest.mark.parametrize("broken", ["card", "header", "no rows"])
def test_what_no_row_is_to_blame_for_is_an_error(tmp_path: Path, broken: str) -> None:
    folder = write_set(tmp_path / "set", [cells(0)])
    if broken == "card":
        (folder / "dataset.toml").write_text("name = 3")
    else:
        header, _ = (folder / "labels.csv").read_text().splitlines()
        text = header if broken == "no rows" else header.replace("site,", "place,")
        (folder / "labels.csv").write_text(text + "\n")
    with pytest.raises(DataSetError):
        checked(folder, tmp_path)


def test_a_row_with_too_few_cells_is_set_apart(tmp_path: Path, photos: dict[str, bytes]) -> None:
    folder = write_set(tmp_path / "set", [cells(0), cells(1)], photos)
    with (folder / "labels.csv").open("a") as file:
        file.write("images/2.jpg,hill_2\n")
    found = checked(folder, tmp_path)
    assert [(row.line, row.code) for row in found.quarantined] == [(4, "invalid_row")]
    assert len(found.dataset.rows) == 2


def test_the_command_reports_writes_and_says_so_by_its_status(
    tmp_path: Path, photos: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = bad_set(tmp_path / "set", photos)
    asked = ["validate", str(folder), "--quarantine", "q.csv", "--jobs", "1"]
    status, out, _ = run_pm25("data", *asked)
    assert status == 1
    assert "line 4, images/2.jpg: sentinel: PM2.5 is 985 ug m-3" in out
    assert "Two hills: 3 of 12 rows are used; quarantined:" in out
    assert len((tmp_path / "q.csv").read_text().splitlines()) == 10
    status, out, _ = run_pm25("data", *asked, "--json")
    assert status == 1
    assert json.loads(out)["n_kept"] == 3
    write_set(tmp_path / "sound", [cells(0), cells(1)], photos)
    assert run_pm25("data", "validate", str(tmp_path / "sound"), "--jobs", "1")[0] == 0
