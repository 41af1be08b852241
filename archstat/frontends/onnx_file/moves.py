"""Rules of ONNX operators that move, pick, reduce or resize."""

from __future__ import annotations

from typing import Any

from archstat.frontends.onnx_file.building import Node, Rule
from archstat.graph import Kind


def over_all(target: str, key: str) -> Rule:
    def rule(node: Node) -> None:
        dims = tuple(range(2 - len(node.shape(0)), 0))
        node.last("reduce", target, node.inputs[0], **{key: dims}, keepdim=True)

    return rule


def reduction(target: str) -> Rule:
    def rule(node: Node) -> None:
        axes = node.attributes.get("axes") or node.constant(1)
        if not axes and node.attributes.get("noop_with_empty_axes"):
            node.last("reshape", "aten.alias.default", node.inputs[0])
            return
        dims = tuple(axes or range(len(node.shape(0))))
        keeps = bool(node.attributes.get("keepdims", 1))
        node.last("reduce", target, node.inputs[0], dim=dims, keepdim=keeps)

    return rule


def _told(node: Node) -> dict[str, Any]:
    axes = node.attributes.get("axes") or node.constant(1) or range(len(node.shape(0)))
    return {"dim": tuple(axes), "keepdim": bool(node.attributes.get("keepdims", 1))}


def sum_of(kind: Kind, target: str, copies: int = 1) -> Rule:
    """A sum over axes of what an op makes of each element; `copies` are its operands."""

    def rule(node: Node) -> None:
        made = node.before(kind, target, node.shape(0), *node.inputs[:1] * copies)
        node.last("reduce", "aten.sum.dim_IntList", made, **_told(node))

    return rule


def log_of_sum(node: Node) -> None:
    made = node.before("reduce", "aten.sum.dim_IntList", node.made(), node.inputs[0], **_told(node))
    node.last("other", "aten.log.default", made)


def softsign(node: Node) -> None:
    """x / (1 + |x|)."""
    shape, x = node.shape(0), node.inputs[0]
    made = node.before("other", "aten.abs.default", shape, x)
    node.last("mul", "aten.div.Tensor", x, node.before("add", "aten.add.Tensor", shape, made))


def picked(target: str) -> Rule:
    def rule(node: Node) -> None:
        dim, keeps = node.attributes.get("axis", 0), bool(node.attributes.get("keepdims", 1))
        node.last("reduce", target, node.inputs[0], dim=dim, keepdim=keeps)

    return rule


def softmax(target: str) -> Rule:
    def rule(node: Node) -> None:
        default = -1 if node.opset >= 13 else 1
        node.last("softmax", target, node.inputs[0], dim=node.attributes.get("axis", default))

    return rule


def cast_like(node: Node) -> None:
    node.last("reshape", "aten._to_copy.default", node.inputs[0])


def _axes(node: Node) -> list[int]:
    given = node.attributes.get("axes") or node.constant(1) or []
    return [int(axis) for axis in given]


def squeeze(node: Node) -> None:
    axes = _axes(node)
    rank = len(node.shape(0))
    dims = tuple(axis % rank for axis in axes) if axes else None
    node.last("reshape", "aten.squeeze.dims", node.inputs[0], **({"dim": dims} if dims else {}))


def unsqueeze(node: Node) -> None:
    axes = _axes(node)
    if len(axes) != 1:
        node.last("reshape", "aten.view.default", node.inputs[0])
        return
    dim = axes[0] % len(node.made())
    node.last("reshape", "aten.unsqueeze.default", node.inputs[0], dim=dim)


def transpose(node: Node) -> None:
    rank = len(node.shape(0))
    dims = tuple(node.attributes.get("perm", range(rank - 1, -1, -1)))
    node.last("reshape", "aten.permute.default", node.inputs[0], dims=dims)


def concat(node: Node) -> None:
    node.last("concat", "aten.cat.default", *node.inputs, dim=node.attributes["axis"])


def split(node: Node) -> None:
    dim = node.attributes.get("axis", 0)
    sizes = node.attributes.get("split") or node.constant(1)
    if not sizes:
        sizes = [node.made(i)[dim] for i in range(node.outputs)]  # type: ignore[attr-defined]
    node.last("split", "aten.split_with_sizes.default", node.inputs[0], dim=dim,
              split_sizes=tuple(sizes))  # fmt: skip


def slice(node: Node) -> None:
    """A slice an axis, each of what the one before it left."""
    if node.opset < 10:
        starts, ends = node.attributes["starts"], node.attributes["ends"]
        axes, steps = node.attributes.get("axes"), None
    else:
        starts, ends, axes, steps = (node.constant(i) for i in range(1, 5))
    if starts is None or ends is None:
        node.last("split", "aten.slice.Tensor", node.inputs[0])
        return
    shape, value = list(node.shape(0)), node.inputs[0]
    axes = [axis % len(shape) for axis in axes or range(len(starts))]
    steps = steps or [1] * len(starts)
    for place, (dim, start, end, step) in enumerate(zip(axes, starts, ends, steps, strict=True)):
        shape[dim] = node.made()[dim]
        told = {"dim": dim, "start": int(start), "end": int(end), "step": int(step)}
        if place == len(axes) - 1:
            node.last("split", "aten.slice.Tensor", value, **told)
        else:
            value = node.before("split", "aten.slice.Tensor", shape, value, **told)


def gather(node: Node) -> None:
    """Rows of a table, one place of an axis, or several that are known."""
    dim, index = node.attributes.get("axis", 0) % len(node.shape(0)), node.constant(1)
    if index is None and node.is_weight(0) and dim == 0:
        node.last("embedding", "aten.embedding.default", *node.inputs[:2])
    elif index is not None and not node.shape(1):
        node.last("split", "aten.select.int", node.inputs[0], dim=dim, index=int(index[0]))
    elif index == list(range(node.shape(0)[dim])):
        node.last("reshape", "aten.view.default", node.inputs[0])
    else:
        known = tuple(map(int, index)) if index is not None and len(node.shape(1)) == 1 else "int64"
        node.last("reshape", "aten.index_select.default", *node.inputs[:2], dim=dim, index=known)


def tile(node: Node) -> None:
    times = node.constant(1)
    node.last("reshape", "aten.repeat.default", node.inputs[0],
              **({"repeats": tuple(map(int, times))} if times else {}))  # fmt: skip


def pad(node: Node) -> None:
    pads = node.attributes.get("pads") or node.constant(1)
    mode = node.attributes.get("mode", "constant")
    rank = len(node.shape(0))
    if not pads or len(pads) != 2 * rank:
        node.last("other", "onnx.Pad", node.inputs[0])
        return
    pairs = [(int(pads[d]), int(pads[d + rank])) for d in range(rank)]
    pad = tuple(n for pair in reversed(pairs) for n in pair)
    while len(pad) > 2 and pad[-2:] == (0, 0):
        pad = pad[:-2]
    axes = max(1, min(3, len(pad) // 2))
    name = {"constant": "constant_pad_nd", "reflect": f"reflection_pad{axes}d",
            "edge": f"replication_pad{axes}d"}.get(mode)  # fmt: skip
    if name is None:
        node.last("other", "onnx.Pad", node.inputs[0])
        return
    key = "pad" if name == "constant_pad_nd" else "padding"
    node.last("pad", f"aten.{name}.default", node.inputs[0], **{key: pad})


def shuffled(target: str, key: str) -> Rule:
    def rule(node: Node) -> None:
        # With mode DCR the channels come in another order, which no figure tells.
        node.last("reshape", target, node.inputs[0], **{key: node.attributes["blocksize"]})

    return rule


def resize(node: Node) -> None:
    mode, axes = node.attributes.get("mode", "nearest"), len(node.shape(0)) - 2
    if mode == "nearest":
        name = f"upsample_nearest{axes}d"
    elif mode == "linear":
        name = {1: "upsample_linear1d", 2: "upsample_bilinear2d"}.get(axes, "upsample_trilinear3d")
    else:
        name = "upsample_bicubic2d"
    corners = node.attributes.get("coordinate_transformation_mode") == "align_corners"
    spatial = zip(node.made()[2:], node.shape(0)[2:], strict=True)
    factors = tuple(after / before for after, before in spatial)
    node.last("resize", f"aten.{name}.vec", node.inputs[0], output_size=node.made()[2:],
              scale_factors=factors, align_corners=corners)  # fmt: skip
