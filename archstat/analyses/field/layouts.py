"""Where the spatial axes of the input stand among the dimensions of a value.

A layout has one entry a dimension: None where no axis stands there (batch, channels), else the
digits of axis indices that stand there, most significant first. A `Digit` is (axis, multiplier,
size): an axis of 56 split into windows of 7 is the digit (axis, 7, 8) in one dimension and
(axis, 1, 7) in another. So reshapes, permutes, tokens and windows are followed exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product
from math import prod

from archstat.analyses.field.relations import BROADCAST, EVERYTHING, IDENTITY, Relation, one_by_one

Digit = tuple[int, int, int]
Layout = tuple[tuple[Digit, ...] | None, ...]

FREE = -1  # a digit of no axis, beside others in one dimension
LOST = -2  # positions of several axes in an order nobody knows; its multiplier is a set of axes


@lru_cache(4096)
def plain(rank: int, sizes: tuple[int, ...]) -> Layout:
    """Every axis in a dimension of its own, the last ones: batch, channels, height, width."""
    return (*([None] * (rank - len(sizes))), *(((k, 1, n),) for k, n in enumerate(sizes)))


def standing(rank: int, dims: Sequence[int], sizes: Sequence[int]) -> Layout:
    """Every axis in a dimension of its own, the named ones."""
    held = {dim: ((k, 1, n),) for k, (dim, n) in enumerate(zip(dims, sizes, strict=True))}
    return tuple(held.get(dim) for dim in range(rank))


@lru_cache(4096)
def reshaped(layout: Layout, before: tuple[int, ...], after: tuple[int, ...]) -> Layout | None:
    """The layout under another shape of the same elements; None where it cuts across a digit."""
    rest = _flat(layout, before)
    new: list[tuple[Digit, ...] | None] = []
    for place, size in enumerate(after):
        taken: list[Digit] = []
        needed = size
        while rest and (needed > 1 or (size == 1 and not taken and rest[0][2] == 1)):
            axis, multiplier, count = rest.pop(0)
            if needed % count == 0:
                taken.append((axis, multiplier, count))
                needed //= count
            elif count % needed == 0 and axis != LOST:
                inner = count // needed
                taken.append((axis, multiplier * inner, needed))
                rest.insert(0, (axis, multiplier, inner))
                needed = 1
            else:
                return None
        if place == len(after) - 1:
            taken += rest
        new.append(_dimension(taken))
    return tuple(new)


def _flat(layout: Layout, shape: Sequence[int]) -> list[Digit]:
    flat: list[Digit] = []
    for digits, size in zip(layout, shape, strict=True):
        flat += digits if digits is not None else [(FREE, 0, size)] if size > 1 else []
    return _merged(flat)


def _merged(digits: Iterable[Digit]) -> list[Digit]:
    """The same digits with neighbours that count on made one."""
    merged: list[Digit] = []
    for axis, multiplier, size in digits:
        if merged and size > 1 and merged[-1][2] > 1 and merged[-1][0] == axis != LOST:
            _, upper, count = merged[-1]
            if upper == multiplier * size:
                merged[-1] = (axis, multiplier, count * size)
                continue
        merged.append((axis, multiplier, size))
    return merged


def _dimension(digits: Sequence[Digit]) -> tuple[Digit, ...] | None:
    merged = tuple(_merged(digits))
    return merged if any(axis != FREE for axis, _, _ in merged) else None


def digits_of(layout: Layout, axis: int) -> list[tuple[int, int, Digit]]:
    """The digits of one axis as (dimension, place in it, digit), most significant first."""
    found = [
        (dim, place, digit)
        for dim, digits in enumerate(layout)
        if digits is not None
        for place, digit in enumerate(digits)
        if digit[0] == axis
    ]
    return sorted(found, key=lambda entry: -entry[2][1])


def renumbered(layout: Layout, axis: int) -> tuple[Layout, list[tuple[int, int, int]], int]:
    """The layout with multipliers of what is left of an axis; (new, size, old) a digit; the size.

    Digits keep their order of significance.
    """
    found = digits_of(layout, axis)
    size = prod(digit[2] for _, _, digit in found)
    changes: dict[tuple[int, int], Digit] = {}
    steps, multiplier = [], size
    for dim, place, (_, old, count) in found:
        multiplier //= count
        changes[dim, place] = (axis, multiplier, count)
        steps.append((multiplier, count, old))
    new = tuple(
        None
        if digits is None
        else tuple(changes.get((dim, place), digit) for place, digit in enumerate(digits))
        for dim, digits in enumerate(layout)
    )
    return new, steps, size


def is_plain(digits: tuple[Digit, ...] | None, size: int) -> bool:
    """Whether a dimension holds the whole of one axis, in order, and nothing else."""
    return digits is not None and len(digits) == 1 and digits[0][1:] == (1, size)


@lru_cache(4096)
def relation_of(
    size: int, matched: tuple[tuple[int, int, int], ...], swept: tuple[tuple[int, int], ...] = ()
) -> Relation:
    """Output index -> input indices that share its `matched` digits, with all `swept` ones.

    `matched` holds (multiplier in the output, size, multiplier in the input), `swept` (size,
    multiplier in the input).
    """
    if swept and all(n == 1 for _, n, _ in matched):
        return EVERYTHING
    offsets = sorted(map(sum, product(*(range(0, n * m, m) for n, m in swept))))
    bases = [sum(o // out % n * into for out, n, into in matched) for o in one_by_one(size)]
    if not swept and bases == list(range(size)):
        return IDENTITY
    periods = sorted({1, *(out * n for out, n, _ in matched), *(out for out, _, _ in matched)})
    for period in (period for period in periods if period < size):
        step = bases[period] - bases[0]
        if all(later == base + step for base, later in zip(bases, bases[period:], strict=False)):
            taps = tuple(tuple(base + offset for offset in offsets) for base in bases[:period])
            return Relation(step, period, taps)
    return Relation(0, size, tuple(tuple(base + o for o in offsets) for base in bases))


def fitted(layout: Layout, shape: tuple[int, ...], out: tuple[int, ...]) -> Layout:
    """The layout under the dimensions of a larger shape; what is broadcast holds no digit."""
    if shape == out:
        return layout
    padded = (None,) * (len(out) - len(shape)) + layout
    sizes = (1,) * (len(out) - len(shape)) + shape
    return tuple(
        None if size != full else digits
        for digits, size, full in zip(padded, sizes, out, strict=True)
    )


def common_layout(layouts: Sequence[Layout]) -> Layout | None:
    """The dimensions of all layouts together; None where they contradict each other."""
    first = layouts[0]
    if all(other == first for other in layouts):
        return first
    common: list[tuple[Digit, ...] | None] = list(sorted(layouts, key=_digits_in)[-1])
    for layout in layouts:
        for dim, digits in enumerate(layout):
            mine = common[dim]
            if digits is None:
                continue
            if mine is None:
                # An axis may come from another value as a whole, but not in parts.
                held = {axis for entry in common for axis, _, _ in entry or ()}
                if any(axis in held for axis, _, _ in digits if axis >= 0):
                    return None
                common[dim] = digits
            elif LOST in (mine[0][0], digits[0][0]):
                common[dim] = mine if mine[0][0] == LOST else digits
            elif [(axis, size) for axis, _, size in mine] != [(k, size) for k, _, size in digits]:
                return None
    return tuple(common)


def _digits_in(layout: Layout) -> int:
    return sum(len(digits) for digits in layout if digits is not None)


def lifted(layout: Layout, own: Layout, axis: int, size: int) -> Relation:
    """How indices of an axis under `layout` read those under a value's own layout."""
    matched = []
    for dim, digits in enumerate(own):
        for place, (k, multiplier, count) in enumerate(digits or ()):
            if k == axis:
                held = layout[dim]
                assert held is not None
                matched.append((held[place][1], count, multiplier))
    if not matched:
        return IDENTITY if size == 1 else BROADCAST
    return relation_of(size, tuple(matched))
