"""The store returns every bit that it was given, to several processes, after any end of one."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from training import feature_store
from training.feature_store import FeatureStore, FeatureStoreError
from training.photo_reading import PhotoKey, Provenance, Reading, Refusal

REPOSITORY = Path(__file__).parents[1]
FEATURE_TABLES = {
    *("migrations", "readings", "reading_conditions"),
    *("feature_sets", "feature_families", "provenances"),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeatureStore]:
    with FeatureStore(tmp_path / "a folder" / "features.sqlite") as store:
        yield store


def put(store: FeatureStore, key: PhotoKey, reading: Reading, feature_set: str = "set") -> None:
    store.put({key: reading}, feature_set, Provenance("test 1"))


@settings(max_examples=50, deadline=None)
@given(bits=arrays.arrays(np.uint64, st.integers(0, 40), elements=st.integers(0, 2**64 - 1)))
def test_every_bit_of_a_value_returns(bits: np.ndarray) -> None:
    with FeatureStore(Path(":memory:")) as store:
        key = PhotoKey("a" * 64, "")
        put(store, key, Reading(bits.view(np.float64)))
        values = store.get_many([key], "set")[key].values
        assert values is not None
        assert values.dtype == np.float64
        assert (values.view(np.uint64) == bits).all()


def test_a_refused_photo_keeps_its_reason(store: FeatureStore) -> None:
    key = PhotoKey("b" * 64, "min_side=512")
    put(store, key, Reading(None, Refusal("too_small", "It has 200 × 200 pixels.")))
    reading = store.get_many([key], "set")[key]
    assert reading.values is None
    assert reading.refusal == ("too_small", "It has 200 × 200 pixels.")


def test_photo_feature_set_and_conditions_are_all_part_of_the_key(store: FeatureStore) -> None:
    key = PhotoKey("c" * 64, "min_side=512")
    put(store, key, Reading(np.array([1.0])))
    put(store, key._replace(conditions="min_side=200"), Reading(np.array([2.0])))
    put(store, key, Reading(np.array([3.0, 4.0])), feature_set="other set")

    def found(key: PhotoKey, feature_set: str) -> list[float] | None:
        reading = store.get_many([key], feature_set).get(key)
        return None if reading is None or reading.values is None else reading.values.tolist()

    assert found(key, "set") == [1.0]
    assert found(PhotoKey("c" * 64, "min_side=200"), "set") == [2.0]
    assert found(key, "other set") == [3.0, 4.0]
    assert found(PhotoKey("d" * 64, "min_side=512"), "set") is None
    assert found(key, "third set") is None


def test_more_keys_than_fit_one_query(store: FeatureStore) -> None:
    keys = [PhotoKey(f"{number:064x}", f"min_side={number % 3}") for number in range(3500)]
    store.put(
        {key: Reading(np.array([float(n)])) for n, key in enumerate(keys)}, "set", Provenance("t")
    )
    readings = store.get_many([*keys, PhotoKey("absent", "min_side=0")], "set")
    assert readings.keys() == set(keys)
    assert [float(readings[key].values[0]) for key in keys] == list(range(3500))  # type: ignore[index]


def test_a_later_reading_replaces_the_earlier_one(store: FeatureStore) -> None:
    key = PhotoKey("e" * 64, "")
    put(store, key, Reading(None, Refusal("blurred", "")))
    put(store, key, Reading(np.array([7.0])))
    assert store.get_many([key], "set")[key].refusal is None


def test_a_failed_batch_leaves_nothing_behind(store: FeatureStore) -> None:
    good, bad = PhotoKey("f" * 64, ""), PhotoKey("0" * 64, None)  # type: ignore[arg-type]
    reading = Reading(np.array([1.0]))
    with pytest.raises(FeatureStoreError, match="NOT NULL"):
        store.put({good: reading, bad: reading}, "set", Provenance("test 1"))
    assert store.get_many([good], "set") == {}
    put(store, good, reading)


def test_a_reading_is_one_thing_or_the_other() -> None:
    with pytest.raises(ValueError, match="either"):
        Reading(None)
    with pytest.raises(ValueError, match="either"):
        Reading(np.array([1.0]), Refusal("blurred", ""))


def test_provenance_is_kept_for_whoever_opens_the_file(store: FeatureStore) -> None:
    put(store, PhotoKey("a" * 64, ""), Reading(np.array([1.0, np.nan])))
    with sqlite3.connect(store.path) as connection:
        row = connection.execute(
            "SELECT extractor, created_at FROM readings JOIN provenances ON "
            "provenances.id = provenance_id"
        ).fetchone()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()
    assert row[0] == "test 1"
    assert row[1].endswith("+00:00")
    assert mode == "wal"


def test_migrations_run_once_and_together_with_their_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = tmp_path / "store.sqlite", PhotoKey("a" * 64, "")
    with FeatureStore(path) as store:
        put(store, key, Reading(np.array([1.0])))
    broken = ("0003_broken", ("CREATE TABLE half (x INT) STRICT", "no SQL at all"))
    added = ("0003_added", ("CREATE TABLE whole (x INT) STRICT",))

    monkeypatch.setattr(feature_store, "MIGRATIONS", (*feature_store.MIGRATIONS, broken))
    with pytest.raises(FeatureStoreError, match="syntax error"):
        FeatureStore(path)
    monkeypatch.setattr(feature_store, "MIGRATIONS", (*feature_store.MIGRATIONS[:-1], added))
    for _ in range(2):
        with FeatureStore(path) as store:
            assert key in store.get_many([key], "set")
            tables = {
                name
                for (name,) in store.connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table'"
                )
            }
            assert tables == FEATURE_TABLES | {"whole"}

    monkeypatch.undo()
    with pytest.raises(FeatureStoreError) as caught:
        FeatureStore(path)
    assert caught.value.code == "store_too_new"
    assert "0003_added" in caught.value.detail


def test_a_file_of_another_kind_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes " * 100)
    with pytest.raises(FeatureStoreError) as caught:
        FeatureStore(path)
    assert caught.value.code == "store_unusable"
    assert path.read_text() == "these are notes " * 100


WRITER = """
import sys
from pathlib import Path
import numpy as np
from training.feature_store import FeatureStore
from training.photo_reading import PhotoKey, Provenance, Reading
first, count = int(sys.argv[2]), int(sys.argv[3])
with FeatureStore(Path(sys.argv[1])) as store:
    for n in range(first, first + count):
        store.put({PhotoKey(str(n), ""): Reading(np.full(300, n))}, "set", Provenance("w"))
        print(n, flush=True)
"""


def start_writer(path: Path, first: int, count: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(path), str(first), str(count)]
    return subprocess.Popen(arguments, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def test_several_writers_may_make_and_fill_one_store_together(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    writers = [start_writer(path, 1000 * n, 50) for n in range(4)]
    assert [len(w.communicate()[0].split()) for w in writers] == [50] * 4
    assert [w.returncode for w in writers] == [0] * 4
    keys = [PhotoKey(str(1000 * n + k), "") for n in range(4) for k in range(50)]
    with FeatureStore(path) as store:
        assert len(store.get_many(keys, "set")) == 200


def test_what_put_has_returned_from_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with start_writer(path, 0, 10**6) as writer:
        assert writer.stdout is not None
        announced = [int(next(writer.stdout)) for _ in range(120)]
        os.kill(writer.pid, signal.SIGKILL)
        announced += [int(line) for line in writer.stdout if line.endswith("\n")]
    with FeatureStore(path) as store:
        readings = store.get_many([PhotoKey(str(n), "") for n in announced], "set")
        assert len(readings) == len(announced) >= 120
        for n in announced:
            np.testing.assert_array_equal(readings[PhotoKey(str(n), "")].values, np.full(300, n))
        (verdict,) = store.connection.execute("PRAGMA integrity_check").fetchone()
        assert verdict == "ok"
