"""Parts of work: each done once, so many in hand and no more, and an end that is explained."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joblib import Parallel, delayed, parallel_config

from tests.logging_extractor import LoggingExtractor
from tests.test_extraction import photos
from training import reading_conditions as conditions
from training import workers
from training.extraction import store_features
from training.feature_store import FeatureStore
from training.workers import LocalProcesses, WorkerError, unordered


@given(parts=st.lists(st.integers(0, 9), max_size=40), in_hand=st.integers(1, 6))
def test_each_part_is_done_once_and_no_more_are_in_hand_than_allowed(
    parts: list[int], in_hand: int
) -> None:
    taken, given_back = 0, 0

    def asked() -> Iterator[tuple[int]]:
        nonlocal taken
        for part in parts:
            taken += 1
            assert taken - given_back <= in_hand
            yield (part,)

    with ThreadPoolExecutor(3) as threads:
        results = []
        submit = lambda part: threads.submit(lambda: part[0] * 2)  # noqa: E731
        for result in unordered(submit, asked(), lambda: in_hand):
            given_back += 1
            results.append(result)
    assert Counter(results) == Counter(2 * part for part in parts)


def test_whoever_stops_listening_stops_the_work() -> None:
    done: list[int] = []
    with ThreadPoolExecutor(1) as threads:
        parts = ((number,) for number in range(1000))
        results = unordered(lambda part: threads.submit(done.append, *part), parts, lambda: 2)
        next(results)
        results.close()
    assert len(done) <= 4


def test_patience_is_lost_while_nothing_comes_and_found_again() -> None:
    asked = []

    def lose_patience() -> None:
        asked.append(len(asked))
        if len(asked) == 3:
            raise WorkerError("tired", "Nothing came.", "Come back later.")

    with ThreadPoolExecutor(1) as threads:
        enough = Event()
        threads.submit(enough.wait)
        parts = unordered(
            lambda part: threads.submit(int, *part),
            [("7",)],
            lambda: 1,
            patience=0.05,
            out_of_patience=lose_patience,
        )
        with pytest.raises(WorkerError, match="Nothing came"):
            next(parts)
        enough.set()
    assert asked == [0, 1, 2]


def test_a_process_that_is_killed_is_told_as_such() -> None:
    with pytest.raises(WorkerError, match="--jobs") as caught:
        list(LocalProcesses(2).results(os._exit, [(9,), (9,)]))
    assert caught.value.code == "worker_died"
    # And the next run starts new ones, whoever asks for them.
    assert sorted(LocalProcesses(2).results(abs, [(-1,), (2,)])) == [1, 2]
    with parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        assert Parallel()(delayed(abs)(-number) for number in range(4)) == [0, 1, 2, 3]
    assert sorted(LocalProcesses(2).results(abs, [(-1,), (2,)])) == [1, 2]


def test_processes_that_tire_of_waiting_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_IDLE", 0.02)

    def slowly() -> Iterator[tuple[int]]:
        for number in range(30):
            time.sleep(0.02)
            yield (-number,)

    assert sorted(LocalProcesses(2).results(abs, slowly())) == list(range(30))


def test_a_worker_with_other_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes read the code as it is; who asks believes that it were another."""
    rows = photos(tmp_path / "photos", 1)[:1]
    extractor = LoggingExtractor(tmp_path / "log")
    monkeypatch.setattr(conditions, "_picture_code", lambda: "code of tomorrow")
    with (
        FeatureStore(tmp_path / "store.sqlite") as store,
        pytest.raises(WorkerError, match="Install the same version") as caught,
    ):
        store_features(rows, store, extractor, LocalProcesses(2), progress=False)
    assert caught.value.code == "worker_differs"
    assert "code of tomorrow" in caught.value.detail
    assert extractor.read() == []
