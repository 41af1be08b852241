"""Rules of ops that slide a window: convolution, pooling, im2col and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from archstat.analyses.field import relations
from archstat.analyses.field.layouts import Layout, plain
from archstat.analyses.field.relations import IDENTITY, Relation
from archstat.analyses.field.states import State
from archstat.analyses.field.trace import Rule, Trace
from archstat.graph import Op


def per_axis(given: Any, axes: int, default: int = 1) -> tuple[int, ...]:
    """One number an axis, from a number, a list of one or of all, or nothing."""
    if given is None or given == ():
        return (default,) * axes
    if isinstance(given, int):
        return (given,) * axes
    return tuple(given) * axes if len(given) == 1 else tuple(given)


@lru_cache(1024)
def windows(
    kernel: tuple[int, ...], stride: Any, padding: Any, dilation: Any, transposed: bool
) -> tuple[Relation, ...]:
    """The relation of a convolution, an axis each."""
    axes = len(kernel)
    made = relations.transposed if transposed else relations.window
    numbers = (per_axis(stride, axes), per_axis(padding, axes, 0), per_axis(dilation, axes))
    return tuple(map(made, kernel, *numbers))


def convolution(trace: Trace, op: Op, value: int) -> State:
    """A window of the kernel's size over the last dimensions; channels are summed over."""
    attributes = op.attributes
    if value != op.inputs[0]:
        return trace.give_up(op, "has a kernel that depends on the input")
    weight = trace.shape(op.inputs[1])
    axes = len(weight) - 2
    if op.name == "conv_tbc" or len(trace.shape(value)) != axes + 2:
        return trace.give_up(op, "has its dimensions in another order than batch, channels, space")
    stride, padding, dilation = (attributes.get(k) for k in ("stride", "padding", "dilation"))
    back = bool(attributes.get("transposed"))
    steps = windows(weight[2:], stride, padding, dilation, back)
    summed = windowed(trace, op, value, steps, sums=True)
    kernels = trace.tracked(op)[1:]
    if not kernels:
        return summed
    # A kernel made from the whole input (dynamic convolution) scales like any other gate.
    whole = [trace.state(kernel) for kernel in kernels]
    unplaced = [(None,) * len(summed.layout)] * len(whole)
    if any(digits for state in whole for digits in state.layout):
        return trace.give_up(op, "has a kernel that varies over the input")
    return trace.union(op, [summed, *whole], [summed.layout, *unplaced], product=True)


def pooling(trace: Trace, op: Op, value: int) -> State:
    """A window over the last dimensions, each channel by itself."""
    attributes = op.attributes
    size = attributes.get("kernel") or attributes["kernel_size"]
    axes = len(size) if len(size) > 1 else _pool_axes(op, size)
    kernel = per_axis(size, axes)
    stride = per_axis(attributes.get("stride"), axes, 0)
    stride = tuple(s or k for s, k in zip(stride, kernel, strict=True))
    padding = per_axis(attributes.get("padding"), axes, 0)
    dilation = per_axis(attributes.get("dilation"), axes)
    steps = list(map(relations.window, kernel, stride, padding, dilation))
    return windowed(trace, op, value, steps)


def _pool_axes(op: Op, size: Sequence[int]) -> int:
    digits = [int(letter) for letter in op.name if letter.isdigit()]
    return digits[0] if digits else len(size)


def adaptive_pooling(trace: Trace, op: Op, value: int) -> State:
    """Windows from floor(i n / m) to ceil((i + 1) n / m); one for all of it is global."""
    before, after = trace.shape(value), trace.shape(op.outputs[0])
    axes = int(op.name[-2])
    dims = range(len(before) - axes, len(before))
    state = trace.maker.summed(trace.state(value), [d for d in dims if after[d] == 1], pools=True)
    if all(after[dim] == 1 for dim in dims):
        return state
    steps = [
        relations.adaptive(before[dim], after[dim]) if after[dim] > 1 else
        IDENTITY for dim in dims
    ]  # fmt: skip
    shape = tuple(1 if dim in dims and after[dim] == 1 else before[dim]
                  for dim in range(len(before)))  # fmt: skip
    return windowed(trace, op, value, steps, state=state, shape=shape)


def unpooling(trace: Trace, op: Op, _: int) -> State:
    """Max-unpooling: each value goes back to somewhere in the window that it is the largest of."""
    made = trace.graph.producers[op.inputs[1]]
    pool = {} if made is None else trace.graph.ops[made].attributes
    if not pool.get("kernel"):
        return trace.give_up(op, "puts values back into unknown windows")
    axes = int(op.name[-2])
    kernel = per_axis(pool["kernel"], axes)
    numbers = (per_axis(pool.get("stride") or kernel, axes), per_axis(pool.get("padding"), axes, 0),
               per_axis(pool.get("dilation"), axes))  # fmt: skip
    steps = tuple(map(relations.unpooled, kernel, *numbers))
    found = {trace.state(value): value for value in trace.tracked(op)}
    moved = [windowed(trace, op, value, steps) for value in found.values()]
    return trace.union(op, moved, [state.layout for state in moved])


def fractional_pooling(trace: Trace, op: Op, value: int) -> State:
    """Windows at random places, about as far apart as the sizes say."""
    before, after = trace.shape(value), trace.shape(op.outputs[0])
    kernel = tuple(op.attributes["kernel_size"])
    axes = len(kernel)
    steps = tuple(map(relations.fractional, before[-axes:], after[-axes:], kernel))
    return windowed(trace, op, value, steps)


def windowed(
    trace: Trace,
    op: Op,
    value: int,
    steps: Sequence[Relation],
    *,
    sums: bool = False,
    state: State | None = None,
    shape: tuple[int, ...] | None = None,
) -> State:
    """The state after a relation on each of the last dimensions; `sums` over those before."""
    maker = trace.maker
    state = state or trace.state(value)
    before = shape or trace.shape(value)
    after = trace.shape(op.outputs[0])
    axes = len(steps)
    if steps.count(IDENTITY) == axes and state.layout[-axes - 1] is None:
        return state
    if axes == maker.axes and state.layout == plain(len(before), before[-axes:]):
        sizes = after[-axes:]
        return maker.step(state, tuple(steps), plain(len(after), sizes), sizes)
    if all(relation is IDENTITY for relation in steps):
        return maker.summed(state, (len(before) - axes - 1,)) if sums else state
    channels = len(before) - axes - 1
    if state.layout[channels] is not None:
        state = maker.summed(state, (channels,))
    spread = maker.spread(state, range(channels + 1, len(before)))
    if spread is None:
        return trace.give_up(op, "slides over positions that are out of order")
    return _stepped(trace, spread, steps, channels + 1, before, after)


def _stepped(
    trace: Trace,
    state: State,
    steps: Sequence[Relation],
    first: int,
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> State:
    """A step along the axes that stand in the dimensions from `first` on; others have none."""
    own, sizes = list(trace.maker.identity), list(state.sizes)
    layout = list(state.layout)
    for dim, relation in enumerate(steps, first):
        digits = layout[dim]
        if digits is None or relation is IDENTITY:
            continue
        axis = digits[0][0]
        own[axis], sizes[axis] = relation, after[dim]
        layout[dim] = ((axis, 1, after[dim]),)
    return trace.maker.step(state, tuple(own), tuple(layout), tuple(sizes))


def unfolded(trace: Trace, op: Op, value: int) -> State:
    """im2col: a window, its positions flattened into one dimension."""
    before = trace.shape(value)
    keys = ("kernel_size", "stride", "padding", "dilation")
    kernel, stride, pad, gap = (per_axis(op.attributes[key], 2) for key in keys)
    sizes = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(before[2:], kernel, stride, pad, gap, strict=True)
    )
    state = trace.state(value)
    if state.layout != plain(4, before[2:]) or trace.maker.axes != 2:
        return trace.give_up(op, "slides over positions that are out of order")
    steps = tuple(map(relations.window, kernel, stride, pad, gap))
    rows, columns = ((k, 1, n) for k, n in enumerate(sizes))
    layout: Layout = (None, None, (rows, columns))
    return trace.maker.step(state, steps, layout, sizes)


def folded(trace: Trace, op: Op, value: int) -> State:
    """col2im: windows added up where they lay, a transposed convolution."""
    state, maker = trace.state(value), trace.maker
    state = maker.summed(state, (1,))
    digits = state.layout[2] if len(state.layout) == 3 else None
    if maker.axes != 2 or digits != tuple((k, 1, n) for k, n in enumerate(state.sizes)):
        return trace.give_up(op, "joins windows that are out of order")
    keys = ("kernel_size", "stride", "padding", "dilation")
    numbers = (per_axis(op.attributes[key], 2) for key in keys)
    steps = tuple(map(relations.transposed, *numbers))
    shape = trace.shape(op.outputs[0])
    return maker.step(state, steps, plain(4, shape[2:]), shape[2:])


RULES: dict[str, Rule] = {
    **dict.fromkeys(("convolution", "_convolution", "mkldnn_convolution",
                     "convolution_overrideable", "_slow_conv2d_forward", "conv_tbc",
                     *(f"{n}{end}" for n in ("conv1d", "conv2d", "conv3d", "conv_transpose1d",
                                             "conv_transpose2d", "conv_transpose3d")
                       for end in ("", "_relu", "_dynamic"))), convolution),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool1d",
                     "max_pool2d", "max_pool3d", "mkldnn_max_pool2d", "avg_pool1d", "avg_pool2d",
                     "avg_pool3d"), pooling),
    **dict.fromkeys(("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "mkldnn_adaptive_avg_pool2d",
                     "adaptive_max_pool2d", "adaptive_max_pool3d"), adaptive_pooling),
    **dict.fromkeys(("max_unpool2d", "max_unpool3d"), unpooling),
    **dict.fromkeys(("fractional_max_pool2d", "fractional_max_pool3d"), fractional_pooling),
    "im2col": unfolded,
    "col2im": folded,
}  # fmt: skip
