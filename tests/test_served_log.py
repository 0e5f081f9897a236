"""Two workers of a real server write one log: through faults, the death of a worker, a restart."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from handlers.prediction_writer import SETTING
from lifecycle import torchserve
from lifecycle.torchserve import Server
from monitoring.prediction_history import PredictionHistory
from tests.logged_predictions import rows
from tests.prometheus import value, wait_for
from tests.serving import JPEG, JSON, METADATA, Client, as_text, free_port, worker_pids

FAILURES = "pm25_prediction_log_failures_total"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "predictions.db"


def start(archive: Path, port: int, log: Path) -> Server:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SETTING, str(log))
        return torchserve.start(archive, port, workers=2)


@pytest.fixture(scope="module")
def two_workers(archive: Path, path: Path) -> Iterator[Server]:
    port = free_port()
    try:
        server = start(archive, port, path)
        wait_for_workers(server)
        yield server
    finally:
        torchserve.stop(port)


def wait_for_workers(server: Server, patience: float = 120.0) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if [w["status"] for w in server.management.workers("0.0.1")] == ["READY"] * 2:
            return
        time.sleep(0.1)
    raise AssertionError("no two workers")


def ask(server: Server, photo: bytes, times: int = 6) -> set[str]:
    """The requests that were answered, asked two at a time; all of them are."""
    body = json.dumps({"photo": as_text(photo), "metadata": {**METADATA, "camera": "roof"}})

    def one(number: int) -> str:
        status, _, content = Client(server.port).send(body.encode(), JSON)
        assert status == 200, content
        return str(content["request_id"])

    with ThreadPoolExecutor(2) as pool:
        return set(pool.map(one, range(times)))


def logged(path: Path, least: int) -> set[str | None]:
    """The requests in the log, once there are so many."""
    with PredictionHistory(path) as history:
        wait_for(history.count, least)
        return {row.request_id for row in history.last(10_000)}


def test_both_workers_write_every_answer_and_no_refusal(
    two_workers: Server, path: Path, photo: bytes
) -> None:
    asked = ask(two_workers, photo, 20)
    assert Client(two_workers.port).send(b"no photo", JPEG)[0] == 415
    assert logged(path, 20) == asked
    assert wait_for(lambda: value(two_workers, "pm25_prediction_log_rows_total"), 20) == 20
    with PredictionHistory(path) as history:
        (row, *_) = history.last(1)
    assert (row.camera, row.lat, row.lon) == ("roof", 6.3, -75.6)
    open_in = [
        pid
        for pid in worker_pids(two_workers)
        if any(link.readlink() == path for link in Path(f"/proc/{pid}/fd").iterdir())
    ]
    assert len(open_in) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_locked_log_holds_up_no_answer(two_workers: Server, path: Path, photo: bytes) -> None:
    before = logged(path, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        asked = ask(two_workers, photo)
        assert wait_for(lambda: value(two_workers, FAILURES, reason="locked"), 1) >= 1
        other.execute("ROLLBACK")
    assert logged(path, len(before | asked)) == before | asked


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux limits another process")
def test_a_full_disk_holds_up_no_answer(two_workers: Server, path: Path, photo: bytes) -> None:
    before = logged(path, 1)
    pids = [int(str(pid)) for pid in worker_pids(two_workers)]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    asked = ask(two_workers, photo)
    assert wait_for(lambda: value(two_workers, FAILURES, reason="io_error"), 1) >= 1
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert logged(path, len(before | asked)) == before | asked
    assert value(two_workers, "pm25_prediction_log_dropped_total") == 0
    assert {int(str(pid)) for pid in worker_pids(two_workers)} == set(pids)


def test_a_killed_worker_leaves_a_whole_log_that_its_successor_goes_on_with(
    two_workers: Server, path: Path, photo: bytes
) -> None:
    before = logged(path, 1)
    asked = ask(two_workers, photo)
    wait_for(lambda: len(logged(path, 1)), len(before | asked))
    victim = int(str(worker_pids(two_workers)[0]))
    os.kill(victim, signal.SIGKILL)
    assert rows(path) == len(before | asked)
    wait_for(lambda: victim not in worker_pids(two_workers), True)
    wait_for_workers(two_workers)
    asked |= ask(two_workers, photo)
    assert logged(path, len(before | asked)) == before | asked


@pytest.mark.long
def test_a_restart_appends(two_workers: Server, archive: Path, path: Path, photo: bytes) -> None:
    """Runs last: it stops the server."""
    before = logged(path, 1)
    asked = ask(two_workers, photo, 4)
    torchserve.stop(two_workers.port)
    assert logged(path, 1) == before | asked  # the workers were killed, and had written
    again = ask(start(archive, two_workers.port, path), photo, 4)
    assert logged(path, len(before | asked | again)) == before | asked | again
    assert rows(path) == len(before | asked | again)
