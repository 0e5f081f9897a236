"""PM25Vision, TRAQID and HVAQ in the layouts that their importers state (2021 to 2026)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from tests.published import write_lines, write_photo
from training.dataset import read_dataset
from training.importers.hvaq import HVAQ
from training.importers.imported_folder import import_photos
from training.importers.pm25vision import PM25VISION
from training.importers.traqid import TRAQID


def test_a_daily_index_becomes_a_converted_label(tmp_path: Path) -> None:
    hub, out = tmp_path / "hub", tmp_path / "out"
    write_lines(
        hub / "train" / "metadata.csv",
        "filename,pm25,station_id,captured_at,lat,lon",
        *("a.jpg,50,77,2021-05-01T10:00:00,6.2,-75.5", "b.jpg,100,77,2021-05-01,6.2,-75.5"),
        *("c.jpg,501,77,,,", "d.jpg,20,,,,"),
    )
    write_lines(hub / "test" / "metadata.csv", "filename,pm25,lat,lon", "a.jpg,25,6.251,-75.561")
    for part, name in (("train", "a"), ("train", "b"), ("test", "a")):
        write_photo(hub / part / "images" / f"{name}.jpg")
    made = import_photos(PM25VISION, hub, out, progress=False)
    rows = {row.file: row for row in read_dataset(out).rows}
    assert made.left_out == {"index_out_of_range": 1, "place_unknown": 1}
    assert [rows[f"images/{n}"].pm25 for n in ("train_a.jpg", "train_b.jpg", "test_a.jpg")] == [
        *(12.0, 35.4, 6.0),
    ]
    assert {row.pm25_quality for row in rows.values()} == {"C"}
    assert rows["images/train_a.jpg"].session == rows["images/train_b.jpg"].session
    assert rows["images/train_b.jpg"].metadata.captured_at is None
    assert rows["images/test_a.jpg"].site == "at_6.25_-75.56"


def test_both_views_of_a_moment_have_its_label(tmp_path: Path) -> None:
    folder, out = tmp_path / "TRAQID", tmp_path / "out"
    write_lines(
        folder / "TRAQID.csv",
        "Image,created_at,Sequence,PM2.5,PM10,AQI,Temperature,Humidity",
        *("1,2023-01-05 09:00:00,1,41.5,60,90,25.5,60", "2,2023-01-05 09:00:05,1,,60,90,25,60"),
        *("3,2023-01-05 09:00:10,1,40,60,90,25,60", "4,yesterday,1,40,60,90,25,60"),
        "5,2023-01-05 09:00:10,1,40,60,90,25,60",
    )
    for day, name in (("1", "1"), ("1", "2"), ("1", "4"), ("1", "5"), ("2", "5")):
        for view in ("Front", "Rear"):
            write_photo(folder / "Images" / day / view / f"{name}.jpg")
    made = import_photos(TRAQID, folder, out, progress=False)
    rows = read_dataset(out).rows
    reasons = ("label_missing", "time_unknown", "photo_missing", "photo_ambiguous")
    assert made.left_out == dict.fromkeys(reasons, 1)
    assert sorted(row.file for row in rows) == ["images/1_front_1.jpg", "images/1_rear_1.jpg"]
    assert {(row.pm25, row.pm10, row.session) for row in rows} == {(41.5, 60.0, "hyderabad_1_1")}
    assert rows[0].metadata.temperature_c == 25.5
    assert str(rows[0].metadata.captured_at) == "2023-01-05 09:00:00+05:30"


def test_a_view_from_above_has_the_median_of_the_sensors(tmp_path: Path) -> None:
    folder, out = tmp_path / "HVAQ", tmp_path / "out"
    start = datetime(2019, 10, 19, 10, 6)
    for number, level in ((1, 50.0), (2, 60.0), (3, 400.0)):
        times = [start + timedelta(seconds=10 * n) for n in range(12)]
        lines = [f"{level + n},{level + 20},{t},21.9,55.6" for n, t in enumerate(times)]
        header = "pm2.5,pm10,time,temperature,humidity"
        write_lines(folder / "10_19_data" / f"location{number}.csv", header, *lines)
    images = folder / "10_19_data" / "images"
    for name in ("2019-10-19_10-07-00.jpg", "20191019_120000.jpg", "somewhere.jpg"):
        write_photo(images / name)
    made = import_photos(HVAQ, folder, out, progress=False)
    (row,) = read_dataset(out).rows
    assert made.left_out == {"label_missing": 1, "time_unknown": 1}
    # Rows 3 to 9 lie within 30 s of 10:07:00: each sensor's mean is its level + 6.
    assert (row.pm25, row.pm10) == (66.0, 80.0)
    assert (row.metadata.temperature_c, row.metadata.relative_humidity_pct) == (21.9, 55.6)
