"""Answers go on whatever becomes of the log: each fault is a real one, counted, and survived."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.errors import PM25Error
from handlers import prediction_writer
from handlers.prediction_log import PredictionLog
from handlers.prediction_writer import KEEP_SETTING, OFF, SETTING, PredictionWriter
from handlers.tally import Tally
from tests.logged_predictions import Counts, prediction, rows
from training.package import ROOT

# So many of some hundred rows may be held up by other programs of a busy machine. Rows that waited
# for the file would all be.
HELD_UP = 20


class Log:
    """A writer on a file, and what it has counted."""

    def __init__(self, path: Path, keep_days: float = 90.0) -> None:
        self.path = path
        tally = Tally("1.2.3")
        self.counts = Counts(tally)
        self.writer = PredictionWriter(path, tally, keep_days=keep_days)
        self.waited = 0

    def put(self, number: int) -> None:
        """Hand rows over, and count which took as long as waiting for the file would take them."""
        for n in range(number):
            start = time.perf_counter()
            self.writer.put(prediction(n))
            self.waited += time.perf_counter() - start >= prediction_writer.PATIENCE

    def wait(self, name: str, least: int = 1) -> Counts:
        """The counts, once this one has come so far."""
        deadline = time.monotonic() + 60
        while self.counts.read()[name] < least and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.counts[name] >= least, self.counts
        return self.counts


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults are mended within seconds, here within a twentieth of one."""
    monkeypatch.setattr(prediction_writer, "RETRY", 0.05)
    monkeypatch.setattr(prediction_writer, "PATIENCE", 0.05)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    made = Log(tmp_path / "predictions.db")
    yield made
    made.writer.close()


def test_rows_are_written_at_once(log: Log) -> None:
    """Not when a batch is full or the process ends: TorchServe kills its workers."""
    log.put(1)
    log.wait("rows")
    assert rows(log.path) == 1
    log.put(250)
    log.wait("rows", 251)
    assert log.counts["failures other"] == log.counts["dropped"] == 0
    assert rows(log.path) == 251


def test_what_waits_is_written_at_the_end(log: Log) -> None:
    log.put(400)
    log.writer.close()
    assert rows(log.path) == 400


def test_a_locked_file_is_waited_for(log: Log) -> None:
    log.put(1)
    log.wait("rows")
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        log.put(200)
        log.wait("failures locked", 2)
        assert log.counts["dropped"] == 0
        other.execute("ROLLBACK")
    log.wait("rows", 201)
    assert rows(log.path) == 201
    assert log.waited < HELD_UP


def test_a_full_queue_drops_and_never_waits(log: Log) -> None:
    log.put(1)
    log.wait("rows")
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        log.put(prediction_writer.QUEUE + prediction_writer.BATCH + 200)
        log.wait("dropped", 200)
        log.wait("failures locked")
    log.wait("rows", prediction_writer.QUEUE)
    waited = log.counts["rows"] + log.counts["dropped"]
    assert waited == prediction_writer.QUEUE + prediction_writer.BATCH + 201
    assert rows(log.path) == log.counts["rows"]
    assert log.waited < HELD_UP


def test_a_folder_that_is_missing_is_waited_for(tmp_path: Path) -> None:
    log = Log(tmp_path / "disk" / "predictions.db")
    log.put(5)
    log.wait("failures no_folder", 2)
    assert not log.path.parent.exists()  # it may be where a disk is to be mounted
    log.path.parent.mkdir()
    log.wait("rows", 5)
    log.writer.close()
    assert rows(log.path) == 5


def test_a_file_that_was_taken_away_is_made_anew(log: Log, tmp_path: Path) -> None:
    log.put(3)
    log.wait("rows", 3)
    for file in tmp_path.iterdir():
        file.rename(tmp_path / f"old-{file.name}")
    log.put(2)
    log.wait("rows", 5)
    assert rows(log.path) == 2
    assert rows(tmp_path / "old-predictions.db") == 3


def test_a_damaged_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    path.write_bytes(b"this was a database" * 500)
    log = Log(path)
    log.put(4)
    log.wait("failures damaged", 2)
    assert path.read_bytes() == b"this was a database" * 500
    path.rename(tmp_path / "damaged")
    log.wait("rows", 4)
    log.writer.close()
    assert rows(path) == 4


def test_an_answer_that_is_no_row_is_lost_alone(log: Log) -> None:
    for n in range(30):
        one = prediction(n)
        log.writer.put(one if n % 10 else replace(one, answer={**one.answer, "interval": None}))
    log.wait("dropped", 3)
    log.wait("rows", 27)
    assert rows(log.path) == 27
    assert not [name for name in log.counts if name.startswith("failures") and log.counts[name]]


def test_rows_that_are_too_old_are_deleted(tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    now = datetime.now(UTC)
    ages = [0.5, 29.0, *(30.5 + n / 1000 for n in range(1200))]
    with PredictionLog(path) as file:
        file.append([prediction(answered_at=now - timedelta(days=age)) for age in ages])
    log = Log(path, keep_days=30.0)  # without a single answer
    deadline = time.monotonic() + 60
    while rows(path) > 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    log.writer.close()
    assert rows(path) == 2


# ---- a full disk, and a file that may not be written


def in_a_child(act: Callable[[], None]) -> None:
    """Do `act` in a process of its own, and pass its failure on."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            act()
            status = 0
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_limit_on_the_file_s_size_is_survived(tmp_path: Path) -> None:
    def act() -> None:
        log = Log(tmp_path / "predictions.db")
        log.put(10)
        log.wait("rows", 10)
        size = max(file.stat().st_size for file in tmp_path.iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, resource.RLIM_INFINITY))
        log.put(400)
        log.wait("failures io_error", 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        log.wait("rows", 410)
        log.writer.close()
        assert log.counts["dropped"] == 0

    in_a_child(act)
    assert rows(tmp_path / "predictions.db") == 410


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    mount = shutil.which("mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_survived(tiny_disk: Path) -> None:
    log = Log(tiny_disk / "predictions.db")
    log.put(10)
    log.wait("rows", 10)
    ballast = tiny_disk / "ballast"
    with suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    log.put(400)
    log.wait("failures disk_full", 2)
    assert log.counts["dropped"] == 0 and log.waited < HELD_UP
    ballast.unlink()
    log.wait("rows", 410)
    log.writer.close()
    assert rows(log.path) == 410


def test_a_file_that_may_not_be_written_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    with PredictionLog(path) as file:
        file.append([prediction()])
    path.chmod(0o400)

    def act() -> None:
        for folder in (tmp_path, *tmp_path.parents):
            with suppress(PermissionError):
                folder.chmod(folder.stat().st_mode | 0o111)
        if os.geteuid() == 0:  # whom no mode stops
            os.setuid(65534)
        log = Log(path)
        log.put(200)
        log.wait("failures read_only", 2)
        assert log.waited < HELD_UP

    in_a_child(act)
    assert rows(path) == 1


# ---- the end of a worker, and its settings

WORKER = """
import sys, time
from types import SimpleNamespace
from handlers.account import Account
from tests.logged_predictions import prediction

def tell(metric, amount, labels):
    sys.stdout.write(f"{metric.name} {amount} {labels}\\n")  # one write: two threads tell

account = Account.opened("1.2.3", tell)
for n in range(300):
    one = prediction(n)
    outcome = SimpleNamespace(answer=one.answer, seconds=one.seconds, trace=one.trace)
    account.record(outcome, one.request_id)
sys.stdout.write("answered\\n")
sys.stdout.flush()
time.sleep(60)
"""


def test_a_worker_that_is_asked_to_end_writes_and_reports_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER],
        cwd=ROOT,
        env={**os.environ, SETTING: str(path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout
    told_before = []
    for line in worker.stdout:  # ends with the worker, should it never say so
        if line == "answered\n":
            break
        told_before.append(line)
    worker.send_signal(signal.SIGTERM)
    told_after = worker.stdout.read().splitlines()
    worker.wait(60)
    worker.stdout.close()
    assert worker.returncode == 128 + signal.SIGTERM
    assert rows(path) == 300
    lines = [line.split(" ", 2) for line in (*told_before, *told_after)]
    total = sum(float(n) for name, n, _ in lines if name == "pm25_prediction_log_rows_total")
    assert total == 300


def test_the_environment_names_the_file_and_switches_it_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for named in ("", OFF):
        monkeypatch.setenv(SETTING, named)
        assert PredictionWriter.of_environment(Tally("1.2.3")) is None
    monkeypatch.setenv(SETTING, str(tmp_path / "predictions.db"))
    monkeypatch.setenv(KEEP_SETTING, "30")
    writer = PredictionWriter.of_environment(Tally("1.2.3"))
    assert writer is not None
    assert (writer.path, writer.keep) == (tmp_path / "predictions.db", timedelta(days=30))
    writer.close()


@pytest.mark.parametrize("days", ["-1", "0", "soon", "nan", "1e9"])
def test_a_setting_that_makes_no_sense_is_refused(
    days: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, "predictions.db")
    monkeypatch.setenv(KEEP_SETTING, days)
    with pytest.raises(PM25Error) as caught:
        PredictionWriter.of_environment(Tally("1.2.3"))
    assert caught.value.code == "invalid_setting"
    assert days in caught.value.detail
