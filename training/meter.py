"""How a long piece of work tells how far it has come, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

_WORTH_SHOWING = 10

# Told what is being done and how many times; called with the number of those that are done.
Meter = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def silent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A meter that shows nothing."""
    yield lambda done: None


@contextmanager
def shown(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A meter on stderr, with rate and remaining time, for what has enough parts to take long."""
    from training.progress import progress_bar

    with progress_bar(what, total, 0, total >= _WORTH_SHOWING, unit="files") as advance:
        yield advance
