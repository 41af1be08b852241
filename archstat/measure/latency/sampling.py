"""Warm-up, blocks and rounds of samples in one process; it knows neither torch nor the clock.

A sample is a block of calls between two readings of the clock, long enough that the readings are
less than 1 % of it. Every slot of a round begins with one call that is not counted where that
costs little: the model before it left other weights in the caches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from archstat.measure.latency.measurement import Interval
from archstat.measure.latency.rounds import Round, Samples, Tally
from archstat.units import format_share


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


MILLISECOND = 1_000_000
BLOCK_NS = MILLISECOND // 5
READINGS_SHARE = 0.0025  # of a block that may be the reading of the clock
SLOT_NS = 40 * MILLISECOND
LONGEST_SLOT_NS = 4 * SLOT_NS  # a call of a busy machine may take a thousand times as long
TURN_NS = 300 * MILLISECOND
MIN_ROUNDS = 1
MOST_IN_SLOT = 25
LEAD_NS = 20 * MILLISECOND  # of a longer call, cold caches cost next to nothing
SETTLED = 0.02
MIN_WARM_CALLS = 3


class Subject(Protocol):
    """A model ready to run: one call, and samples of its phases in ms a call."""

    def call(self) -> None:
        """Run once, to the end."""

    def sample(self, clock: Clock, calls: int, blocks: int) -> Samples:
        """So many blocks of so many calls each."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a subject is sampled: calls a block, blocks a slot, calls before that are not counted."""

    calls: int
    blocks: int
    lead: int
    call_ns: float

    @property
    def slot_ns(self) -> float:
        """About what a slot takes."""
        return self.call_ns * (self.calls * self.blocks + self.lead)


def timed_ns(clock: Clock, run: Callable[[], None]) -> int:
    """What one call takes."""
    start = clock.now_ns()
    run()
    return clock.now_ns() - start


def warm_up(subject: Subject, clock: Clock, least_ns: float) -> float:
    """Call until some time has passed and calls get no faster; the fastest call, in ns.

    It ends after three times that time whatever the calls do, but for `MIN_WARM_CALLS`.
    """
    start, times = clock.now_ns(), [timed_ns(clock, subject.call)]
    while True:
        spent = clock.now_ns() - start
        if len(times) >= MIN_WARM_CALLS and spent >= least_ns:
            last = len(times) // 2
            if spent >= 3 * least_ns or min(times[last:]) >= (1 - SETTLED) * min(times[:last]):
                return float(max(1, min(times)))
        times.append(timed_ns(clock, subject.call))


def plan_for(call_ns: float, clock: Clock) -> Plan:
    """Blocks of enough calls, and slots of enough blocks, for a call of this length."""
    block_ns = max(BLOCK_NS, 2 * reading_ns(clock) / READINGS_SHARE)
    calls = max(1, -int(-block_ns // call_ns))
    blocks = min(MOST_IN_SLOT, max(1, int(SLOT_NS // (calls * call_ns))))
    return Plan(calls, blocks, 0 if call_ns >= LEAD_NS else 1, call_ns)


def rounds_in_turn(plans: Sequence[Plan]) -> int:
    """How many rounds, given the plans of their slots, fill a turn."""
    return max(MIN_ROUNDS, round(TURN_NS / sum(plan.slot_ns for plan in plans)))


def settle(subject: Subject, plan: Plan) -> None:
    """A call at the start of a turn that is not counted: threads and caches were another's."""
    if not plan.lead and plan.call_ns < TURN_NS / 2:
        subject.call()


def take_round(
    subjects: Sequence[Subject],
    plans: Sequence[Plan],
    clock: Clock,
    before: Callable[[int], None] = lambda slot: None,
) -> Round:
    """One round over the slots, each with its subject and plan; `before` is told of each slot."""
    taken = []
    for slot, (subject, plan) in enumerate(zip(subjects, plans, strict=True)):
        before(slot)
        for _ in range(plan.lead):
            subject.call()
        taken.append(subject.sample(clock, plan.calls, plan.blocks))
    return Round(tuple(taken))


def blocks_of(run: Callable[[], object], clock: Clock, calls: int, blocks: int) -> list[float]:
    """ms a call of blocks of calls, one after the other; fewer where they take far too long."""
    times: list[float] = []
    began = 0
    for number in range(blocks):
        start = clock.now_ns()
        began = began if number else start
        if start > began + LONGEST_SLOT_NS:
            break
        for _ in range(calls):
            run()
        times.append((clock.now_ns() - start) / calls / MILLISECOND)
    return times


MIN_CYCLES = 3


@dataclass(frozen=True, slots=True)
class StopRule:
    """The budget in s and the noise target as a part; a minimum of turns comes before both."""

    budget_s: float
    noise_target: float
    processes: int

    def reason(self, tally: Tally, elapsed_s: float, next_turn_s: float) -> str | None:
        """Why the run ends now, before another turn; None where it goes on.

        Too few turns keep it going whatever the budget: there is no interval of them.
        """
        cycles = min(tally.turns_of(process) for process in range(self.processes))
        short = cycles < MIN_CYCLES
        if not short and self._narrow(tally):
            return f"noise target of {format_share(self.noise_target)} reached"
        if short or elapsed_s + next_turn_s <= self.budget_s:
            return None
        if elapsed_s > self.budget_s:
            return f"minimum of {MIN_CYCLES} turns a process (beyond {_seconds(self.budget_s)})"
        return f"budget of {_seconds(self.budget_s)} used"

    def _narrow(self, tally: Tally) -> bool:
        models = len(tally.slots) - 1
        others = [model for model in range(models) if model != tally.reference]
        watched: Sequence[Interval] = (
            *map(tally.interval, range(models)),
            *map(tally.ratio, others),
        )
        return all(interval.half_width <= self.noise_target for interval in watched)


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s"
