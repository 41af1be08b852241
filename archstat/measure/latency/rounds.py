"""Rounds, turns and what they add up to.

A round runs every model once, between two runs of the reference: R A B R. A turn is some rounds in
a row of one process. A ratio is made within a round, against the mean of the two references around
it, so that a machine that slows down for a second, or all along, cancels out; R against R is the
noise of that very procedure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from archstat.measure.latency.intervals import (
    FastMode,
    fast_mode,
    interval_of_median,
    interval_over,
    percentile,
)
from archstat.measure.latency.measurement import Interval, Timing, Verdict

_T = TypeVar("_T")

# Of one model in one slot: ms a call, by phase.
Samples = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Round:
    """The samples of each slot, in the order of `slots`."""

    slots: tuple[Samples, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """The finished rounds of one process, in a row."""

    process: int
    rounds: tuple[Round, ...]


def slots(models: int, reference: int) -> tuple[int, ...]:
    """Which model each slot of a round runs: the reference, the others, the reference."""
    others = (model for model in range(models) if model != reference)
    return (reference, *others, reference)


@dataclass(frozen=True, slots=True)
class _Sum:
    """What a turn gives in the main phase: by model, ascending samples and the ratio; the noise."""

    ordered: tuple[list[float], ...]
    ratios: tuple[float, ...]
    noise: float


class Tally:
    """All turns of a run, and the timings and ratios that they give so far.

    Each turn is added up once, when it comes, so that a look at a long run costs little.
    """

    def __init__(self, models: int, reference: int, main_phase: str) -> None:
        self.models = models
        self.slots = slots(models, reference)
        self.reference = reference
        self.main_phase = main_phase
        self._turns: dict[int, list[Turn]] = {}
        self._sums: dict[int, list[_Sum]] = {}

    def add(self, turn: Turn) -> None:
        """Take a turn in; one without a finished round tells nothing."""
        if turn.rounds:
            self._turns.setdefault(turn.process, []).append(turn)
            self._sums.setdefault(turn.process, []).append(self._sum(turn))

    def turns_of(self, process: int) -> int:
        """How many turns of a process are in."""
        return len(self._turns.get(process, ()))

    def samples(self, model: int) -> int:
        """How many samples of a model there are, of one phase."""
        return sum(len(entry.ordered[model]) for sums in self._sums.values() for entry in sums)

    def per_process(self, model: int) -> tuple[tuple[float, ...], ...]:
        """The medians of the turns of each process, in ms, of the main phase."""
        return self._each(lambda entry: statistics.median(entry.ordered[model]))

    def interval(self, model: int) -> Interval:
        """The interval of a model's median, in ms, of the main phase."""
        return interval_of_median(self._each(lambda entry: entry.ordered[model]))

    def ratio(self, model: int) -> Interval:
        """The time of a model over the reference's, the mean of the two runs around it."""
        return interval_over(self._each(lambda entry: entry.ratios[model]))

    def noise(self) -> Interval:
        """The reference over itself: its second run in a round over its first."""
        return interval_over(self._each(lambda entry: entry.noise))

    def timing(self, model: int, phase: str) -> Timing:
        """One phase of a model, of which there is at least one sample."""
        by_turn = [
            [sorted(self._samples(turn, model, phase)) for turn in turns]
            for turns in self._turns.values()
        ]
        ordered = _merged(by_turn)
        p5, p25, p50, p75, p95 = (percentile(ordered, s) for s in (0.05, 0.25, 0.5, 0.75, 0.95))
        interval = interval_of_median(by_turn)
        return Timing(phase, p5, p50, p95, p75 - p25, interval, len(ordered), len(by_turn))

    def fast_mode(self, model: int) -> FastMode | None:
        """The fast mode of a model's samples of the main phase; see `intervals.fast_mode`."""
        return fast_mode(_merged(self._each(lambda entry: entry.ordered[model])))

    def _each(self, value: Callable[[_Sum], _T]) -> tuple[tuple[_T, ...], ...]:
        return tuple(tuple(map(value, sums)) for sums in self._sums.values())

    def _sum(self, turn: Turn) -> _Sum:
        logs = [
            [math.log(statistics.median(slot[self.main_phase])) for slot in entry.slots]
            for entry in turn.rounds
        ]
        ratios = []
        for model in range(self.models):
            place = self.slots.index(model)
            away = statistics.median(row[place] - (row[0] + row[-1]) / 2 for row in logs)
            ratios.append(math.exp(away))
        found = (sorted(self._samples(turn, m, self.main_phase)) for m in range(self.models))
        return _Sum(
            ordered=tuple(found),
            ratios=tuple(ratios),
            noise=math.exp(statistics.median(row[-1] - row[0] for row in logs)),
        )

    def _samples(self, turn: Turn, model: int, phase: str) -> Iterator[float]:
        for entry in turn.rounds:
            for slot, samples in zip(self.slots, entry.slots, strict=True):
                if slot == model:
                    yield from samples[phase]


def _merged(processes: Sequence[Sequence[Sequence[float]]]) -> list[float]:
    return sorted(chain.from_iterable(chain.from_iterable(processes)))


def verdict(ratio: Interval, noise: Interval) -> Verdict:
    """What a ratio tells: nothing where its interval holds 1, or the noise's reaches as far."""
    floor = max(abs(math.log(limit)) for limit in (noise.low, noise.middle, noise.high))
    apart = abs(math.log(ratio.middle)) > floor
    if ratio.high < 1 and apart:
        return Verdict.FASTER
    return Verdict.SLOWER if ratio.low > 1 and apart else Verdict.OPEN
