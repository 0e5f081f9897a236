"""Registering a version from several real processes at once, and with an end at any moment."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from features.errors import DataSetError
from tests.data_stores import *  # noqa: F403
from tests.data_stores import cells, manager_of, objects_at, write_set
from training.data_versions.manifest import DatasetVersion
from training.dataset import read_dataset
from training.datasets_db import DatasetsDatabase
from training.meter import Meter

FIRST = DatasetVersion("hills", "1.0.0")
PROCESSES = 4
KILLS = 20
PHOTOS = 8
FORK = multiprocessing.get_context("fork")  # nothing to import anew, so a kill meets the work


def register(address: str, database: Path, folder: Path) -> None:
    with manager_of(address, database) as manager:
        manager.register(folder, FIRST)


def race(
    address: str, database: Path, folder: Path, start: Barrier, told: Queue[tuple[str, str]]
) -> None:
    with manager_of(address, database) as manager:
        start.wait(60)
        try:
            registered = manager.register(folder, FIRST)
            state = "created" if registered.created else "there"
            told.put((state, registered.manifest.content_hash))
        except DataSetError as error:
            told.put((error.code, ""))


@pytest.mark.parametrize("same", [True, False], ids=["same content", "other content"])
def test_of_several_registrations_of_one_version_one_wins(
    address: str, tmp_path: Path, same: bool
) -> None:
    start, told = FORK.Barrier(PROCESSES), FORK.Queue()
    processes = []
    for number in range(PROCESSES):
        rows = [cells(n, pm25="5" if same else f"{number}") for n in range(8)]
        folder = write_set(tmp_path / f"set_{number}", rows)
        database = tmp_path / f"{number % 2}.db"  # two machines, two processes on each
        processes.append(FORK.Process(target=race, args=(address, database, folder, start, told)))
    for process in processes:
        process.start()
    results = [told.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    states = sorted(state for state, _ in results)
    lost = "there" if same else "version_taken"
    assert states == sorted(["created", *[lost] * (PROCESSES - 1)])
    winner = next(content for state, content in results if state == "created")
    with manager_of(address, tmp_path / "0.db") as manager:
        assert manager.manifest(FIRST).content_hash == winner
        assert manager.verify(FIRST).damaged == ()
    manifests = {key: writings for key, writings in objects_at(address).items() if "1.0.0" in key}
    assert [len(writings) for writings in manifests.values()] == [1]


def remembered(database: Path) -> set[tuple[int, str]]:
    with DatasetsDatabase(database) as opened:
        return set(opened.connection.execute("SELECT inode, sha256 FROM file_hashes"))


def test_a_kill_at_any_moment_leaves_no_half_version_and_loses_no_work(
    address: str, tmp_path: Path
) -> None:
    """Each kill falls a random moment after a random step, of all that a registration takes."""
    content = {f"images/{n}.jpg": random.Random(n).randbytes(50_000) for n in range(PHOTOS)}
    folder = write_set(tmp_path / "set", [cells(n) for n in range(PHOTOS)], content)
    steps = FORK.Value("i", 0)
    in_its_own_process(count_steps, f"{address}/whole", tmp_path / "whole.db", folder, steps)
    n_keys = len(objects_at(f"{address}/whole"))
    assert n_keys == PHOTOS + 3
    drawn = random.Random(25)
    stopped_in_the_middle = 0
    for kill in range(KILLS):
        place, database = f"{address}/{kill}", tmp_path / f"{kill}.db"
        fate = drawn.randrange(steps.value + 1), drawn.uniform(0, 0.003)
        in_its_own_process(die_after, place, database, folder, *fate)
        uploaded, hashed = finished(place), remembered(database)
        stopped_in_the_middle += 0 < len(uploaded) < n_keys
        assert FIRST.key not in uploaded or len(uploaded) == n_keys, "half a version"
        in_its_own_process(register, place, database, folder)
        after = objects_at(place)
        assert {key: after[key] for key in uploaded} == uploaded, "uploaded twice"
        assert all(len(writings) == 1 for writings in after.values())
        assert hashed <= remembered(database), "hashed twice"
        assert len(after) == n_keys, "something half-written is left"
        with manager_of(place, database) as manager:
            assert manager.verify(FIRST).damaged == ()
    assert stopped_in_the_middle >= KILLS // 6


def pull_and_die_after(
    address: str, database: Path, folder: Path, step: int, seconds: float
) -> None:
    with manager_of(address, database, dying(step, seconds)) as manager:
        manager.pull(FIRST, folder)


def test_a_pull_that_was_killed_is_no_data_set_until_it_is_completed(
    address: str, tmp_path: Path
) -> None:
    content = {f"images/{n}.jpg": random.Random(n).randbytes(50_000) for n in range(PHOTOS)}
    folder = write_set(tmp_path / "set", [cells(n) for n in range(PHOTOS)], content)
    database = tmp_path / "datasets.db"
    register(address, database, folder)
    drawn = random.Random(25)
    for kill in range(5):
        pulled = tmp_path / f"pulled_{kill}"
        fate = drawn.randrange(1, PHOTOS + 2), drawn.uniform(0, 0.003)
        in_its_own_process(pull_and_die_after, address, database, pulled, *fate)
        present = [path for path in pulled.rglob("*") if path.is_file() and path.name[0] != "."]
        assert all(
            path.read_bytes() == (folder / path.relative_to(pulled)).read_bytes()
            for path in present
        )
        with manager_of(address, database) as manager:
            assert manager.pull(FIRST, pulled) == PHOTOS + 2 - len(present)
        assert len(read_dataset(pulled).rows) == PHOTOS


def in_its_own_process(work: Callable[..., None], *arguments: Any) -> None:
    process = FORK.Process(target=work, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)


def count_steps(address: str, database: Path, folder: Path, steps: Any) -> None:
    def counted(done: int) -> None:
        steps.value += done

    with manager_of(address, database, lambda what, total: nullcontext(counted)) as manager:
        manager.register(folder, FIRST)


def die_after(address: str, database: Path, folder: Path, step: int, seconds: float) -> None:
    """Register, and be killed `seconds` after the step of that number, whatever runs then."""
    if step == 0:
        die()
    with manager_of(address, database, dying(step, seconds)) as manager:
        manager.register(folder, FIRST)
    die()


def dying(step: int, seconds: float) -> Meter:
    """A meter that kills its own process `seconds` after the step of that number."""
    steps = itertools.count(1)

    def counted(done: int) -> None:
        if next(steps) == step:
            threading.Timer(seconds, die).start()

    return lambda what, total: nullcontext(counted)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def finished(address: str) -> dict[str, list[tuple[str, int]]]:
    """What a killed process has put into the store, without what it was still writing."""
    return {key: at for key, at in objects_at(address).items() if not key.startswith("incoming/")}
