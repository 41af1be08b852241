"""The exact input indices that one output index sees: sets walked back, clipped at every layer.

A set is the bits of one whole number, bit i for index i. Every axis is walked by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from archstat.analyses.field_relations import EVERYTHING, IDENTITY, Relation
from archstat.analyses.field_states import State


class Support(NamedTuple):
    """The input indices seen on one axis, as bits, and whether anything on the way is padding."""

    indices: int
    reads_padding: bool


def walk_back(states: Sequence[State], start: State, axis: int, index: int, gates: bool) -> Support:
    """What one index of `start` sees on one axis of the input, the first of `states`."""
    wanted = {start.order: 1 << index}
    padded = False
    for order in range(start.order, 0, -1):
        indices = wanted.pop(order, 0)
        if not indices:
            continue
        for link in states[order].links:
            if link.gates and link.gates[axis] and not gates:
                continue
            read, outside = read_by(link.relations[axis], indices, link.state.sizes[axis])
            padded = padded or outside
            before = link.state.order
            wanted[before] = wanted.get(before, 0) | read
    return Support(wanted.get(0, 0), padded)


def read_by(relation: Relation, indices: int, size: int) -> tuple[int, bool]:
    """The input indices that some output indices read, and whether they read padding."""
    if relation is IDENTITY:
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
