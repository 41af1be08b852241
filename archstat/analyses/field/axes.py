"""Which dimensions of which input are the spatial axes: what the first window slides over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from archstat.analyses.field.layouts import FREE
from archstat.analyses.field.trace import Rule, Trace
from archstat.errors import CaptureError, SpatialAxesError
from archstat.graph import Graph, Op, positions
from archstat.units import format_shape

GEOMETRIC = frozenset({"conv", "pool", "pad", "resize"})
_WINDOWS = frozenset({"conv", "pool", "resize", "recurrent"})
RECURRENT = frozenset({"LSTM", "GRU", "RNN"})


class Axes(NamedTuple):
    """An input of the network, the dimensions of it that hold positions, and a doubt, if any."""

    root: int
    dims: tuple[int, ...]
    remark: str = ""


def axes_of(graph: Graph, rules: dict[str, Rule], other: Rule) -> Axes:
    """The axes that the first window slides over; else the dimensions after batch and channels.

    Raises:
        SpatialAxesError: no input has any.
    """
    if graph.layout:
        return _of_layout(graph)
    values = graph.values
    images = [value for value in graph.inputs if len(values[value].shape) >= 3
              and values[value].dtype.startswith(("float", "bfloat", "complex"))]  # fmt: skip
    for root in images[:1] or [v for v in graph.inputs if len(values[v].shape) >= 2]:
        usual = tuple(range(2, len(values[root].shape)))
        if images and _begins_with_a_window(graph, root):
            return Axes(root, usual)
        dims, windowed = _slid_over(graph, root, rules, other)
        if dims == usual:
            return Axes(root, usual)
        shape = format_shape(values[root].shape)
        if dims:
            return Axes(root, dims, f"the axes are {_named(dims)} of the input {shape}, over which "
                        "the first window slides")  # fmt: skip
        if images and (len(usual) > 1 or any(op.kind in GEOMETRIC for op in graph.ops)):
            why = "the first window slides over a mixture of dimensions" if windowed else (
                "no window tells which dimensions are positions")  # fmt: skip
            return Axes(root, usual, f"{why}; {_named(usual)} of the input {shape} count as the "
                        "axes")  # fmt: skip
        if images:
            raise SpatialAxesError(
                f"{graph.name} has no spatial axes: no window reads the last dimension of its "
                f"input {graph.input_text}, which therefore holds features."
            )
    try:
        graph.need_forward()
    except CaptureError as error:
        raise SpatialAxesError(str(error)) from None
    raise SpatialAxesError(
        f"{graph.name} has no spatial axes: its input is {graph.input_text or 'none'}, and a "
        "receptive field needs a floating-point input with dimensions after batch and channels, "
        "or a window that slides over some."
    )


def _of_layout(graph: Graph) -> Axes:
    """The axes that a layout says are positions, of the first input of as many axes."""
    dims = positions(graph.layout)
    root = next((value for value in graph.inputs
                 if len(graph.values[value].shape) == len(graph.layout)), None)  # fmt: skip
    if root is None or not dims:
        raise SpatialAxesError(
            f"{graph.name} has no spatial axes: its layout {graph.layout} names none of time (T) "
            "or space (D, H, W, L)."
        )
    usual = tuple(range(2, len(graph.layout)))
    remark = f"the axes are {_named(dims)} of the input, as its layout {graph.layout} says"
    return Axes(root, dims, remark if dims != usual else "")


def _named(dims: Sequence[int]) -> str:
    plural = "s" if len(dims) > 1 else ""
    return f"dimension{plural} {', '.join(map(str, dims))}"


def _begins_with_a_window(graph: Graph, root: int) -> bool:
    """Whether the first op that reads an input is a window of as many axes as it has."""
    op = next((op for op in graph.ops if root in op.inputs), None)
    rank = len(graph.values[root].shape)
    return op is not None and op.kind == "conv" and (
        op.inputs[0] == root and len(graph.values[op.inputs[1]].shape) == rank
    )  # fmt: skip


def _slid_over(
    graph: Graph, root: int, rules: dict[str, Rule], other: Rule
) -> tuple[tuple[int, ...] | None, bool]:
    """The dimensions of an input that its first window slides over, and whether there is one."""
    shape = graph.values[root].shape
    held = tuple(dim for dim, size in enumerate(shape) if size > 1)
    trace = Trace(graph, root, held)
    op = trace.run(rules, other, lambda op: bool(trace.findings) or _axes_slid_over(trace, op) > 0)
    if op is None:
        return None, False
    axes = _axes_slid_over(trace, op)
    value = next(value for value in op.inputs if trace.states[value] is not None)
    state = trace.state(value)
    last = _walked(op, len(state.layout), axes)
    if trace.findings or axes == 0 or last is None:
        return None, axes > 0
    found = set()
    for dim in last:
        axes_there = {axis for axis, _, _ in state.layout[dim] or ()} - {FREE}
        if len(axes_there) > 1 or min(axes_there, default=0) < 0:
            return None, True
        found |= {held[axis] for axis in axes_there}
    usual = set(range(2, len(shape)))
    if found and found <= usual:
        # What the window does not sum over as channels is an axis all the same.
        channels = state.layout[last[0] - 1] if last[0] else None
        found |= usual - {held[axis] for axis, _, _ in channels or () if axis != FREE}
    return tuple(sorted(found)) or None, True


def steps_of(op: Op) -> int:
    """The dimension of its input that a recurrence walks along."""
    # oneDNN's layer gets its steps first, whatever the module was told.
    return 1 if op.attributes.get("batch_first") and op.name != "mkldnn_rnn_layer" else 0


def _axes_slid_over(trace: Trace, op: Op) -> int:
    """How many axes the window of an op has; 0 for an op without one."""
    if op.kind == "recurrent" or (op.name == "unbind" and op.module_type in RECURRENT):
        return 1
    if op.kind not in _WINDOWS or trace.states[op.inputs[0]] is None:
        return 0
    if op.kind == "conv":
        return len(trace.shape(op.inputs[1])) - 2
    given = op.attributes.get("kernel") or op.attributes.get("output_size") or ()
    return max(len(given), 1) if op.kind == "pool" else len(trace.shape(op.inputs[0])) - 2


def _walked(op: Op, rank: int, axes: int) -> range | None:
    """The dimensions of its input that an op walks along."""
    if op.kind == "recurrent":
        return range(steps_of(op), steps_of(op) + 1)
    if op.name == "unbind":
        dim = op.attributes.get("dim", 0) % rank
        return range(dim, dim + 1)
    return range(rank - axes, rank) if rank >= axes + 1 else None
