"""Time of an answer when several clients ask at once: with one worker, with two, and in batches.

`python -m benchmarks.concurrency` measures that alone. All are ratios to one client of one worker.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.archives import measured_archive
from benchmarks.photos import SIZES, photo_files
from benchmarks.serving import serving, set_workers, throughput
from lifecycle.registration import register
from lifecycle.torchserve import Server, archive_version
from training.package import repackage

CLIENTS = (1, 2, 4, 8)
SECONDS = 5.0
BATCH, BATCH_DELAY = 4, 20  # photos, [ms]
_BATCHED = "0.0.2-bench"


@dataclass(frozen=True)
class Concurrency:
    """Median and 99th percentile of the time of an answer [s], and answers a second."""

    workers: int
    batch: int
    clients: int
    p50: float
    p99: float
    rate: float


def concurrency(server: Server, archive: Path, photos: Sequence[bytes]) -> list[Concurrency]:
    """Every number of clients, with one worker, two, and one that is given batches."""
    version = archive_version(archive)
    rows: list[Concurrency] = []
    for workers in (1, 2):
        set_workers(server, version, workers)
        rows += _clients(server, photos, workers, 1)
    set_workers(server, version, 1)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        batched = repackage(archive, _BATCHED, Path(folder)).rename(archive.parent / "batched.mar")
    try:
        register(server, batched, make_default=True, batch_size=BATCH, max_batch_delay=BATCH_DELAY)
        rows += _clients(server, photos, 1, BATCH)
    finally:
        batched.unlink()
    return rows


def _clients(
    server: Server, photos: Sequence[bytes], workers: int, batch: int
) -> Iterator[Concurrency]:
    throughput(server, photos, 2 * workers, 1.0)  # warms up
    for clients in CLIENTS:
        seen = throughput(server, photos, clients, SECONDS)
        p50, p99 = np.quantile(seen.times, [0.5, 0.99])
        yield Concurrency(workers, batch, clients, float(p50), float(p99), seen.rate)


def concurrency_table(rows: Sequence[Concurrency]) -> str:
    """A line a row; times and rates in those of one client of one worker."""
    first = rows[0]
    lines = [
        f"{'workers':>8}{'batch':>7}{'clients':>9}{'p50':>8}{'p99':>8}{'answers a second':>18}"
    ]
    lines += [
        f"{row.workers:8}{row.batch:7}{row.clients:9}{row.p50 / first.p50:7.2f}×"
        f"{row.p99 / first.p50:7.2f}×{row.rate / first.rate:17.2f}×"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    folder = Path("build/bench")
    archive, _ = measured_archive(folder)
    photos = [photo.read_bytes() for photo in photo_files(folder, SIZES[0])[:8]]
    with serving(archive) as (server, _):
        print(concurrency_table(concurrency(server, archive, photos)))


if __name__ == "__main__":
    main()
