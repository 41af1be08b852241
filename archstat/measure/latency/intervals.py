"""Medians, percentiles and 95 % intervals over processes and turns.

Calls in a row are alike, so the unit is the turn of a process, never the call. The model of what a
turn gives (the logarithm of a ratio or of a median, or a share) is

    value(process, turn) = level + process effect + machine at the time + rest

Fresh processes of the same program differ for their whole life (where memory came to lie), and a
shared machine differs for seconds. The spread of processes gives the first part of the variance;
turns in order of time, each less its process's level, give the second, as fewer turns where
neighbours are alike. The limits are Student's at 95 %, for each part by its own degrees of freedom.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, zip_longest

from archstat.measure.latency.measurement import Interval

# Upper 2.5 % points of Student's distribution, by degrees of freedom.
_STUDENT = (
    *((1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (6, 2.447), (8, 2.306)),
    *((10, 2.228), (15, 2.131), (20, 2.086), (30, 2.042), (60, 2.000), (math.inf, 1.960)),
)

# The standard deviation of a normal distribution over its median absolute deviation.
_NORMAL_MAD = 1.4826


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which a share of ordered values lies, between neighbours linearly."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def student(freedom: float) -> float:
    """The upper 2.5 % point for at least one degree of freedom, between points by 1/freedom."""
    freedom = max(1.0, freedom)
    pairs = pairwise(_STUDENT)
    (below, high), (above, low) = next(pair for pair in pairs if freedom <= pair[1][0])
    share = (1 / below - 1 / freedom) / (1 / below - 1 / above)
    return high + share * (low - high)


@dataclass(frozen=True, slots=True)
class FastMode:
    """The faster of two modes of samples: its share of them, and its median in ms."""

    share: float
    middle_ms: float


_APART = 2.0  # between neighbouring samples, as a ratio, where two modes meet
_LEAST_SHARE = 0.02


def fast_mode(ordered: Sequence[float]) -> FastMode | None:
    """The fast mode of ascending samples whose median is of a slow one; None where it is not.

    Two modes are apart where a sample takes at least twice as long as the one before it.
    """
    first, half = max(1, math.ceil(_LEAST_SHARE * len(ordered))), len(ordered) // 2
    gaps = {n: ordered[n] / ordered[n - 1] for n in range(first, half + 1)}
    place = max(gaps, key=gaps.__getitem__, default=0)
    if not place or gaps[place] < _APART:
        return None
    return FastMode(place / len(ordered), statistics.median(ordered[:place]))


def interval_over(processes: Sequence[Sequence[float]]) -> Interval:
    """The interval of positive times or ratios, from one value a turn of each process.

    The middle is the geometric mean of the processes' medians. One process, or one turn of each,
    lacks a part of the variance; a single value has an interval of no width.

    Args:
        processes: for each process, its turns in order; at least one with at least one.
    """
    logs = [[math.log(value) for value in turns] for turns in processes if turns]
    levels = [statistics.median(turns) for turns in logs]
    parts = _of_machine(logs, levels)
    if len(levels) > 1:
        parts.append((statistics.variance(levels) / len(levels), len(levels) - 1))
    middle, reach = statistics.fmean(levels), _reach(parts)
    return Interval(*(math.exp(middle + side * reach) for side in (-1, 0, 1)))


# Processes of one program differ by less; what differs by more is the machine, and was sampled.
_MOST_APART = 1.25


def interval_of_median(processes: Sequence[Sequence[Sequence[float]]]) -> Interval:
    """The interval of the median of all samples, which is its middle.

    It is the wider, on either side, of two: that over the medians of turns, which knows how
    processes differ, and the percentiles between which the true median lies by the spread of each
    turn's share of samples below the median (Woodruff, JASA 47, 1952), which knows how often the
    machine changes its speed. It reaches down to a fast mode, and not beyond what was sampled.

    Args:
        processes: for each process and turn, ascending samples; at least one.
    """
    known = [[turn for turn in turns if turn] for turns in processes if any(turns)]
    ordered = sorted(chain.from_iterable(chain.from_iterable(known)))
    middle = percentile(ordered, 0.5)
    reach = _reach_of_shares(known)
    over = interval_over([[percentile(turn, 0.5) for turn in turns] for turns in known])
    low = min(over.low, percentile(ordered, max(0.0, 0.5 - reach)))
    high = max(over.high, percentile(ordered, min(1.0, 0.5 + reach)))
    if fast := fast_mode(ordered):
        # Turns that agree on the slow mode know nothing of how often the other one comes.
        low = min(low, fast.middle_ms)
    first, last = ordered[0] / _MOST_APART, ordered[-1] * _MOST_APART
    return Interval(max(low, first), middle, min(high, last))


def _reach_of_shares(processes: Sequence[Sequence[Sequence[float]]]) -> float:
    """Half of the interval of the mean share of samples below the median of their process."""
    shares = []
    for turns in processes:
        middle = percentile(sorted(chain.from_iterable(turns)), 0.5)
        shares.append([_share_below(middle, turn) for turn in turns])
    parts = _of_machine(shares, list(map(statistics.fmean, shares)))
    return _reach(parts)


def _share_below(value: float, ordered: Sequence[float]) -> float:
    """The share of ascending samples below a value; those equal to it count by half."""
    return (bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 / len(ordered)


def _reach(parts: Sequence[tuple[float, float]]) -> float:
    """Half of an interval, from the parts of its variance and their degrees of freedom.

    Each part has its own point of Student's distribution: common degrees of freedom would be
    many, and the interval too narrow, just where the processes happen to agree.
    """
    return math.hypot(*(student(degrees) * math.sqrt(part) for part, degrees in parts))


def _of_machine(
    processes: Sequence[Sequence[float]], levels: Sequence[float]
) -> list[tuple[float, float]]:
    """The variance of the mean of turns in order, less their levels; none of one turn each.

    A level is a median, which one stalled turn does not move: its turn is clipped.
    """
    away = [[v - level for v in turns] for turns, level in zip(processes, levels, strict=True)]
    series = [value for cycle in zip_longest(*away) for value in cycle if value is not None]
    if len(series) == len(levels):
        return []
    kept = clipped(series)
    alone = independent(kept)
    variance = sum(value**2 for value in kept) / (len(kept) - len(levels))
    return [(variance / alone, max(1.0, alone - len(levels)))]


def clipped(values: Sequence[float]) -> list[float]:
    """Values beyond three robust standard deviations of the median brought back to there."""
    middle = statistics.median(values)
    spread = statistics.median(abs(value - middle) for value in values)
    reach = 3 * _NORMAL_MAD * spread or math.inf
    return [min(max(value, middle - reach), middle + reach) for value in values]


_FEWEST_IN_SERIES = 4


def independent(values: Sequence[float]) -> float:
    """How many independent values a series is worth, by its correlation with its successor.

    The correlation is freed of its bias in short series (Kendall, Biometrika 41, 1954). At least 1:
    a machine that changed once during the run has been seen in one change only.
    """
    count, mean = len(values), statistics.fmean(values)
    away = [value - mean for value in values]
    whole = sum(distance**2 for distance in away)
    if not whole or count < _FEWEST_IN_SERIES:
        return float(count)
    alike = (count * sum(a * b for a, b in pairwise(away)) / whole + 1) / (count - 3)
    alike = min(1.0, max(0.0, alike))
    return max(1.0, count * (1 - alike) / (1 + alike))
