"""What the server adds: its time per request, a second worker's gain, its memory, its start."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from features.errors import ServerError
from lifecycle import ports, torchserve
from lifecycle.registration import scale
from lifecycle.torchserve import Server
from training.package import MODEL


@contextmanager
def serving(archive: Path) -> Iterator[tuple[Server, float]]:
    """A TorchServe of one worker on free ports, and the seconds until `archive` was READY."""
    port = _free_port()
    start = time.monotonic()
    try:
        yield torchserve.start(archive, port), time.monotonic() - start
    finally:
        torchserve.stop(port)


@dataclass(frozen=True)
class RequestTimes:
    """Medians over requests at concurrency 1 [ms]; the server's own account is `compute`."""

    answer: float
    echo: float
    compute: float


def request_times(
    server: Server, echo: Server, photos: Sequence[bytes], rounds: int
) -> RequestTimes:
    """Send every photo to both servers in turn, `rounds` times."""
    answers, echoes, compute = [], [], []
    with closing(_connect(server)) as to_server, closing(_connect(echo)) as to_echo:
        for number in range(rounds):
            for photo in photos:
                echoed, _ = _ask(to_echo, photo)
                answered, content = _ask(to_server, photo)
                if number:  # the first round warms up
                    echoes.append(echoed * 1e3)
                    answers.append(answered * 1e3)
                    compute.append(content["processing_time"] * 1e3)
    return RequestTimes(median(answers), median(echoes), median(compute))


def first_answer(server: Server, photo: bytes) -> float:
    """Seconds that one request takes."""
    with closing(_connect(server)) as connection:
        return _ask(connection, photo)[0]


@dataclass(frozen=True)
class Throughput:
    """Answers a second, how many cores the clients took, and the time of each answer [s]."""

    rate: float
    client_cores: float
    times: tuple[float, ...] = ()


def throughput(server: Server, photos: Sequence[bytes], clients: int, seconds: float) -> Throughput:
    """With `clients` requests under way at any time, for `seconds`."""
    until = time.monotonic() + seconds

    def ask_until_the_end(client: int) -> list[float]:
        times: list[float] = []
        with closing(_connect(server)) as connection:
            while time.monotonic() < until:
                times.append(_ask(connection, photos[(client + len(times)) % len(photos)])[0])
        return times

    start, cpu = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(clients) as pool:
        times = tuple(chain.from_iterable(pool.map(ask_until_the_end, range(clients))))
    taken = time.monotonic() - start
    return Throughput(len(times) / taken, (time.process_time() - cpu) / taken, times)


def memory_mb(server: Server) -> float:
    """Proportional set size of the JVM and its workers [MB]."""
    jvm = psutil.Process(server.pid)
    family = [jvm, *jvm.children(recursive=True)]
    return float(sum(process.memory_full_info().pss for process in family)) / 1e6


def set_workers(server: Server, version: str, count: int, patience: float = 60.0) -> None:
    """Wait until exactly `count` workers of `version` are READY."""
    scale(server.management, version, count)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        states = [worker.get("status") for worker in server.management.workers(version)]
        if states == ["READY"] * count:
            return
        time.sleep(0.1)
    raise ServerError("not_ready", f"No {count} workers after {patience:g} s.", "See its logs.")


def _connect(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)


def _ask(connection: http.client.HTTPConnection, photo: bytes) -> tuple[float, dict[str, Any]]:
    """Seconds until the reply was read, and what it says."""
    start = time.perf_counter()
    connection.request("POST", f"/predictions/{MODEL}", photo, {"Content-Type": "image/jpeg"})
    reply = connection.getresponse()
    body = reply.read()
    taken = time.perf_counter() - start
    if reply.status != 200:
        raise ServerError(
            "not_answered",
            f"The server answered {reply.status}: {body[:200]!r}",
            "See its logs below build/torchserve.",
        )
    return taken, json.loads(body)


def _free_port() -> int:
    for port in range(21080, 28000, 100):
        try:
            ports.check_ports(port)
        except ServerError:
            continue
        if torchserve.running(port) is None:
            return port
    raise ServerError("port_taken", "No free ports from 21080 to 28000.", "Stop a server.")
