"""What is served is what was measured: the same features and estimates, alone and in a batch."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from handlers.estimator import PM25Estimator
from handlers.predictor import Predictor
from tests.serving import JPEG, JSON, METADATA, TRAINING_LIBRARIES, Client, as_text, jpeg
from training.archive import RunningArchive

WEATHER = {"temperature_c": 21.5, "relative_humidity_pct": 64.0, "wind_speed_ms": 1.5}
Asked = tuple[bytes, dict[str, object]]


@pytest.fixture(scope="module")
def running(archive: Path) -> Iterator[RunningArchive]:
    """The archive with its own code and no server, as `pm25 evaluate` runs it."""
    with RunningArchive(archive) as process:
        yield process


@pytest.fixture(scope="module")
def asked(estimator: PM25Estimator) -> list[Asked]:
    """Three photos: one with nothing known, one with place and weather, one of a known camera."""
    camera = sorted(estimator.cameras)[0]
    return [
        (jpeg(15.0), {}),
        (jpeg(40.0), {**METADATA, **WEATHER}),
        (jpeg(90.0), {**METADATA, "camera": camera}),
    ]


def offline(running: RunningArchive, asked: list[Asked], folder: Path) -> list[dict[str, Any]]:
    requests = []
    for i, (data, metadata) in enumerate(asked):
        (folder / f"{i}.jpg").write_bytes(data)
        photo = str(folder / f"{i}.jpg")
        requests.append({"photo": photo, "metadata": metadata, "return": ["features"]})
    return [reply["answer"] for reply in running.answers(requests)]


def as_request(data: bytes, metadata: dict[str, object]) -> bytes:
    wanted = {**metadata, "return": ["features"]}
    return json.dumps({"photo": as_text(data), "metadata": wanted}).encode()


def assert_same(served: dict[str, Any], expected: dict[str, Any]) -> None:
    names = list(expected["features"])
    assert list(served["features"]) == names
    assert [served["features"][name] for name in names] == [
        value if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)
        for value in expected["features"].values()
    ]
    for name in ("pm25_estimate", "uncertainty", "confidence"):
        assert served[name] == pytest.approx(expected[name], rel=1e-5), name
    for name in ("interval", "uncertainty_parts"):
        assert served[name] == pytest.approx(expected[name], rel=1e-5), name
    for name in ("quality", "camera_reference", "feature_set", "dataset_hash", "model_version"):
        assert served[name] == expected[name], name
    assert [w["code"] for w in served["applicability"]["warnings"]] == [
        w["code"] for w in expected["applicability"]["warnings"]
    ]


def test_a_lone_photo_is_answered_as_it_is_without_a_server(
    client: Client,
    running: RunningArchive,
    predictor: Predictor,
    asked: list[Asked],
    tmp_path: Path,
) -> None:
    measured = offline(running, asked, tmp_path)
    for (data, metadata), expected in zip(asked, measured, strict=True):
        assert_same(predictor.answer(data, metadata, include=["features"]), expected)
        status, _, served = client.send(as_request(data, metadata), JSON)
        assert status == 200
        assert_same(served, expected)
    known = [answer["camera_reference"] is not None for answer in measured]
    assert known == [False, False, True]  # both sets of models have been asked


def test_a_batch_is_answered_as_its_photos_are_alone_and_a_bad_one_fails_alone(
    client: Client,
    watched: str,
    running: RunningArchive,
    asked: list[Asked],
    tmp_path: Path,
) -> None:
    bodies = [(as_request(data, metadata), JSON) for data, metadata in asked]
    bodies.insert(1, (b"this is no photo", JPEG))
    replies: dict[int, tuple[int, Message, dict[str, Any]]] = {}
    together = threading.Barrier(len(bodies))

    def ask(i: int) -> None:
        together.wait()
        replies[i] = client.exchange(*bodies[i], watched)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [replies[i][1]["X-Batch"] for i in range(4)] == ["4"] * 4
    assert [replies[i][0] for i in range(4)] == [200, 415, 200, 200]
    problem = replies[1][2]
    assert problem["code"] and problem["detail"] and problem["how_to_fix"]
    measured = offline(running, asked, tmp_path)
    for i, expected in zip((0, 2, 3), measured, strict=True):
        assert_same(replies[i][2], expected)


def test_the_serving_path_unpickles_nothing_and_loads_no_training_library(
    client: Client, watched: str, asked: list[Asked]
) -> None:
    """Told by the worker itself: from its entry's first import, through loading, to the answer."""
    status, told, _ = client.exchange(as_request(*asked[-1]), JSON, watched)
    assert status == 200
    assert told["X-Unpickled"] == ""
    modules = set(told["X-Modules"].split(","))
    assert {"torch", "handlers.predictor"} <= modules
    assert not modules & {*TRAINING_LIBRARIES, "training"}


def test_without_a_server_no_training_library_is_loaded_either(
    archive: Path, predictor: Predictor, asked: list[Asked], tmp_path: Path
) -> None:
    """By a fresh process that imports both entries and answers; every library is installed here."""
    (tmp_path / "photo.jpg").write_bytes(asked[0][0])
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    program = """
import io, json, sys
from pathlib import Path
import pm25_handler
from handlers import offline
lines = io.StringIO(json.dumps({"photo": "photo.jpg"}))
offline.serve(offline.Predictor.load(Path("artifact")), lines, sys.stdout)
print(*sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    reply, modules = ran.stdout.splitlines()
    expected = predictor.answer(asked[0][0])["pm25_estimate"]
    assert json.loads(reply)["answer"]["pm25_estimate"] == pytest.approx(expected, rel=1e-9)
    assert not {*modules.split()} & {*TRAINING_LIBRARIES, "training"}
