"""Who does work that falls into independent parts: processes of this machine, or a cluster's.

Either takes parts one by one as they are needed and gives results back as they are finished, in
any order. So much is in hand that nobody waits, and no more: what a killed run has to do again are
those parts, and memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar

from features.errors import PM25Error

R = TypeVar("R")
_SINGLE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_IDLE = 300  # [s] until a process without work ends
_IN_HAND = 2  # parts a process: the one that it works on, and the one that waits for it


class WorkerError(PM25Error):
    """Those who should do the work cannot."""


class Workers(Protocol):
    """Does `task(*part)` for each of the parts; both travel to other processes by value."""

    def results(self, task: Callable[..., R], parts: Iterable[tuple[Any, ...]]) -> Iterator[R]: ...


class LocalProcesses:
    """At most `jobs` processes of this machine, of one thread each; with one job, this process."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def results(self, task: Callable[..., R], parts: Iterable[tuple[Any, ...]]) -> Iterator[R]:
        """Raises WorkerError worker_died when a process ends before its part does."""
        if self.jobs == 1:
            for part in parts:
                yield task(*part)
            return
        parts = iter(parts)
        first = next(parts, None)
        if first is None:  # no process is started for nothing
            return
        from joblib.executor import get_memmapping_executor

        # joblib keeps one set of processes for all that ask it, and hands it on: one that was made
        # behind its back would break the next cross-validation.
        executor = get_memmapping_executor(
            self.jobs, timeout=_IDLE, env=_SINGLE_THREAD, context_id=__name__
        )
        try:
            yield from unordered(
                lambda part: executor.submit(task, *part),
                chain([first], parts),
                lambda: _IN_HAND * self.jobs,
            )
        except BrokenProcessPool as error:
            raise WorkerError(
                "worker_died",
                f"One of {self.jobs} processes was ended from outside: {error}",
                "Often memory ran out: give fewer --jobs. What was finished is kept.",
            ) from error


def unordered(
    submit: Callable[[tuple[Any, ...]], Any],
    parts: Iterable[tuple[Any, ...]],
    in_hand: Callable[[], int],
    *,
    patience: float | None = None,
    out_of_patience: Callable[[], None] = lambda: None,
) -> Iterator[Any]:
    """Results of the futures that `submit` makes of `parts`, as they are finished.

    in_hand   how many may be under way
    patience  [s] without a result until `out_of_patience` is called, and again after as long
    """
    waiting = iter(parts)
    finished: SimpleQueue[Any] = SimpleQueue()
    under_way: list[Any] = []
    more = True
    try:
        while True:
            while more and len(under_way) < in_hand():
                part = next(waiting, None)
                if part is None:
                    more = False
                else:
                    under_way.append(submit(part))
                    under_way[-1].add_done_callback(finished.put)
            if not under_way:
                return
            try:
                future = finished.get(timeout=patience)
            except Empty:
                out_of_patience()
                continue
            under_way.remove(future)
            yield future.result()
    finally:
        for future in under_way:
            future.cancel()
