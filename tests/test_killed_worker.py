"""`kill -9` of a worker under load: what is inside it fails, and nothing else.

Where there are two, the other one goes on answering.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest

from handlers.prediction_writer import SETTING
from lifecycle import edge as edges
from lifecycle import torchserve
from lifecycle.torchserve import Server
from monitoring.prediction_history import PredictionHistory
from tests.contract import assert_obeys
from tests.prometheus import wait_for
from tests.serving import JPEG, Client, edge_port, free_port, needs_nginx, worker_pids

pytestmark = pytest.mark.long
CLIENTS = 4
# workers: [s]. Three seconds are asked for, and two workers keep them, since the other one answers.
# A single one has to load its models first, 7.7 s on a busy machine: here it must only come back.
BACK_WITHIN = {1: 30.0, 2: 3.0}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "predictions.db"


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def loaded(request: pytest.FixtureRequest, archive: Path, log: Path) -> Iterator[Server]:
    port = free_port()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(SETTING, str(log))
            server = torchserve.start(archive, port, workers=request.param)
        wait_for(lambda: ready(server), request.param, 30.0)
        yield server
    finally:
        torchserve.stop(port)


def ready(server: Server) -> int:
    return [w["status"] for w in server.management.workers("0.0.1")].count("READY")


@dataclass
class Load:
    """Replies since the load began: when answered, which request; which statuses of failures."""

    answered: list[tuple[float, str]] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    def until(self, stop: Event, server: Server, photo: bytes) -> None:
        while not stop.is_set():
            status, _, content = Client(server.port).send(photo, JPEG)
            if status == 200:
                self.answered.append((time.monotonic(), str(content["request_id"])))
            else:
                self.failed.append(status)


def test_only_what_is_inside_a_killed_worker_fails(loaded: Server, log: Path, photo: bytes) -> None:
    workers = worker_pids(loaded)
    load, stop = Load(), Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(load.until, stop, loaded, photo) for _ in range(CLIENTS)]
        wait_for(lambda: len(load.answered), 20, 30.0)
        victim, killed = int(str(workers[0])), time.monotonic()
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: ready(loaded) * (victim not in worker_pids(loaded)), len(workers), 30.0)
        before = len(load.answered)
        wait_for(lambda: len(load.answered), before + 20, 30.0)
        stop.set()
        for client in clients:
            client.result()
    assert len(load.failed) <= 1, load.failed  # workers take one request at a time
    back = min(when for when, _ in load.answered if when > killed) - killed
    gap = max(
        later - earlier
        for (earlier, _), (later, _) in zip(load.answered, load.answered[1:], strict=False)
    )
    print(f"{len(workers)} workers: {len(load.failed)} failed; longest silence {gap:.2f} s")
    assert max(back, gap) <= BACK_WITHIN[len(workers)]
    assert len(worker_pids(loaded)) == len(workers)
    with closing(sqlite3.connect(log)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    asked = {request for _, request in load.answered}
    with PredictionHistory(log) as history:
        kept = lambda: {row.request_id for row in history.last(100_000)}  # noqa: E731
        wait_for(lambda: len(asked & kept()), len(asked), 10.0)
        lost = asked - kept()
    print(f"of {len(asked)} answers {len(lost)} are not in the log")
    assert not lost


def test_a_form_is_not_blamed_for_the_death_of_its_worker(loaded: Server, photo: bytes) -> None:
    needs_nginx()
    workers = [int(str(pid)) for pid in worker_pids(loaded)]
    port = edge_port(loaded.port)
    try:
        outside = Client(edges.start(loaded, port).port)
        for worker in workers:  # so that the form is inside one of them when they die
            os.kill(worker, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(outside.form, image=photo)
            time.sleep(1.0)
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            status, media_type, content = asked.result()
    finally:
        edges.stop(port)
    assert media_type == "application/problem+json"
    assert_obeys(content, "Problem")
    # The form died with its worker, or was still waiting for one.
    assert (status, content["code"]) in ((500, "internal_error"), (503, "unavailable"))
