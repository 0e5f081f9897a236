"""Counts between two reports, and the thread that reports them.

A photo moves 73 counters, and TorchServe reads each from a line of its own: to write these for
every photo took 47 times as long as to add up here. So they are reported beside the answers, at
most once a second. A worker that is killed takes that second with it.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from itertools import accumulate

from handlers.metrics import INFINITY, METRICS, Metric

INTERVAL = 1.0  # [s] between two reports
_NAMED = {metric.name: metric for metric in METRICS}
_LOG = logging.getLogger(__name__)

# Is given a counter, an amount to add, and the values of `label_names`.
Emit = Callable[[Metric, float, list[str]], None]


class Tally:
    """The counters of one version; any thread may add to them. They begin at 0."""

    def __init__(self, version: str) -> None:
        self.version = version
        self._changed = threading.Event()
        self._reported = False
        self._lock = threading.Lock()
        self._sums: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._buckets: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for metric in METRICS:
            for value in metric.values or (() if metric.label else ("",)):
                self._count(metric, value, 0.0, times=0)

    def add(self, metric: Metric, amount: float, value: str = "") -> None:
        """Add `amount` ≥ 0 where `label` has this value; to a distribution, add one of that size.

        An amount that is no number would spoil a sum for good: it is left out.
        """
        if amount >= 0:
            self._count(metric, value, amount)

    def wait(self) -> None:
        """Until something was added after the last report."""
        self._changed.wait()

    def report(self, emit: Emit) -> None:
        """Emit what was added since the last report; distributions cumulatively."""
        with self._lock:
            sums, self._sums = self._sums, defaultdict(float)
            buckets, self._buckets = self._buckets, defaultdict(list)
            first, self._reported = not self._reported, True
            self._changed.clear()
        for (name, value), amount in sums.items():
            emit(_NAMED[name], amount, [self.version, *filter(None, [value])])
        for (name, value), counts in buckets.items():
            labels = [self.version, *filter(None, [value])]
            bounds = [*map(str, _NAMED[name].bounds), INFINITY]
            for bound, within in zip(bounds, accumulate(counts), strict=True):
                if within or first:
                    emit(_NAMED[name], float(within), [*labels, bound])

    def _count(self, metric: Metric, value: str, amount: float, *, times: int = 1) -> None:
        key = metric.name, value
        with self._lock:
            if metric.bounds:
                counts = self._buckets[key] or [0] * (len(metric.bounds) + 1)
                counts[bisect_left(metric.bounds, amount)] += times
                self._buckets[key] = counts
            else:
                self._sums[key] += amount
        self._changed.set()


def report_in_background(tally: Tally, emit: Emit) -> None:
    """Report whenever something was added, at most once an INTERVAL, and when the process ends."""

    def report() -> None:
        try:
            tally.report(emit)
        except Exception as error:  # counting must end neither an answer nor this thread
            _LOG.error("metrics_failed %s", type(error).__name__)

    def run() -> None:
        while True:
            tally.wait()
            report()
            time.sleep(INTERVAL)

    threading.Thread(target=run, name="pm25-metrics", daemon=True).start()
    atexit.register(report)
