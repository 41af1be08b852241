"""Rules of ops that move, cut and join: views, permutes, slices, concatenations, shuffles."""

from __future__ import annotations

from typing import Any

from archstat.analyses import field_relations
from archstat.analyses.field_layouts import reshaped
from archstat.analyses.field_resizing import along
from archstat.analyses.field_states import State
from archstat.analyses.field_trace import Rule, Trace
from archstat.analyses.field_windows import per_axis
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


def roll(trace: Trace, op: Op) -> State | None:
    """Indices moved on, around the end."""
    found = trace.tracked(op)
    if not found:
        return None
    shape = trace.shape(found[0])
    given = op.attributes.get("dims")
    dims = per_axis(given, 1) if given not in (None, ()) else ()
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
    **dict.fromkeys(("repeat", "tile"), tile),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), shuffle_pixels),
    "roll": roll,
    "flip": flip,
    "unfold": windows_of,
}  # fmt: skip
