"""What is written into a part of a tensor: other values on its storage change with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from archstat.analyses.field.layouts import LOST, Layout, common_layout, digits_of, lifted
from archstat.analyses.field.relations import Relation, kept, listed, one_by_one, padded, placed
from archstat.analyses.field.states import Link, State, States
from archstat.graph import Graph, Op

Indices = range | tuple[int, ...]


class Region(NamedTuple):
    """A part of a whole value: the indices of each of its dimensions.

    `dims` names, for each dimension of the part, that of the whole; None is a new one of size 1.
    """

    whole: int
    dims: tuple[int | None, ...]
    indices: tuple[Indices, ...]


class Write(NamedTuple):
    """An op that wrote, with what it wrote; without a region nobody knows where.

    `moves_inside` is a write of what stands elsewhere on the same storage.
    """

    op: int
    state: State | None
    region: Region | None
    moves_inside: bool


def overlaid(
    maker: States,
    base: State | None,
    source: State | None,
    region: Region,
    shape: tuple[int, ...],
    *,
    keeps_maps: bool = False,
) -> State | None:
    """A value of this shape after a source was written into a region of it.

    A state of None does not come from the input; both are not None at once.

    Raises:
        ValueError: their positions do not fit together.
    """
    base, source = (state and maker.whole(state) for state in (base, source))
    cut = [dim for dim, chosen in enumerate(region.indices) if len(chosen) != shape[dim]]
    place = {dim: own for own, dim in enumerate(region.dims) if dim is not None}
    if source is not None:
        source = maker.spread(source, [place[dim] for dim in cut if dim in place])
        if source is None:
            raise ValueError("the source")
    if base is not None and cut:
        base = maker.spread(base, cut)
        if base is None:
            raise ValueError("the base")
    laid = _laid(source, place, cut, shape) if source is not None else None
    known = [own for own in (laid, base and base.layout) if own]
    layout = common_layout(known)
    if layout is None or any(digits and digits[0][0] == LOST for digits in layout):
        raise ValueError("the layouts")
    sizes = [1] * maker.axes
    for axis in range(maker.axes):
        for _, _, (_, _, count) in digits_of(layout, axis):
            sizes[axis] *= count
    box = {digits[0][0]: region.indices[dim] for dim in cut if (digits := layout[dim])}
    channels = any(layout[dim] is None for dim in cut)
    links = []
    if source is not None and laid is not None:
        steps = [
            _written(source, laid, layout, axis, sizes[axis], box.get(axis), base is None)
            for axis in range(maker.axes)
        ]
        links.append(Link(source, tuple(steps)))
    if base is not None and (cut or source is None):
        own = [lifted(layout, base.layout, axis, sizes[axis]) for axis in range(maker.axes)]
        links += _left(base, own, sizes, {} if channels else box)
    if not links:
        return None
    maker.mixes_axes = maker.mixes_axes or bool(box)
    maps = base.maps if keeps_maps and base is not None else None
    return maker.merged(links, layout, tuple(sizes), maps)


def _laid(state: State, place: dict[int, int], cut: Sequence[int], shape: tuple[int, ...]) -> (
    Layout
):  # fmt: skip
    """The layout of a source under the dimensions of the whole."""
    laid = []
    for dim, size in enumerate(shape):
        digits = state.layout[place[dim]] if dim in place else None
        laid.append(((digits[0][0], 1, size),) if digits and dim in cut else digits)
    return tuple(laid)


def _written(
    source: State, laid: Layout, layout: Layout, axis: int, size: int, indices: Indices | None,
    alone: bool,
) -> Relation:  # fmt: skip
    """How positions on one axis of the whole read the source."""
    if indices is None:
        return lifted(layout, laid, axis, size)
    if not digits_of(laid, axis):
        if source.sizes[axis] != 1:
            raise ValueError("an axis that stands elsewhere")
        chosen = frozenset(indices)
        return listed(tuple((0,) if o in chosen else () for o in one_by_one(size)))
    inside = placed(indices, size)
    if alone and isinstance(indices, range) and indices.step == 1:
        # Nothing else is there yet: the rest is a border, as padding is.
        return Relation(0, size, inside.taps, regular=padded(indices.start))
    return inside


def _left(
    base: State, own: Sequence[Relation], sizes: Sequence[int], box: dict[int, Indices]
) -> list[Link]:
    """Links to what was not written over: outside of the box on one of its axes, inside before."""
    if not box:
        return [Link(base, tuple(own))]
    links, steps = [], list(own)
    for axis, indices in box.items():
        links.append(Link(base, tuple(
            kept(indices, sizes[k], False) if k == axis else step for k, step in enumerate(steps)
        )))  # fmt: skip
        steps[axis] = kept(indices, sizes[axis], True)
    return links


class Writes:
    """Follows the writes of one Graph into parts of tensors; `logs` has them by storage."""

    def __init__(
        self,
        graph: Graph,
        states: list[State | None],
        maker: States,
        give_up: Callable[[Op, str], State],
    ) -> None:
        self.graph, self.states, self.maker, self.give_up = graph, states, maker, give_up
        self.logs: dict[int, list[Write]] = {}
        # What a value was when an op made it, where it was written to since.
        self.first: dict[int, State | None] = {}
        self._regions: dict[int, Region | None] = {}
        self._applied: dict[int, int] = {}

    def note(self, op: Op, index: int) -> None:
        """Remember an op in place, if other values may show its result."""
        value, given = op.outputs[0], op.inputs[0]
        values, states = self.graph.values, self.states
        entry = values[value]
        if states[value] is states[given] or entry.role in ("parameter", "buffer"):
            return
        region = self._region(value)
        whole = region is not None and region.whole == given and entry.shape == values[given].shape
        if whole and entry.storage not in self.logs:
            return
        read = op.inputs[-1]
        inside = read != given and values[read].storage == entry.storage
        write = Write(index, states[value], region, inside)
        self.logs.setdefault(entry.storage, []).append(write)

    def last_on(self, value: int) -> int | None:
        """The last op that wrote into the memory of a value, parts of it included."""
        log = self.logs.get(self.graph.values[value].storage)
        return log[-1].op if log else None

    def refresh(self, values: Iterable[int]) -> None:
        """Bring values up to date with what was written since they were made."""
        for value in values:
            log = self.logs.get(self.graph.values[value].storage)
            if log is not None:
                self._update(value, log)

    def _update(self, value: int, log: list[Write]) -> None:
        made = self.graph.producers[value]
        done = self._applied.get(value)
        if done is None:
            done = sum(made is not None and write.op <= made for write in log)
        if done == len(log) or (made is not None and made > self.maker.op):
            return
        self._applied[value] = len(log)
        region = self._region(value)
        self.first.setdefault(value, self.states[value])
        if region is None or any(
            write.region is None or write.region.whole != region.whole for write in log[done:]
        ):
            self.states[value] = self._unknown(value, log[-1])
        elif region.whole == value:
            for write in log[done:]:
                self.states[value] = self._overlaid(value, write, log)
        elif region == log[-1].region:
            self.states[value] = log[-1].state
        else:
            self._update(region.whole, log)
            self.states[value] = self._part(region, log[-1])

    def _overlaid(self, value: int, write: Write, log: list[Write]) -> State | None:
        base, source, region = self.states[value], write.state, write.region
        assert region is not None
        if base is None and source is None:
            return None
        first = log[0].region
        # A border that repeats what lies inside (circular padding) has no field of its own.
        border = write.moves_inside and first is not None and self.first[value] is None and any(
            set(one).isdisjoint(other)
            for one, other in zip(first.indices, region.indices, strict=True)
        )  # fmt: skip
        try:
            shape = self.graph.values[value].shape
            return overlaid(self.maker, base, source, region, shape, keeps_maps=border)
        except ValueError:
            return self._unknown(value, write)

    def _part(self, region: Region, write: Write) -> State | None:
        """A region of a whole value as it is now."""
        whole, shape = self.states[region.whole], self.graph.values[region.whole].shape
        if whole is None:
            return None
        steps = {
            dim: (_picking(chosen), len(chosen)) for dim, chosen in enumerate(region.indices)
            if len(chosen) != shape[dim]
        }  # fmt: skip
        cut = self.maker.along(whole, shape, steps)
        if cut is None:
            return self._unknown(region.whole, write)
        layout = tuple(None if dim is None else cut.layout[dim] for dim in region.dims)
        return self.maker.moved(cut, layout)

    def _unknown(self, value: int, write: Write) -> State | None:
        """What a value becomes by a write that cannot be followed."""
        op = self.graph.ops[write.op]
        seen = [v for v in (value, *op.inputs) if self.states[v] is not None]
        if not seen:
            return None
        one = op._replace(inputs=tuple(seen), outputs=(value,))
        return self.give_up(one, "writes into a part of a tensor that is read later")

    def _region(self, value: int) -> Region | None:
        if value not in self._regions:
            self._regions[value] = self._found(value)
        return self._regions[value]

    def _found(self, value: int) -> Region | None:
        """The part of its storage that a value names; None where it cannot be told."""
        values, made = self.graph.values, self.graph.producers[value]
        shape = values[value].shape
        op = None if made is None else self.graph.ops[made]
        if op is None or not op.inputs or values[op.inputs[0]].storage != values[value].storage:
            return Region(value, tuple(range(len(shape))), tuple(map(range, shape)))
        region = self._region(op.inputs[0])
        if region is None or op.name in ("detach", "alias"):
            return region
        before = values[region.whole].shape
        if op.name in _VIEWS and all(map(_is_all, region.indices, before)):
            # Under another shape it is a whole of its own.
            return Region(value, tuple(range(len(shape))), tuple(map(range, shape)))
        if "_." in op.target:
            return region if values[op.inputs[0]].shape == shape else None
        return _within(region, op, op.outputs.index(value), shape)


_SLICES = frozenset({"slice", "narrow", "split", "split_with_sizes", "chunk"})
_VIEWS = frozenset({"view", "_unsafe_view", "squeeze", "unflatten", "reshape", "_reshape_alias"})


def _is_all(chosen: Indices, size: int) -> bool:
    return len(chosen) == size


def _picking(indices: Indices) -> Relation:
    return listed(tuple((index,) for index in indices))


def _within(region: Region, op: Op, place: int, shape: tuple[int, ...]) -> Region | None:
    """The region of a view of a region."""
    dims, attributes = region.dims, op.attributes
    if op.name == "unsqueeze":
        dim = attributes["dim"] % (len(dims) + 1)
        return region._replace(dims=(*dims[:dim], None, *dims[dim:]))
    if op.name in ("permute", "transpose", "t", "movedim"):
        order = permuted(op, len(dims))
        return region._replace(dims=tuple(dims[dim] for dim in order))
    if op.name.removeprefix("unsafe_") in _SLICES:
        dim = (attributes.get("dim") or 0) % len(dims)
        own = dims[dim]
        if own is None:
            return None
        chosen = region.indices[own][_slice_of(op, place, shape[dim])]
        return _with(region, own, chosen) if len(chosen) == shape[dim] else None
    if op.name in ("select", "unbind"):
        dim = (attributes.get("dim") or 0) % len(dims)
        own = dims[dim]
        if own is None:
            return None
        index = attributes["index"] if op.name == "select" else place
        chosen = (region.indices[own][index],)
        return _with(region._replace(dims=(*dims[:dim], *dims[dim + 1 :])), own, chosen)
    return None


def _with(region: Region, dim: int, chosen: Indices) -> Region:
    indices = (*region.indices[:dim], chosen, *region.indices[dim + 1 :])
    return region._replace(indices=indices)


def _slice_of(op: Op, place: int, size: int) -> slice:
    attributes = op.attributes
    if op.name == "slice":
        return slice(attributes.get("start"), attributes.get("end"), attributes.get("step") or 1)
    if op.name == "narrow":
        start = attributes["start"]
        return slice(start, start + size)
    sizes = attributes.get("split_sizes")
    if sizes is not None:
        start = sum(sizes[:place])
    else:
        start = place * (attributes.get("split_size") or size)
    return slice(start, start + size)


def permuted(op: Op, rank: int) -> list[int]:
    """The dimensions of its input in the order in which a permutation gives them."""
    order, given = list(range(rank)), op.attributes
    if "dims" in given:
        return [dim % rank for dim in given["dims"]]
    if "source" in given:
        pairs = [(given[key],) if isinstance(given[key], int) else given[key]
                 for key in ("destination", "source")]  # fmt: skip
        moved = sorted((to % rank, dim % rank) for to, dim in zip(*pairs, strict=True))
        order = [dim for dim in order if dim not in {source for _, source in moved}]
        for place, dim in moved:
            order.insert(place, dim)
    elif rank > 1:
        one, other = (
            next((given[key] for key in (f"dim{n}", f"axis{n}") if key in given), n) % rank
            for n in (0, 1)
        )
        order[one], order[other] = order[other], order[one]
    return order
