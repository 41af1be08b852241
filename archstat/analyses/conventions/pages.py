"""What the counters behind pages of figures add up, op by op, as their source code has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod
from types import MappingProxyType

from archstat.analyses import costs
from archstat.analyses.conventions.by_op import Call, Formula, by_op
from archstat.graph import Graph
from archstat.result import Report


def _per_input(flops: int) -> Formula:
    return lambda call: flops * call.inputs[0].numel


def _macs(call: Call, bias: int = 0) -> int:
    return call.cost.macs + bias * _is_biased(call) * call.output.numel


def _macs_and_bias(call: Call) -> int:
    return _macs(call, 1)


def _twice_macs_and_bias(call: Call) -> int:
    return call.cost.macs + _macs(call, 1)


def _is_biased(call: Call) -> bool:
    return len(call.inputs) > 2


def _window(call: Call) -> int:
    return call.output.numel * _area(call, "kernel")


def _twice_stride(call: Call) -> int:
    return 2 * call.output.numel * _area(call, "stride")


def _area(call: Call, attribute: str) -> int:
    sides: Iterable[int] = call.op.attributes[attribute]
    return prod(sides)


def _imgclsmob_product(call: Call) -> int:
    """2 x macs, but for one a pair of channels without bias: its linear layers are 1x1, too."""
    return 2 * call.cost.macs - (not _is_biased(call)) * prod(call.inputs[1].shape[:2])


def _shuffled(call: Call) -> int:
    return call.output.numel if call.op.module_type == "ChannelShuffle" else 0


_PRODUCTS = ("convolution", "addmm", "mm")
_POOLS = ("max_pool2d_with_indices", "avg_pool2d")
IMGCLSMOB: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys(_PRODUCTS, _imgclsmob_product),
    **dict.fromkeys(costs.BATCH_NORMS, _per_input(4)),
    **dict.fromkeys(("relu", "hardtanh", "hardsigmoid"), _per_input(1)),
    **dict.fromkeys(("leaky_relu", "hardswish"), _per_input(2)),
    **dict.fromkeys(("elu", "_prelu_kernel"), _per_input(3)),
    "sigmoid": _per_input(4),
    "silu": _per_input(5),
    "clone": _shuffled,
    **dict.fromkeys(_POOLS, _window),
})  # fmt: skip
CONVNET_BURDEN: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys(_PRODUCTS, _macs_and_bias),
    **dict.fromkeys(("relu", "hardtanh"), _per_input(2)),
    **dict.fromkeys(_POOLS, _twice_stride),
    "mean": _per_input(1),
})  # fmt: skip
TF_PROFILER: Mapping[str, Formula] = MappingProxyType({
    "convolution": _twice_macs_and_bias,
    **dict.fromkeys(_POOLS, _window),
})  # fmt: skip


def counted(formulas: Mapping[str, Formula]) -> Callable[[Report], int]:
    """The sum of the formulas over what reaches an output."""
    return lambda report: by_op(report.graph, formulas, prunes=True).total()


def imgclsmob(report: Report) -> int:
    """Half of its flops; of averages over a map only the last is a layer, the others functions."""
    return (_imgclsmob(report) + _head(report.graph, "inputs")) // 2


def imgclsmob_global(report: Report) -> int:
    """The same where the last average is a global pooling, whose window Gluon calls 1x1."""
    return (_imgclsmob(report) + _head(report.graph, "outputs")) // 2


_imgclsmob = counted(IMGCLSMOB)


def _head(graph: Graph, side: str) -> int:
    averages = [op for op in graph.ops if op.name == "mean"]
    return sum(graph.values[getattr(op, side)[0]].numel for op in averages[-1:])
