"""A clock that only models move: tests of time are exact and take none."""

from __future__ import annotations

import pytest


class VirtualClock:
    """Nanoseconds that go on by what is added, and by the cost of each reading."""

    def __init__(self, reading_ns: int = 0) -> None:
        self.ns = 0
        self.reading_ns = reading_ns
        self.readings = 0

    def now_ns(self) -> int:
        self.readings += 1
        self.ns += self.reading_ns
        return self.ns


class VirtualSubject:
    """A model whose calls take the given times in turn, in ns, the last for ever."""

    def __init__(self, clock: VirtualClock, *costs: int) -> None:
        self.clock = clock
        self.costs = list(costs)
        self.calls = 0

    def call(self) -> None:
        self.clock.ns += self.costs[min(self.calls, len(self.costs) - 1)]
        self.calls += 1

    def sample(self, clock, calls, blocks):
        from archstat.measure.latency.sampling import blocks_of

        return {"forward": blocks_of(self.call, clock, calls, blocks)}


@pytest.fixture
def virtual_clock():
    return VirtualClock


@pytest.fixture
def virtual_subject():
    return VirtualSubject
