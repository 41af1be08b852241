"""Makes the states of one Graph, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from archstat.analyses.field import layouts
from archstat.analyses.field.layouts import FREE, LOST, Digit, Layout
from archstat.analyses.field.maps import START, Map, clipped, joined, scanned, through
from archstat.analyses.field.relations import EVERYTHING, IDENTITY, Relation, one_by_one

Origin = tuple[int, str]  # the first op that sees everything, and what it is called


class Support(NamedTuple):
    """The input indices seen on one axis, as bits, and whether anything on the way is padding."""

    indices: int
    reads_padding: bool


class Link(NamedTuple):
    """What a state reads of another, an entry an axis; `gates` says where it only scales.

    `pools` marks a global pooling or a linear layer over all positions: the end of the spatial
    part of a network.
    """

    state: State
    relations: tuple[Relation, ...]
    gates: tuple[bool, ...] = ()
    pools: bool = False


class Part(NamedTuple):
    """A piece of a dimension in which values stand one after the other: its digits and its state.

    A piece that does not come from the input has no state.
    """

    start: int
    size: int
    digits: tuple[Digit, ...] | None = None
    state: State | None = None

    def position(self, index: int, axes: int) -> tuple[int, ...]:
        """Where an index of the whole dimension lies on each axis of the state."""
        place, inner = [0] * axes, 1
        for axis, multiplier, size in reversed(self.digits or ()):
            if axis >= 0:
                place[axis] += (index - self.start) // inner % size * multiplier
            inner *= size
        return tuple(place)


class State:
    """Layout, number of indices and map of each axis; a map of None sees everything.

    `made` is the op that made it, `first_global` the first op before it that sees everything, and
    `aligned` is False once strides differed at a join. `known` is False once an op had no rule,
    and `parts` are the pieces of a dimension whose order is given up.
    """

    __slots__ = ("aligned", "first_global", "known", "layout", "links", "made", "maps", "order",
                 "parts", "sizes")  # fmt: skip

    def __init__(
        self,
        order: int,
        made: int | None,
        layout: Layout,
        sizes: tuple[int, ...],
        maps: tuple[Map | None, ...],
        links: tuple[Link, ...] = (),
        first_global: Origin | None = None,
        aligned: bool = True,
        known: bool = True,
        parts: tuple[Part, ...] = (),
    ) -> None:
        self.order, self.made = order, made
        self.layout, self.sizes, self.maps, self.links = layout, sizes, maps, links
        self.first_global, self.aligned = first_global, aligned
        self.known, self.parts = known, parts


class States:
    """Makes the states of one Graph; `op` and `name` are those of the op at hand."""

    def __init__(self, shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
        self.sizes = tuple(shape[dim] for dim in dims)
        self.axes = len(self.sizes)
        self.identity = (IDENTITY,) * self.axes
        self.everything = (EVERYTHING,) * self.axes
        self.unaligned: list[tuple[int, State]] = []
        # Whether what a position sees on one axis may depend on where it is on another.
        self.mixes_axes = False
        self.supports: dict[tuple[int, int, int, bool], Support] = {}
        self.op, self.name = -1, ""
        layout = layouts.standing(len(shape), dims, self.sizes)
        self.all = [State(0, None, layout, self.sizes, (START,) * self.axes)]

    def new(
        self,
        layout: Layout,
        sizes: tuple[int, ...],
        maps: tuple[Map | None, ...],
        links: tuple[Link, ...],
        aligned: bool,
        known: bool = True,
        parts: tuple[Part, ...] = (),
    ) -> State:
        """A further state, with the first global op among those before it and its own."""
        first = None
        for link in links:
            other = link.state.first_global
            known = known and link.state.known
            if other is not None and (first is None or other < first):
                first = other
        if first is None and known and None in maps:
            first = (self.op, self.name)
        state = State(len(self.all), self.op, layout, sizes, maps, links, first, aligned, known,
                      parts)  # fmt: skip
        self.all.append(state)
        return state

    def _through(self, before: Map, relation: Relation, size: int, axis: int) -> Map:
        if relation is IDENTITY:
            return before
        if relation.scans:
            return scanned(before, size, self.sizes[axis], relation.scans)
        return through(before, relation, size)

    def step(
        self,
        state: State,
        relations: tuple[Relation, ...],
        layout: Layout,
        sizes: tuple[int, ...],
        pools: bool = False,
    ) -> State:
        """The state that one op makes of another; `relations` say how, an axis each."""
        maps: list[Map | None] = []
        for axis, (before, relation) in enumerate(zip(state.maps, relations, strict=True)):
            if before is None or relation is EVERYTHING:
                maps.append(None)
            else:
                maps.append(self._through(before, relation, sizes[axis], axis))
        aligned = state.aligned and not any(relation.scans for relation in relations)
        return self.new(layout, sizes, tuple(maps), (Link(state, relations, (), pools),), aligned)

    def whole(self, state: State) -> State:
        """The state with each axis in a dimension of its own, where views did not mix them."""
        return self.spread(state, range(len(state.layout))) or state

    def along(
        self, state: State, shape: tuple[int, ...], steps: dict[int, tuple[Relation, int]]
    ) -> State | None:
        """The state after a relation to a new size on each of some dimensions that hold positions.

        None where positions do not stand there in their order.
        """
        moved = {
            dim: step for dim, step in steps.items()
            if state.layout[dim] and (step[0] is not IDENTITY or step[1] != shape[dim])
        }  # fmt: skip
        if not moved:
            return state
        spread = self.spread(state, tuple(moved))
        if spread is None:
            return None
        own, sizes, layout = list(self.identity), list(spread.sizes), list(spread.layout)
        for dim, (relation, size) in moved.items():
            axis = layout[dim][0][0]  # type: ignore[index]
            own[axis], sizes[axis], layout[dim] = relation, size, ((axis, 1, size),)
        return self.step(spread, tuple(own), tuple(layout), tuple(sizes))

    def moved(self, state: State, layout: Layout) -> State:
        """The same indices in other dimensions."""
        if layout == state.layout:
            return state
        links = state.links or (Link(state, self.identity),)
        moved = State(len(self.all), state.made, layout, state.sizes, state.maps, links,
                      state.first_global, state.aligned, state.known, state.parts)  # fmt: skip
        self.all.append(moved)
        return moved

    def summed(
        self, state: State, dims: Sequence[int], keeps: bool = False, pools: bool = False
    ) -> State:
        """What a sum over dimensions makes: without the digits that stand in them.

        With `keeps` the indices stay, each seeing all that the sum saw (softmax, layer norm).
        """
        gone = [digit for dim in dims for digit in state.layout[dim] or () if digit[0] != FREE]
        if not gone:
            return state
        lost = {axis for axis, _, _ in gone}
        if LOST in lost:
            mask = 0
            for axis, multiplier, _ in gone:
                mask |= multiplier if axis == LOST else 1 << axis
            return self._without_lost(state, dims, mask, keeps, pools)
        layout = state.layout
        if not keeps:
            layout = tuple(None if dim in dims else d for dim, d in enumerate(layout))
        relations, sizes = list(self.identity), list(state.sizes)
        for axis in lost:
            swept = tuple((n, m) for k, m, n in gone if k == axis)
            if keeps:
                left = [d for _, _, d in layouts.digits_of(layout, axis)]
                kept = [(m, n, m) for k, m, n in left if (n, m) not in swept]
            else:
                layout, kept, sizes[axis] = layouts.renumbered(layout, axis)
            relations[axis] = layouts.relation_of(sizes[axis], tuple(kept), swept)
        return self.step(state, tuple(relations), layout, tuple(sizes), pools)

    def _without_lost(
        self, state: State, dims: Sequence[int], mask: int, keeps: bool, pools: bool
    ) -> State:
        """A sum over positions whose order is unknown: it sees all of their axes."""
        layout = state.layout
        if not keeps:
            layout = tuple(None if dim in dims else d for dim, d in enumerate(layout))
        gone = [bool(mask >> axis & 1) for axis in range(self.axes)]
        relations = tuple(EVERYTHING if all_of_it else IDENTITY for all_of_it in gone)
        sizes = tuple(
            prod(n for _, _, (_, _, n) in layouts.digits_of(layout, axis))
            for axis in range(self.axes)
        )
        return self.step(state, relations, layout, sizes, pools)

    def spread(self, state: State, dims: Sequence[int]) -> State | None:
        """The state with each of these dimensions the whole of one axis, or no axis at all.

        None where a dimension mixes axes, or holds a part of one whose rest stands elsewhere.
        """
        for dim in dims:
            digits = state.layout[dim]
            if digits is None:
                continue
            axis = next(k for k, _, _ in digits if k != FREE)
            if axis >= 0 and is_whole(digits, axis, state.sizes[axis]):
                continue
            spread = self._spread(state, dim, axis, digits)
            if spread is None:
                return None
            state = spread
        return state

    def _spread(self, state: State, dim: int, axis: int, digits: tuple[Digit, ...]) -> State | None:
        whole = len(layouts.digits_of(state.layout, axis))
        if axis < 0 or sum(k == axis for k, _, _ in digits) != whole:
            return None
        if any(k not in (axis, FREE) for k, _, _ in digits):
            return None
        size, matched = 1, []
        for k, multiplier, count in reversed(digits):
            if k == axis:
                matched.append((size, count, multiplier))
            size *= count
        relation = layouts.relation_of(size, tuple(matched))
        layout = (*state.layout[:dim], ((axis, 1, size),), *state.layout[dim + 1 :])
        relations = tuple(relation if k == axis else IDENTITY for k in range(self.axes))
        sizes = tuple(size if k == axis else n for k, n in enumerate(state.sizes))
        return self.step(state, relations, layout, sizes)

    def scattered(
        self,
        states: Sequence[State],
        dim: int,
        rank: int,
        count: int,
        parts: tuple[Part, ...] = (),
        steady: bool = True,
    ) -> State:
        """Positions of several axes in one dimension, in an order that is given up.

        The `count` of them keep the size of their field (tokens with a class token before them),
        and sums over the dimension see everything; where a position lies only `parts` tell.
        Unless `steady` they have no stride.
        """
        links = tuple(Link(state, self.everything) for state in states)
        maps: list[Map | None] = []
        aligned = all(state.aligned for state in states)
        for axis in range(self.axes):
            found = [m for state in states if (m := state.maps[axis]) is not None]
            if len(found) < len(states):
                maps.append(None)
                continue
            one = found[0]
            if steady and all(m.a * one.b == one.a * m.b and not m.table for m in found):
                maps.append(joined(found, 1)[0])
                continue
            sides = [s for state, m in zip(states, found, strict=True)
                     for s in m.spans(state.sizes[axis])]  # fmt: skip
            ends = min(sides), max(sides)
            maps.append(Map(0, 2, (0, 0), (ends[0] - 1, ends[1] - 1), table=True))
            aligned = aligned and not steady
        lost: tuple[Digit, ...] = ((LOST, (1 << self.axes) - 1, count),)
        layout = tuple(lost if place == dim else None for place in range(rank))
        ones = (1,) * self.axes
        state = self.new(layout, ones, tuple(maps), links, aligned, parts=parts)
        if not aligned and all(state.aligned for state in states):
            self.unaligned.append((self.op, state))
        return state

    def lost(self, states: Sequence[State], shape: tuple[int, ...], known: bool = True) -> State:
        """What nobody can follow: every position may see everything of everything it read."""
        links = tuple(Link(state, self.everything) for state in states)
        sizes = (1,) * self.axes
        layout: Layout = (None,) * len(shape)
        if len(shape) == self.axes + 2:
            sizes = shape[2:]
            layout = layouts.plain(len(shape), sizes)
        aligned = all(state.aligned for state in states)
        return self.new(layout, sizes, (None,) * self.axes, links, aligned, known)

    def merged(
        self,
        links: Sequence[Link],
        layout: Layout,
        sizes: tuple[int, ...],
        told: tuple[Map | None, ...] | None = None,
    ) -> State:
        """The union of what several links bring; gates leave the maps as they are.

        Maps that are `told` stand for those of the union.
        """
        aligned = all(link.state.aligned for link in links)
        if told is not None:
            return self.new(layout, sizes, told, tuple(links), aligned)
        maps: list[Map | None] = []
        for axis, size in enumerate(sizes):
            found: list[Map] = []
            for state, relations, gates, _ in links:
                if gates and gates[axis]:
                    continue
                before, relation = state.maps[axis], relations[axis]
                if before is None or relation is EVERYTHING:
                    found = []
                    break
                found.append(self._through(before, relation, size, axis))
            if not found:
                maps.append(None)
                continue
            union, even = joined(found, size)
            maps.append(self._whole(union, found, size, self.sizes[axis]))
            aligned = aligned and (even or maps[-1] is None)
        state = self.new(layout, sizes, tuple(maps), tuple(links), aligned)
        if not aligned and all(link.state.aligned for link in links):
            self.unaligned.append((self.op, state))
        return state

    @staticmethod
    def _whole(union: Map, found: Sequence[Map], size: int, pixels: int) -> Map | None:
        """A union of places apart that covers the input: nothing lies outside a recurrence."""
        if union is found[0] or not (size == 1 or union.table or union.a == 0):
            return union
        pairs = [union.at(o) for o in one_by_one(size)]
        if size > 1:
            covers = set(pairs) == {(0, pixels - 1)}
            return None if covers else union
        (lo, hi), ends = pairs[0], [m.at(0) for m in found]
        inside = lo is None or hi is None or lo > 0 or hi < pixels - 1
        return union if inside or (lo, hi) in ends else clipped(pairs, pixels)


def is_whole(digits: tuple[Digit, ...], axis: int, size: int) -> bool:
    """Whether a dimension holds this axis alone, all of it."""
    return digits == ((axis, 1, size),)
