"""Operators of onnxruntime (domain com.microsoft): the shapes that they make, and their rules.

onnx has no schemas of them. Those that are written like a standard one are named in `inference`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any

from archstat.frontends.onnx_file import layers
from archstat.frontends.onnx_file.building import Node, Rule
from archstat.graph import REGISTERED, REGISTERED_MACS, Kind

Shape = tuple[int, ...]
_FLASH = "aten._scaled_dot_product_flash_attention_for_cpu.default"


def types_made(node: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """The types of what a node makes, as far as its inputs tell; `known` are types by name."""
    from onnx.helper import make_tensor_type_proto

    rule = _SHAPES.get(node.op_type)
    given = [known.get(name) for name in node.input]
    kind = next((given[p] for p in (_FLOATS.get(node.op_type, 0),) if p < len(given)), None)
    if rule is None or kind is None:
        return {}
    shapes = [None if one is None else _shape(one) for one in given]
    told = {a.name: list(a.ints) or a.i for a in node.attribute}
    try:
        made = rule(told, shapes)
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
        return {}
    element = kind.tensor_type.elem_type
    return {
        name: make_tensor_type_proto(element, shape)
        for name, shape in zip(node.output, made, strict=False)
        if name and shape is not None
    }


# Where the input stands that has the type of the result; first, unless it is named here.
_FLOATS = {"MatMulIntegerToFloat": 2, "EmbedLayerNormalization": 2}


def _shape(kind: Any) -> Shape | None:
    dims = kind.tensor_type.shape.dim
    sized = kind.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims)
    return tuple(d.dim_value for d in dims) if sized else None


def _product(told: Any, shapes: Any) -> list[Shape | None]:
    a, b = shapes[:2]
    a = (*a[:-2], a[-1], a[-2]) if told.get("transA") else a
    b = (*b[:-2], b[-1], b[-2]) if told.get("transB") else b
    if a[-1] != b[-2] or told.get("transBatchA") or told.get("transBatchB"):
        raise ValueError("matrices that do not fit, or batches that are turned")
    wide = max(len(a), len(b)) - 2
    pairs = zip((1,) * (wide - len(a) + 2) + a[:-2], (1,) * (wide - len(b) + 2) + b[:-2],
                strict=True)  # fmt: skip
    return [(*map(max, pairs), a[-2], b[-1])]


def _attention(told: Any, shapes: Any) -> list[Shape | None]:
    batch, length, _ = shapes[0]
    widths = _widths(told, shapes[1])
    past = shapes[4][3] if len(shapes) > 4 and shapes[4] else 0
    heads = told["num_heads"]
    return [(batch, length, widths[2]), (2, batch, heads, past + length, widths[1] // heads)]


def _widths(told: Any, weight: Shape) -> list[int]:
    return told.get("qkv_hidden_sizes") or [weight[1] // 3] * 3


def _multi_head(told: Any, shapes: Any) -> list[Shape | None]:
    query, *more = shapes
    if len(query) == 5:
        return [(*query[:2], query[2] * query[4])]
    values = more[1] if len(more) > 1 and more[1] else more[0]
    width = {3: lambda: values[2], 4: lambda: values[1] * values[3],
             5: lambda: values[2] * values[4]}[len(values)]()  # fmt: skip
    return [(*query[:2], width)]


def _grouped(told: Any, shapes: Any) -> list[Shape | None]:
    batch, length, width = shapes[0]
    heads, groups = told["num_heads"], told["kv_num_heads"]
    size = width // (heads if shapes[1] else heads + 2 * groups)
    past = shapes[3][2] if len(shapes) > 3 and shapes[3] else 0
    present = batch, groups, past + length, size
    return [(batch, length, heads * size), present, present]


_SHAPES: Mapping[str, Callable[[Any, Any], list[Shape | None]]] = MappingProxyType({
    **dict.fromkeys(("FusedMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"), _product),
    **dict.fromkeys(("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"),
                    lambda told, shapes: [shapes[0], None, None, shapes[0]]),
    "MatMulNBits": lambda told, shapes: [(*shapes[0][:-1], told["N"])],
    "Attention": _attention, "MultiHeadAttention": _multi_head, "GroupQueryAttention": _grouped,
    "EmbedLayerNormalization": lambda told, shapes: [(*shapes[0], shapes[2][1]), shapes[0][:1],
                                                     (*shapes[0], shapes[2][1])],
    "QLinearGlobalAveragePool": lambda told, shapes: [(*shapes[0][:2], *(1,) * len(shapes[0][2:]))],
    "BiasSplitGelu": lambda told, shapes: [(*shapes[0][:-1], shapes[0][-1] // 2)],
})  # fmt: skip


class _First:
    """A node of two steps, as the rule of the first one sees it."""

    def __init__(self, node: Node) -> None:
        self.node, self.value = node, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.node, name)

    def last(self, kind: Kind, target: str, *inputs: int | None, **attributes: Any) -> None:
        self.value = self.node.before(kind, target, self.node.made(), *inputs, **attributes)


_ACTIVATIONS = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "LeakyRelu": "leaky_relu",
                "Clip": "clamp", "HardSigmoid": "hardsigmoid"}  # fmt: skip


def _activated(rule: Rule, sum_at: int | None = None) -> Rule:
    """What a rule records, then the sum with an input at a place, then the activation named."""

    def both(node: Node) -> None:
        name = node.attributes.get("activation")
        added = layers.input_at(node, sum_at)
        first: Any = _First(node)
        if name or added is not None:
            rule(first)
        if name and added is not None:
            first.last("add", "aten.add.Tensor", first.value, added)
        if name:
            node.last("activation", f"aten.{_ACTIVATIONS[name]}.default", first.value)
        elif added is not None:
            node.last("add", "aten.add.Tensor", first.value, added)
        else:
            rule(node)

    return both


def _gelu(target: str) -> Rule:
    def rule(node: Node) -> None:
        x, bias = node.inputs[0], layers.input_at(node, 1)
        if bias is not None:
            x = node.before("add", "aten.add.Tensor", node.shape(0), x, bias)
        node.last("activation", target, x)

    return rule


def rotary(cosines: int) -> Rule:
    """Two products and a sum for each element that is turned; the cosines are of half of them."""

    def rule(node: Node) -> None:
        shape, heads = node.shape(0), node.attributes.get("num_heads") or 1
        size = shape[-1] if len(shape) == 4 else shape[-1] // heads
        turned = min(size, 2 * node.shape(cosines)[-1]) if len(shape) == 4 or heads > 1 else size
        node.last(
            "mul", "aten.mul.Tensor", node.inputs[0], **_flops(3, prod(shape) * turned // size)
        )

    return rule


def _flops(per: int, elements: int) -> dict[str, Any]:
    return {REGISTERED: per * elements, REGISTERED_MACS: 0}


def _projected_attention(node: Node) -> None:
    """Query, key and value of one matrix."""
    batch, length, _ = node.shape(0)
    made = node.before("linear", "aten.bmm.default", (batch, length, node.shape(1)[1]),
                       *node.inputs[:2])  # fmt: skip
    bias = layers.input_at(node, 2)
    if bias is not None:
        made = node.before("add", "aten.add.Tensor", (batch, length, node.shape(1)[1]), made, bias)
    heads, start, parts = node.attributes["num_heads"], 0, []
    for width in _widths(node.attributes, node.shape(1)):
        cut: dict[str, Any] = {"dim": 2, "start": start, "end": start + width, "step": 1}
        part = node.before("split", "aten.slice.Tensor", (batch, length, width), made, **cut)
        parts.append((part, (batch, length, width), heads))
        start += width
    past = layers.input_at(node, 4)
    _attend(node, parts, (past, past), node.shape(4)[3] if past is not None else 0)


def _multi_head_attention(node: Node) -> None:
    """By heads, with all heads in the last axis, or stacked in one tensor."""
    shape, heads = node.shape(0), node.attributes["num_heads"]
    key = layers.input_at(node, 1)
    parts: list[tuple[int | None, Shape, int]] = []
    if len(shape) == 5:
        parts += _unstacked(node, 0, heads)
    else:
        parts.append((node.inputs[0], shape, heads))
        stacked = key is not None and len(node.shape(1)) == 5
        parts += _unstacked(node, 1, heads) if stacked else [
            (node.inputs[p], node.shape(p), heads) for p in (1, 2)
        ]  # fmt: skip
    bias = layers.input_at(node, 3)
    if bias is not None:
        parts = [(node.before("add", "aten.add.Tensor", of, v, bias) if len(of) == 3 else v, of, n)
                 for v, of, n in parts]  # fmt: skip
    past = layers.input_at(node, 6), layers.input_at(node, 7)
    _attend(node, parts, past, node.shape(6)[2] if past[0] is not None else 0)


def _unstacked(node: Node, place: int, heads: int) -> list[tuple[int | None, Shape, int]]:
    batch, length, _, count, size = node.shape(place)
    whole = batch, length, heads * size
    parts: list[tuple[int | None, Shape, int]] = []
    for index in range(count):
        part = node.before("split", "aten.select.int", (batch, length, heads, size),
                           node.inputs[place], dim=3, index=index)  # fmt: skip
        parts.append((node.before("reshape", "aten.view.default", whole, part), whole, heads))
    return parts


def _grouped_attention(node: Node) -> None:
    """Fewer keys and values than queries, after those of the tokens before; maybe in one tensor."""
    heads, groups = node.attributes["num_heads"], node.attributes["kv_num_heads"]
    batch, length, width = node.shape(0)
    counts = (heads, groups, groups)
    parts: list[tuple[int | None, Shape, int]] = []
    if layers.input_at(node, 1) is None:
        size, start = width // sum(counts), 0
        for count in counts:
            of, end = (batch, length, count * size), start + count * size
            cut: dict[str, Any] = {"dim": 2, "start": start, "end": end, "step": 1}
            part = node.before("split", "aten.slice.Tensor", of, node.inputs[0], **cut)
            parts.append((part, of, count))
            start = end
    else:
        parts = [(node.inputs[p], node.shape(p), counts[p]) for p in range(3)]
    if node.attributes.get("do_rotary"):
        turned = min(1.0, 2 * node.shape(7)[-1] * heads / (parts[0][1][2]))
        parts[:2] = [(node.before("mul", "aten.mul.Tensor", of, value,
                                  **_flops(3, round(turned * prod(of)))), of, count)
                     for value, of, count in parts[:2]]  # fmt: skip
    past = layers.input_at(node, 3), layers.input_at(node, 4)
    _attend(node, parts, past, node.shape(3)[2] if past[0] is not None else 0, causal=True)


def _attend(
    node: Node, parts: Sequence[tuple[int | None, Shape, int]],
    past: tuple[int | None, int | None], before: int, causal: bool | None = None,
) -> None:  # fmt: skip
    """Attention by heads; keys and values come after those of the `before` tokens before."""
    taken = []
    for place, (value, shape, heads) in enumerate(parts):
        if len(shape) == 3:
            shape = (shape[0], heads, shape[1], shape[2] // heads)
            value = node.before("reshape", "aten.view.default", shape, value)
        if place and before:
            shape = (*shape[:2], before + shape[2], shape[3])
            value = node.before("concat", "aten.cat.default", shape, past[place - 1], value, dim=2)
        taken.append(value)
    causal = bool(node.attributes.get("unidirectional")) if causal is None else causal
    node.last("attention", _FLASH, *taken, dropout_p=0.0, is_causal=causal)


def _embedded(node: Node) -> None:
    """Rows of the tables of words, places and, where there are segments, of segments; a norm."""
    shape, total = node.made(), None
    for table, index in ((2, 0), (3, 0), (4, 1)):
        if layers.input_at(node, table) is None:
            continue
        row = node.before("embedding", "aten.embedding.default", shape, node.inputs[table],
                          node.inputs[index])  # fmt: skip
        total = row if total is None else node.before("add", "aten.add.Tensor", shape, total, row)
    node.last("norm", "aten.native_layer_norm.default", total, *node.inputs[5:7],
              normalized_shape=shape[-1:])  # fmt: skip


CONTRIB: Mapping[str, Rule] = MappingProxyType({
    "Attention": _projected_attention, "MultiHeadAttention": _multi_head_attention,
    "GroupQueryAttention": _grouped_attention, "EmbedLayerNormalization": _embedded,
    "FusedConv": _activated(layers.convolution(1, 2), 3), "FusedGemm": _activated(layers.gemm),
    "FusedMatMul": layers.matrix_product(0, 1), "MatMulNBits": layers.packed_product,
    "DynamicQuantizeMatMul": layers.matrix_product(0, 1, 4),
    "MatMulIntegerToFloat": layers.matrix_product(0, 1, 6),
    "BiasGelu": _gelu("aten.gelu.default"), "FastGelu": _gelu("aten.gelu.default"),
    "RotaryEmbedding": rotary(2),
})  # fmt: skip
