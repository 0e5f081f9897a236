"""A server under mixed load for minutes: `make soak MINUTES=10`.

Good photos, damaged ones, several at once, metadata, explanations and pings, from a few clients at
a time over loopback. Nothing may fail, no worker may be restarted, memory must not grow, and the
slowest percent of the second half must be no slower than that of the first.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from threading import Lock, Thread

from benchmarks.archives import measured_archive
from benchmarks.findings import Findings, fault
from benchmarks.fuzzing import over_http, workers
from benchmarks.mutants import Mutant, mutant, photo_list, valid_photos
from benchmarks.serving import memory_mb, serving
from lifecycle.torchserve import Server, archive_version

REPORT = Path("build/soak.json")
CLIENTS = 3
SAMPLE_EVERY = 5.0  # [s]
GROWTH_AT_MOST = 0.05  # of memory, from the middle third to the last
SLOWER_AT_MOST = 1.5  # p99 of the second half over that of the first
_SEED = 77


@dataclass
class Soak:
    """What was seen: seconds of each request by kind, with when it began; faults; memory [MB]."""

    times: list[tuple[float, str, float]] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    restarts: int = 0

    @property
    def growth(self) -> float:
        return Findings(_SEED, memory_mb=self.memory_mb).growth

    def p99(self) -> tuple[float, float]:
        """Of good single photos in the first and in the second half [s]."""
        good = [(begun, taken) for begun, kind, taken in self.times if kind == "good"]
        middle = (min(good)[0] + max(good)[0]) / 2
        halves = [t for b, t in good if b < middle], [t for b, t in good if b >= middle]
        first, second = (quantiles(half, n=100)[98] for half in halves)
        return first, second

    @property
    def passed(self) -> bool:
        first, second = self.p99()
        return (
            not self.faults
            and not self.restarts
            and self.growth <= GROWTH_AT_MOST
            and second <= SLOWER_AT_MOST * first
        )

    def table(self) -> str:
        first, second = self.p99()
        half = median(taken for _, kind, taken in self.times if kind == "good")
        counted = ", ".join(f"{name}: {n}" for name, n in sorted(self.statuses.items()))
        return "\n".join(
            [
                f"{len(self.times)} requests ({counted})",
                f"faults: {len(self.faults)}; worker restarts: {self.restarts}",
                f"memory {self.memory_mb[-1]:.0f} MB, {self.growth:+.1%} "
                f"(at most {GROWTH_AT_MOST:+.0%})",
                f"good photos: p99 of the second half / of the first {second / first:.2f} × "
                f"(at most {SLOWER_AT_MOST:g}); p99 / p50 {second / half:.1f} ×",
                *self.faults[:20],
            ]
        )


def requests(client: int) -> Iterator[Mutant | None]:
    """Of eight: three good photos, two damaged, one list, one explanation, one ping (None)."""
    photos, number = valid_photos(), 0
    while True:
        photo = photos[number % len(photos)]
        good = Mutant("good", "image/jpeg", photo, {})
        yield from (good, mutant(_SEED + client, 2 * number), good)
        yield photo_list(photos[number % 3 :][:2])
        yield from (None, mutant(_SEED + client, 2 * number + 1), good)
        yield Mutant("explanation", "image/jpeg", photo, {}, explain=True)
        number += 1


def soak(server: Server, version: str, seconds: float, clients: int = CLIENTS) -> Soak:
    """Load the server for so long."""
    seen, lock = Soak(), Lock()
    begun = time.monotonic()
    until = begun + seconds

    def load(client: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as line:
            for made in requests(client):
                start = time.monotonic()
                if start > until:
                    return
                kind, status, wrong = _ask(line, made)
                with lock:
                    seen.times.append((start, kind, time.monotonic() - start))
                    seen.statuses[str(status)] += 1
                    if wrong:
                        seen.faults.append(f"{kind}: {wrong}")

    before = set(workers(server, version))
    threads = [Thread(target=load, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(SAMPLE_EVERY, max(0.1, until - time.monotonic())))
        seen.memory_mb.append(round(memory_mb(server), 1))
        rate = len(seen.times) / (time.monotonic() - begun)
        left = max(0.0, until - time.monotonic()) / 60
        told = f"{len(seen.times)} requests, {rate:.0f} a second, {left:.1f} min left, "
        print(told + f"{len(seen.faults)} faults", file=sys.stderr, flush=True)
    seen.restarts = len(set(workers(server, version)) - before)
    return seen


def _ask(line: http.client.HTTPConnection, made: Mutant | None) -> tuple[str, int, str | None]:
    """Kind and status of one request, and what is wrong with its reply."""
    kind = made.kind if made else "ping"
    try:
        if made is None:
            line.request("GET", "/ping")
            reply = line.getresponse()
            healthy = json.loads(reply.read()) == {"status": "Healthy"}
            return kind, reply.status, None if healthy else "not healthy"
        status, media_type, body = over_http(line)(made)
    except (OSError, http.client.HTTPException) as error:
        line.close()
        return kind, 0, type(error).__name__
    if kind in ("good", "list", "explanation") and status != 200:
        return kind, status, f"status {status}"
    return kind, status, fault(status, media_type, body, explained=made.explain)


def main() -> None:
    """Load, print, write the report; exit 1 when something broke."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    asked = parser.parse_args()
    archive, _ = measured_archive(Path("build/bench"))
    with serving(archive) as (server, _):
        seen = soak(server, archive_version(archive), asked.minutes * 60)
    print(seen.table())
    content = {**vars(seen), "times": len(seen.times), "growth": seen.growth, "p99_s": seen.p99()}
    REPORT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.exit(not seen.passed)


if __name__ == "__main__":
    main()
