"""What tools count that hang a formula on each operation they see, and nothing on the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from archstat.analyses import costs
from archstat.analyses.operations import cost
from archstat.analyses.products import Cost
from archstat.graph import Graph, Op, Value


@dataclass(frozen=True, slots=True)
class Call:
    """An op as a formula sees it."""

    op: Op
    cost: Cost
    inputs: Sequence[Value]
    output: Value

    @property
    def has_affine(self) -> bool:
        """Whether a norm scales what it normalised."""
        return any(value.role == "parameter" for value in self.inputs[1:])


Formula = Callable[[Call], int]


def _macs(call: Call) -> int:
    return call.cost.macs


def _twice_macs(call: Call) -> int:
    return 2 * call.cost.macs


def _macs_and_bias(call: Call) -> int:
    is_biased = len(call.inputs) > 2
    return call.cost.macs + (call.output.numel if is_biased else 0)


def _per_input(flops: int) -> Formula:
    return lambda call: flops * call.inputs[0].numel


def _per_output(flops: int) -> Formula:
    return lambda call: flops * call.output.numel


def _if_affine(affine: int, plain: int) -> Formula:
    return lambda call: call.inputs[0].numel * (affine if call.has_affine else plain)


def _global_pool(call: Call) -> int:
    """One an input of an adaptive pooling to one value, which torch hands on as a mean."""
    dims = tuple(call.op.attributes.get("dim") or ())
    is_pooling = call.op.module_type.startswith("AdaptiveAvgPool") or dims == (-1, -2)
    return call.inputs[0].numel if is_pooling else 0


def _fvcore_batch_norm(call: Call) -> int:
    affine, plain = (5, 4) if call.op.attributes.get("training") else (2, 1)
    return _if_affine(affine, plain)(call)


_CONVOLUTIONS = ("convolution", "_convolution")
_MATRICES = ("mm", "addmm", "bmm", "linear")

FVCORE: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys((*_CONVOLUTIONS, *_MATRICES), _macs),
    **dict.fromkeys(costs.BATCH_NORMS, _fvcore_batch_norm),
    "native_layer_norm": _if_affine(5, 4),
    "native_group_norm": _if_affine(5, 4),
    "upsample_nearest2d": _per_output(1),
    "upsample_bilinear2d": _per_output(4),
    "grid_sampler_2d": _per_output(4),
    "_adaptive_avg_pool2d": _per_input(1),
    "mean": _global_pool,
})  # fmt: skip
FLOP_COUNTER: Mapping[str, Formula] = MappingProxyType(
    dict.fromkeys(
        (
            *_CONVOLUTIONS,
            *("mm", "addmm", "bmm", "baddbmm", "_scaled_mm", "cudnn_convolution"),
            *("_scaled_dot_product_efficient_attention", "_scaled_dot_product_flash_attention"),
            "_scaled_dot_product_cudnn_attention",
        ),
        _twice_macs,
    )
)
PTFLOPS_ATEN: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys((*_CONVOLUTIONS, "addmm"), _macs_and_bias),
    **dict.fromkeys(("mm", "bmm"), _macs),
})  # fmt: skip
TORCHPROFILE: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys(
        (*_CONVOLUTIONS, *_MATRICES, "baddbmm", "mv", "dot", "addmv"), _macs
    ),
    **dict.fromkeys(
        ("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention"),
        _macs,
    ),
    **dict.fromkeys((*costs.BATCH_NORMS, "native_layer_norm", "native_group_norm"),
                    _if_affine(1, 0)),
    **dict.fromkeys(("mul", "leaky_relu", "mean", "avg_pool2d", "avg_pool3d",
                     "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"), _per_output(1)),
    **dict.fromkeys(("upsample_bilinear2d", "grid_sampler_2d"), _per_output(4)),
})  # fmt: skip


def by_op(graph: Graph, formulas: Mapping[str, Formula], *, prunes: bool = False) -> Counter[str]:
    """A tool's figures by module; one that `prunes` sees only what reaches an output."""
    found = Counter[str]()
    for op in _reaching(graph) if prunes else graph.ops:
        formula = formulas.get(op.name)
        if formula is not None:
            inputs = [graph.values[value] for value in op.inputs]
            call = Call(op, cost(op, graph.values), inputs, graph.values[op.outputs[0]])
            found[op.module] += formula(call)
    return found


def _reaching(graph: Graph) -> Iterator[Op]:
    """The ops that an output depends on: a trace leaves out all others."""
    needed = {graph.values[value].storage for value in graph.outputs}
    for op in reversed(graph.ops):
        if any(graph.values[value].storage in needed for value in op.outputs):
            needed.update(graph.values[value].storage for value in op.inputs)
            yield op
