"""The time of day, a clock that never runs back, and waiting: one object for all three."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The system's clock. A test puts its own in this place."""

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment; not moved when the clock is set."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
