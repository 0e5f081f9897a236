"""A real Dask cluster on loopback: a scheduler and workers, each a process, ended by its id."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
_DASK = [sys.executable, "-m", "dask"]
_HERE = ["--host", "127.0.0.1", "--no-dashboard"]


@dataclass
class LocalCluster:
    """Its scheduler's address, and its workers as processes, to be killed as a test likes."""

    address: str
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_worker(self) -> subprocess.Popen[bytes]:
        """One process of one thread, without a nurse that would start it again."""
        options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder)]
        worker = _started(["worker", self.address, *_HERE, *options], self.folder)
        self.workers.append(worker)
        return worker


@contextmanager
def dask_cluster(folder: Path, workers: int) -> Iterator[LocalCluster]:
    """A cluster that keeps its files and logs in `folder`, and is gone at the end."""
    told = folder / "scheduler.json"
    options = ["--port", "0", "--scheduler-file", str(told)]
    scheduler = _started(["scheduler", *_HERE, *options], folder)
    cluster = LocalCluster("", folder)
    try:
        wait_until(lambda: told.exists() and told.read_text().endswith("}"))
        cluster.address = json.loads(told.read_text())["address"]
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        for process in (*cluster.workers, scheduler):
            process.kill()
            process.wait()


def _started(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{arguments[0]}.log").open("ab") as log:
        return subprocess.Popen([*_DASK, *arguments], cwd=REPOSITORY, stdout=log, stderr=log)


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Call `condition` until it is true; fails after some time."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it never came to be"
        time.sleep(0.01)
