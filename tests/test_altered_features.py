"""Features of altered copies: of the photos chosen, once each, whatever ends a run."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from features.light import light_of
from features.metadata import PhotoMetadata
from features.photo import decode_photo
from tests.landscape import landscape
from tests.logging_extractor import LoggingExtractor, family
from training.alterations import ALTERATIONS, altered
from training.altered_features import PHOTOS_OF_A_VISIT, altered_features, chosen_photos
from training.dataset import LabelledPhoto
from training.extraction import extract_features
from training.feature_store import FeatureStore

REPOSITORY = Path(__file__).parents[1]
K = len(ALTERATIONS)
Floats = NDArray[np.float64]


def two_numbers(log: Path, seconds: float = 0.0) -> LoggingExtractor:
    known = family("lightness", "mean_lightness", "spread_of_lightness")
    return LoggingExtractor(log, seconds, "two numbers", (known,))


def row(path: Path, **changes: object) -> LabelledPhoto:
    made = LabelledPhoto(
        path=path,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "0" * 64,
        min_side=64,
        site="hill",
        camera="",
        country="CO",
        session="one",
        pm25=12.0,
        pm25_quality="A",
        pm25_as_published="12",
        pm10=None,
        metadata=PhotoMetadata(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def photos(folder: Path, count: int) -> list[LabelledPhoto]:
    """Landscapes of 96 × 128 px, each in a haze of its own, each a session."""
    folder.mkdir()
    for number in range(count):
        pixels = landscape(0.2 * number, height=96, width=128)[0]
        cv2.imwrite(str(folder / f"{number}.png"), pixels[:, :, ::-1])
    return [row(path, session=path.stem) for path in sorted(folder.iterdir())]


def read(rows: list[LabelledPhoto], store: Path, extractor: LoggingExtractor) -> Floats:
    with FeatureStore(store) as opened:
        return altered_features(rows, opened, extractor, jobs=1, progress=False)


def test_they_are_what_each_altered_picture_gives(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 2)
    extractor = two_numbers(tmp_path / "log")
    values = read(rows, tmp_path / "store.db", extractor)
    assert values.shape == (2, K, 2)
    for number, photo in enumerate(rows):
        pixels = decode_photo(photo.path.read_bytes()).pixels
        pictures = altered(pixels, light_of(pixels), seed=int(photo.sha256[:12], 16))
        for k, change in enumerate(ALTERATIONS):
            lightness = light_of(pictures[change.name]).lightness
            np.testing.assert_array_equal(values[number, k], [lightness.mean(), lightness.std()])


def test_what_is_stored_is_not_read_again(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 3)
    extractor = two_numbers(tmp_path / "log")
    first = read(rows, tmp_path / "store.db", extractor)
    assert len(extractor.read()) == 3 * K
    for photo in rows:
        photo.path.unlink()
    again = read(rows[::-1], tmp_path / "store.db", extractor)
    assert len(extractor.read()) == 3 * K
    np.testing.assert_array_equal(again, first[::-1])


def test_two_runs_are_equal_however_many_work(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 3)
    extractor = two_numbers(tmp_path / "log")
    with FeatureStore(tmp_path / "two.db") as store:
        together = altered_features(rows, store, extractor, jobs=2, progress=False)
    np.testing.assert_array_equal(read(rows, tmp_path / "one.db", extractor), together)


def test_copies_and_photos_do_not_stand_in_for_one_another(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 2)
    extractor = two_numbers(tmp_path / "log")
    with FeatureStore(tmp_path / "store.db") as store:
        before = extract_features(rows, store, extractor, jobs=1, progress=False).matrix
        copies = altered_features(rows, store, extractor, jobs=1, progress=False)
        after = extract_features(rows, store, extractor, jobs=1, progress=False).matrix
    np.testing.assert_array_equal(before, after)
    assert len(extractor.read()) == 2 * (1 + K)
    assert not (copies == before[:, np.newaxis]).all(axis=2).any()


def test_photos_that_were_not_chosen_have_none(tmp_path: Path) -> None:
    rows = [replace(photo, session="one") for photo in photos(tmp_path / "photos", 3)]
    many = [rows[i % 3] for i in range(3 * PHOTOS_OF_A_VISIT)]
    values = read(many, tmp_path / "store.db", two_numbers(tmp_path / "log"))
    read_of = np.flatnonzero(np.isfinite(values).all(axis=(1, 2)))
    assert read_of.tolist() == chosen_photos(many)
    assert len(read_of) == PHOTOS_OF_A_VISIT
    assert np.isnan(np.delete(values, read_of, axis=0)).all()


def test_no_photos_have_no_copies(tmp_path: Path) -> None:
    assert read([], tmp_path / "s.db", two_numbers(tmp_path / "log")).shape == (0, K, 2)


def test_all_of_a_fixed_camera_and_a_few_of_each_visit_are_chosen() -> None:
    none = Path("none.png")
    many = 3 * PHOTOS_OF_A_VISIT
    rows = [row(none, camera="south") for _ in range(many)]
    rows += [row(none, session="visit") for _ in range(many)]
    rows += [row(none, session="visit", site="valley")]
    chosen = np.array(chosen_photos(rows))
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert chosen[:many].tolist() == list(range(many))
    of_visit = chosen[(chosen >= many) & (chosen < 2 * many)]
    assert len(of_visit) == PHOTOS_OF_A_VISIT
    assert len(set(np.diff(of_visit))) == 1  # evenly
    assert chosen[-1] == 2 * many


@pytest.mark.parametrize(
    ("metadata", "is_chosen"),
    [
        (PhotoMetadata(), True),
        (PhotoMetadata(captured_at=datetime(2025, 6, 1, 0, tzinfo=UTC)), True),  # where is unknown
        (PhotoMetadata(captured_at=datetime(2025, 6, 1, 11, tzinfo=UTC), lat=45.5, lon=9.2), True),
        (PhotoMetadata(captured_at=datetime(2025, 6, 1, 0, tzinfo=UTC), lat=45.5, lon=9.2), False),
    ],
)
def test_the_night_has_no_copies(metadata: PhotoMetadata, is_chosen: bool) -> None:
    for camera in ("", "south"):
        rows = [row(Path("none.png"), camera=camera, metadata=metadata)]
        assert chosen_photos(rows) == ([0] if is_chosen else [])


def run_in_a_process_of_its_own(folder: str) -> None:
    """What the killed process does; called by its command line."""
    here = Path(folder)
    rows = [row(path, session=path.stem) for path in sorted((here / "photos").iterdir())]
    with FeatureStore(here / "store.db") as store:
        altered_features(rows, store, two_numbers(here / "log", 0.01), jobs=2, progress=False)


def stored(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM readings")
    connection.close()
    return int(count)


@pytest.mark.long
def test_a_killed_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 12)
    uninterrupted = read(rows, tmp_path / "other.db", two_numbers(tmp_path / "other_log"))
    FeatureStore(tmp_path / "store.db").close()
    module = "tests.test_altered_features"
    command = f"from {module} import *; run_in_a_process_of_its_own({str(tmp_path)!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", command], cwd=REPOSITORY, start_new_session=True
    )
    while stored(tmp_path / "store.db") < 2 * K and process.poll() is None:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = stored(tmp_path / "store.db")
    assert 2 * K <= finished < len(rows) * K
    assert finished % K == 0  # all copies of a photo, or none
    extractor = two_numbers(tmp_path / "resumed_log")
    np.testing.assert_array_equal(read(rows, tmp_path / "store.db", extractor), uninterrupted)
    assert len(extractor.read()) == len(rows) * K - finished
