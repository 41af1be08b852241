"""Rules of ops that cut values apart and put them together: slices, splits, concatenations."""

from __future__ import annotations

from collections.abc import Sequence

from archstat.analyses.field import relations
from archstat.analyses.field.layouts import FREE, LOST, Digit, Layout
from archstat.analyses.field.maps import Map, pieced
from archstat.analyses.field.moves import along
from archstat.analyses.field.relations import IDENTITY
from archstat.analyses.field.states import Link, State, States
from archstat.analyses.field.trace import Rule, Trace
from archstat.graph import Op


def cut(trace: Trace, op: Op, value: int) -> State:
    """A slice, with its step."""
    before = trace.shape(value)
    attributes = op.attributes
    dim = (attributes.get("dim") or 0) % len(before)
    start, step = attributes.get("start") or 0, attributes.get("step") or 1
    start = min(max(start + before[dim] if start < 0 else start, 0), before[dim])
    if before == trace.shape(op.outputs[0]):
        return trace.state(value)
    return _part(trace, op, value, dim, start, step)


def _part(trace: Trace, op: Op, value: int, dim: int, start: int, step: int = 1) -> State:
    state = trace.state(value)
    digits = state.layout[dim]
    if digits is None or digits[0][0] == LOST:
        return state
    return along(trace, op, value, {dim: relations.sliced(start, step)})


def split(trace: Trace, op: Op, value: int) -> Sequence[State] | State:
    """Parts one after the other along a dimension."""
    dim = op.attributes.get("dim", 0) % len(trace.shape(value))
    state = trace.state(value)
    if state.layout[dim] is None:
        return state
    parts, start = [], 0
    for output in op.outputs:
        one = op._replace(outputs=(output,))
        if trace.shape(output) == trace.shape(value):
            parts.append(state)
        else:
            parts.append(_part(trace, one, value, dim, start))
        start += trace.shape(output)[dim]
    return parts


def select(trace: Trace, op: Op, value: int) -> State:
    """One index of a dimension, which goes."""
    before = trace.shape(value)
    dim = op.attributes["dim"] % len(before)
    return _picked(trace, op, value, dim, op.attributes["index"] % before[dim])


def unbind(trace: Trace, op: Op, value: int) -> Sequence[State]:
    """Every index of a dimension, which goes."""
    dim = op.attributes.get("dim", 0) % len(trace.shape(value))
    return [_picked(trace, op, value, dim, index) for index in range(len(op.outputs))]


def _picked(trace: Trace, op: Op, value: int, dim: int, index: int) -> State:
    maker, state = trace.maker, trace.state(value)
    digits = state.layout[dim]
    rest = (*state.layout[:dim], *state.layout[dim + 1 :])
    if digits is None:
        return maker.moved(state, rest)
    if digits[0][0] == LOST:
        ones = (1,) * maker.axes
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
    states = [trace.state(part) for part in trace.tracked(op) if trace.shape(part) != (0,)]
    layouts = [state.layout for state in states]
    if stacks:
        layouts = [(*own[:dim], None, *own[dim:]) for own in layouts]
    if all(own[dim] is None for own in layouts):
        return trace.union(op, states, layouts)
    return _pieces(trace, op, dim, states, layouts)


def _pieces(
    trace: Trace, op: Op, dim: int, states: Sequence[State], layouts: Sequence[Layout]
) -> State:
    """Values one after the other along a dimension that holds positions."""
    maker = trace.maker
    size = trace.shape(op.outputs[0])[dim]
    if any(_mixed(own[dim]) for own in layouts):
        # Tokens of an image with a class token before them: what each sees is known, not where.
        return maker.scattered(states, dim, len(layouts[0]), size)
    spread = [maker.spread(state, (dim,)) for state in states]
    flat = [state for state in spread if state is not None]
    axes = {digits[0][0] for state in flat if (digits := state.layout[dim]) is not None}
    axis = next(iter(axes), 0)
    rests = {(*s.layout[:dim], *s.layout[dim + 1 :], s.sizes[:axis], s.sizes[axis + 1 :])
             for s in flat}  # fmt: skip
    whole = all(state.layout[dim] is not None for state in flat)
    if len(flat) < len(states) or len(axes) != 1 or len(rests) != 1 or not whole:
        return trace.give_up(op, "puts positions one after the other that do not belong together")
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
