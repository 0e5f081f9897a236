"""A training run: the same data give the same archive, and what was extracted is never lost."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from features.errors import DataSetError
from handlers.predictor import Predictor
from training import cross_validation, run, splits
from training.dataset import DataSet, QuarantinedRow, read_dataset
from training.package import ROOT, build_archive, content_hash
from training.quarantine import QUARANTINE
from training.run import TrainingRun, train

SESSIONS_PER_SITE = 7  # too few for a camera's reference: one set of models, and quicker


@pytest.fixture(scope="module")
def small(rendered: DataSet, tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """One photo of each of seven sessions at three sites."""
    return thinned(rendered, tmp_path_factory.mktemp("small"), SESSIONS_PER_SITE)


def thinned(dataset: DataSet, folder: Path, sessions_per_site: int) -> DataSet:
    (folder / "images").mkdir()
    with (dataset.folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [row for i, row in enumerate(rows[::2]) if i % 10 < sessions_per_site]
    for row in kept:
        shutil.copyfile(dataset.folder / row["file"], folder / row["file"])
    with (folder / "labels.csv").open("w", newline="") as file:
        labels = csv.DictWriter(file, rows[0].keys())
        labels.writeheader()
        labels.writerows(kept)
    shutil.copyfile(dataset.folder / "dataset.toml", folder / "dataset.toml")
    return read_dataset(folder)


def hash_of(trained: TrainingRun, folder: Path) -> str:
    return content_hash(build_archive(trained.folder, "0.0.1", folder))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Moves everything that a run keeps into a folder of that name, made if need be."""

    def move(name: str) -> Path:
        monkeypatch.setattr(run, "RENDERED", tmp_path / name / "rendered")
        return tmp_path / name

    return move


@pytest.fixture
def one_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score one fold instead of dozens."""
    monkeypatch.setattr(
        cross_validation, "SPLITS", {"unseen_sites": lambda rows: splits.unseen_sites(rows)[:1]}
    )


@pytest.mark.usefixtures("one_fold")
def test_cold_or_warm_alone_or_together_the_archive_is_the_same(
    small: DataSet, place: Callable[[str], Path]
) -> None:
    first, second = place("first"), place("second")
    bad = QuarantinedRow(7, {"file": "bad.jpg", "pm25": "985"}, "sentinel", "PM2.5 is 985 ug m-3")

    def run(folder: Path, jobs: int) -> TrainingRun:
        place(folder.name)
        return train(
            [small],
            "0.0.1",
            jobs=jobs,
            store=first / "store.db",
            runs=folder,
            rendered_places=3,
            quarantined=[(small.name, bad)],
        )

    cold, warm = run(first, 1), run(second, 2)
    assert warm.scores == cold.scores
    assert warm.manifest == cold.manifest
    assert hash_of(warm, second) == hash_of(cold, first)
    # and it is a whole one, that answers
    assert Predictor.load(cold.folder).manifest.version == "0.0.1"
    assert json.loads((first / "0.0.1" / "scores.json").read_text()) == cold.scores
    assert set(cold.scores["unseen_sites"]) == {
        *("full", "photo_without_weather", "weather_and_sun_without_photo"),
    }
    card = (cold.folder / "model_card.md").read_text()
    assert small.name in card and "| full |" in card
    assert str(first) not in card
    # what was set apart is counted and kept
    assert cold.refused == {"sentinel": 1} and "1 sentinel" in card
    (set_apart,) = csv.DictReader((first / "0.0.1" / QUARANTINE).read_text().splitlines())
    assert (set_apart["line"], set_apart["file"], set_apart["pm25"]) == ("7", "bad.jpg", "985")


@pytest.mark.long
def test_with_all_splits_and_known_cameras_too(
    rendered: DataSet, place: Callable[[str], Path]
) -> None:
    hashes = set()
    for name, jobs, store in (("a", 1, "a"), ("b", 2, "a"), ("c", 2, "c")):
        folder = place(name)
        trained = train(
            [rendered],
            "0.0.1",
            jobs=jobs,
            store=folder.parent / f"{store}.db",
            runs=folder,
            rendered_places=6,
        )
        hashes.add(hash_of(trained, folder))
    assert len(hashes) == 1
    assert all(trained.scores[split] for split in ("unseen_days", "unseen_sites", "random"))
    for variants in trained.scores.values():
        json.dumps(variants, allow_nan=False)


@pytest.mark.parametrize("sessions", [1, 6])
def test_too_little_data_is_an_error_that_says_what_is_needed(
    rendered: DataSet, rendered_store: Path, tmp_path: Path, sessions: int
) -> None:
    few = thinned(rendered, tmp_path, sessions)
    with pytest.raises(DataSetError) as caught:
        train([few], "0.0.1", store=rendered_store, runs=tmp_path / "runs", rendered_places=0)
    assert caught.value.code == "too_little_data"
    assert f"{3 * sessions} sessions at 3 sites" in caught.value.detail
    assert not (tmp_path / "runs").exists()


def rows_of(store: Path) -> dict[str, str]:
    """When each photo in the store was read, copies aside."""
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
            rows = dict(
                connection.execute(
                    "SELECT sha256, created_at || readings.id FROM readings"
                    " JOIN reading_conditions ON reading_conditions.id = conditions_id"
                    " WHERE conditions NOT LIKE '%alterations=%'"
                )
            )
        connection.close()
    except sqlite3.OperationalError:  # there is no store yet, or no table in it
        return {}
    return rows


def killed_once_it_has(count: int, folder: Path, dataset: DataSet) -> dict[str, str]:
    """Start `pm25 train` in `folder`, kill it and all its processes; what the store holds then."""
    store = folder / "build" / "features.db"
    command = [sys.executable, "-c", "from commands.main import app; app()", "train"]
    command += ["--data", str(dataset.folder), "--version", "0.0.1", "--jobs", "1"]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 240
            while len(rows_of(store)) < count:
                assert process.poll() is None, (folder / "output").read_text()
                assert time.monotonic() < deadline, "nothing was extracted"
                time.sleep(0.02)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return rows_of(store)


@pytest.mark.long
def test_a_killed_run_loses_no_finished_extraction(small: DataSet, tmp_path: Path) -> None:
    known = {photo.sha256 for photo in small.rows}
    before = killed_once_it_has(4, tmp_path, small)
    assert 4 <= len(before) < len(known)
    after = killed_once_it_has(len(known), tmp_path, small)
    assert known <= set(after)
    assert {photo: after[photo] for photo in before} == before  # none was read again
