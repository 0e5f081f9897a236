"""Extraction: every photo once, whatever ends a run, and the same rows however they came about."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from features.errors import DataSetError
from features.light import light_of
from features.metadata import PhotoMetadata
from features.photo import decode_photo
from tests.logging_extractor import LoggingExtractor, family, fingerprint
from training import reading_conditions as conditions
from training.dataset import LabelledPhoto
from training.extraction import extract_features, photo_key, read_photo
from training.feature_store import FeatureStore

REPOSITORY = Path(__file__).parents[1]
MIN_SIDE = 64


def photos(folder: Path, count: int) -> list[LabelledPhoto]:
    """Rows of `count` photos: noise of 96 × 72 px, then one too small and one of no format."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(pixels, (96, 72)))
    cv2.imwrite(str(folder / "small.png"), rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    (folder / "text.jpg").write_text("no photo at all")
    return [row(path) for path in sorted(folder.iterdir())]


def row(path: Path) -> LabelledPhoto:
    return LabelledPhoto(
        path=path,
        file=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        min_side=MIN_SIDE,
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


def test_rows_come_back_in_order_with_the_refused_ones_named(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 4)
    extractor = LoggingExtractor(tmp_path / "log")
    with FeatureStore(tmp_path / "store.sqlite") as store:
        extracted = extract_features(rows, store, extractor, jobs=1, progress=False)
    assert extracted.names == extractor.names
    assert extracted.matrix.shape == (6, 3)
    assert extracted.kept.tolist() == [0, 1, 2, 3]
    for number in extracted.kept:
        light = light_of(decode_photo(rows[number].path.read_bytes()).pixels)
        expected = [light.lightness.mean(), light.lightness.std(), np.nan]
        np.testing.assert_array_equal(extracted.matrix[number], np.array(expected, dtype=float))
    assert np.isnan(extracted.matrix[4:]).all()
    assert {path.name: refusal.code for path, refusal in extracted.refused.items()} == {
        "small.png": "too_small",
        "text.jpg": "unsupported_media_type",
    }
    assert "40 pixels" in extracted.refused[tmp_path / "photos" / "small.png"].detail
    assert extracted.refused_by_reason == {"too_small": 1, "unsupported_media_type": 1}


def test_what_is_stored_is_not_read_again_and_refusals_are_stored_too(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 3)
    extractor = LoggingExtractor(tmp_path / "log")
    with FeatureStore(tmp_path / "store.sqlite") as store:
        first = extract_features(rows, store, extractor, jobs=1, progress=False)
        for path in (tmp_path / "photos").iterdir():
            path.unlink()
        again = extract_features(rows[::-1], store, extractor, jobs=1, progress=False)
    np.testing.assert_array_equal(again.matrix, first.matrix[::-1])
    assert again.refused == first.refused
    assert len(extractor.read()) == 3


def test_photos_with_the_same_bytes_are_read_once(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 1)[:1]
    copy = tmp_path / "photos" / "copy.png"
    copy.write_bytes(rows[0].path.read_bytes())
    extractor = LoggingExtractor(tmp_path / "log")
    with FeatureStore(tmp_path / "store.sqlite") as store:
        extracted = extract_features([*rows, row(copy)], store, extractor, jobs=1, progress=False)
    assert len(extractor.read()) == 1
    np.testing.assert_array_equal(extracted.matrix[0], extracted.matrix[1])


def test_another_size_limit_another_code_or_feature_set_reads_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (single,) = photos(tmp_path / "photos", 1)[:1]
    extractor = LoggingExtractor(tmp_path / "log")
    with FeatureStore(tmp_path / "store.sqlite") as store:

        def codes(row: LabelledPhoto, extractor: LoggingExtractor) -> list[str]:
            extracted = extract_features([row], store, extractor, jobs=1, progress=False)
            return list(extracted.refused_by_reason)

        assert codes(single, extractor) == []
        assert codes(replace(single, min_side=73), extractor) == ["too_small"]
        assert codes(single, extractor) == []
        assert len(extractor.read()) == 1
        other = (family("darkness", *extractor.names),)
        assert codes(single, replace(extractor, feature_set="other", families=other)) == []
        assert len(extractor.read()) == 2
        monkeypatch.setattr(conditions, "_picture_code", lambda: "code after a change")
        assert codes(single, extractor) == []
        assert len(extractor.read()) == 3


def test_several_processes_find_what_one_finds(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 12)
    extractor = LoggingExtractor(tmp_path / "log")
    with FeatureStore(tmp_path / "one.sqlite") as one:
        alone = extract_features(rows, one, extractor, jobs=1, progress=False)
    with FeatureStore(tmp_path / "two.sqlite") as two:
        together = extract_features(rows, two, extractor, jobs=2, progress=False)
    np.testing.assert_array_equal(together.matrix, alone.matrix)
    assert together.refused == alone.refused
    assert len(extractor.read()) == 24


def test_a_photo_that_changed_since_its_data_set_was_read_is_an_error(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 2)
    rows[1].path.write_bytes(rows[0].path.read_bytes())
    with (
        FeatureStore(tmp_path / "store.sqlite") as store,
        pytest.raises(DataSetError, match="read the data set again") as caught,
    ):
        extract_features(rows, store, LoggingExtractor(tmp_path / "log"), jobs=1, progress=False)
    assert caught.value.code == "photo_changed"
    assert rows[1].path.name in caught.value.detail


class BrokenExtractor(LoggingExtractor):
    def extract(self, *_: object, **__: object) -> Mapping[str, float]:
        raise ZeroDivisionError


def test_an_unexpected_error_says_which_photo_it_met(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 1)
    with (
        FeatureStore(tmp_path / "store.sqlite") as store,
        pytest.raises(ZeroDivisionError) as caught,
    ):
        extract_features(rows[:1], store, BrokenExtractor(tmp_path / "log"), jobs=1)
    assert caught.value.__notes__ == [f"This happened with the photo {rows[0].path}."]


def test_progress_goes_to_stderr_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = photos(tmp_path / "photos", 2)
    with FeatureStore(tmp_path / "store.sqlite") as store:
        extract_features(rows, store, LoggingExtractor(tmp_path / "log"), jobs=1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "4/4" in printed.err


def test_an_empty_list_of_photos_gives_an_empty_matrix(tmp_path: Path) -> None:
    with FeatureStore(tmp_path / "store.sqlite") as store:
        extracted = extract_features([], store, LoggingExtractor(tmp_path / "log"), progress=False)
    assert extracted.matrix.shape == (0, 3)
    assert extracted.kept.tolist() == []


def run_in_a_process_of_its_own(folder: str) -> None:
    """What the killed process does; called by its command line."""
    here = Path(folder)
    rows = [row(path) for path in sorted((here / "photos").iterdir())]
    with FeatureStore(here / "store.sqlite") as store:
        extract_features(rows, store, LoggingExtractor(here / "log", 0.05), jobs=2, progress=False)


def stored(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        found = {sha256 for (sha256,) in connection.execute("SELECT sha256 FROM readings")}
    connection.close()
    return found


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 20))]
)
def test_a_killed_run_goes_on_where_it_ended(tmp_path: Path, seed: int) -> None:
    rows = photos(tmp_path / "photos", 60)
    with FeatureStore(tmp_path / "uninterrupted.sqlite") as store:
        extractor = LoggingExtractor(tmp_path / "uninterrupted_log")
        uninterrupted = extract_features(rows, store, extractor, jobs=1, progress=False)
    print_of = {
        row.sha256: fingerprint(light_of(decode_photo(row.path.read_bytes()).pixels))
        for row in rows
        if row.path.stem.isdigit()
    }

    rng = np.random.default_rng(seed)
    extractor = LoggingExtractor(tmp_path / "log")
    FeatureStore(tmp_path / "store.sqlite").close()
    command = f"from tests.test_extraction import *; run_in_a_process_of_its_own({str(tmp_path)!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", command], cwd=REPOSITORY, start_new_session=True
    )
    kill_after = rng.integers(0, 55)
    while len(stored(tmp_path / "store.sqlite")) < kill_after and process.poll() is None:
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.05))
    os.killpg(process.pid, signal.SIGKILL)  # with its workers, as the end of a machine would
    assert process.wait() == -signal.SIGKILL

    finished, lines_before = stored(tmp_path / "store.sqlite"), len(extractor.read())
    assert kill_after <= len(finished) < len(rows)
    with FeatureStore(tmp_path / "store.sqlite") as store:
        resumed = extract_features(rows, store, extractor, jobs=1, progress=False)
    read_after = extractor.read()[lines_before:]
    assert sorted(read_after) == sorted(print_of[s] for s in print_of.keys() - finished)
    assert len(extractor.read()) <= len(print_of) + 4  # two in hand of each of two processes
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        # Nothing was stored a second time: a reading that is replaced gets a new number.
        ((count, last),) = connection.execute("SELECT count(*), max(id) FROM readings")
    connection.close()
    assert count == last == len(rows)
    np.testing.assert_array_equal(resumed.matrix, uninterrupted.matrix)
    assert resumed.refused == uninterrupted.refused


def test_one_photo_is_read_the_same_way_outside_a_run(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 1)
    extractor = LoggingExtractor(tmp_path / "log")
    sha256, reading = read_photo(rows[0].path, MIN_SIDE, extractor)
    assert sha256 == rows[0].sha256
    with FeatureStore(tmp_path / "store.sqlite") as store:
        extract_features(rows[:1], store, extractor, jobs=1, progress=False)
        key = photo_key(rows[0])
        values = store.get_many([key], extractor.feature_set)[key].values
    assert reading.values is not None
    np.testing.assert_array_equal(values, reading.values)
