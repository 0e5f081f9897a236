"""Killed at any point and started again, a collection is the one that was never killed.

The child process of each round ends itself with SIGKILL after a random number of lines of the code
that collects; the next process finishes the round at the same clock time. Whatever it was doing,
the folder ends up byte for byte as that of a collection without kills, and the camera and the
stations were asked at most once more a kill.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from tests.balcony import *  # noqa: F403
from tests.balcony import (
    CAMERA,
    MORNING,
    NEAR,
    STATIONS,
    World,
    assert_labels_are_true,
    picture,
    rounds,
)
from tests.replaying_server import FakeClock
from training import collection as code
from training import dataset_folder
from training.collection.collector import collect_once
from training.collection.configuration import Collection, read_configuration
from training.dataset import read_dataset
from training.ground_truth.clock import Clock
from training.ground_truth.siata import Siata

KILLS = 20
WATCHED = (str(Path(code.__file__).parent), dataset_folder.__file__)


def counting_lines(at_line: Callable[[], None]) -> Callable[[FrameType, str, Any], Any]:
    """A trace function that calls `at_line` before each line of the code that collects."""

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(WATCHED):
            return None
        if event == "line":
            at_line()
        return trace

    return trace


def one_round(collection: Collection, world: World, at_line: Callable[[], None]) -> None:
    sys.settrace(counting_lines(at_line))
    try:
        collect_once(collection, world.siata(), world.clock)
    finally:
        sys.settrace(None)


def killed_after(lines: int, collection: Collection, world: World) -> None:
    """Run a round in a child process that ends itself after so many lines."""
    child = os.fork()
    if child == 0:
        left = lines

        def at_line() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            one_round(collection, world, at_line)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def content(folder: Path) -> dict[str, bytes]:
    """Every file of the data set but the journal and the lock, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(("collection.db", ".collection.lock"))
    }


def test_kills_at_twenty_random_points_leave_no_trace(collection: Collection, world: World) -> None:
    undisturbed = replace(collection, folder=collection.folder.parent / "undisturbed")
    lengths = []
    for _ in range(KILLS):
        lines = 0

        def count() -> None:
            nonlocal lines
            lines += 1

        one_round(undisturbed, world, count)
        lengths.append(lines)
        world.clock.pass_by(minutes=15)
    asked = {path: world.server.count(path) for path in (CAMERA, NEAR, STATIONS)}
    world.server.asked.clear()

    rng = random.Random(25)
    world.clock = FakeClock(MORNING)
    for length in lengths:
        killed_after(rng.randrange(length), collection, world)
        collect_once(collection, world.siata(), world.clock)
        world.clock.pass_by(minutes=15)

    assert content(collection.folder) == content(undisturbed.folder)
    assert len(read_dataset(collection.folder).rows) == KILLS
    assert_labels_are_true(collection)
    for path, times in asked.items():
        assert times <= world.server.count(path) <= times + KILLS
    assert world.server.count(CAMERA) < 2 * KILLS, "a frame that was whole is not taken again"


def test_a_frame_that_is_on_the_disk_is_not_asked_for_again(
    collection: Collection, world: World
) -> None:
    """Killed right after the file has appeared, before anything says so."""

    def kill_when_there() -> None:
        if list(collection.folder.glob("images/*/*.jpg")):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        one_round(collection, world, kill_when_there)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert world.server.count(CAMERA) == 1
    rounds(collection, world, 1, minutes=15)
    assert world.server.count(CAMERA) == 1
    assert len(read_dataset(collection.folder).rows) == 1


def test_a_stump_of_a_file_is_not_part_of_the_data_set(
    collection: Collection, world: World
) -> None:
    """Killed while the picture was being written."""

    def kill_when_half() -> None:
        if list(collection.folder.glob("images/*/.*.part")):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        one_round(collection, world, kill_when_half)
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert list(collection.folder.rglob("*.part"))
    world.clock.pass_by(minutes=15)  # another file name
    rounds(collection, world, 1, minutes=15)
    assert len(read_dataset(collection.folder).rows) == 1
    assert not list(collection.folder.rglob("*.part"))


LOOP = """
import sys
from pathlib import Path
from training.collection.collector import collect_once
from training.collection.configuration import read_configuration
from training.ground_truth.clock import Clock
from training.ground_truth.siata import Siata
collection = read_configuration(Path(sys.argv[1]))
source = Siata(base_url=collection.source_address)
print("ready", flush=True)
while True:
    collect_once(collection, source, Clock())
"""


def test_a_kill_in_the_middle_of_a_disk_write_leaves_a_whole_journal(
    collection: Collection, world: World, tmp_path: Path
) -> None:
    """By the clock instead of by the line: SQLite is at work in most of a round's time."""
    for n in range(40):  # frames for a folder camera, all of which are new
        moment = MORNING - timedelta(days=30) + timedelta(minutes=15 * n)
        path = tmp_path / "frames" / f"{n:03d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(moment))
        os.utime(path, (moment.timestamp(), moment.timestamp()))
    (tmp_path / "collect.toml").write_text(
        '[dataset]\nfolder = "balcony"\nname = "B"\nlicence = "CC0-1.0"\nmin_side = 60\n'
        f'[place]\nsite = "s"\nlat = {collection.lat}\nlon = {collection.lon}\n'
        'timezone = "America/Bogota"\n[camera]\nname = "east"\nfolder = "frames"\n'
        f'[labels]\nsource = "siata"\naddress = "{world.server.url}"\n'
    )
    rng = random.Random(4)
    for _ in range(2):
        arguments = [sys.executable, "-c", LOOP, str(tmp_path / "collect.toml")]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            time.sleep(rng.uniform(0.01, 0.12))
            process.send_signal(signal.SIGKILL)
    finished = read_configuration(tmp_path / "collect.toml")
    collect_once(finished, Siata(base_url=world.server.url), Clock())
    rows = read_dataset(tmp_path / "balcony").rows
    assert len(rows) == len({row.sha256 for row in rows}) == 40
    assert len(content(tmp_path / "balcony")) == 40 + 3
