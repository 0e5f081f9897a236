"""Many like steps at once, on threads: they wait for a network or a disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from training.meter import Meter

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def side_by_side(
    what: str,
    items: Sequence[_Item],
    step: Callable[[_Item], _Result],
    *,
    jobs: int,
    meter: Meter,
) -> list[_Result]:
    """`step` of each item, in their order, `jobs` at a time; `meter` is told of `what`.

    The first error is raised once the steps under way have ended; no further one is begun.
    """
    with meter(what, len(items)) as advance, ThreadPoolExecutor(jobs) as threads:
        tasks = [threads.submit(step, item) for item in items]
        try:
            for task in as_completed(tasks):
                task.result()
                advance(1)
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return [task.result() for task in tasks]
