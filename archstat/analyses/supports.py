"""The exact input indices that one output position sees: sets walked back, clipped at every layer.

A set is the bits of one whole number, bit i for index i; a position has one an axis. What a layer
cannot read on one axis it does not read on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archstat.analyses.field_maker import States
from archstat.analyses.field_relations import EVERYTHING, IDENTITY, Relation
from archstat.analyses.field_states import Link, State, Support

Sets = tuple[int, ...]


def supports(maker: States, start: State, position: Sequence[int], gates: bool) -> list[Support]:
    """What one position of `start` sees of the input, an entry an axis."""
    if maker.mixes_axes:
        return _walk(maker, start, tuple(enumerate(position)), gates)
    found = []
    for axis, index in enumerate(position):
        key = (start.order, axis, index, gates)
        if key not in maker.supports:
            maker.supports[key] = _walk(maker, start, ((axis, index),), gates)[0]
        found.append(maker.supports[key])
    return found


def _walk(
    maker: States, start: State, indices: Sequence[tuple[int, int]], gates: bool
) -> list[Support]:
    """What one index on each of some axes sees of the input, the first of the states."""
    axes = [axis for axis, _ in indices]
    wanted: dict[int, list[int]] = {start.order: [1 << index for _, index in indices]}
    padded = [False] * len(axes)
    for order in range(start.order, 0, -1):
        sets = wanted.pop(order, None)
        if sets is None:
            continue
        for link in maker.all[order].links:
            read = _read(link, axes, sets, gates, padded)
            before = wanted.setdefault(link.state.order, [0] * len(axes))
            for place, found in enumerate(read):
                before[place] |= found
    seen = wanted.get(0, [0] * len(axes))
    return [Support(found, outside) for found, outside in zip(seen, padded, strict=True)]


def _read(
    link: Link, axes: Sequence[int], sets: Sequence[int], gates: bool, padded: list[bool]
) -> list[int]:
    """What a link reads on each axis; nothing at all where it reads nothing on one of them."""
    read, empty = [0] * len(axes), False
    for place, axis in enumerate(axes):
        if link.gates and link.gates[axis] and not gates:
            continue
        found, outside = read_by(link.relations[axis], sets[place], link.state.sizes[axis])
        padded[place] = padded[place] or outside
        read[place] = found
        empty = empty or (not found and sets[place] != 0)
    return [0] * len(axes) if empty else read


def read_by(relation: Relation, indices: int, size: int) -> tuple[int, bool]:
    """The input indices that some output indices read, and whether they read padding."""
    if relation is IDENTITY or not indices:
        return indices, False
    if relation is EVERYTHING:
        return (1 << size) - 1, False
    read = 0
    margin = max(0, -relation.first)
    if relation.b == 1 and relation.a == 1:
        for tap in relation.taps[0]:
            read |= indices << (tap + margin)
    else:
        # A negative stride reaches down from the last index.
        margin += max(0, -relation.a) * indices.bit_length()
        patterns = [sum(1 << (tap + margin) for tap in taps) for taps in relation.taps]
        for index in bits(indices):
            turn, phase = divmod(index, relation.b)
            start = relation.a * turn
            pattern = patterns[phase]
            read |= pattern << start if start >= 0 else pattern >> -start
    inside = (read >> margin) & ((1 << size) - 1)
    return inside, relation.pads and inside << margin != read


def bits(indices: int) -> Iterator[int]:
    """The indices of a set, in order."""
    while indices:
        lowest = indices & -indices
        yield lowest.bit_length() - 1
        indices ^= lowest
