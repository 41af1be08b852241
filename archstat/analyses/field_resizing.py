"""Rules of ops that pad, crop and resample the last dimensions, each channel by itself."""

from __future__ import annotations

from collections.abc import Callable

from archstat.analyses import field_relations
from archstat.analyses.field_relations import IDENTITY, Relation
from archstat.analyses.field_states import State
from archstat.analyses.field_trace import Rule, Trace
from archstat.graph import Op


def padding(trace: Trace, op: Op) -> State | None:
    """Zeros, or what is inside repeated, around the last dimensions; negative pads crop."""
    found = trace.tracked(op)
    if not found:
        return None
    pads = op.attributes.get("pad") or op.attributes.get("padding") or ()
    before = trace.shape(found[0])
    pairs = list(zip(pads[::2], pads[1::2], strict=True))[::-1]
    mode = op.name.partition("_")[0]
    dims = range(len(before) - len(pairs), len(before))
    relations = [
        field_relations.padded(first) if mode == "constant"
        else field_relations.bordered(before[dim], first, last, mode)
        for dim, (first, last) in zip(dims, pairs, strict=True)
    ]  # fmt: skip
    return along(trace, op, found[0], dict(zip(dims, relations, strict=True)))


def along(trace: Trace, op: Op, value: int, relations: dict[int, Relation]) -> State:
    """The state after a relation on each of some dimensions; channels stay as they are."""
    before, after = trace.shape(value), trace.shape(op.outputs[0])
    state = trace.state(value)
    moved = [
        dim
        for dim, relation in relations.items()
        if state.layout[dim] and (relation is not IDENTITY or before[dim] != after[dim])
    ]
    spread = trace.maker.spread(state, moved)
    if spread is None:
        return trace.give_up(op, "moves positions that are not in their order")
    own, sizes, layout = list(trace.maker.identity), list(spread.sizes), list(spread.layout)
    for dim in moved:
        digits = layout[dim]
        assert digits is not None
        axis = digits[0][0]
        own[axis], sizes[axis] = relations[dim], after[dim]
        layout[dim] = ((axis, 1, after[dim]),)
    return trace.maker.step(spread, tuple(own), tuple(layout), tuple(sizes)) if moved else state


def resizing(trace: Trace, op: Op) -> State | None:
    """Nearest, linear or cubic resampling of the last dimensions."""
    found = trace.tracked(op)
    if not found:
        return None
    before, after = trace.shape(found[0]), trace.shape(op.outputs[0])
    name, attributes = op.name, op.attributes
    factors = attributes.get("scale_factors") or [
        attributes.get(key) for key in ("scales_d", "scales_h", "scales_w", "scales")
        if key in attributes
    ]  # fmt: skip
    corners = bool(attributes.get("align_corners"))
    dims = range(2, len(before))
    if len(factors) != len(dims):
        factors = [None] * len(dims)
    relations = {}
    for dim, factor in zip(dims, factors, strict=True):
        relations[dim] = _resampler(name)(before[dim], after[dim], factor, corners)
    return along(trace, op, found[0], relations)


def _resampler(name: str) -> Callable[[int, int, float | None, bool], Relation]:
    reach = 2 if "cubic" in name else 1
    if "nearest" in name:
        centred = "exact" in name
        return lambda size, out, scale, _: field_relations.nearest(size, out, scale, centred)
    make = field_relations.antialiased if name.endswith("_aa") else field_relations.interpolated
    return lambda size, out, scale, corners: make(size, out, scale, corners, reach)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("constant_pad_nd", *(f"{mode}_pad{n}d" for mode in
                     ("reflection", "replication") for n in (1, 2, 3))), padding),
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
                     "_upsample_nearest_exact1d", "_upsample_nearest_exact2d",
                     "_upsample_nearest_exact3d", "upsample_linear1d", "upsample_bilinear2d",
                     "upsample_trilinear3d", "upsample_bicubic2d", "_upsample_bilinear2d_aa",
                     "_upsample_bicubic2d_aa"), resizing),
}  # fmt: skip
