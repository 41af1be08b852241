"""The clock that times are read from, and what reading it costs."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Nanoseconds that never go back."""

    def now_ns(self) -> int:
        """The time since some fixed moment."""


class WallClock:
    """The monotonic clock of the machine."""

    def now_ns(self) -> int:
        """The time since some fixed moment."""
        return time.perf_counter_ns()


def reading_ns(clock: Clock, readings: int = 50) -> float:
    """What one reading of the clock costs, in ns: the least of several pairs."""
    return float(min(-clock.now_ns() + clock.now_ns() for _ in range(readings)))
