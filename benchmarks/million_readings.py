"""The feature store with a million readings: `make bench-store`.

Fills a store, which takes minutes and gigabytes below build/, and asks it: for single readings by
their keys, in any order, and for the last thousand; each with the file in the system's cache, and
after the system was asked to forget it. Prints the budgets, and how large things are.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.budgets import LOOK_UP, WINDOW, Measurement, budget_table
from benchmarks.made_up_readings import fill, made_up_keys
from features.extractor import ScientificFeatureExtractor
from training.feature_store import FeatureStore
from training.feature_store_summary import store_summary

FOLDER = Path("build/bench")
READINGS = 1_000_000
LOOK_UPS = 2000
LAST = 1000
WINDOWS = 20


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million_readings")
    parser.add_argument("--readings", type=int, default=READINGS)
    readings = parser.parse_args().readings
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="million-", dir=FOLDER) as scratch:
        path = Path(scratch) / "features.db"
        start = time.monotonic()
        fill(path, readings)
        filling = time.monotonic() - start
        rows, sizes = measure(path, readings)
    print(budget_table(rows))
    print(f"\n{readings} readings, filled at {readings / filling:.0f} a second\n{sizes}")


def measure(path: Path, readings: int) -> tuple[list[Measurement], str]:
    """The budgets' rows, and a table of sizes, of the store at `path` with that many readings."""
    extractor = ScientificFeatureExtractor()
    keys = list(made_up_keys(readings))
    chosen = np.random.default_rng(25).choice(readings, min(LOOK_UPS, readings), replace=False)
    with FeatureStore(path) as store:
        asked = iter([keys[number] for number in chosen] * 2)
        picture = keys[0].picture

        def look_up() -> None:
            key = next(asked)
            assert store.get_many([key], extractor.feature_set)[key].values is not None

        def window() -> None:
            assert len(store.latest(LAST, extractor.feature_set, picture)) == min(LAST, readings)

        _forget(path)
        cold_window = milliseconds(window, 1).median
        _forget(path)
        cold = milliseconds(look_up, len(chosen))
        warm = milliseconds(look_up, len(chosen))
        windows = milliseconds(window, WINDOWS)
        start = time.monotonic()
        summary = store_summary(store, extractor.feature_set)
        counting = time.monotonic() - start
        sizes = size_table(store)
    each = summary["bytes"] / readings
    return [
        Measurement(LOOK_UP, warm.median, f"{warm}; not in the cache {cold.median:.2f}"),
        Measurement(WINDOW, windows.median, f"{windows}; not in the cache {cold_window:.1f}"),
    ], f"{each:.0f} bytes a reading; all counted in {counting:.2f} s\n{sizes}"


@dataclass(frozen=True)
class Taken:
    """How long questions took [ms]; of the processor too, which others do not lengthen as much."""

    median: float
    most: float
    processor: float

    def __str__(self) -> str:
        return f"99 % within {self.most:.2f}, on the processor {self.processor:.2f}"


def milliseconds(ask: Callable[[], None], times: int) -> Taken:
    """Ask so many times."""
    taken, processor = [], []
    for _ in range(times):
        start, worked = time.perf_counter(), time.process_time()
        ask()
        processor.append(1e3 * (time.process_time() - worked))
        taken.append(1e3 * (time.perf_counter() - start))
    most = float(np.quantile(taken, 0.99))
    return Taken(statistics.median(taken), most, statistics.median(processor))


def size_table(store: FeatureStore) -> str:
    """A line for the file, and for each table and index where SQLite can tell [MB]."""
    lines = [("file", float(store.path.stat().st_size))]
    compiled = store.connection.execute("PRAGMA compile_options").fetchall()
    if ("ENABLE_DBSTAT_VTAB",) in compiled:
        lines += store.connection.execute(
            "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 4"
        ).fetchall()
    return "\n".join(f"{name:36} {size / 1e6:8.1f} MB" for name, size in lines)


def _forget(path: Path) -> None:
    """Ask the system to drop the file from its cache, where it can be asked."""
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
