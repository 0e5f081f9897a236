"""Mutated requests through the handler, a real TorchServe, and the edge before it: `make fuzz`.

What every reply is held against stands in `benchmarks/findings.py`.

It can be stopped at any time; the same command goes on with the next block. A finished run's next
call draws others.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.findings import Findings
from benchmarks.mutants import Mutant, drawn_mutants, mutant
from lifecycle import edge
from lifecycle.production import production_archive
from lifecycle.torchserve import Server, archive_version
from tests.serving import edge_port
from tests.torchserve_context import Context

REPORT = Path("build/fuzz.json")
BLOCK = 200  # mutants that are drawn, sent and written down together
DRAWN = 20  # of these by Hypothesis
IN_THE_HANDLER, THROUGH_THE_SERVER = 100_000, 5_000

# Status, media type and body of the reply to a mutant.
Replies = Callable[[Mutant], tuple[int, str, bytes]]


def block(seed: int, first: int) -> Iterator[tuple[str, Mutant]]:
    """BLOCK mutants and their names, from number `first` on."""
    for number in range(first, first + BLOCK - DRAWN):
        yield f"mutant({seed}, {number})", mutant(seed, number)
    drawn_seed = seed * 1_000_003 + first
    for index, made in enumerate(drawn_mutants(drawn_seed, DRAWN)):
        yield f"drawn_mutants({drawn_seed}, {DRAWN})[{index}]", made


def fuzz(
    findings: Findings,
    count: int,
    replies: Replies,
    memory_mb: Callable[[], float],
    *,
    seconds: float = float("inf"),
    after_block: Callable[[Findings], None] = lambda findings: None,
) -> None:
    """Go on until `count` mutants are done, or for `seconds`."""
    begun, before = time.monotonic(), findings.seconds
    while findings.done < count and time.monotonic() - begun < seconds:
        mutants = list(block(findings.seed, findings.done))
        before_replies = memory_mb()  # Hypothesis keeps what it draws: that is none of a reply's
        for name, made in mutants:
            findings.note(name, made, replies(made))
        grown = memory_mb() - before_replies
        known = findings.memory_mb[-1] if findings.memory_mb else before_replies
        findings.memory_mb.append(round(known + grown, 1))
        findings.seconds = before + time.monotonic() - begun
        after_block(findings)


# ---- the ways


class Counters:
    """Takes what the handler counts, as TorchServe's cache of metrics does, and forgets it."""

    def cache_keys(self) -> tuple[str, ...]:
        return ()

    def add_metric_to_cache(self, *_: object) -> None:
        """Every name is welcome."""

    def get_metric(self, _: str) -> Counters:
        return self

    def add_or_update(self, *_: object) -> None:
        """Nobody reads it."""


def through(handle: Callable[..., Any], context: Callable[..., Context]) -> Replies:
    """Replies of the archive's entry, called as TorchServe calls it."""

    def replies(made: Mutant) -> tuple[int, str, bytes]:
        headers = {"Content-Type": made.content_type}
        asked = context({**headers, "explain": "True"} if made.explain else headers)
        (body,) = handle([made.parts], asked)
        return asked.status[0], asked.media_type[0], body

    return replies


@contextmanager
def handler(archive: Path) -> Iterator[Replies]:
    """The entry of this tree with the artefact of `archive`."""
    from handlers import pm25_handler

    with tempfile.TemporaryDirectory(prefix="pm25-fuzz-") as folder:
        with zipfile.ZipFile(archive) as mar:
            mar.extractall(folder, [n for n in mar.namelist() if n.startswith("artifact/")])
        counters = Counters()

        def context(headers: Mapping[str, str]) -> Context:
            made = Context(headers, model_dir=folder)
            made.metrics = counters
            return made

        pm25_handler.handle(None, context({}))
        yield through(pm25_handler.handle, context)


def over_http(connection: http.client.HTTPConnection) -> Replies:
    """Replies of a server, one request after the other."""

    def replies(made: Mutant) -> tuple[int, str, bytes]:
        way = "explanations" if made.explain else "predictions"
        headers = {"Content-Type": made.content_type} if made.content_type else {}
        connection.request("POST", f"/{way}/pm25", made.body, headers)
        reply = connection.getresponse()
        return reply.status, str(reply.headers["Content-Type"]), reply.read()

    return replies


def workers(server: Server, version: str) -> list[int]:
    """Process ids of its workers."""
    return sorted(int(str(one["pid"])) for one in server.management.workers(version))


def resident_mb(pids: list[int]) -> float:
    """Resident memory of these processes."""
    return float(sum(psutil.Process(pid).memory_info().rss for pid in pids)) / 1e6


def main() -> None:
    """Go on where the last run stopped; print the table; exit 1 when something broke."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzzing", description=__doc__)
    parser.add_argument("--server", action="store_true", help="through a real TorchServe")
    parser.add_argument("--edge", action="store_true", help="through nginx and a real TorchServe")
    parser.add_argument("--count", type=int, help="mutants in all")
    parser.add_argument("--seed", type=int, default=1, help="of a report that does not exist yet")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--report", type=Path, default=REPORT, help=f"{REPORT} if absent")
    asked = parser.parse_args()
    _silence_libraries()
    way = "edge" if asked.edge else "server" if asked.server else "handler"
    count = asked.count or (IN_THE_HANDLER if way == "handler" else THROUGH_THE_SERVER)
    report = json.loads(asked.report.read_text()) if asked.report.exists() else {}
    findings = Findings.read(report.get(way, {"seed": asked.seed}))
    if findings.done >= count:
        findings = Findings(findings.seed + 1)
    begun, first = time.monotonic(), findings.done

    def keep(now: Findings) -> None:
        asked.report.parent.mkdir(parents=True, exist_ok=True)
        asked.report.write_text(json.dumps({**report, way: vars(now)}, indent=1) + "\n")
        rate = (now.done - first) / (time.monotonic() - begun)
        left = max(0, count - now.done) / rate
        told = f"{way}: {now.done} of {count}, {rate:.0f} a second, {left / 60:.1f} min left, "
        print(told + f"{now.n_faults} faults", file=sys.stderr, flush=True)

    if way != "handler":
        _fuzz_a_server(findings, count, asked.seconds, keep, at_the_edge=asked.edge)
    else:
        own = [psutil.Process().pid]
        with handler(production_archive()) as replies:
            memory = lambda: resident_mb(own)  # noqa: E731
            fuzz(findings, count, replies, memory, seconds=asked.seconds, after_block=keep)
    print(f"Through the {way}\n{findings.table()}")
    sys.exit(not findings.passed)


def _silence_libraries() -> None:
    """What libjpeg says of a damaged photo goes nowhere; what Python says stays."""
    sys.stderr = os.fdopen(os.dup(2), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)


def _fuzz_a_server(
    findings: Findings,
    count: int,
    seconds: float,
    keep: Callable[[Findings], None],
    *,
    at_the_edge: bool,
) -> None:
    from benchmarks.archives import measured_archive  # brings training libraries
    from benchmarks.serving import serving

    archive, _ = measured_archive(Path("build/bench"))
    version = archive_version(archive)
    with serving(archive) as (server, _):
        before = workers(server, version)

        def memory() -> float:
            now = workers(server, version)
            findings.restarts += len(set(now) - set(before))
            return resident_mb(now)

        with (
            _door(server, at_the_edge) as port,
            closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as line,
        ):
            fuzz(findings, count, over_http(line), memory, seconds=seconds, after_block=keep)


@contextmanager
def _door(server: Server, at_the_edge: bool) -> Iterator[int]:
    """The port to ask: the server's own, or that of an edge before it."""
    if not at_the_edge:
        yield server.port
        return
    port = edge_port(server.port)
    try:
        yield edge.start(server, port).port
    finally:
        edge.stop(port)


if __name__ == "__main__":
    main()
