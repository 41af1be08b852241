"""Rules of ops that cut values apart and put them together: slices, splits, concatenations."""

from __future__ import annotations

from collections.abc import Sequence

from archstat.analyses.field import relations
from archstat.analyses.field.axes import RECURRENT
from archstat.analyses.field.layouts import FREE, LOST, Digit, Layout
from archstat.analyses.field.maps import Map, clipped, joined, pieced
from archstat.analyses.field.moves import along
from archstat.analyses.field.relations import IDENTITY
from archstat.analyses.field.states import Link, Part, State, States
from archstat.analyses.field.trace import Rule, Trace
from archstat.graph import Op


def cut(trace: Trace, op: Op, value: int) -> State | None:
    """A slice, with its step."""
    before = trace.shape(value)
    attributes = op.attributes
    dim = (attributes.get("dim") or 0) % len(before)
    start, step = attributes.get("start") or 0, attributes.get("step") or 1
    start = min(max(start + before[dim] if start < 0 else start, 0), before[dim])
    if before == trace.shape(op.outputs[0]):
        return trace.state(value)
    return _part(trace, op, value, dim, start, step)


def _part(trace: Trace, op: Op, value: int, dim: int, start: int, step: int = 1) -> State | None:
    state = trace.state(value)
    digits = state.layout[dim]
    if digits is None:
        return state
    if digits[0][0] == LOST:
        return _of_parts(trace, state, dim, start, trace.shape(op.outputs[0])[dim], step)
    return along(trace, op, value, {dim: relations.sliced(start, step)})


def _of_parts(
    trace: Trace, state: State, dim: int, start: int, size: int, step: int
) -> State | None:
    """A cut of values that stand one after the other: whole ones come out as they went in."""
    maker, end = trace.maker, start + size
    held = [p for p in state.parts if p.start < end and start < p.start + p.size]
    whole = step == 1 and held and held[0].start == start and held[-1].start + held[-1].size == end
    if held and all(p.state is None for p in held):
        return None
    if not whole:
        lost = ((LOST, state.layout[dim][0][1], size),)  # type: ignore[index]
        layout = (*state.layout[:dim], lost, *state.layout[dim + 1 :])
        link = Link(state, maker.everything)
        return maker.new(layout, state.sizes, state.maps, (link,), state.aligned)
    rank = len(state.layout)
    if len(held) == 1 and (own := held[0].state) is not None:
        layout = tuple(held[0].digits if place == dim else None for place in range(rank))
        return maker.moved(own, layout)
    moved = tuple(part._replace(start=part.start - start) for part in held)
    return maker.scattered([p.state for p in held if p.state], dim, rank, size, moved)


def split(trace: Trace, op: Op, value: int) -> Sequence[State | None] | State:
    """Parts one after the other along a dimension."""
    dim = op.attributes.get("dim", 0) % len(trace.shape(value))
    state = trace.state(value)
    if state.layout[dim] is None:
        return state
    parts: list[State | None] = []
    start = 0
    for output in op.outputs:
        one = op._replace(outputs=(output,))
        if trace.shape(output) == trace.shape(value):
            parts.append(state)
        else:
            parts.append(_part(trace, one, value, dim, start))
        start += trace.shape(output)[dim]
    return parts


def select(trace: Trace, op: Op, value: int) -> State | None:
    """One index of a dimension, which goes."""
    before = trace.shape(value)
    dim = op.attributes["dim"] % len(before)
    return _picked(trace, op, value, dim, op.attributes["index"] % before[dim])


def unbind(trace: Trace, op: Op, value: int) -> Sequence[State | None]:
    """Every index of a dimension, which goes."""
    dim = op.attributes.get("dim", 0) % len(trace.shape(value))
    if op.module_type in RECURRENT and (digits := trace.state(value).layout[dim]):
        trace.walked = (op.module, digits[0][0], len(op.outputs))
    return [_picked(trace, op, value, dim, index) for index in range(len(op.outputs))]


def _picked(trace: Trace, op: Op, value: int, dim: int, index: int) -> State | None:
    maker, state = trace.maker, trace.state(value)
    digits = state.layout[dim]
    rest = (*state.layout[:dim], *state.layout[dim + 1 :])
    if digits is None:
        return maker.moved(state, rest)
    if digits[0][0] == LOST:
        ones = (1,) * maker.axes
        part = next((p for p in state.parts if p.start <= index < p.start + p.size), None)
        if part is not None and part.state is None:
            return None
        if part is not None and part.state is not None:
            place = part.position(index, maker.axes)
            steps = tuple(relations.sliced(i, 1) for i in place)
            return maker.step(part.state, steps, rest, ones)
        return maker.new(rest, ones, state.maps, (Link(state, maker.everything),), state.aligned)
    spread = maker.spread(state, (dim,))
    if spread is None:
        # One index of mixed positions sees no more than all of them together.
        summed = maker.summed(state, (dim,))
        return maker.moved(summed, (*summed.layout[:dim], *summed.layout[dim + 1 :]))
    axis = spread.layout[dim][0][0]  # type: ignore[index]
    steps = tuple(relations.sliced(index, 1) if k == axis else IDENTITY for k in range(maker.axes))
    sizes = tuple(1 if k == axis else n for k, n in enumerate(spread.sizes))
    return maker.step(spread, steps, rest, sizes)


def concat(trace: Trace, op: Op, _: int) -> State:
    """The union of several values; along a spatial dimension, one after the other."""
    out = trace.shape(op.outputs[0])
    stacks = op.name == "stack"
    dim = op.attributes.get("dim", 0) % len(out)
    # Empty vectors may stand beside anything, and mean nothing unless all are empty.
    parts = [part for part in trace.tracked(op) if trace.shape(part) != (0,)] or trace.tracked(op)
    states = [trace.state(part) for part in parts]
    layouts = [state.layout for state in states]
    if stacks:
        layouts = [(*own[:dim], None, *own[dim:]) for own in layouts]
    if any(own[dim] is not None for own in layouts):
        return _pieces(trace, op, dim, states, layouts)
    axis = _picked_along(trace, op, states, layouts, dim)
    return trace.union(op, states, layouts) if axis is None else (
        _put_back(trace, states, layouts, dim, axis))  # fmt: skip


def _picked_along(
    trace: Trace, op: Op, states: Sequence[State], layouts: Sequence[Layout], dim: int
) -> int | None:
    """The axis of which single positions are put together again: the steps of a recurrence."""
    count = len(op.inputs)
    if not 1 < count == len(states) == trace.shape(op.outputs[0])[dim] or len(set(layouts)) > 1:
        return None
    held = {axis for digits in layouts[0] for axis, _, _ in digits or ()}
    for axis in range(trace.maker.axes):
        if axis in held or any(state.sizes[axis] != 1 for state in states):
            continue
        maps = [state.maps[axis] for state in states]
        apart = None not in maps and len(set(maps)) > 1
        if apart or trace.walked == (op.module, axis, count):
            return axis
    return None


def _put_back(
    trace: Trace, states: Sequence[State], layouts: Sequence[Layout], dim: int, axis: int
) -> State:
    """Single positions of one axis, one after the other along a dimension."""
    maker, count = trace.maker, len(states)
    layout = (*layouts[0][:dim], ((axis, 1, count),), *layouts[0][dim + 1 :])
    links = []
    for offset, state in enumerate(states):
        steps = list(maker.identity)
        steps[axis] = relations.shifted(offset)
        links.append(Link(state, tuple(steps)))
    sizes = tuple(count if k == axis else n for k, n in enumerate(states[0].sizes))
    maker.mixes_axes = True
    maps: list[Map | None] = []
    for k in range(maker.axes):
        found = [m for state in states if (m := state.maps[k]) is not None]
        if len(found) < count:
            maps.append(None)
        elif k != axis:
            maps.append(joined(found, sizes[k])[0])
        else:
            row = pieced([(m, 1) for m in found])
            ends = [row.at(o) for o in range(count)]
            maps.append(clipped(ends, maker.sizes[k]) if row.table else row)
    aligned = all(state.aligned for state in states) and not any(m and m.table for m in maps)
    return maker.new(layout, sizes, tuple(maps), tuple(links), aligned)


def _pieces(
    trace: Trace, op: Op, dim: int, states: Sequence[State], layouts: Sequence[Layout]
) -> State:
    """Values one after the other along a dimension that holds positions."""
    maker = trace.maker
    size = trace.shape(op.outputs[0])[dim]
    if any(_mixed(own[dim]) for own in layouts):
        # Tokens of an image with a class token before them: what each sees is known, not where.
        return maker.scattered(states, dim, len(layouts[0]), size, _parts(trace, op, dim))
    spread = [maker.spread(state, (dim,)) for state in states]
    flat = [state for state in spread if state is not None]
    axes = {digits[0][0] for state in flat if (digits := state.layout[dim]) is not None}
    axis = next(iter(axes), 0)
    rests = {(*s.layout[:dim], *s.layout[dim + 1 :], s.sizes[:axis], s.sizes[axis + 1 :])
             for s in flat}  # fmt: skip
    whole = all(state.layout[dim] is not None for state in flat)
    if len(flat) < len(states) or len(axes) != 1 or len(rests) != 1 or not whole:
        return trace.give_up(op, "joins positions that do not belong together")
    values = [value for value in op.inputs if trace.shape(value) != (0,)]
    tracked = iter(flat)
    links, parts, offset = [], [], 0
    for value in values:
        length = trace.shape(value)[dim]
        state = next(tracked) if trace.states[value] is not None else None
        if state is not None:
            steps = list(maker.identity)
            steps[axis] = relations.shifted(offset)
            links.append(Link(state, tuple(steps)))
        parts.append((None if state is None else state.maps[axis], length))
        offset += length
    layout = (*flat[0].layout[:dim], ((axis, 1, size),), *flat[0].layout[dim + 1 :])
    sizes = tuple(size if k == axis else n for k, n in enumerate(flat[0].sizes))
    return _in_a_row(maker.merged(links, layout, sizes), axis, parts, maker)


def _parts(trace: Trace, op: Op, dim: int) -> tuple[Part, ...]:
    """The values of a concatenation, those that were joined before in their own pieces."""
    parts: list[Part] = []
    start = 0
    for value in op.inputs:
        shape, state = trace.shape(value), trace.states[value]
        if shape == (0,):
            continue
        if state is not None and state.parts:
            parts += [part._replace(start=part.start + start) for part in state.parts]
        elif state is not None and (digits := state.layout[dim]) and digits[0][0] == LOST:
            return ()
        else:
            digits = None if state is None else state.layout[dim]
            parts.append(Part(start, shape[dim], digits, state))
        start += shape[dim]
    return tuple(parts)


def _mixed(digits: tuple[Digit, ...] | None) -> bool:
    """Whether positions of several axes stand in one dimension."""
    return (digits is not None and len({axis for axis, _, _ in digits} - {FREE}) > 1) or (
        digits is not None and digits[0][0] == LOST
    )  # fmt: skip


def _in_a_row(
    state: State, axis: int, parts: Sequence[tuple[Map | None, int]], maker: States
) -> State:
    """The union of what stands in a row, with the map that knows which part an index is in."""
    maker.mixes_axes = True
    if len(state.links) > 1 and state.maps[axis] is not None:
        row = pieced(parts)
        state.maps = tuple(row if k == axis else m for k, m in enumerate(state.maps))
        state.aligned = state.aligned and not row.table
    return state


RULES: dict[str, Rule] = {
    **dict.fromkeys(("slice", "slice_copy", "narrow"), cut),
    **dict.fromkeys(("select", "select_copy"), select),
    **dict.fromkeys(("unbind", "unbind_copy"), unbind),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes",
                     "chunk", "unsafe_chunk", "split_copy", "split_with_sizes_copy"), split),
    **dict.fromkeys(("cat", "stack"), concat),
}  # fmt: skip
