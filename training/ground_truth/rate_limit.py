"""How often a source may be asked: a sliding window, and how long a reply says to wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from training.ground_truth.clock import Clock


class RateLimit:
    """At most `n` requests in any `seconds`.

    A token bucket of the same rate would let nearly 2 n through in one window: its burst, and what
    flows in meanwhile. The times of the last n requests let n through.
    """

    def __init__(self, n: int, seconds: float) -> None:
        self.seconds = seconds
        self._times: deque[float] = deque(maxlen=n)

    def wait(self, clock: Clock) -> None:
        """Wait until one more request is allowed, and count it."""
        if len(self._times) == self._times.maxlen:
            ahead = self._times[0] + self.seconds - clock.monotonic()
            if ahead > 0:
                clock.sleep(ahead)
        self._times.append(clock.monotonic())


def seconds_to_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """What Retry-After (seconds, or an HTTP date) or else X-RateLimit-Reset (seconds) asks for.

    None where neither can be read; never negative.
    """
    for name in ("retry-after", "x-ratelimit-reset"):
        text = (headers.get(name) or "").strip()
        try:
            return max(0.0, float(int(text)))
        except ValueError:
            pass
        if name == "retry-after" and text:
            try:
                date = parsedate_to_datetime(text)
            except ValueError:
                continue
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            return max(0.0, (date - now).total_seconds())
    return None
