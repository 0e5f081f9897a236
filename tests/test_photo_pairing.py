"""`pm25 data pair`: from a folder of photos to a data set that training reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from commands.main import cli
from features.errors import DataSetError
from tests.replaying_server import (
    MEDELLIN,
    NOW,
    FakeClock,
    ReplayingServer,
    Reply,
    siata_hours,
    siata_station,
)
from training.dataset import read_dataset
from training.ground_truth.siata import Siata
from training.pairing import PairingRule
from training.photo_pairing import Card, pair_photos

LAT, LON = MEDELLIN
CARD = Card("Balcony", "CC-BY-4.0", "A test", 60, site="balcony", camera="east", lat=LAT, lon=LON)
HOURS = "/geodata/geographJson/1/pm25/"


@pytest.fixture
def server() -> Iterator[ReplayingServer]:
    """Two stations, one of them near, each with the hours to 15, 16 and 17 local time."""
    with ReplayingServer() as server:
        stations = [siata_station(12, LAT + 0.005, LON), siata_station(30, LAT - 0.01, LON)]
        server.routes["/geodata/geodataJson/1/pm25_minio"] = [Reply({"features": stations})]
        for code, values in ((12, [10, None, 12]), (30, [20, 21, -9999])):
            hours = siata_hours(code, "2026-09-28 17:00:00", values)
            server.routes[f"{HOURS}{code}"] = [Reply(hours)]
        yield server


@pytest.fixture
def siata(server: ReplayingServer) -> Siata:
    return Siata(base_url=server.url, clock=FakeClock(NOW))


def photo(path: Path, grey: int, taken: str = "", place: tuple[float, float] | None = None) -> None:
    """A small JPEG; `taken` with its offset and `place` go into EXIF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if taken:
        when = datetime.fromisoformat(taken)
        exif[0x8769] = {0x9003: f"{when:%Y:%m:%d %H:%M:%S}", 0x9011: taken[-6:]}
    if place:
        lat, lon = place
        exif[0x8825] = {1: "N", 2: (lat, 0, 0), 3: "W", 4: (-lon, 0, 0)}
    Image.new("RGB", (96, 72), (grey, grey, grey)).save(path, exif=exif)


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def test_photos_become_a_data_set(tmp_path: Path, siata: Siata) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photo(photos / "a.jpg", 10, "2026-09-28T16:30:00-05:00")
    photo(photos / "b" / "c.JPG", 20, "2026-09-28T15:30:00-05:00")
    photo(photos / "d.jpg", 30, "2026-09-28T14:30:00-05:00", (7.0, -75.0))
    photo(photos / "e.jpg", 40)
    photo(photos / "f.jpg", 50, "2026-09-28T17:30:00-05:00")
    (photos / "g.jpg").write_bytes(b"<html>no photo</html>")
    (photos / "notes.txt").write_text("no photo")

    made = pair_photos(photos, out, siata, PairingRule(), CARD)
    assert made.paired == 2
    assert made.unpaired == {"no_sensor": 1, "time_unknown": 1, "no_hour": 1, "unreadable": 1}

    dataset = read_dataset(out)
    found = {row.file: row for row in dataset.rows}
    assert {file: row.pm25 for file, row in found.items()} == {
        "images/a.jpg": 12.0,
        "images/b/c.JPG": 21.0,  # the near station has a gap there
    }
    first = found["images/a.jpg"]
    assert (first.site, first.camera, first.pm25_quality) == ("balcony", "east", "A")
    assert first.session == "balcony-east-2026-09-28"
    assert first.path.read_bytes() == (photos / "a.jpg").read_bytes()

    pairing = {row["file"]: row for row in rows_of(out / "pairing.csv")}
    assert len(pairing) == 6
    assert pairing["images/b/c.JPG"]["sensor_ids"] == "30"
    assert float(pairing["images/a.jpg"]["distances_km"]) == pytest.approx(0.556, abs=0.001)
    assert "no sensor within 3 km" in pairing["images/d.jpg"]["detail"]
    assert pairing["images/g.jpg"]["reason"] == "unreadable"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_table_goes_before_exif(tmp_path: Path, siata: Siata) -> None:
    photos, times = tmp_path / "photos", tmp_path / "times.csv"
    photo(photos / "a.jpg", 10, "2026-09-28T16:30:00-05:00")
    photo(photos / "b.jpg", 20)
    times.write_text(
        "file,captured_at,site,camera,temperature_c,remark\n"
        "a.jpg,2026-09-28T14:59:59-05:00,roof,,21.5,not ours\n"
        "b.jpg,2026-09-28T21:59:59+00:00,,north,,\n"
    )
    pair_photos(photos, tmp_path / "out", siata, PairingRule("idw"), CARD, times=times)
    first, second = read_dataset(tmp_path / "out").rows
    assert 10.0 < (first.pm25 or 0) < 20.0
    assert (first.site, first.camera, first.metadata.temperature_c) == ("roof", "east", 21.5)
    assert (second.pm25, second.site, second.camera) == (12.0, "balcony", "north")
    assert second.metadata.captured_at == datetime(2026, 9, 28, 21, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("name\na.jpg\n", "no column `file`"),
        ("file\nz.jpg\n", "line 2: no photo 'z.jpg'"),
        ("file\na.jpg\na.jpg\n", "line 3: 'a.jpg' stands there twice"),
        ("file,captured_at\na.jpg,2026-09-28T16:30:00\n", "line 2: captured_at"),
        ("file,lat,lon\na.jpg,96,0\n", "line 2: lat"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, siata: Siata, table: str, what: str) -> None:
    photo(tmp_path / "photos" / "a.jpg", 10)
    (tmp_path / "times.csv").write_text(table)
    with pytest.raises(DataSetError, match=what) as caught:
        pair_photos(
            *(tmp_path / "photos", tmp_path / "out", siata, PairingRule(), CARD),
            times=tmp_path / "times.csv",
        )
    assert caught.value.code == "invalid_times"
    assert not (tmp_path / "out").exists()


def test_what_cannot_become_a_data_set_is_told_and_leaves_nothing(
    tmp_path: Path, siata: Siata
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    rule = PairingRule()
    with pytest.raises(DataSetError, match="holds no"):
        pair_photos(photos, out, siata, rule, CARD)
    photo(photos / "a.jpg", 10)
    with pytest.raises(DataSetError, match="1 × time_unknown"):
        pair_photos(photos, out, siata, rule, CARD)
    photo(photos / "a.jpg", 10, "2026-09-28T16:30:00-05:00")
    with pytest.raises(DataSetError, match="site"):
        pair_photos(photos, out, siata, rule, Card("n", "l", "s", 60, lat=LAT, lon=LON))
    assert list(tmp_path.iterdir()) == [photos]
    with pytest.raises(DataSetError, match="exists already"):
        pair_photos(photos, photos, siata, rule, CARD)


def test_only_the_sensors_and_hours_that_are_needed_are_asked_for(
    tmp_path: Path, server: ReplayingServer, siata: Siata
) -> None:
    for minute in range(5):
        taken = f"2026-09-28T16:{minute:02d}:00-05:00"
        photo(tmp_path / "photos" / f"{minute}.jpg", 10 * minute, taken)
    pair_photos(tmp_path / "photos", tmp_path / "out", siata, PairingRule(), CARD)
    assert server.count(f"{HOURS}12") == 1
    assert server.count(f"{HOURS}30") == 0


def test_the_command_pairs_with_a_frozen_file(tmp_path: Path) -> None:
    data = [{"variableConsulta": "pm25", "fecha": "2019-03-01 08:00:00", "valor": 33.0}]
    station = {"codigoSerial": 3, "nombre": "Centro", "latitud": LAT, "longitud": LON}
    (tmp_path / "siata.json").write_text(json.dumps([station | {"datos": data}]))
    photo(tmp_path / "photos" / "a.jpg", 10, "2019-03-01T07:30:00-05:00")
    photo(tmp_path / "photos" / "b.jpg", 20)
    arguments = [
        *("data", "pair", str(tmp_path / "photos"), "--out", str(tmp_path / "out")),
        *("--source", "siata_legacy", "--address", str(tmp_path / "siata.json")),
        *("--licence", "CC0-1.0", "--site", "roof", "--lat", str(LAT), "--lon", str(LON)),
        *("--min-side", "60"),
    ]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "1 photos with a label" in result.stdout
    assert "(time_unknown)" in result.stdout
    assert [row.pm25 for row in read_dataset(tmp_path / "out").rows] == [33.0]
    arguments[4] = str(tmp_path / "again")
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert json.loads(result.stdout.splitlines()[-1])["unpaired"] == {"time_unknown": 1}
