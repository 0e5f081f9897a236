"""A Dask cluster finds what one process finds, whatever becomes of its workers."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from features.errors import PM25Error
from tests.dask_cluster import LocalCluster, dask_cluster, wait_until
from tests.logging_extractor import LoggingExtractor
from tests.test_extraction import photos, stored
from training.cluster import DaskCluster
from training.extraction import extract_features, store_features
from training.feature_store import FeatureStore
from training.workers import WorkerError


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    with dask_cluster(tmp_path_factory.mktemp("cluster"), workers=2) as running:
        yield running


def test_a_worker_that_is_killed_loses_nothing_and_nothing_is_stored_twice(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    rows = photos(tmp_path / "photos", 60)
    extractor = LoggingExtractor(tmp_path / "log", seconds=0.05)
    path = tmp_path / "store.sqlite"
    victim = cluster.workers[0]

    def kill() -> None:
        wait_until(lambda: path.exists() and len(stored(path)) >= 15)
        victim.kill()

    FeatureStore(path).close()
    killing = threading.Thread(target=kill)
    killing.start()
    with FeatureStore(path) as store, DaskCluster(cluster.address) as workers:
        done = store_features(rows, store, extractor, workers, progress=False)
        assert victim.wait() != 0
        assert done.read == len(rows) and done.known == done.carried == 0
        log = Counter(extractor.read())
        there = extract_features(rows, store, extractor, jobs=1, progress=False)
        assert Counter(extractor.read()) == log  # no photo is missing: none is read now
    killing.join()
    cluster.add_worker()

    assert len(log) == 60
    assert log.total() <= 60 + 4  # what the two workers had in hand
    with sqlite3.connect(path) as connection:
        ((count, last),) = connection.execute("SELECT count(*), max(id) FROM readings")
    connection.close()
    assert count == last == len(rows)  # a reading that is replaced gets a new number
    with FeatureStore(tmp_path / "alone.sqlite") as store:
        alone = extract_features(rows, store, LoggingExtractor(tmp_path / "2"), jobs=1)
    np.testing.assert_array_equal(there.matrix, alone.matrix)
    assert there.refused == alone.refused


def test_an_error_of_a_worker_is_told_with_the_photo(cluster: LocalCluster, tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos", 3)
    rows[1].path.unlink()
    with (
        FeatureStore(tmp_path / "store.sqlite") as store,
        DaskCluster(cluster.address) as workers,
        pytest.raises(PM25Error, match="under the same path") as caught,
    ):
        store_features(rows, store, LoggingExtractor(tmp_path / "log"), workers, progress=False)
    assert caught.value.code == "photo_missing"
    assert rows[1].path.name in caught.value.detail


def test_a_cluster_without_workers_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    rows = photos(tmp_path / "photos", 1)
    extractor = LoggingExtractor(tmp_path / "log")
    with (
        dask_cluster(tmp_path, workers=0) as empty,
        FeatureStore(tmp_path / "store.sqlite") as store,
        DaskCluster(empty.address, patience=0.5) as workers,
        pytest.raises(WorkerError, match="dask worker tcp://127") as caught,
    ):
        store_features(rows, store, extractor, workers, progress=False)
    assert caught.value.code == "no_workers"


def test_a_scheduler_that_is_not_there_is_named() -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    for address in ("tcp://127.0.0.1:9", "no address"):
        with pytest.raises(WorkerError, match="dask scheduler") as caught:
            DaskCluster(address, timeout=0.5)
        assert caught.value.code == "scheduler_unreachable"
        assert address in caught.value.detail


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(WorkerError, match="cluster") as caught:
        DaskCluster("tcp://127.0.0.1:9")
    assert caught.value.code == "cluster_library_missing"
    assert "pip install" in caught.value.how_to_fix
