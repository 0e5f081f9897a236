"""Work on a Dask cluster: one scheduler that others have started, and whatever workers it has.

Workers may come and go: what one of them had in hand when it ended is given to another. They run
the code of this project, installed in the same version, and see photos under the same paths as the
machine that asks; both are checked where the work is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from training.workers import WorkerError, unordered

R = TypeVar("R")
_IN_HAND = 2  # parts a thread: the one that it works on, and the one that waits for it
_COUNT_EVERY = 1.0  # [s] workers are counted
CONNECT_TIMEOUT = 10.0  # [s]
PATIENCE = 60.0  # [s] without any worker before the run ends


class DaskCluster:
    """The cluster whose scheduler listens at `address`, such as tcp://10.0.0.5:8786.

    Raises WorkerError: cluster_library_missing, scheduler_unreachable, no_workers, worker_died.
    """

    def __init__(
        self, address: str, *, patience: float = PATIENCE, timeout: float = CONNECT_TIMEOUT
    ) -> None:
        try:
            import distributed
        except ImportError as error:
            raise WorkerError(
                "cluster_library_missing",
                "--scheduler needs the library `distributed`, which is not installed.",
                "Install the extra: pip install 'two-point-five-vision[train,cluster]'.",
            ) from error
        self.address = address
        self._patience = patience
        self._lost = distributed.KilledWorker
        try:
            self._client = distributed.Client(address, timeout=timeout, set_as_default=False)
        except (OSError, ValueError) as error:  # TimeoutError is one of them
            raise WorkerError(
                "scheduler_unreachable",
                f"No Dask scheduler answers at {address}: {error}",
                "Start one with `dask scheduler`, and give the address that it prints, such as "
                "tcp://10.0.0.5:8786.",
            ) from error
        self._counted_at = -_COUNT_EVERY
        self._threads = 0
        self._worked_at = time.monotonic()

    def results(self, task: Callable[..., R], parts: Iterable[tuple[Any, ...]]) -> Iterator[R]:
        """Raises what a task raises; WorkerError when no worker can finish it."""
        try:
            for result in unordered(
                lambda part: self._client.submit(task, *part, pure=False),
                parts,
                lambda: max(1, _IN_HAND * self._count_threads()),
                patience=_COUNT_EVERY,
                out_of_patience=self._check_workers,
            ):
                self._worked_at = time.monotonic()
                yield result
        except self._lost as error:
            raise WorkerError(
                "worker_died",
                f"Several workers ended while they worked on the same part: {error}",
                "Look into their logs; often memory ran out. What was finished is kept.",
            ) from error

    def _count_threads(self) -> int:
        if time.monotonic() - self._counted_at >= _COUNT_EVERY:
            self._threads = sum(self._client.nthreads().values())
            self._counted_at = time.monotonic()
        return self._threads

    def _check_workers(self) -> None:
        if self._count_threads():
            self._worked_at = time.monotonic()
        elif time.monotonic() - self._worked_at > self._patience:
            raise WorkerError(
                "no_workers",
                f"The scheduler {self.address} has had no worker for {self._patience:.0f} s.",
                f"Start some with `dask worker {self.address}`, and run the same command again.",
            )

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        self._worked_at = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
