"""The file: what a row holds and cannot hold, whose it is, and that what is forgotten is gone."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import struct
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import PM25Error
from features.metadata import PhotoMetadata
from features.meteorology import FAMILY as METEOROLOGY
from handlers import prediction_log
from handlers.account import Account
from handlers.prediction_log import NoRowError, PredictionLog
from handlers.prediction_writer import PredictionWriter
from handlers.predictor import Predictor
from handlers.service import reply
from handlers.tally import Tally
from handlers.trace import STAGES
from monitoring.forgetting import forget
from monitoring.prediction_history import PredictionHistory
from tests.logged_predictions import FEATURES, MORNING, prediction, rows
from training.package import ROOT

PLACE = {"lat": 6.251837, "lon": -75.563591}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.db"


def written(path: Path) -> bytes:
    """All bytes of the log and of what lies beside it."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


# ---- a row


def test_a_row_holds_what_was_answered(predictor: Predictor, photo: bytes, path: Path) -> None:
    account = Account(Tally("0.0.1"), PredictionWriter(path, Tally("0.0.1")))
    metadata = {**PLACE, "captured_at": "2026-03-01T08:30:00-05:00", "camera": "roof"}
    parts = {"image": photo, "metadata": {**metadata, "return": ["features"]}}
    (outcome,) = reply(predictor, parts, request_id="r-1").outcomes
    account.record(outcome, "r-1")
    assert account.writer and outcome.answer
    account.writer.close()
    with PredictionHistory(path) as history:
        (row,) = history.last(10)
    answer = outcome.answer
    assert (row.request_id, row.model_version, row.camera) == ("r-1", "0.0.1", "roof")
    assert (row.lat, row.lon) == (6.3, -75.6)
    assert row.pm25_estimate == answer["pm25_estimate"]
    assert {"level": 0.9, "lower": row.lower, "upper": row.upper} == answer["interval"]
    assert {"epistemic": row.epistemic, "aleatoric": row.aleatoric} == answer["uncertainty_parts"]
    assert row.issues == tuple(issue["code"] for issue in answer["quality"]["issues"])
    assert row.warnings == tuple(w["code"] for w in answer["applicability"]["warnings"])
    assert "unseen_camera" in row.warnings
    assert abs((datetime.now(UTC) - row.answered_at).total_seconds()) < 60
    *stages, total = row.times_us
    assert stages == [round(1e6 * outcome.trace.seconds[stage]) for stage in STAGES]
    assert 0 < sum(stages) < total == round(1e6 * outcome.seconds)
    assert row.feature_set == answer["feature_set"]
    assert set(row.feature_names) == set(answer["features"])
    for name, value in zip(row.feature_names, row.features, strict=True):
        seen = answer["features"][name]
        if name in METEOROLOGY.names:  # of the rounded place
            assert seen is None or abs(value - seen) < 0.15, name
        else:
            assert np.float32(np.nan if seen is None else seen) == pytest.approx(
                value, nan_ok=True
            ), name
    kept = written(path)
    assert photo[100:140] not in kept
    for digest in (hashlib.sha256(photo), hashlib.sha1(photo), hashlib.md5(photo)):
        assert digest.digest() not in kept and digest.hexdigest().encode() not in kept
    for value in PLACE.values():
        assert struct.pack(">d", value) not in kept and str(value).encode() not in kept
    assert b"2026-03-01" not in kept


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-0.049, 0.049), st.floats(-0.049, 0.049))
def test_a_row_tells_no_two_places_of_a_tenth_of_a_degree_apart(
    lat: float, lon: float, north: float, east: float
) -> None:
    lat, lon = round(lat, 1), round(lon, 1)
    near = min(max(lat + north, -90.0), 90.0), min(max(lon + east, -180.0), 180.0)
    rounded = [
        prediction_log.without_the_precise_place(
            prediction(metadata=PhotoMetadata(captured_at=MORNING, lat=a, lon=b)).trace
        )
        for a, b in ((lat, lon), near)
    ]
    assert repr(rounded[0]) == repr(rounded[1])
    assert rounded[0][0].keys() >= FEATURES.keys()


def test_the_table_itself_refuses_a_precise_place_and_an_impossible_interval(path: Path) -> None:
    with PredictionLog(path) as log:
        log.append([prediction(metadata=PhotoMetadata(lat=6.2, lon=-75.6))])
        for change in ("lat = 6.25", "lon = -75.5636", "lat = NULL", "lower = 41", "upper = 'x'"):
            with pytest.raises(sqlite3.IntegrityError):
                log.connection.execute(f"UPDATE predictions SET {change}")


def test_what_is_no_answer_is_no_row(path: Path) -> None:
    whole = prediction()
    broken = [
        prediction(estimate=float("nan")),
        prediction(estimate=1e3),
        replace(whole, answer={}),
        replace(whole, answer={**whole.answer, "model_version": None}),
        replace(whole, request_id=object()),  # type: ignore[arg-type]
    ]
    with PredictionLog(path) as log:
        for one in broken:
            with pytest.raises(NoRowError):
                log.append([whole, one])
        log.append([whole])
    assert rows(path) == 1


# ---- the file


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    path.touch()
    path.chmod(0o644)
    with PredictionLog(path) as log:
        log.append([prediction()])
        files = list(path.parent.glob(f"{path.name}*"))
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert log.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_of_newer_code_is_written_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two versions of the code serve side by side while one replaces the other."""
    added = ("9999_wind", ("ALTER TABLE predictions ADD COLUMN wind REAL",))
    with PredictionLog(path) as older:
        with monkeypatch.context() as patch:
            patch.setattr(prediction_log, "MIGRATIONS", (*prediction_log.MIGRATIONS, added))
            with PredictionLog(path) as newer:
                newer.append([prediction()])
        older.append([prediction()])
    with PredictionLog(path) as older:
        older.append([prediction()])
        names = {name for (name,) in older.connection.execute("SELECT name FROM migrations")}
        assert names == {"0001_predictions", "9999_wind"}
    with PredictionHistory(path) as history:
        assert len(history.last(10)) == 3


WRITE = """
import sys
from pathlib import Path
from handlers.prediction_log import PredictionLog
from tests.logged_predictions import prediction

first, number = int(sys.argv[2]), int(sys.argv[3])
with PredictionLog(Path(sys.argv[1]), patience=30) as log:
    for n in range(first, first + number):
        log.append([prediction(n)])
        print(n, flush=True)
"""


def writer(path: Path, first: int, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path), str(first), str(number)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_that_begin_at_once_fill_one_file(path: Path) -> None:
    processes = [writer(path, 1000 * n, 150) for n in range(3)]
    assert [len(process.communicate()[0].split()) for process in processes] == [150] * 3
    assert [process.returncode for process in processes] == [0] * 3
    with PredictionHistory(path) as history:
        assert len({row.request_id for row in history.last(1000)}) == history.count() == 450


def test_what_was_written_survives_a_kill_at_any_moment(path: Path) -> None:
    for turn in range(3):
        process = writer(path, 10_000 * turn, 5000)
        assert process.stdout
        told = [process.stdout.readline() for _ in range(40 + 25 * turn)]
        process.kill()
        told += process.stdout.readlines()
        process.wait()
        process.stdout.close()
        with PredictionHistory(path) as history:
            kept = {row.request_id for row in history.last(20_000)}
        assert {f"r-{line.strip()}" for line in told if line.endswith("\n")} <= kept
        assert rows(path) == len(kept)


# ---- reading


def test_history_is_read_by_number_version_and_time(path: Path) -> None:
    with PredictionLog(path) as log:
        log.append(
            [
                prediction(n, answered_at=MORNING + timedelta(hours=n), version=f"1.0.{n % 2}")
                for n in range(10)
            ]
        )
    with PredictionHistory(path) as history:
        assert [row.request_id for row in history.last(3)] == ["r-9", "r-8", "r-7"]
        of_one = history.last(2, model_version="1.0.0")
        assert [row.request_id for row in of_one] == ["r-8", "r-6"]
        between = history.between(MORNING + timedelta(hours=2), MORNING + timedelta(hours=4))
        assert [row.request_id for row in between] == ["r-2", "r-3"]
        assert between[0].answered_at == MORNING + timedelta(hours=2)
        assert history.count() == 10
        assert history.last(3, model_version="0.0.0") == []


def test_reading_needs_a_log(tmp_path: Path, path: Path) -> None:
    with pytest.raises(PM25Error, match="no prediction log"):
        PredictionHistory(path)
    path.write_bytes(b"no database" * 1000)
    with PredictionHistory(path) as history, pytest.raises(PM25Error, match="cannot be read"):
        history.last(1)


# ---- forgetting


def test_what_is_forgotten_is_nowhere_in_the_file(path: Path) -> None:
    old, young = MORNING, MORNING + timedelta(days=40)
    with PredictionLog(path) as log:
        for day, camera in ((old, "old-camera"), (young, "young-camera")):
            metadata = PhotoMetadata(camera=camera)
            log.append([prediction(answered_at=day, metadata=metadata) for _ in range(300)])
        assert b"old-camera" in written(path)
        done = forget(path, before=young)  # while a worker has it open
        assert done.rows == 300
        assert b"old-camera" not in written(path) and b"young-camera" in written(path)
        log.append([prediction()])
    assert rows(path) == 301
    assert done.bytes_after < 0.6 * done.bytes_before
    assert forget(path).rows == 301
    assert rows(path) == 0
    assert b"young-camera" not in written(path)


def test_forgetting_needs_a_log(path: Path) -> None:
    with pytest.raises(PM25Error) as caught:
        forget(path)
    assert caught.value.code == "no_log"
    assert not path.exists()
