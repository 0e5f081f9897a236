"""The processor's time that a call takes on this thread.

On a machine with nothing else to do it is the time on the clock, for what runs on one thread. On
a shared one the clock also counts others, and long calls more than short ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def cpu_ms(call: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> float:
    """Milliseconds of one call."""
    start = time.thread_time()
    call(*arguments, **named)
    return (time.thread_time() - start) * 1e3


def timed(call: Callable[P, R], spent: list[float]) -> Callable[P, R]:
    """`call`, adding the milliseconds of each of its calls to `spent`."""

    @wraps(call)
    def measured(*arguments: P.args, **named: P.kwargs) -> R:
        start = time.thread_time()
        result = call(*arguments, **named)
        spent.append((time.thread_time() - start) * 1e3)
        return result

    return measured
