"""What tools count that hang a formula on each operation they see, and nothing on the others."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from archstat.analyses import costs
from archstat.analyses.operations import cost
from archstat.analyses.products import Cost
from archstat.graph import Graph, Op, Value


@dataclass(frozen=True, slots=True)
class Call:
    """An op as a formula sees it.

    Its first input comes from the op `before` it, None for the model's own. It `is_linear` where it
    is a product of F.linear, which turns its weight, and `is_of_attention` where torch itself took
    a fused attention apart into it and more. An attention `has_learnt_mask` where parameters make
    its mask.
    """

    op: Op
    cost: Cost
    inputs: Sequence[Value]
    output: Value
    before: Op | None = None
    is_linear: bool = False
    is_of_attention: bool = False
    has_learnt_mask: bool = False

    @property
    def has_affine(self) -> bool:
        """Whether a norm scales what it normalised."""
        return "weight" not in self.op.attributes


Formula = Callable[[Call], int]


def _macs(call: Call) -> int:
    return call.cost.macs


def _twice_macs(call: Call) -> int:
    return 2 * call.cost.macs


def _macs_and_bias(call: Call) -> int:
    is_biased = len(call.inputs) > 2
    return call.cost.macs + (call.output.numel if is_biased else 0)


def _if_mask_is_learnt(call: Call) -> int:
    """With gradients no fused kernel takes a mask that has one, and torch takes it apart."""
    return call.cost.macs if call.has_learnt_mask else 0


def _alone(formula: Formula) -> Formula:
    """A formula for tools that see an attention as one op: its parts count for nothing."""
    return lambda call: 0 if call.is_of_attention else formula(call)


def _per_input(flops: int) -> Formula:
    return lambda call: flops * call.inputs[0].numel


def _per_output(flops: int) -> Formula:
    return lambda call: flops * call.output.numel


def _if_affine(affine: int, plain: int) -> Formula:
    return lambda call: call.inputs[0].numel * (affine if call.has_affine else plain)


def _global_pool(call: Call) -> int:
    """One an input of an adaptive pooling to one value, which torch hands on as a mean."""
    told = call.op.attributes
    is_pooling = tuple(told.get("dim") or ()) == (-1, -2) and told.get("keepdim")
    return call.inputs[0].numel if is_pooling else 0


def _fvcore_batch_norm(call: Call) -> int:
    affine, plain = (5, 4) if call.op.attributes.get("training") else (2, 1)
    return _if_affine(affine, plain)(call)


def _of_linear(call: Call) -> int:
    return call.cost.macs if call.is_linear else 0


def _product_and_bias(call: Call) -> int:
    """A product and what is added to it, as it comes: a bias counts once for all rows."""
    return 0 if call.is_linear else call.cost.macs + call.inputs[0].numel


def _by_groups_twice(call: Call) -> int:
    """Of a transposed convolution the filters, already those of a group, are divided again."""
    told, filters = call.op.attributes, call.inputs[1].shape[1]
    groups = int(told["groups"]) if told.get("transposed") else 1
    return call.cost.macs // filters * (filters // groups)


def _at_the_output(call: Call) -> int:
    """A transposed convolution as if each weight met each position of the output."""
    weight, out = call.inputs[1].shape, call.output.shape
    channels = weight[1] if out[1] == weight[0] else weight[0]
    return call.output.numel * channels * prod(weight[2:])


def _of_relu6(call: Call) -> int:
    """The function of that name: torch's module of it calls another."""
    is_module = call.op.module_type in ("ReLU6", "Hardtanh")
    return 0 if is_module or call.op.attributes.get("max_val") != 6 else call.inputs[0].numel


def _within(module_type: str) -> Formula:
    """One an output in a module that calls the function or method; elsewhere it is an operator."""
    return lambda call: call.output.numel * (call.op.module_type == module_type)


def _but_in_transformers(call: Call) -> int:
    """That package's own module kept the function as it was before it was replaced."""
    return call.inputs[0].numel * (call.op.module_type != "GELUActivation")


def _is_folded(call: Call) -> bool:
    return call.before is not None and call.before.name in _CONVOLUTIONS


def _unless_folded(call: Call) -> int:
    return 0 if _is_folded(call) else 2 * call.output.numel


def _bias_if_folded(call: Call) -> int:
    """The bias that a norm leaves where it is folded into a convolution that had none."""
    if call.before is None or not _is_folded(call):
        return 2 * call.output.numel
    return call.output.numel * (len(call.before.inputs) < 3)


def _twice_macs_and_bias(call: Call) -> int:
    return call.cost.macs + _macs_and_bias(call)


def _windows(call: Call) -> int:
    sides: Sequence[int] = call.op.attributes["kernel"]
    return call.output.numel * prod(sides)


_CONVOLUTIONS = ("convolution", "_convolution")
_MATRICES = ("mm", "addmm", "bmm", "linear")
_FUSED_ATTENTION = (
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
)  # fmt: skip

FVCORE: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys((*_CONVOLUTIONS, *_MATRICES), _alone(_macs)),
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
# On meta no fused kernel can run.
FLOP_COUNTER_META: Mapping[str, Formula] = MappingProxyType({
    **FLOP_COUNTER,
    "_scaled_dot_product_flash_attention_for_cpu": _twice_macs,
    "mkldnn_rnn_layer": _twice_macs,
})  # fmt: skip
PTFLOPS_ATEN: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys((*_CONVOLUTIONS, "addmm"), _macs_and_bias),
    **dict.fromkeys(("mm", "bmm"), _macs),
    **dict.fromkeys(_FUSED_ATTENTION, _if_mask_is_learnt),
})  # fmt: skip
TORCHPROFILE: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys(_CONVOLUTIONS, _at_the_output),
    **dict.fromkeys((*_MATRICES, "baddbmm", "mv", "dot", "addmv", "mkldnn_rnn_layer"), _macs),
    **dict.fromkeys(_FUSED_ATTENTION, _macs),
    **dict.fromkeys((*costs.BATCH_NORMS, "native_layer_norm", "native_group_norm"),
                    _if_affine(1, 0)),
    "mul": _alone(_per_output(1)),
    **dict.fromkeys(("leaky_relu", "mean", "avg_pool2d", "avg_pool3d",
                     "_adaptive_avg_pool2d", "_adaptive_avg_pool3d"), _per_output(1)),
    **dict.fromkeys(("upsample_bilinear2d", "grid_sampler_2d"), _per_output(4)),
})  # fmt: skip

# Functions of torch that are replaced while the model runs; operators such as `@` are not.
CALFLOPS: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys(_CONVOLUTIONS, _by_groups_twice),
    **dict.fromkeys(("addmm", "baddbmm"), _macs),
    **dict.fromkeys(("mm", "bmm"), _of_linear),
})  # fmt: skip
DEEPSPEED: Mapping[str, Formula] = MappingProxyType({
    **CALFLOPS,
    **dict.fromkeys(("mm", "bmm"), _macs),
    **dict.fromkeys(_FUSED_ATTENTION, _macs),
})  # fmt: skip
PTFLOPS_FUNCTIONS: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys(
        (
            *("relu", "elu", "silu", "_prelu_kernel"),
            *(costs.MAX_POOLS | costs.AVERAGE_POOLS | costs.ADAPTIVE_MAX_POOLS),
            *costs.ADAPTIVE_AVERAGE_POOLS,
        ),
        _per_input(1),
    ),
    **{f"upsample_{mode}": _per_output(1)
       for mode in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "bicubic2d",
                    "trilinear3d")},
    "hardtanh": _of_relu6,
    "mean": _global_pool,
    "gelu": _but_in_transformers,
    "_softmax": _within("Softmax"),
    **dict.fromkeys(("mul", "add"), _within("LocalResponseNorm")),
    **dict.fromkeys(("addmm", "baddbmm"), _product_and_bias),
})  # fmt: skip

# timm averages in gates by plain means, which fvcore does not count.
TIMM: Mapping[str, Formula] = MappingProxyType({
    name: formula for name, formula in FVCORE.items()
    if name not in ("mean", "_adaptive_avg_pool2d")
})  # fmt: skip
# By the Intermediate Representation before version 10: bias is a part of its convolution, a norm
# is folded into the convolution before it, and a sum or product of two reads both.
OPENVINO: Mapping[str, Formula] = MappingProxyType({
    **dict.fromkeys((*_CONVOLUTIONS, *_MATRICES, *_FUSED_ATTENTION), _twice_macs),
    **dict.fromkeys(costs.BATCH_NORMS, _unless_folded),
    **dict.fromkeys(("relu", "leaky_relu", "_prelu_kernel", "hardtanh"), _per_output(2)),
    **dict.fromkeys(("add", "mul", "sigmoid", "elu"), _per_output(3)),
    **dict.fromkeys(("hardswish", "hardsigmoid"), _per_output(4)),
    "silu": _per_output(6),
    "tanh": _per_output(6),
    "_softmax": _per_output(5),
    **dict.fromkeys((*costs.MAX_POOLS, *costs.AVERAGE_POOLS), _windows),
    **dict.fromkeys(("mean", *costs.ADAPTIVE_AVERAGE_POOLS), _per_input(1)),
})  # fmt: skip
# By version 10 a bias is a sum of its own, and no element is read twice; a mean and a hard sigmoid,
# of which a hard swish is made, have no formula.
OPENVINO_IR10: Mapping[str, Formula] = MappingProxyType({
    **{name: formula for name, formula in OPENVINO.items()
       if name not in ("mean", "hardsigmoid", *costs.ADAPTIVE_AVERAGE_POOLS)},
    **dict.fromkeys((*_CONVOLUTIONS, "addmm"), _twice_macs_and_bias),
    **dict.fromkeys(costs.BATCH_NORMS, _bias_if_folded),
    **dict.fromkeys(("add", "mul", "hardswish"), _per_output(1)),
    "silu": _per_output(5),
})  # fmt: skip


def by_op(graph: Graph, formulas: Mapping[str, Formula], *, prunes: bool = False) -> Counter[str]:
    """A tool's figures by module; one that `prunes` sees only what reaches an output."""
    found, apart = Counter[str](), _attention_apart(graph)
    calls: dict[int, Call] = graph.once("calls", dict)
    for index, op in _reaching(graph) if prunes else enumerate(graph.ops):
        formula = formulas.get(op.name)
        if formula is not None:
            if index not in calls:
                calls[index] = _call(graph, op, index in apart)
            found[op.module] += formula(calls[index])
    return found


def _call(graph: Graph, op: Op, is_of_attention: bool) -> Call:
    maker = graph.producers[op.inputs[0]] if op.inputs else None
    return Call(
        op,
        cost(op, graph.values),
        [graph.values[value] for value in op.inputs],
        graph.values[op.outputs[0]],
        before=None if maker is None else graph.ops[maker],
        is_linear=op.kind in ("linear", "matmul") and _is_turned(graph, op.inputs[-1]),
        is_of_attention=is_of_attention,
        has_learnt_mask=op.kind == "attention" and _is_learnt(graph, op.inputs[3:]),
    )


def _is_turned(graph: Graph, value: int) -> bool:
    """Whether a value is a transposed matrix, seen in another way or not."""
    while (maker := graph.producers[value]) is not None:
        op = graph.ops[maker]
        if op.name not in ("expand", "view", "clone", "_unsafe_view"):
            return op.name == "t"
        value = op.inputs[0]
    return False


def _is_learnt(graph: Graph, values: Sequence[int]) -> bool:
    """Whether parameters make any of these values."""
    left, seen = [*values], set[int]()
    while left:
        value = left.pop()
        if graph.values[value].trainable:
            return True
        maker = graph.producers[value]
        if maker is not None and maker not in seen:
            seen.add(maker)
            left += graph.ops[maker].inputs
    return False


def _attention_apart(graph: Graph) -> set[int]:
    """The products and scalings around the softmax that only torch's own attention has."""
    products = [index for index, op in enumerate(graph.ops) if op.kind in ("matmul", "mul")]
    found = set[int]()
    for index, op in enumerate(graph.ops):
        if op.name == "_safe_softmax":
            place = bisect(products, index)
            found.update(products[max(0, place - 3) : place + 1])
    return found


def _reaching(graph: Graph) -> Iterator[tuple[int, Op]]:
    """The ops that an output depends on: a trace leaves out all others."""
    needed = {graph.values[value].storage for value in graph.outputs}
    for index in reversed(range(len(graph.ops))):
        op = graph.ops[index]
        if any(graph.values[value].storage in needed for value in op.outputs):
            needed.update(graph.values[value].storage for value in op.inputs)
            yield index, op
