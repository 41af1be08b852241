"""Multiply-accumulates, flops and activations of every op, in three states.

`macs` counts multiplications that are added up, in convolutions, linear layers, matrix products,
attention and recurrent layers, without bias: what most papers call FLOPs. `flops` is twice that,
plus the cost of everything else (see `costs`). Padding counts as data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import log2, prod
from types import MappingProxyType
from typing import Literal, NamedTuple

from archstat.analyses import costs
from archstat.graph import Graph, Kind, Op, Value
from archstat.result import Analysis, Analyzer, Column, Note

COLUMNS = (
    Column("macs", "count", "multiply-accumulates of conv, linear, matmul, attention", "lower"),
    Column("flops", "count", "2 x macs, plus bias, norm, activation, pooling, add", "lower"),
    Column("activations", "count", "output elements of conv, linear and matmul", "lower"),
    Column("unknown_ops", "number", "operations neither counted nor free", "lower"),
)


class Cost(NamedTuple):
    """What one op costs: counted, free by convention for a reason, or unknown."""

    state: Literal["counted", "free", "unknown"]
    macs: int = 0
    flops: int = 0
    activations: int = 0
    reason: str = ""


UNKNOWN = Cost("unknown")


def operations(graph: Graph) -> Analysis:
    """The cost of every op of a Graph, with a finding for each unknown target and module."""
    found = [cost(op, graph.values) for op in graph.ops]
    per_op = {
        "macs": [c.macs for c in found],
        "flops": [c.flops for c in found],
        "activations": [c.activations for c in found],
        "unknown_ops": [int(c.state == "unknown") for c in found],
    }
    unknown = Counter(
        (op.target, op.module, op.module_type)
        for op, c in zip(graph.ops, found, strict=True)
        if c.state == "unknown"
    )
    return Analysis(
        totals={key: sum(numbers) for key, numbers in per_op.items()},
        per_op=per_op,
        lower_bounds=frozenset({"macs", "flops", "activations"} if unknown else ()),
        findings=tuple(_finding(*key, count) for key, count in unknown.items()),
    )


def cost(op: Op, values: tuple[Value, ...]) -> Cost:
    """The cost of one op, given the values that its inputs and outputs index."""
    formula = _PRODUCTS.get(op.kind)
    inputs = [values[i] for i in op.inputs]
    outputs = [values[i] for i in op.outputs]
    if formula is not None:
        return formula(op, inputs, outputs)
    name = op.name
    if op.target.count(".") == 2 and not op.target.startswith("aten."):
        return UNKNOWN
    reason = costs.FREE.get(name)
    if reason is not None and not (name == "index_put" and op.attributes.get("accumulate")):
        return Cost("free", reason=reason)
    flops = _other_flops(name, op, inputs, outputs)
    return UNKNOWN if flops is None else Cost("counted", flops=flops)


def _other_flops(name: str, op: Op, inputs: list[Value], outputs: list[Value]) -> int | None:
    if not outputs:
        return None
    made = outputs[0].numel
    if name in costs.PER_OUTPUT:
        return costs.PER_OUTPUT[name] * made
    if name in costs.BATCH_NORMS:
        # No running statistics means batch statistics, whatever the flag says.
        eval_only = name == "_native_batch_norm_legit_no_training"
        in_training = op.attributes.get("training", False) and not eval_only
        return made * (costs.BATCH_NORM_TRAINING if in_training else costs.BATCH_NORM_EVAL)
    if name in costs.MAX_POOLS:
        return made * (_window(op) - 1)
    if name in costs.AVERAGE_POOLS:
        return made * _window(op)
    read = inputs[0].numel if inputs else 0
    if name in costs.PER_INPUT:
        return costs.PER_INPUT[name] * read
    if name in costs.FOLDS:
        return read - made
    if name in costs.ADAPTIVE_AVERAGE_POOLS or name in costs.ADAPTIVE_MAX_POOLS:
        windows = _adaptive_window(inputs[0], outputs[0]) * made
        return windows - made if name in costs.ADAPTIVE_MAX_POOLS else windows
    return _rarer_flops(name, op, inputs, outputs[0])


def _rarer_flops(name: str, op: Op, inputs: list[Value], out: Value) -> int | None:
    if name in costs.SCATTERED_SUMS or name == "index_put":
        return inputs[-1].numel
    if name in costs.DISTANCES:
        return costs.PER_COORDINATE * out.numel * inputs[0].shape[-1]
    if name in costs.TRANSFORMS:
        signal = inputs[0] if name == "_fft_r2c" else out
        points = prod(signal.shape[axis] for axis in op.attributes["dim"])
        return round(costs.TRANSFORMS[name] * signal.numel * log2(max(points, 1)))
    return None


def _window(op: Op) -> int:
    kernel: tuple[int, ...] = op.attributes["kernel"]
    return prod(kernel)


def _adaptive_window(before: Value, after: Value) -> int:
    pairs = zip(before.shape, after.shape, strict=True)
    return prod(-(-size // out) for size, out in pairs if size != out)


# -- products: the kinds that multiply and accumulate ------------------------------------------


def _convolution(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """Each weight meets each position once: of the output or, transposed, of the input."""
    x, weight, out = inputs[0], inputs[1], outputs[0]
    if op.name == "conv_tbc":  # time x batch x channels, the weight kernel x in x out
        macs = out.shape[0] * out.shape[1] * weight.numel
        return Cost("counted", macs, 2 * macs + out.numel, out.numel)
    side = x if op.attributes.get("transposed") else out
    axes = len(weight.shape) - 2
    batch = side.shape[0] if len(side.shape) == axes + 2 else 1
    macs = batch * prod(side.shape[-axes:]) * weight.numel
    bias = out.numel if len(inputs) > 2 else 0
    return Cost("counted", macs, 2 * macs + bias, out.numel)


def _matrix_product(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """(m, k) x (k, n) takes m k n, once for each matrix of a batch."""
    name = op.name
    if name == "_trilinear":
        return _trilinear(inputs, outputs)
    adds = name.startswith(("add", "badd", "_addmm"))
    a, b = inputs[1:3] if adds else inputs[:2]
    if name in ("linear", "mkldnn_linear"):
        macs = a.numel * b.shape[0]
        adds = len(inputs) > 2
    else:
        macs = a.numel * (b.shape[-1] if len(b.shape) > 1 else 1)
    bias = outputs[0].numel if adds else 0
    if name == "_addmm_activation":
        activation = "gelu" if op.attributes.get("use_gelu") else "relu"
        bias += costs.PER_OUTPUT[activation] * outputs[0].numel
    return Cost("counted", macs, 2 * macs + bias, outputs[0].numel)


def _trilinear(inputs: list[Value], outputs: list[Value]) -> Cost:
    """x1 W x2 of a bilinear layer: each of the weights once for each of the batch."""
    out = outputs[0]
    macs = out.numel // out.shape[-1] * inputs[1].numel
    return Cost("counted", macs, 2 * macs, out.numel)


def _attention(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """Scores L x S from E channels, softmax, and their product with values of width Ev."""
    if op.name == "_native_multi_head_attention":
        query, _, value, w_in, _, w_out = inputs[:6]
        return _projected_attention(query, value, w_in, w_out, op.attributes["num_head"])
    if op.name == "_transformer_encoder_layer_fwd":
        return _encoder_layer(op, inputs)
    query, key, value = inputs[:3]
    batch_heads, length = prod(query.shape[:-2]), query.shape[-2]
    scores = batch_heads * length * key.shape[-2]
    macs = scores * (query.shape[-1] + value.shape[-1])
    made = scores + batch_heads * length * value.shape[-1]
    return Cost("counted", macs, 2 * macs + _softmax_flops(scores), made)


def _softmax_flops(scores: int) -> int:
    return costs.PER_OUTPUT["_softmax"] * scores


def _projected_attention(query: Value, value: Value, w_in: Value, w_out: Value, heads: int) -> Cost:
    batch, length, width = query.shape
    source = value.shape[1]
    scores = batch * heads * length * source
    projections = batch * (length + 2 * source) * width * width + batch * length * w_out.numel
    macs = projections + 2 * batch * length * source * width
    biases = batch * width * (2 * length + 2 * source)
    made = scores + biases + batch * length * width
    return Cost("counted", macs, 2 * macs + biases + _softmax_flops(scores), made)


def _encoder_layer(op: Op, inputs: list[Value]) -> Cost:
    source, w_in, _, w_out = inputs[:4]
    attention = _projected_attention(source, source, w_in, w_out, op.attributes["num_heads"])
    # After the projections and two layer norms of two tensors each come the two dense layers.
    up, down = inputs[9], inputs[11]
    tokens = source.numel // source.shape[-1]
    dense = tokens * (up.numel + down.numel)
    activation = costs.PER_OUTPUT["gelu" if op.attributes.get("use_gelu") else "relu"]
    hidden = tokens * up.shape[0]
    norms_and_sums = 2 * (costs.PER_OUTPUT["native_layer_norm"] + 1) * source.numel
    flops = 2 * dense + hidden * (1 + activation) + source.numel + norms_and_sums
    made = attention.activations + hidden + source.numel
    return Cost("counted", attention.macs + dense, attention.flops + flops, made)


def _recurrent(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """A fused LSTM layer: both weight matrices once for each step of each sequence."""
    if op.name != "mkldnn_rnn_layer" or op.attributes.get("mode") != 2:
        return UNKNOWN
    x, w_input, w_hidden = inputs[:3]
    steps, hidden = x.numel // x.shape[-1], w_hidden.shape[-1]
    macs = steps * (w_input.numel + w_hidden.numel)
    # As torch's own decomposition: 2 biases and a sum for 4 gates, 3 sigmoids, 2 tanh, 4 products.
    sigmoid, tanh = costs.PER_OUTPUT["sigmoid"], costs.PER_OUTPUT["tanh"]
    cell = 4 * 3 + 3 * sigmoid + 2 * tanh + 4
    return Cost("counted", macs, 2 * macs + steps * hidden * cell, steps * 2 * 4 * hidden)


_PRODUCTS: Mapping[Kind, Callable[[Op, list[Value], list[Value]], Cost]] = MappingProxyType({
    "conv": _convolution,
    "linear": _matrix_product,
    "matmul": _matrix_product,
    "attention": _attention,
    "recurrent": _recurrent,
})  # fmt: skip


def _finding(target: str, module: str, module_type: str, count: int) -> Note:
    times = "" if count == 1 else f" ({count} times)"
    where = f"{module} ({module_type})" if module else module_type
    return Note(
        "unknown_ops",
        module,
        f"unknown: {target} in {where}{times} is neither counted nor known to be free; "
        "totals are lower bounds.",
    )


ANALYZER = Analyzer("operations", COLUMNS, operations)
