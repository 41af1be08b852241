"""What the indices of one axis of a value see of the input: first and last pixel, by period.

Index b q + phase sees ``lo[phase] + a q`` to ``hi[phase] + a q``, borders left out of account.
An ordinary chain has b = 1. Where strides differ at a join, the map is a table: one phase an index
and a = 0. A phase of None sees nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, lcm

from archstat.analyses.field.relations import Relation, one_by_one

Ends = tuple[int | None, ...]
Pair = tuple[int | None, int | None]


class Map:
    """First and last input pixel of every index; `table` says that it holds one phase an index."""

    __slots__ = ("a", "b", "hi", "lo", "steady", "table")

    def __init__(self, a: int, b: int, lo: Ends, hi: Ends, table: bool = False) -> None:
        self.a, self.b, self.lo, self.hi, self.table = a, b, lo, hi, table
        self.steady = b == 1 and a >= 0 and lo[0] is not None

    def at(self, index: int) -> Pair:
        """The first and last pixel that an index sees, inside the value or out of it."""
        turn, phase = divmod(index, self.b)
        first, last = self.lo[phase], self.hi[phase]
        if first is None or last is None or (self.table and turn):
            return None, None
        return first + self.a * turn, last + self.a * turn

    def spans(self, size: int) -> list[int]:
        """The field of each different phase among the first `size` indices; 0 sees nothing."""
        if self.steady:
            return [self.hi[0] - self.lo[0] + 1]  # type: ignore[operator]
        size = self.b if self.table else size
        pairs = zip(self.lo[:size], self.hi[:size], strict=True)
        return [0 if lo is None or hi is None else hi - lo + 1 for lo, hi in pairs]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Map)
            and (self.a, self.b, self.lo, self.hi) == (other.a, other.b, other.lo, other.hi)
            and self.table == other.table
        )

    def __hash__(self) -> int:
        return hash((self.a, self.b, self.lo, self.hi))

    def __repr__(self) -> str:
        return f"Map({self.a}, {self.b}, {self.lo}, {self.hi}, {self.table})"


START = Map(1, 1, (0,), (0,))


def through(before: Map, relation: Relation, size: int) -> Map:
    """The map of a value of `size` indices whose op relates them to indices of `before`."""
    step = relation.regular
    if step.b == 1 and before.steady and step.taps[0]:
        a, lo, hi = before.a, before.lo[0], before.hi[0]
        assert lo is not None and hi is not None
        return Map(a * step.a, 1, (lo + a * step.first,), (hi + a * step.last,))
    if step.a == 0 or before.table:
        return _simplified([_seen(before, step, o) for o in one_by_one(size)])
    # The phases of both come together again after this many indices.
    period = step.b * (before.b // gcd(before.b, step.a))
    pairs = [_seen(before, step, o) for o in one_by_one(period)]
    a = before.a * (step.a * (period // step.b)) // before.b
    return _shortened(a, period, pairs)


def _seen(before: Map, step: Relation, index: int) -> Pair:
    turn, phase = divmod(index, step.b)
    start = step.a * turn
    taps = step.taps[phase]
    if before.steady and len(taps) > 2:
        taps = (min(taps), max(taps))
    return _hull([before.at(start + tap) for tap in taps])


def _hull(pairs: Sequence[Pair]) -> Pair:
    firsts = [first for first, _ in pairs if first is not None]
    lasts = [last for _, last in pairs if last is not None]
    return (min(firsts), max(lasts)) if firsts else (None, None)


def scanned(before: Map, size: int, pixels: int, scans: int) -> Map:
    """What indices see that read all those up to them, or from them on, of an input of `pixels`."""
    pairs = [before.at(o) for o in one_by_one(size)][::scans]
    seen: list[Pair] = []
    for pair in pairs:
        seen.append(_hull([*seen[-1:], pair]))
    return clipped(seen[::scans], pixels)


def clipped(pairs: Sequence[Pair], pixels: int) -> Map:
    """The map of these ends, inside the input."""
    return _simplified(
        [
            (lo, hi) if lo is None or hi is None else (max(lo, 0), min(hi, pixels - 1))
            for lo, hi in pairs
        ]
    )


def joined(maps: Sequence[Map], size: int) -> tuple[Map, bool]:
    """The hull of several maps of one value, and whether their strides are the same."""
    first = maps[0]
    if all(other is first for other in maps):
        return first, True
    if all(m.b == 1 and m.a == first.a and m.lo[0] is not None and not m.table for m in maps):
        lo = min(m.lo[0] for m in maps)  # type: ignore[type-var]
        hi = max(m.hi[0] for m in maps)  # type: ignore[type-var]
        return Map(first.a, 1, (lo,), (hi,)), True
    alike = all(m.a * first.b == first.a * m.b and not m.table for m in maps)
    if not alike:
        table = _simplified([_hull([m.at(o) for m in maps]) for o in one_by_one(size)])
        return table, not table.table
    period = lcm(*(m.b for m in maps))
    pairs = [_hull([m.at(o) for m in maps]) for o in one_by_one(period)]
    return _shortened(first.a * (period // first.b), period, pairs), True


def pieced(parts: Sequence[tuple[Map | None, int]]) -> Map:
    """The map of several values one after the other along this axis, each with its size.

    A part of None (zeros, a parameter) sees nothing.
    """
    one_by_one(sum(size for _, size in parts))
    return _simplified([m.at(o) if m else (None, None) for m, size in parts for o in range(size)])


def _simplified(pairs: list[Pair]) -> Map:
    """A table, or the plain map it is in truth."""
    if not pairs:
        return Map(0, 1, (None,), (None,))
    lo, hi = tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)
    first, last = lo[0], hi[0]
    if first is not None and last is not None and len(pairs) > 1 and lo[1] is not None:
        a = lo[1] - first
        if all(pair == (first + a * o, last + a * o) for o, pair in enumerate(pairs)):
            return Map(a, 1, (first,), (last,))
    if len(pairs) == 1 and first is not None:
        return Map(0, 1, lo, hi)
    return Map(0, len(pairs), lo, hi, table=True)


def _shortened(a: int, period: int, pairs: list[Pair]) -> Map:
    """The map with the smallest period that says the same; b = 1 for an ordinary chain."""
    if period > 1 and a % period == 0:
        step, (first, last) = a // period, pairs[0]
        if first is not None and last is not None:
            even = all(pair == (first + step * o, last + step * o) for o, pair in enumerate(pairs))
            if even:
                return Map(step, 1, (first,), (last,))
    return Map(a, period, tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))
