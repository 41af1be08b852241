"""Medians, percentiles and intervals over processes, on the scale of logarithms.

The model of a measured time is

    log t(process, turn) = level + process effect + turn effect + rest

Fresh processes of the same program differ for their whole life (where memory came to lie), and a
shared machine differs for seconds. The processes take turns, so that every cycle of turns sees
them all at about the same time: the spread of processes gives the first part of the variance, that
of cycles the second, with fewer cycles where neighbouring ones are alike. Degrees of freedom are
Satterthwaite's (Biometrics Bulletin 2, 1946), the limits Student's at 95 %.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
    """The interval of positive times or ratios, from a median a turn of each process.

    The middle is the geometric mean of the processes' medians. One process, or one turn of each,
    lacks a part of the variance; a single value has an interval of no width.

    Args:
        processes: for each process, its turns in order; at least one with at least one.
    """
    logs = [[math.log(value) for value in turns] for turns in processes if turns]
    levels = [statistics.median(turns) for turns in logs]
    middle = statistics.fmean(levels)
    parts: list[tuple[float, float]] = []
    if len(levels) > 1:
        parts.append((statistics.variance(levels) / len(levels), len(levels) - 1))
    cycles = [statistics.fmean(cycle) for cycle in zip(*logs, strict=False)]
    if len(cycles) > 1:
        parts.append(_mean_of_cycles(cycles))
    variance = sum(part for part, _ in parts)
    if not variance:
        return Interval(*(math.exp(middle),) * 3)
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts if part)
    reach = student(freedom) * math.sqrt(variance)
    return Interval(*(math.exp(middle + side * reach) for side in (-1, 0, 1)))


def _mean_of_cycles(cycles: Sequence[float]) -> tuple[float, float]:
    """The variance of the mean of successive cycles, and its degrees of freedom.

    A process's level is a median, which one stalled turn does not move: its cycle is clipped.
    """
    kept = clipped(cycles)
    alone = independent(kept)
    return statistics.variance(kept) / alone, max(1.0, alone - 1)


def clipped(values: Sequence[float]) -> list[float]:
    """Values beyond three robust standard deviations of the median brought back to there."""
    middle = statistics.median(values)
    spread = statistics.median(abs(value - middle) for value in values)
    reach = 3 * _NORMAL_MAD * spread or math.inf
    return [min(max(value, middle - reach), middle + reach) for value in values]


def independent(values: Sequence[float]) -> float:
    """How many independent values a series is worth, by its correlation with its successor.

    At least 1: a machine that changed once during the run has been seen in one change only.
    """
    mean = statistics.fmean(values)
    away = [value - mean for value in values]
    whole = sum(distance**2 for distance in away)
    if not whole:
        return float(len(values))
    alike = sum(a * b for a, b in pairwise(away)) / whole
    alike = max(0.0, alike)
    return max(1.0, len(values) * (1 - alike) / (1 + alike))
