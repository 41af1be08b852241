"""Rules of ops that move, cut and join: views, permutes, slices, concatenations, shuffles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archstat.analyses.field import relations
from archstat.analyses.field.layouts import reshaped
from archstat.analyses.field.relations import Relation
from archstat.analyses.field.states import State
from archstat.analyses.field.trace import Rule, Trace
from archstat.analyses.field.windows import per_axis
from archstat.analyses.field.writes import permuted
from archstat.graph import Op


def padding(trace: Trace, op: Op, value: int) -> State:
    """Zeros, or what is inside repeated, around the last dimensions; negative pads crop."""
    pads = op.attributes.get("pad") or op.attributes.get("padding") or ()
    before = trace.shape(value)
    pairs = list(zip(pads[::2], pads[1::2], strict=True))[::-1]
    mode = op.name.partition("_")[0]
    dims = range(len(before) - len(pairs), len(before))
    steps = [
        relations.padded(first) if mode == "constant"
        else relations.bordered(before[dim], first, last, mode)
        for dim, (first, last) in zip(dims, pairs, strict=True)
    ]  # fmt: skip
    return along(trace, op, value, dict(zip(dims, steps, strict=True)))


def along(trace: Trace, op: Op, value: int, steps: dict[int, Relation]) -> State:
    """The state after a relation on each of some dimensions; channels stay as they are."""
    after = trace.shape(op.outputs[0])
    sized = {dim: (relation, after[dim]) for dim, relation in steps.items()}
    made = trace.maker.along(trace.state(value), trace.shape(value), sized)
    return made or trace.give_up(op, "moves positions that are out of order")


def resizing(trace: Trace, op: Op, value: int) -> State:
    """Nearest, linear or cubic resampling of the last dimensions."""
    before, after = trace.shape(value), trace.shape(op.outputs[0])
    name, attributes = op.name, op.attributes
    factors = attributes.get("scale_factors") or [
        attributes.get(key) for key in ("scales_d", "scales_h", "scales_w", "scales")
        if key in attributes
    ]  # fmt: skip
    corners = bool(attributes.get("align_corners"))
    dims = range(2, len(before))
    if len(factors) != len(dims):
        factors = [None] * len(dims)
    steps = {}
    for dim, factor in zip(dims, factors, strict=True):
        steps[dim] = _resampler(name)(before[dim], after[dim], factor, corners)
    return along(trace, op, value, steps)


def _resampler(name: str) -> Callable[[int, int, float | None, bool], Relation]:
    reach = 2 if "cubic" in name else 1
    if "nearest" in name:
        centred = "exact" in name
        return lambda size, out, scale, _: relations.nearest(size, out, scale, centred)
    make = relations.antialiased if name.endswith("_aa") else relations.interpolated
    return lambda size, out, scale, corners: make(size, out, scale, corners, reach)


def view(trace: Trace, op: Op, value: int) -> State:
    """The same elements under another shape."""
    state = trace.state(value)
    before, after = trace.shape(value), trace.shape(op.outputs[0])
    if before == after:
        return state
    layout = reshaped(state.layout, before, after)
    if layout is None:
        return trace.give_up(op, f"cuts {before} to {after} across positions")
    return trace.maker.moved(state, layout)


def permute(trace: Trace, op: Op, value: int) -> State:
    """Dimensions in another order."""
    state = trace.state(value)
    order = permuted(op, len(state.layout))
    return trace.maker.moved(state, tuple(state.layout[dim] for dim in order))


def unsqueeze(trace: Trace, op: Op, value: int) -> State:
    """A further dimension of one."""
    state = trace.state(value)
    dim = op.attributes["dim"] % (len(state.layout) + 1)
    return trace.maker.moved(state, (*state.layout[:dim], None, *state.layout[dim:]))


def squeeze(trace: Trace, op: Op, value: int) -> State:
    """Dimensions of one left out."""
    state, before = trace.state(value), trace.shape(value)
    rank = len(before)
    named = op.attributes.get("dim")
    dims = range(rank) if named is None else [dim % rank for dim in per_axis(named, 1)]
    kept = [dim for dim in range(rank) if dim not in dims or before[dim] != 1]
    return trace.maker.moved(state, tuple(state.layout[dim] for dim in kept))


def expand(trace: Trace, op: Op, value: int) -> State:
    """Dimensions of one repeated, new ones in front."""
    return trace.joined(op, [value], trace.shape(op.outputs[0]))


def roll(trace: Trace, op: Op, value: int) -> State:
    """Indices moved on, around the end."""
    shape = trace.shape(value)
    given = op.attributes.get("dims")
    dims = per_axis(given, 1) if given not in (None, ()) else ()
    shifts = per_axis(op.attributes["shifts"], max(len(dims), 1))
    if not dims:
        return trace.give_up(op, "moves positions around the end of all dimensions together")
    return along(trace, op, value, {
        dim % len(shape): relations.rolled(shape[dim], shift)
        for dim, shift in zip(dims, shifts, strict=True)
    })  # fmt: skip


def flip(trace: Trace, op: Op, value: int) -> State:
    """Indices in the opposite order."""
    shape = trace.shape(value)
    return along(trace, op, value, {
        dim % len(shape): relations.flipped(shape[dim]) for dim in op.attributes["dims"]
    })  # fmt: skip


def tile(trace: Trace, op: Op, value: int) -> State:
    """The whole repeated along dimensions."""
    times: Any = op.attributes.get("repeats") or op.attributes.get("dims")
    before, after = trace.shape(value), trace.shape(op.outputs[0])
    if not isinstance(times, tuple) or len(after) != len(before):
        return trace.give_up(op) if len(after) == len(before) else expand(trace, op, value)
    return along(trace, op, value, {
        dim: relations.tiled(size, count)
        for dim, (size, count) in enumerate(zip(before, times, strict=True)) if count > 1
    })  # fmt: skip


def shuffle_pixels(trace: Trace, op: Op, value: int) -> State:
    """Pixel shuffle and its inverse: channels become positions, or positions channels."""
    factor = op.attributes.get("upscale_factor") or op.attributes["downscale_factor"]
    before = trace.shape(value)
    dims = range(len(before) - 2, len(before))
    state = trace.maker.summed(trace.state(value), (len(before) - 3,))
    if op.name == "pixel_shuffle":
        relation = relations.repeated(factor)
    else:
        # Conservative for a single channel: each of them reads one pixel of the block.
        relation = relations.window(factor, factor)
    if state is not trace.state(value):
        return trace.give_up(op, "shuffles positions that lie among the channels")
    return along(trace, op, value, dict.fromkeys(dims, relation))


def embedding(trace: Trace, op: Op, value: int) -> State:
    """A row of features for each token."""
    state = trace.state(value)
    if value == op.inputs[0]:
        return trace.give_up(op, "looks up rows of a table that depends on the input")
    return trace.maker.moved(state, (*state.layout, None))


def windows_of(trace: Trace, op: Op, value: int) -> State:
    """Tensor.unfold: overlapping pieces of a dimension, their length in a new last one."""
    before = trace.shape(value)
    dim = op.attributes["dimension"] % len(before)
    relation = relations.window(op.attributes["size"], op.attributes["step"])
    state = along(trace, op, value, {dim: relation})
    rank = len(before)
    return state if len(state.layout) > rank else trace.maker.moved(state, (*state.layout, None))


_SAME = (
    "clone contiguous _to_copy lift_fresh lift alias detach alias_copy to channel_shuffle "
    "native_channel_shuffle lift_fresh_copy resolve_conj"
)
_VIEWS = "view _unsafe_view reshape _reshape_alias flatten unflatten view_copy"
RULES: dict[str, Rule] = {
    **dict.fromkeys(("constant_pad_nd", *(f"{mode}_pad{n}d" for mode in
                     ("reflection", "replication") for n in (1, 2, 3))), padding),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
                     "_upsample_nearest_exact1d", "_upsample_nearest_exact2d",
                     "_upsample_nearest_exact3d", "upsample_linear1d", "upsample_bilinear2d",
                     "upsample_trilinear3d", "upsample_bicubic2d", "_upsample_bilinear2d_aa",
                     "_upsample_bicubic2d_aa"), resizing),
    **dict.fromkeys(_VIEWS.split(), view),
    **dict.fromkeys(("permute", "transpose", "t", "movedim", "swapaxes", "swapdims"), permute),
    **dict.fromkeys(("permute_copy", "transpose_copy"), permute),
    **dict.fromkeys(_SAME.split(), Trace.elementwise),
    **dict.fromkeys(("unsqueeze", "unsqueeze_copy"), unsqueeze),
    **dict.fromkeys(("squeeze", "squeeze_copy"), squeeze),
    **dict.fromkeys(("expand", "expand_copy"), expand),
    **dict.fromkeys(("repeat", "tile"), tile),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), shuffle_pixels),
    "roll": roll,
    "embedding": embedding,
    "flip": flip,
    "unfold": windows_of,
}  # fmt: skip
