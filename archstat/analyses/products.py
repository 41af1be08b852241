"""What an op costs that multiplies and accumulates: convolutions, matrix products, attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import Literal, NamedTuple

from archstat.analyses import costs
from archstat.graph import Kind, Op, Value


class Cost(NamedTuple):
    """What one op costs: counted, free by convention for a reason, or unknown."""

    state: Literal["counted", "free", "unknown"]
    macs: int = 0
    flops: int = 0
    activations: int = 0
    reason: str = ""


UNKNOWN = Cost("unknown")
NO_PRODUCT = Cost("unknown", reason="it holds no product")


def _convolution(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """Each weight meets each position once: of the output or, transposed, of the input."""
    x, weight, out = inputs[0], inputs[1], outputs[0]
    if op.name == "conv_tbc":  # time x batch x channels, the weight kernel x in x out
        macs = out.shape[0] * out.shape[1] * weight.numel
        return Cost("counted", macs, 2 * macs + out.numel, out.numel)
    side = x if op.attributes.get("transposed") else out
    quantized = op.target.startswith("quantized.")
    # Packed weights of one axis have two; what is quantised has a batch always.
    axes = len(x.shape) - 2 if quantized else len(weight.shape) - 2
    batch = side.shape[0] if len(side.shape) == axes + 2 else 1
    macs = batch * prod(side.shape[-axes:]) * weight.numel
    bias = out.numel if len(inputs) > 2 else 0
    bias += out.numel if quantized and "relu" in op.name else 0
    return Cost("counted", macs, 2 * macs + bias, out.numel)


def _convolution_backward(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """As many products for the gradient of the input as forward has, and as many for the weight."""
    gradient, x, weight = inputs[:3]
    side = x if op.attributes.get("transposed") else gradient
    to_input, to_weight, to_bias = op.attributes["output_mask"]
    axes = len(weight.shape) - 2
    once = side.shape[0] * prod(side.shape[-axes:]) * weight.numel
    macs = (to_input + to_weight) * once
    made = to_input * x.numel + to_weight * weight.numel
    return Cost("counted", macs, 2 * macs + to_bias * gradient.numel, made)


def _deformable(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """A convolution over places read between pixels: a bilinear interpolation for each of them."""
    weight, out = inputs[1], outputs[0]
    positions = out.shape[0] * prod(out.shape[2:])
    macs = positions * weight.numel
    kernel = prod(weight.shape[2:])
    reads = positions * inputs[0].shape[1] * kernel * costs.PER_OUTPUT["upsample_bilinear2d"]
    return Cost("counted", macs, 2 * macs + reads + out.numel, out.numel)


def _packed_product(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """(m, k) x (k, n) with weights in a format of their own, whose shape tells nothing."""
    out = outputs[0]
    macs = inputs[0].numel * out.shape[-1]
    return Cost("counted", macs, 2 * macs, out.numel)


def _sparse_product(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """Each number of the sparse matrix once for each column, or row, of the dense one."""
    name, numbers, out = op.name, op.attributes["nnz"], outputs[0]
    first = 1 if name.startswith(("add", "badd", "_sparse_addmm", "sspaddmm")) else 0
    left, right = numbers[first : first + 2]
    if (left is None) == (right is None) or -1 in (left, right):
        return UNKNOWN  # how many numbers meet another is known to the numbers alone
    if left is not None:
        macs = left * (out.shape[-1] if len(inputs[first + 1].shape) > 1 else 1)
    else:
        macs = right * inputs[first].shape[-2]
    bias = out.numel if first and op.attributes.get("beta", 1) else 0
    return Cost("counted", macs, 2 * macs + bias, out.numel)


def _matrix_product(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """(m, k) x (k, n) takes m k n, once for each matrix of a batch."""
    name = op.name
    if name == "_trilinear":
        return _trilinear(inputs, outputs)
    if "nnz" in op.attributes:
        return _sparse_product(op, inputs, outputs)
    adds = name.startswith(("add", "badd", "_addmm"))
    a, b = inputs[1:3] if adds else inputs[:2]
    if name == "_grouped_mm":  # rows or columns are dealt out: each meets one group's matrix
        groups = a.shape[0] if len(a.shape) == len(b.shape) == 3 else 1
        macs = groups * a.shape[-2] * a.shape[-1] * b.shape[-1]
    elif name.startswith(("linear", "mkldnn_linear")):
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
    if op.attributes.get("score_mod"):
        return Cost("unknown", macs, 2 * macs + _softmax_flops(scores), made,
                    "what it does with each score is not counted")  # fmt: skip
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
    if op.name in _QUANTIZED_STATES:
        return _quantized_recurrent(op, inputs, outputs)
    if op.name == "_cudnn_rnn":
        return _all_layers(op, inputs)
    if op.name != "mkldnn_rnn_layer" or op.attributes.get("mode") != 2:
        return UNKNOWN
    x, w_input, w_hidden = inputs[:3]
    steps, hidden = x.numel // x.shape[-1], w_hidden.shape[-1]
    macs = steps * (w_input.numel + w_hidden.numel)
    return Cost("counted", macs, 2 * macs + steps * hidden * _LSTM, steps * 2 * 4 * hidden)


# For an element of the hidden state, as torch's own decomposition: of an LSTM 2 biases and a sum
# for 4 gates, 3 sigmoids, 2 tanh, 4 products.
_SIGMOID, _TANH = costs.PER_OUTPUT["sigmoid"], costs.PER_OUTPUT["tanh"]
_LSTM = 4 * 3 + 3 * _SIGMOID + 2 * _TANH + 4
_GRU = 3 * 2 + 2 + 2 * _SIGMOID + 1 + 1 + _TANH + 3
# By the mode of cuDNN's kernel.
_OF_MODES = 3 + costs.PER_OUTPUT["relu"], 3 + _TANH, _LSTM, _GRU
_QUANTIZED_STATES: Mapping[str, int] = MappingProxyType({
    "quantized_lstm": _LSTM, "quantized_lstm_cell_dynamic": _LSTM,
    "quantized_gru": _GRU, "quantized_gru_cell_dynamic": _GRU,
    "quantized_rnn_tanh_cell_dynamic": 3 + _TANH,
    "quantized_rnn_relu_cell_dynamic": 3 + costs.PER_OUTPUT["relu"],
})  # fmt: skip


def _all_layers(op: Op, inputs: list[Value]) -> Cost:
    """cuDNN's kernel: every matrix of every layer and direction once for each step."""
    told, x = op.attributes, inputs[0]
    cells = told["num_layers"] * (2 if told["bidirectional"] else 1)
    weights = inputs[1 : 1 + cells * told["weight_stride0"]]
    matrices = [weight for weight in weights if len(weight.shape) > 1]
    steps = x.numel // x.shape[-1]
    macs = steps * sum(matrix.numel for matrix in matrices)
    states = steps * cells * told["hidden_size"]
    made = steps * sum(matrix.shape[0] for matrix in matrices)
    return Cost("counted", macs, 2 * macs + states * _OF_MODES[told["mode"]], made)


def _quantized_recurrent(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    """Every packed matrix once for each step; each is (gates x hidden) x input."""
    x = inputs[0]
    matrices = [value for value in inputs[1:] if value.role == "parameter" and len(value.shape) > 1]
    if not matrices:
        return UNKNOWN
    steps = x.numel // x.shape[-1]
    gates = sum(matrix.shape[0] for matrix in matrices)
    macs = steps * sum(matrix.numel for matrix in matrices)
    per_gate = {_LSTM: 4, _GRU: 3}.get(_QUANTIZED_STATES[op.name], 1)
    hidden = gates // 2 // per_gate
    return Cost("counted", macs, 2 * macs + steps * hidden * _QUANTIZED_STATES[op.name],
                steps * gates)  # fmt: skip


PRODUCTS_OF_NAMES: Mapping[str, Callable[[Op, list[Value], list[Value]], Cost]] = MappingProxyType(
    {
        "convolution_backward": _convolution_backward,
        "torchvision::deform_conv2d": _deformable,
        **dict.fromkeys(costs.PACKED_PRODUCTS, _packed_product),
    }
)
PRODUCTS: Mapping[Kind, Callable[[Op, list[Value], list[Value]], Cost]] = MappingProxyType({
    "conv": _convolution,
    "linear": _matrix_product,
    "matmul": _matrix_product,
    "attention": _attention,
    "recurrent": _recurrent,
})  # fmt: skip
