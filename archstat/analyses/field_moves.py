"""Rules of ops that move, cut and join: views, permutes, slices, concatenations, shuffles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archstat.analyses import field_relations
from archstat.analyses.field_layouts import FREE, LOST, Digit, Layout, reshaped
from archstat.analyses.field_maps import Map, pieced
from archstat.analyses.field_relations import IDENTITY
from archstat.analyses.field_states import Link, State, States
from archstat.analyses.field_trace import Rule, Trace
from archstat.analyses.field_windows import along, per_axis
from archstat.graph import Op


def view(trace: Trace, op: Op) -> State | None:
    """The same elements under another shape."""
    found = trace.tracked(op)
    if not found:
        return None
    state = trace.state(found[0])
    before, after = trace.shape(found[0]), trace.shape(op.outputs[0])
    if before == after:
        return state
    layout = reshaped(state.layout, before, after)
    if layout is None:
        return trace.give_up(op, f"cuts {before} to {after} across positions")
    return trace.maker.moved(state, layout)


def permute(trace: Trace, op: Op) -> State | None:
    """Dimensions in another order."""
    found = trace.tracked(op)
    if not found:
        return None
    state = trace.state(found[0])
    rank = len(state.layout)
    order = list(range(rank))
    attributes = op.attributes
    if "dims" in attributes:
        order = [dim % rank for dim in attributes["dims"]]
    elif "source" in attributes:
        source = [dim % rank for dim in per_axis(attributes["source"], 1)]
        target = [dim % rank for dim in per_axis(attributes["destination"], 1)]
        rest = [dim for dim in order if dim not in source]
        for place, dim in sorted(zip(target, source, strict=True)):
            rest.insert(place, dim)
        order = rest
    elif rank > 1:
        one = attributes.get("dim0", 0) % rank
        other = attributes.get("dim1", 1) % rank
        order[one], order[other] = order[other], order[one]
    return trace.maker.moved(state, tuple(state.layout[dim] for dim in order))


def unsqueeze(trace: Trace, op: Op) -> State | None:
    """A further dimension of one."""
    found = trace.tracked(op)
    if not found:
        return None
    state = trace.state(found[0])
    dim = op.attributes["dim"] % (len(state.layout) + 1)
    return trace.maker.moved(state, (*state.layout[:dim], None, *state.layout[dim:]))


def squeeze(trace: Trace, op: Op) -> State | None:
    """Dimensions of one left out."""
    found = trace.tracked(op)
    if not found:
        return None
    state, before = trace.state(found[0]), trace.shape(found[0])
    rank = len(before)
    named = op.attributes.get("dim")
    dims = range(rank) if named is None else [dim % rank for dim in per_axis(named, 1)]
    kept = [dim for dim in range(rank) if dim not in dims or before[dim] != 1]
    return trace.maker.moved(state, tuple(state.layout[dim] for dim in kept))


def expand(trace: Trace, op: Op) -> State | None:
    """Dimensions of one repeated, new ones in front."""
    found = trace.tracked(op)
    return trace.joined(op, found[:1], trace.shape(op.outputs[0])) if found else None


def cut(trace: Trace, op: Op) -> State | None:
    """A slice, with its step."""
    found = trace.tracked(op)
    if not found:
        return None
    before = trace.shape(found[0])
    attributes = op.attributes
    dim = (attributes.get("dim") or 0) % len(before)
    start, step = attributes.get("start") or 0, attributes.get("step") or 1
    start = min(max(start + before[dim] if start < 0 else start, 0), before[dim])
    if before == trace.shape(op.outputs[0]):
        return trace.state(found[0])
    return _part(trace, op, found[0], dim, start, step)


def _part(trace: Trace, op: Op, value: int, dim: int, start: int, step: int = 1) -> State:
    state = trace.state(value)
    digits = state.layout[dim]
    if digits is None or digits[0][0] == LOST:
        return state
    return along(trace, op, value, {dim: field_relations.sliced(start, step)})


def split(trace: Trace, op: Op) -> Sequence[State] | State | None:
    """Parts one after the other along a dimension."""
    found = trace.tracked(op)
    if not found:
        return None
    dim = op.attributes.get("dim", 0) % len(trace.shape(found[0]))
    state = trace.state(found[0])
    if state.layout[dim] is None:
        return state
    parts, start = [], 0
    for output in op.outputs:
        one = op._replace(outputs=(output,))
        if trace.shape(output) == trace.shape(found[0]):
            parts.append(state)
        else:
            parts.append(_part(trace, one, found[0], dim, start))
        start += trace.shape(output)[dim]
    return parts


def select(trace: Trace, op: Op) -> State | None:
    """One index of a dimension, which goes."""
    found = trace.tracked(op)
    if not found:
        return None
    before = trace.shape(found[0])
    dim = op.attributes["dim"] % len(before)
    return _picked(trace, op, found[0], dim, op.attributes["index"] % before[dim])


def unbind(trace: Trace, op: Op) -> Sequence[State] | None:
    """Every index of a dimension, which goes."""
    found = trace.tracked(op)
    if not found:
        return None
    dim = op.attributes.get("dim", 0) % len(trace.shape(found[0]))
    return [_picked(trace, op, found[0], dim, index) for index in range(len(op.outputs))]


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
    relations = tuple(
        field_relations.sliced(index, 1) if k == axis else IDENTITY for k in range(maker.axes)
    )
    sizes = tuple(1 if k == axis else n for k, n in enumerate(spread.sizes))
    return maker.step(spread, relations, rest, sizes)


def concat(trace: Trace, op: Op) -> State | None:
    """The union of several values; along a spatial dimension, one after the other."""
    found = trace.tracked(op)
    if not found:
        return None
    out = trace.shape(op.outputs[0])
    stacks = op.name == "stack"
    dim = op.attributes.get("dim", 0) % len(out)
    found = [value for value in found if trace.shape(value) != (0,)]
    states = [trace.state(value) for value in found]
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
            relations = list(maker.identity)
            relations[axis] = field_relations.shifted(offset)
            links.append(Link(state, tuple(relations)))
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


def roll(trace: Trace, op: Op) -> State | None:
    """Indices moved on, around the end."""
    found = trace.tracked(op)
    if not found:
        return None
    shape = trace.shape(found[0])
    dims = per_axis(op.attributes.get("dims"), 0)
    shifts = per_axis(op.attributes["shifts"], max(len(dims), 1))
    if not dims:
        return trace.give_up(op, "moves positions around the end of all dimensions together")
    return along(trace, op, found[0], {
        dim % len(shape): field_relations.rolled(shape[dim], shift)
        for dim, shift in zip(dims, shifts, strict=True)
    })  # fmt: skip


def flip(trace: Trace, op: Op) -> State | None:
    """Indices in the opposite order."""
    found = trace.tracked(op)
    if not found:
        return None
    shape = trace.shape(found[0])
    return along(trace, op, found[0], {
        dim % len(shape): field_relations.flipped(shape[dim]) for dim in op.attributes["dims"]
    })  # fmt: skip


def tile(trace: Trace, op: Op) -> State | None:
    """The whole repeated along dimensions."""
    found = trace.tracked(op)
    if not found:
        return None
    times: Any = op.attributes.get("repeats") or op.attributes.get("dims")
    before, after = trace.shape(found[0]), trace.shape(op.outputs[0])
    if not isinstance(times, tuple) or len(after) != len(before):
        return trace.give_up(op) if len(after) == len(before) else expand(trace, op)
    return along(trace, op, found[0], {
        dim: field_relations.tiled(size, count)
        for dim, (size, count) in enumerate(zip(before, times, strict=True)) if count > 1
    })  # fmt: skip


def shuffle_pixels(trace: Trace, op: Op) -> State | None:
    """Pixel shuffle and its inverse: channels become positions, or positions channels."""
    found = trace.tracked(op)
    if not found:
        return None
    factor = op.attributes.get("upscale_factor") or op.attributes["downscale_factor"]
    before = trace.shape(found[0])
    dims = range(len(before) - 2, len(before))
    state = trace.maker.summed(trace.state(found[0]), (len(before) - 3,))
    if op.name == "pixel_shuffle":
        relation = field_relations.repeated(factor)
    else:
        # Conservative for a single channel: each of them reads one pixel of the block.
        relation = field_relations.window(factor, factor)
    if state is not trace.state(found[0]):
        return trace.give_up(op, "shuffles positions that stand among the channels")
    return along(trace, op, found[0], dict.fromkeys(dims, relation))


def windows_of(trace: Trace, op: Op) -> State | None:
    """Tensor.unfold: overlapping pieces of a dimension, their length in a new last one."""
    found = trace.tracked(op)
    if not found:
        return None
    before = trace.shape(found[0])
    dim = op.attributes["dimension"] % len(before)
    relation = field_relations.window(op.attributes["size"], op.attributes["step"])
    state = along(trace, op, found[0], {dim: relation})
    rank = len(before)
    return state if len(state.layout) > rank else trace.maker.moved(state, (*state.layout, None))


_SAME = (
    "clone contiguous copy _to_copy lift_fresh lift alias detach alias_copy to channel_shuffle "
    "native_channel_shuffle lift_fresh_copy resolve_conj"
)
_VIEWS = "view _unsafe_view reshape _reshape_alias flatten unflatten view_copy"
RULES: dict[str, Rule] = {
    **dict.fromkeys(_VIEWS.split(), view),
    **dict.fromkeys(("permute", "transpose", "t", "movedim"), permute),
    **dict.fromkeys(("permute_copy", "transpose_copy"), permute),
    **dict.fromkeys(_SAME.split(), Trace.elementwise),
    **dict.fromkeys(("unsqueeze", "unsqueeze_copy"), unsqueeze),
    **dict.fromkeys(("squeeze", "squeeze_copy"), squeeze),
    **dict.fromkeys(("expand", "expand_copy"), expand),
    **dict.fromkeys(("slice", "slice_copy", "narrow"), cut),
    **dict.fromkeys(("select", "select_copy"), select),
    **dict.fromkeys(("unbind", "unbind_copy"), unbind),
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes",
                     "chunk", "unsafe_chunk", "split_copy", "split_with_sizes_copy"), split),
    **dict.fromkeys(("cat", "stack"), concat),
    **dict.fromkeys(("repeat", "tile"), tile),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), shuffle_pixels),
    "roll": roll,
    "flip": flip,
    "unfold": windows_of,
}  # fmt: skip
