"""Rules of ONNX operators that hold weights or slide windows, and of those that multiply."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from archstat.frontends.onnx_file.building import Node, Rule
from archstat.graph import REGISTERED, Kind


def _pads(
    node: Node, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Begins, then ends: as given, or such that the output has ceil(n / stride) elements."""
    axes, mode = len(kernel), node.attributes.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", "VALID"):
        given = list(node.attributes.get("pads", [])) if mode == "NOTSET" else []
        return given or [0] * 2 * axes
    begins, ends = [], []
    for size, k, s, d in zip(node.shape(0)[-axes:], kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        begin = total // 2 if mode == "SAME_UPPER" else total - total // 2
        begins.append(begin)
        ends.append(total - begin)
    return begins + ends


def _padded(node: Node, x: int | None, pads: Sequence[int]) -> tuple[int | None, tuple[int, ...]]:
    """The input, padded by an op of its own where its two ends differ, and the padding left."""
    axes = len(pads) // 2
    begins, ends = tuple(pads[:axes]), tuple(pads[axes:])
    if begins == ends:
        return x, begins
    shape = node.shape(0)
    spatial = [n + b + e for n, b, e in zip(shape[-axes:], begins, ends, strict=True)]
    pad = tuple(n for pair in zip(reversed(begins), reversed(ends), strict=True) for n in pair)
    wide = (*shape[:-axes], *spatial)
    return node.before("pad", "aten.constant_pad_nd.default", wide, x, pad=pad, value=0), (
        0,
    ) * axes


def convolution(weight: int, bias: int | None, transposed: bool = False) -> Rule:
    """A convolution whose weight and bias stand at these places among the inputs."""

    def rule(node: Node) -> None:
        kernel = node.shape(weight)[2:]
        ones = (1,) * len(kernel)
        stride = tuple(node.attributes.get("strides", ones))
        dilation = tuple(node.attributes.get("dilations", ones))
        x = node.inputs[0]
        if transposed:
            pads = node.attributes.get("pads", [0] * 2 * len(kernel))
            padding = tuple(pads[: len(kernel)])
        else:
            x, padding = _padded(node, x, _pads(node, kernel, stride, dilation))
        has_bias = bias is not None and len(node.inputs) > bias
        node.last(
            "conv", "aten.convolution.default", x, node.inputs[weight],
            node.inputs[bias] if has_bias and bias is not None else None,
            stride=stride, padding=padding, dilation=dilation, transposed=transposed,
            output_padding=tuple(node.attributes.get("output_padding", (0,) * len(kernel))),
            groups=node.attributes.get("group", 1), kernel=kernel,
        )  # fmt: skip

    return rule


def deformable(node: Node) -> None:
    """A convolution whose places are moved by offsets; a bias comes before a mask."""
    x, weight, offset, bias, mask = (*node.inputs, None, None)[:5]
    node.last("conv", "torchvision.deform_conv2d.default", x, weight, offset, mask, bias)


def pool(target: str) -> Rule:
    def rule(node: Node) -> None:
        kernel = tuple(node.attributes["kernel_shape"])
        ones = (1,) * len(kernel)
        stride = tuple(node.attributes.get("strides", ones))
        dilation = tuple(node.attributes.get("dilations", ones))
        x, padding = _padded(node, node.inputs[0], _pads(node, kernel, stride, dilation))
        name = target.format(len(kernel))
        node.last(
            "pool", f"aten.{name}.default", x, kernel_size=kernel, stride=stride, padding=padding,
            dilation=dilation, ceil_mode=bool(node.attributes.get("ceil_mode", 0)), kernel=kernel,
        )  # fmt: skip

    return rule


def matrix_product(left: int, right: int, bias: int | None = None) -> Rule:
    """Matrices that stand at these places; a smaller batch is spread over the larger one."""

    def rule(node: Node) -> None:
        a, shape = _turned(node, left, "transA")
        b, _ = _turned(node, right, "transB")
        out = node.made()
        if len(out) > 2 and len(shape) > 1 and prod(shape[:-2]) < prod(out[:-2]):
            wide = (*out[:-2], *shape[-2:])
            a = node.before("reshape", "aten.expand.default", wide, a)
        kind: Kind = "linear" if node.is_weight(right) or node.is_weight(left) else "matmul"
        added = input_at(node, bias)
        if added is None:
            node.last(kind, "aten.bmm.default", a, b)
        else:
            made = node.before(kind, "aten.bmm.default", out, a, b)
            node.last("add", "aten.add.Tensor", made, added)

    return rule


def _turned(node: Node, place: int, attribute: str) -> tuple[int | None, tuple[int, ...]]:
    """A matrix and its shape, transposed where an attribute says so."""
    shape, value = node.shape(place), node.inputs[place]
    if not node.attributes.get(attribute):
        return value, shape
    shape = (*shape[:-2], shape[-1], shape[-2])
    return node.before("reshape", "aten.transpose.int", shape, value, dim0=-2, dim1=-1), shape


def input_at(node: Node, place: int | None) -> int | None:
    """The input at a place; None where there is none."""
    return None if place is None or place >= len(node.inputs) else node.inputs[place]


def gemm(node: Node) -> None:
    a, b, *rest = node.inputs
    if node.attributes.get("transA"):
        a = node.before("reshape", "aten.t.default", node.shape(0)[::-1], a)
    if node.attributes.get("transB"):
        b = node.before("reshape", "aten.t.default", node.shape(1)[::-1], b)
    kind: Kind = "linear" if node.is_weight(1) else "matmul"
    if rest and rest[0] is not None:
        node.last(kind, "aten.addmm.default", rest[0], a, b)
    else:
        node.last(kind, "aten.mm.default", a, b)


def packed_product(node: Node) -> None:
    """A linear layer whose weight is packed: the matrix of its codes looks at the bytes."""
    codes = (node.shape(0)[-1], node.made()[-1])
    matrix = node.before("reshape", "aten.view.default", codes, node.inputs[1])
    bias = input_at(node, 5)
    if bias is None:
        node.last("linear", "aten.bmm.default", node.inputs[0], matrix)
    else:
        made = node.before("linear", "aten.bmm.default", node.made(), node.inputs[0], matrix)
        node.last("add", "aten.add.Tensor", made, bias)


def einsum(node: Node) -> None:
    """Of two operands: a product for each combination of all their indices."""
    terms = str(node.attributes["equation"]).replace(" ", "").partition("->")[0].split(",")
    if len(terms) != 2 or "." in "".join(terms):
        node.last("other", "onnx.Einsum", *node.inputs)
        return
    sizes = {
        letter: size
        for place, term in enumerate(terms)
        for letter, size in zip(term, node.shape(place), strict=True)
    }
    flops = {REGISTERED: 2 * prod(sizes.values())}
    node.last("other", "onnx.Einsum", *node.inputs, **flops)


def attention(node: Node) -> None:
    """Query, key and value by heads, or with all heads in the last axis."""
    parts = []
    told = node.attributes
    heads = told.get("q_num_heads", told.get("num_heads", 0))
    heads = heads, told.get("kv_num_heads", heads)
    for place, count in enumerate((heads[0], heads[1], heads[1])):
        shape, value = node.shape(place), node.inputs[place]
        if len(shape) == 3 and count:
            by_heads = (shape[0], count, shape[1], shape[2] // count)
            value = node.before("reshape", "aten.view.default", by_heads, value)
        elif len(shape) != 4:
            node.last("other", "onnx.Attention", *node.inputs)
            return
        parts.append(value)
    node.last("attention", "aten._scaled_dot_product_flash_attention_for_cpu.default", *parts,
              dropout_p=0.0, is_causal=bool(node.attributes.get("is_causal", 0)))  # fmt: skip


def batch_norm(node: Node) -> None:
    node.last("norm", "aten._native_batch_norm_legit_no_training.default", *node.inputs[:5],
              momentum=0.9, eps=node.attributes.get("epsilon", 1e-5))  # fmt: skip


def instance_norm(node: Node) -> None:
    node.last("norm", "aten._native_batch_norm_legit.no_stats", *node.inputs[:3], training=True,
              momentum=0.0, eps=node.attributes.get("epsilon", 1e-5))  # fmt: skip


def over_last(target: str, more: bool = False) -> Rule:
    """A norm over the last axes; `more` adds what is given beside first."""

    def rule(node: Node) -> None:
        shape, first = node.shape(0), node.inputs[0]
        weights = node.inputs[1:]
        if more:
            # Gamma, beta where the norm has one, and a bias that is added first as well.
            end = 4 if "layer_norm" in target else 3
            weights = node.inputs[2:end]
            for added in (node.inputs[1], *node.inputs[end : end + 1]):
                if added is not None:
                    first = node.before("add", "aten.add.Tensor", shape, first, added)
        axis = node.attributes.get("axis", -1)
        node.last("norm", target, first, *weights, normalized_shape=shape[axis:])

    return rule


def group_norm(node: Node) -> None:
    groups = node.attributes.get("num_groups", node.attributes.get("groups", 1))
    node.last("norm", "aten.native_group_norm.default", *node.inputs[:3], group=groups)


def local_response_norm(node: Node) -> None:
    """As torch writes it: squares, their mean over channels, a scale, a power, a quotient."""
    shape, size = node.shape(0), node.attributes["size"]
    x = node.inputs[0]
    made = node.before("mul", "aten.mul.Tensor", shape, x, x)
    made = node.before("pool", "aten.avg_pool3d.default", shape, made,
                       kernel_size=(size, 1, 1), kernel=(size, 1, 1), stride=(1, 1, 1))  # fmt: skip
    for kind, target in (("mul", "aten.mul.Tensor"), ("add", "aten.add.Tensor"),
                         ("other", "aten.pow.Tensor_Scalar")):  # fmt: skip
        made = node.before(kind, target, shape, made)  # type: ignore[arg-type]
    node.last("mul", "aten.div.Tensor", x, made)


def recurrent(mode: int) -> Rule:
    """A layer by directions: W (d, g h, i), R (d, g h, h) and B (d, 2 g h).

    torch's kernel makes (t, b, d h), of which ONNX's Y is a view, and the last states.
    """

    def rule(node: Node) -> None:
        told, (x, *weights) = node.attributes, node.inputs[:4]
        directions, _, hidden = node.shape(2)
        if directions > 2:
            raise ValueError("a recurrent layer has two directions at most")
        batch_first, spread = bool(told.get("layout")), (directions, hidden)
        cells = [
            node.before("split", "aten.select.int", node.shape(p)[1:], v, dim=0, index=direction)
            for direction in range(directions) for p, v in enumerate(weights, 1) if v is not None
        ]  # fmt: skip
        way = told.get("direction", "forward")
        lead = node.shape(0)[:2]
        y = node.before(
            "recurrent", "aten._cudnn_rnn.default", (*lead, directions * hidden), x, *cells,
            *node.inputs[4:], and_rest=True, weight_stride0=len(cells) // directions,
            mode=0 if mode == 1 and b"Relu" in told.get("activations", ()) else mode,
            hidden_size=hidden, num_layers=1, batch_first=batch_first, reverse=way == "reverse",
            bidirectional=way == "bidirectional",
        )  # fmt: skip
        if not batch_first:
            y = node.before("reshape", "aten.view.default", (*lead, *spread), y)
            node.last("reshape", "aten.transpose.int", y, dim0=1, dim1=2)
        else:
            node.last("reshape", "aten.view.default", y)

    return rule
