"""Rules of ops that sum over dimensions: reductions, matrix products, attention, norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archstat.analyses.costs import BATCH_NORMS, PER_OUTPUT
from archstat.analyses.field import cuts, indexing, moves, windows
from archstat.analyses.field.axes import steps_of
from archstat.analyses.field.layouts import Layout
from archstat.analyses.field.relations import ONWARDS, UP_TO
from archstat.analyses.field.states import State
from archstat.analyses.field.trace import Rule, Trace
from archstat.analyses.field.windows import per_axis
from archstat.graph import Op


def reduction(trace: Trace, op: Op, value: int) -> State:
    """A sum, mean or maximum over dimensions; over all of an axis it sees everything."""
    rank = len(trace.shape(value))
    named = op.attributes.get("dim")
    if len(op.inputs) > 1:
        return trace.elementwise(op, value)  # the larger of two values
    dims = range(rank) if named is None or named == () else [d % rank for d in per_axis(named, 1)]
    state = trace.maker.summed(trace.state(value), dims, pools=True)
    kept = len(trace.shape(op.outputs[0])) == rank if op.outputs else True
    return state if kept else _without(trace, state, dims)


def _without(trace: Trace, state: State, dims: Sequence[int]) -> State:
    layout = tuple(digits for dim, digits in enumerate(state.layout) if dim not in dims)
    return trace.maker.moved(state, layout)


def over_dims(trace: Trace, op: Op, value: int) -> State:
    """Softmax, a norm or a running sum over dimensions: each index sees all along them."""
    rank = len(trace.shape(value))
    given: Any = op.attributes.get("normalized_shape")
    if given is not None:
        dims: Sequence[int] = range(rank - len(given), rank)
    elif op.name == "native_group_norm":
        dims = range(1, rank)
    else:
        named = op.attributes.get("dim")
        dims = range(rank) if named is None else [d % rank for d in per_axis(named, 1)]
    keeps = trace.shape(op.outputs[0]) == trace.shape(value)
    return trace.maker.summed(trace.state(value), dims, keeps=keeps)


def running(trace: Trace, op: Op, value: int) -> State:
    """Running sums, products and maxima: each index sees all up to it."""
    shape, maker = trace.shape(value), trace.maker
    if not shape:
        return trace.state(value)
    dim = op.attributes["dim"] % len(shape)
    made = maker.along(trace.state(value), shape, {dim: (UP_TO, shape[dim])})
    return made or maker.summed(trace.state(value), (dim,), keeps=True)


def recurrent(trace: Trace, op: Op, value: int) -> Sequence[State] | State:
    """A recurrence: each step sees all up to it, from it on in reverse, all of them both ways.

    Features are summed over; the last states, further outputs, see every step.
    """
    attributes, maker, shape = op.attributes, trace.maker, trace.shape(value)
    if value != op.inputs[0] or len(shape) != 3:
        return trace.give_up(op)
    state = maker.summed(trace.state(value), (2,))
    time = steps_of(op)
    made = None
    if not attributes.get("bidirectional"):
        reads = ONWARDS if attributes.get("reverse") else UP_TO
        made = maker.along(state, shape, {time: (reads, shape[time])})
    if made is None:
        made = maker.summed(state, (time,), keeps=True)
    last = maker.moved(maker.summed(state, (time,)), (None,) * 3)
    return [made, *[last] * (len(op.outputs) - 1)]


def batch_norm(trace: Trace, op: Op, value: int) -> State:
    """Nothing moves at inference; statistics of the batch see all positions."""
    state = trace.state(value)
    if not op.attributes.get("training") or op.name.endswith("no_training"):
        return state
    dims = [dim for dim in range(len(state.layout)) if dim != 1]
    return trace.maker.summed(state, dims, keeps=True)


def product(trace: Trace, op: Op, _: int) -> State:
    """Matrix products: rows of the first, columns of the second, summed over what they share."""
    name = op.name
    operands = list(op.inputs)
    bias = operands.pop(0) if name.startswith(("add", "badd", "_addmm")) else None
    if name in ("linear", "mkldnn_linear"):
        bias = operands[2] if len(operands) > 2 else None
    left, right = operands[:2]
    made: list[State] = []
    layouts: list[Layout] = []
    rank = len(trace.shape(op.outputs[0]))
    if (a := trace.states[left]) is not None:
        summed = trace.maker.summed(a, (len(a.layout) - 1,), pools=trace.states[right] is None)
        made.append(summed)
        vector = len(trace.shape(right)) == 1
        layouts.append(_rows(summed.layout, rank, vector))
    if (b := trace.states[right]) is not None:
        last = 1 if name in ("linear", "mkldnn_linear") else 2
        shared = max(len(b.layout) - last, 0)
        gone = [shared, *_shared_axes(layouts, b.layout, shared)]
        summed = trace.maker.summed(b, gone, pools=a is None)
        made.append(summed)
        layouts.append(_columns(summed.layout, rank))
    if bias is not None and (c := trace.states[bias]) is not None:
        made.append(c)
        layouts.append(_columns(c.layout, rank, bias=True))
    return _joined(trace, op, made, layouts)


def _shared_axes(rows: Sequence[Layout], layout: Layout, shared: int) -> list[int]:
    """The columns of the second factor whose positions the first already has in its rows.

    A score of two positions stands at that of the query: the key counts as all it may be.
    """
    held = {axis for own in rows for digits in own for axis, _, _ in digits or ()}
    columns = range(shared + 1, len(layout))
    return [dim for dim in columns if any(axis in held for axis, _, _ in layout[dim] or ())]


def _rows(layout: Layout, rank: int, vector: bool) -> Layout:
    """Under a matrix product's result: all but the last dimension, which is summed over."""
    return layout[:-1] if vector else (*layout[:-1], None)[-rank:]


def _columns(layout: Layout, rank: int, *, bias: bool = False) -> Layout:
    """Under a matrix product's result: all but the last dimension but one, summed over."""
    if not bias and len(layout) > 1:
        layout = (*layout[:-2], None, layout[-1])
    return ((None,) * (rank - len(layout)) + layout)[:rank] if rank else ()


def _joined(trace: Trace, op: Op, states: Sequence[State], layouts: Sequence[Layout]) -> State:
    if len(states) == 1:
        return trace.maker.moved(states[0], layouts[0])
    return trace.union(op, states, layouts)


def attention(trace: Trace, op: Op, value: int) -> State:
    """Every query sees every key and value along their second dimension from the end."""
    if not op.name.startswith("_scaled_dot_product"):
        state = trace.state(value)
        return trace.maker.summed(state, range(1, len(state.layout)), keeps=True)
    made: list[State] = []
    for place, value in enumerate(op.inputs[:3]):
        part = trace.states[value]
        if part is not None:
            rank = len(part.layout)
            gone = (rank - 1,) if place == 0 else (rank - 2, rank - 1)
            made.append(trace.maker.summed(part, gone))
    return _joined(trace, op, made, [state.layout for state in made])


def unknown(trace: Trace, op: Op, _: int) -> State:
    """What no rule knows sees everything, and is reported."""
    return trace.give_up(op)


def constant(trace: Trace, op: Op, _: int) -> None:
    """What is made in the shape of a tensor does not read it."""


def glu(trace: Trace, op: Op, value: int) -> State:
    """The first half of a dimension times the sigmoid of the second."""
    state = trace.state(value)
    dim = op.attributes.get("dim", -1) % len(state.layout)
    return state if state.layout[dim] is None else trace.give_up(op, "halves positions")


_OVER = (
    "_softmax _log_softmax _safe_softmax softmax native_layer_norm native_group_norm "
    "_fused_rms_norm topk kthvalue mode argsort _fft_c2c _fft_r2c _fft_c2r sort"
)
_REDUCTIONS = (
    "mean sum amax amin max min var std var_mean std_mean prod argmax argmin "
    "linalg_vector_norm norm logsumexp any all aminmax nansum count_nonzero median nanmedian"
)
_RUNNING = "cumsum cumprod logcumsumexp _logcumsumexp cummax cummin"
_RECURRENT = "lstm gru rnn_tanh rnn_relu mkldnn_rnn_layer _cudnn_rnn"
_PRODUCTS = (
    "mm addmm bmm baddbmm mv addmv _addmm_activation linear mkldnn_linear dot linear_relu "
    "linear_dynamic linear_relu_dynamic linear_dynamic_fp16 linear_relu_dynamic_fp16"
)
_ATTENTION = (
    "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
    "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention "
    "_scaled_dot_product_fused_attention_overrideable _native_multi_head_attention "
    "_transformer_encoder_layer_fwd"
)
_COMPARISONS = (
    "eq ne lt le gt ge logical_and logical_or logical_not logical_xor bitwise_and bitwise_or "
    "bitwise_not bitwise_left_shift bitwise_right_shift isposinf isneginf nextafter "
    "isnan isinf isfinite where masked_fill nan_to_num copysign signbit heaviside "
    "real imag conj _conj complex view_as_real view_as_complex native_dropout dropout"
)
_CONSTANTS = (
    "fill zero zeros_like ones_like empty_like full_like rand_like randn_like randint_like "
    "new_empty new_zeros new_ones new_full new_empty_strided"
)
_PLACED = frozenset({"addr", "upsample", "_upsample", "grid", "linalg", "_weight", "native"})
_SAME = [name for name in PER_OUTPUT if name.partition("_")[0] not in _PLACED]

RULES: dict[str, Rule] = {
    **dict.fromkeys((*_SAME, *_COMPARISONS.split()), Trace.elementwise),
    **dict.fromkeys(_OVER.split(), over_dims),
    **dict.fromkeys(_RUNNING.split(), running),
    **dict.fromkeys(_RECURRENT.split(), recurrent),
    **dict.fromkeys(_REDUCTIONS.split(), reduction),
    **dict.fromkeys(_PRODUCTS.split(), product),
    **dict.fromkeys(_ATTENTION.split(), attention),
    **dict.fromkeys(BATCH_NORMS, batch_norm),
    "glu": glu,
    **dict.fromkeys(_CONSTANTS.split(), constant),
    **windows.RULES,
    **moves.RULES,
    **cuts.RULES,
    **indexing.RULES,
}
