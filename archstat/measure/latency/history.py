"""Latencies of the newest day against those of the month before it, on one machine."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from archstat.measure.latency.intervals import student
from archstat.measure.latency.measurement import Interval, Measurement, Verdict
from archstat.measure.latency.store import Stored

MONTH = timedelta(days=30)
_ENOUGH = 2  # degrees of freedom from which the spread of runs makes an interval


@dataclass(frozen=True, slots=True)
class Side:
    """The runs of one side of a comparison: their common median in ms, and their days."""

    interval_ms: Interval
    runs: int
    first: date
    last: date
    torch: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One model at one condition: the newest day, the month before it, and what is between.

    `before`, `ratio` and `verdict` are None where the month holds no run.
    """

    newest: Measurement
    today: Side
    before: Side | None
    ratio: Interval | None
    verdict: Verdict | None


def changes(stored: Sequence[Stored]) -> tuple[Change, ...]:
    """A change a model and condition, in the order in which they were first measured.

    Args:
        stored: measurements of one machine, oldest first.
    """
    groups: dict[object, list[Measurement]] = {}
    for one in stored:
        groups.setdefault(_same(one), []).append(one.measurement)
    return tuple(_change(group) for group in groups.values())


def _same(one: Stored) -> object:
    """What two runs must agree in to be held against each other."""
    run = one.measurement
    settings = tuple(sorted((key, str(value)) for key, value in run.settings.items()))
    # Threads that were asked for and torch's own number may be the same.
    return one.subject, run.input, replace(run.conditions, threads=run.threads), settings


def _change(group: Sequence[Measurement]) -> Change:
    newest = _day(group[-1])
    today = [one for one in group if _day(one) == newest]
    before = [one for one in group if newest - MONTH <= _day(one) < newest]
    if not before:
        return Change(group[-1], _side(today), None, None, None)
    ratio = ratio_between(_intervals(today), _intervals(before))
    return Change(group[-1], _side(today), _side(before), ratio, _verdict(ratio))


def ratio_between(today: Sequence[Interval], before: Sequence[Interval]) -> Interval:
    """The time of today's runs over that of the earlier ones, with 95 % limits.

    The limits are the wider of two: those that the runs' own intervals give, and those that the
    spread between runs gives (of Student's distribution from four runs on; of three runs or two,
    the distance of the two on one side).
    """
    sides = [[math.log(one.middle) for one in side] for side in (today, before)]
    middle = statistics.fmean(sides[0]) - statistics.fmean(sides[1])
    reach = max(math.hypot(*map(_own_reach, (today, before))), _reach_between(sides))
    return Interval(*(math.exp(middle + sign * reach) for sign in (-1, 0, 1)))


def _own_reach(side: Sequence[Interval]) -> float:
    return math.hypot(*(math.log(one.high / one.low) / 2 for one in side)) / len(side)


def _reach_between(sides: Sequence[Sequence[float]]) -> float:
    freedom = sum(len(side) - 1 for side in sides)
    if freedom < _ENOUGH:
        return max(max(side) - min(side) for side in sides)
    squares = sum(statistics.pvariance(side) * len(side) for side in sides)
    return student(freedom) * math.sqrt(squares / freedom * sum(1 / len(side) for side in sides))


def _verdict(ratio: Interval) -> Verdict:
    if ratio.high < 1:
        return Verdict.FASTER
    return Verdict.SLOWER if ratio.low > 1 else Verdict.OPEN


def _side(runs: Sequence[Measurement]) -> Side:
    intervals = _intervals(runs)
    days = [_day(one) for one in runs]
    levels = [one.middle for one in intervals]
    middle = levels[0] if len(levels) == 1 else statistics.geometric_mean(levels)
    whole = Interval(min(one.low for one in intervals), middle, max(one.high for one in intervals))
    versions = tuple(dict.fromkeys(one.machine.torch for one in runs))
    return Side(whole, len(runs), days[0], days[-1], versions)


def _intervals(runs: Sequence[Measurement]) -> list[Interval]:
    """The intervals of runs around the medians that `bench` showed."""
    return [replace(one.main.interval_ms, middle=one.main.p50_ms) for one in runs]


def _day(one: Measurement) -> date:
    return date.fromisoformat(one.date[:10])
