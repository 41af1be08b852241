"""The one table of ONNX operators: what each is in torch's terms, and so what it costs and sees.

An operator that stands in no table here is recorded as ``onnx.NAME`` and stays unknown, as does one
whose shapes onnx could not infer. Those of ``com.microsoft`` are written with the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from archstat.frontends.onnx_file import contrib, layers, moves
from archstat.frontends.onnx_file.building import Node, Rule
from archstat.graph import Kind

_SAME: Mapping[str, tuple[Kind, str]] = MappingProxyType({
    "Relu": ("activation", "relu.default"), "Sigmoid": ("activation", "sigmoid.default"),
    "Tanh": ("activation", "tanh.default"), "LeakyRelu": ("activation", "leaky_relu.default"),
    "Elu": ("activation", "elu.default"), "Selu": ("activation", "elu.default"),
    "Celu": ("activation", "celu.default"), "Softplus": ("activation", "softplus.default"),
    "HardSigmoid": ("activation", "hardsigmoid.default"), "Mish": ("activation", "mish.default"),
    "HardSwish": ("activation", "hardswish.default"), "Gelu": ("activation", "gelu.default"),
    "Swish": ("activation", "silu.default"),
    "QuickGelu": ("activation", "silu.default"), "PRelu": ("activation", "_prelu_kernel.default"),
    "ThresholdedRelu": ("activation", "threshold.default"),
    "Shrink": ("activation", "softshrink.default"), "Clip": ("activation", "clamp.default"),
    "Add": ("add", "add.Tensor"), "Sub": ("add", "sub.Tensor"), "Mul": ("mul", "mul.Tensor"),
    "Div": ("mul", "div.Tensor"), "Pow": ("other", "pow.Tensor_Tensor"),
    "Sqrt": ("other", "sqrt.default"), "Exp": ("other", "exp.default"),
    "Log": ("other", "log.default"), "Abs": ("other", "abs.default"),
    "Neg": ("other", "neg.default"), "Reciprocal": ("other", "reciprocal.default"),
    "Erf": ("other", "erf.default"), "Floor": ("other", "floor.default"),
    "Ceil": ("other", "ceil.default"), "Round": ("other", "round.default"),
    "Sign": ("other", "sign.default"), "Sin": ("other", "sin.default"),
    "Cos": ("other", "cos.default"), "Tan": ("other", "tan.default"),
    "Asin": ("other", "asin.default"), "Acos": ("other", "acos.default"),
    "Atan": ("other", "atan.default"), "Sinh": ("other", "sinh.default"),
    "Cosh": ("other", "cosh.default"), "Asinh": ("other", "asinh.default"),
    "Acosh": ("other", "acosh.default"), "Atanh": ("other", "atanh.default"),
    "Mod": ("other", "fmod.Tensor"), "Not": ("other", "logical_not.default"),
    "And": ("other", "logical_and.default"), "Or": ("other", "logical_or.default"),
    "Xor": ("other", "logical_xor.default"), "Equal": ("other", "eq.Tensor"),
    "Less": ("other", "lt.Tensor"), "LessOrEqual": ("other", "le.Tensor"),
    "Greater": ("other", "gt.Tensor"), "GreaterOrEqual": ("other", "ge.Tensor"),
    "IsNaN": ("other", "isnan.default"), "IsInf": ("other", "isinf.default"),
    "BitwiseAnd": ("other", "bitwise_and.Tensor"), "BitwiseOr": ("other", "bitwise_or.Tensor"),
    "BitwiseXor": ("other", "bitwise_xor.Tensor"), "BitwiseNot": ("other", "bitwise_not.default"),
    "BitShift": ("other", "bitwise_left_shift.Tensor"), "Where": ("other", "where.self"),
    "Identity": ("reshape", "alias.default"), "Dropout": ("reshape", "alias.default"),
    "Cast": ("reshape", "_to_copy.default"),
    "Reshape": ("reshape", "view.default"), "Flatten": ("reshape", "view.default"),
    "Expand": ("reshape", "expand.default"), "Trilu": ("other", "tril.default"),
    "GatherElements": ("reshape", "gather.default"), "GatherND": ("reshape", "gather.default"),
    "ScatterElements": ("other", "scatter.src"), "ScatterND": ("other", "index_put.default"),
    "Scatter": ("other", "scatter.src"), "NonZero": ("other", "nonzero.default"),
    "TopK": ("other", "topk.default"), "Unique": ("other", "unique_dim.default"),
    "OneHot": ("other", "one_hot.default"), "EyeLike": ("other", "eye.default"),
    "Range": ("other", "arange.default"), "ConstantOfShape": ("other", "full.default"),
    "RandomNormal": ("other", "randn.default"), "RandomUniform": ("other", "rand.default"),
    "RandomNormalLike": ("other", "randn_like.default"),
    "RandomUniformLike": ("other", "rand_like.default"),
    "Compress": ("other", "index_select.default"), "Bernoulli": ("other", "bernoulli.default"),
    "Multinomial": ("other", "multinomial.default"), "Hardmax": ("other", "argmax.default"),
    "GridSample": ("resize", "grid_sampler_2d.default"), "CumSum": ("reduce", "cumsum.default"),
    "NonMaxSuppression": ("other", "torchvision::nms"),
    "RoiAlign": ("other", "torchvision::roi_align"),
    "QuantizeLinear": ("other", "quantize_per_tensor.default"),
    "DequantizeLinear": ("other", "dequantize.self"),
    "DynamicQuantizeLinear": ("other", "quantize_per_tensor_dynamic.default"),
    "Col2Im": ("other", "col2im.default"), "CumProd": ("reduce", "cumprod.default"),
    "MaxUnpool": ("pool", "max_unpool2d.default"), "TensorScatter": ("other", "index_put.default"),
    "ReverseSequence": ("reshape", "flip.default"), "BitCast": ("reshape", "view.dtype"),
    "MaxRoiPool": ("other", "torchvision::roi_pool"), "Det": ("other", "linalg_det.default"),
    "HannWindow": ("other", "hann_window.default"),
    "HammingWindow": ("other", "hamming_window.default"),
    "BlackmanWindow": ("other", "blackman_window.default"),
    "AffineGrid": ("other", "affine_grid_generator.default"),
})  # fmt: skip
# Whose operators the tables hold; the `Attention` of com.microsoft makes its own projections.
DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
# They look at what they are given, and make nothing.
VIEWS = frozenset({
    "Identity", "Dropout", "Reshape", "Flatten", "Expand", "Squeeze", "Unsqueeze", "Transpose",
})  # fmt: skip


def _op(name: str) -> str:
    """torch's target of a name; others name their library."""
    return f"{name.replace('::', '.')}.default" if "::" in name else f"aten.{name}"


def _same(kind: Kind, target: str) -> Rule:
    def rule(node: Node) -> None:
        # torch takes a number beside a tensor as an argument, not as a tensor.
        read = [v for place, v in enumerate(node.inputs) if not (place and node.is_scalar(place))]
        if len(read) > 1 and node.is_scalar(0):
            read = read[1:]
        node.last(kind, _op(target), *read)

    return rule


def _of_codes(kind: Kind, target: str, places: slice) -> Rule:
    """What is computed of the codes at some places; their scales are no operands."""

    def rule(node: Node) -> None:
        node.last(kind, f"aten.{target}", *node.inputs[places])

    return rule


def _joined(kind: Kind, target: str, divides: bool = False) -> Rule:
    """An op of two, one after the other over any number of inputs."""

    def rule(node: Node) -> None:
        first, *others = node.inputs
        for place, other in enumerate(others):
            if place == len(others) - 1 and not divides:
                node.last(kind, target, first, other)
            else:
                first = node.before(kind, target, node.made(), first, other)
        if divides:
            node.last("mul", "aten.div.Tensor", first)
        elif not others:
            node.last("reshape", "aten.alias.default", first)

    return rule


_MORE: Mapping[str, Rule] = MappingProxyType(
    {
        "Conv": layers.convolution(1, 2),
        "ConvTranspose": layers.convolution(1, 2, transposed=True),
        "ConvInteger": layers.convolution(1, None),
        "QLinearConv": layers.convolution(3, 8),
        "MatMul": layers.matrix_product(0, 1),
        "MatMulInteger": layers.matrix_product(0, 1),
        "QLinearMatMul": layers.matrix_product(0, 3),
        "Gemm": layers.gemm,
        "QLinearAdd": _of_codes("add", "add.Tensor", slice(0, 4, 3)),
        "QLinearMul": _of_codes("mul", "mul.Tensor", slice(0, 4, 3)),
        "QLinearSigmoid": _of_codes("activation", "sigmoid.default", slice(1)),
        "QLinearLeakyRelu": _of_codes("activation", "leaky_relu.default", slice(1)),
        "QLinearSoftmax": _of_codes("softmax", "_softmax.default", slice(1)),
        "QLinearConcat": _of_codes("concat", "cat.default", slice(2, None, 3)),
        "QLinearAveragePool": layers.pool("avg_pool{}d"),
        "QLinearGlobalAveragePool": moves.over_all("aten.mean.dim", "dim"),
        "RotaryEmbedding": contrib.rotary(1),
        "Einsum": layers.einsum,
        "Attention": layers.attention,
        "BatchNormalization": layers.batch_norm,
        "InstanceNormalization": layers.instance_norm,
        "LayerNormalization": layers.over_last("aten.native_layer_norm.default"),
        "SimplifiedLayerNormalization": layers.over_last("aten._fused_rms_norm.default"),
        "RMSNormalization": layers.over_last("aten._fused_rms_norm.default"),
        "SkipLayerNormalization": layers.over_last("aten.native_layer_norm.default", more=True),
        "SkipSimplifiedLayerNormalization": layers.over_last(
            "aten._fused_rms_norm.default", more=True
        ),
        "GroupNormalization": layers.group_norm,
        "GroupNorm": layers.group_norm,
        "LRN": layers.local_response_norm,
        "MaxPool": layers.pool("max_pool{}d_with_indices"),
        "AveragePool": layers.pool("avg_pool{}d"),
        "GlobalAveragePool": moves.over_all("aten.mean.dim", "dim"),
        "GlobalMaxPool": moves.over_all("aten.amax.default", "dim"),
        "ReduceMean": moves.reduction("aten.mean.dim"),
        "ReduceSum": moves.reduction("aten.sum.dim_IntList"),
        "ReduceMax": moves.reduction("aten.amax.default"),
        "ReduceMin": moves.reduction("aten.amin.default"),
        "ReduceProd": moves.reduction("aten.prod.dim_int"),
        "ReduceL2": moves.reduction("aten.linalg_vector_norm.default"),
        "ReduceLogSumExp": moves.reduction("aten.logsumexp.default"),
        "ReduceSumSquare": moves.sum_of("mul", "aten.mul.Tensor", 2),
        "ReduceL1": moves.sum_of("other", "aten.abs.default"),
        "ReduceLogSum": moves.log_of_sum,
        "Softsign": moves.softsign,
        "DeformConv": layers.deformable,
        "ArgMax": moves.picked("aten.argmax.default"),
        "ArgMin": moves.picked("aten.argmin.default"),
        "Softmax": moves.softmax("aten._softmax.default"),
        "LogSoftmax": moves.softmax("aten._log_softmax.default"),
        "Max": _joined("other", "aten.maximum.default"),
        "Min": _joined("other", "aten.minimum.default"),
        "Sum": _joined("add", "aten.add.Tensor"),
        "Mean": _joined("add", "aten.add.Tensor", True),
        "CastLike": moves.cast_like,
        "Squeeze": moves.squeeze,
        "Unsqueeze": moves.unsqueeze,
        "Transpose": moves.transpose,
        "Concat": moves.concat,
        "Split": moves.split,
        "Slice": moves.slice,
        "Gather": moves.gather,
        "Tile": moves.tile,
        "Pad": moves.pad,
        "DepthToSpace": moves.shuffled("aten.pixel_shuffle.default", "upscale_factor"),
        "SpaceToDepth": moves.shuffled("aten.pixel_unshuffle.default", "downscale_factor"),
        "Resize": moves.resize,
        "Upsample": moves.resize,
        "LSTM": layers.recurrent(2),
        "GRU": layers.recurrent(3),
        "RNN": layers.recurrent(1),
    }
)

RULES: Mapping[str, Rule] = MappingProxyType(
    {**{name: _same(*torchs) for name, torchs in _SAME.items()}, **_MORE}
)
# They compute shapes, which are known: no op of a forward pass.
OF_SHAPES = frozenset({"Shape", "Size"})
