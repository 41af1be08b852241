"""Other forms of a network: its family's options one at a time, its deployment, its sizes."""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from archstat import zoo
from archstat.graph import Graph
from archstat.models.pipeline import graph_of_spec
from archstat.models.specs import parse_spec

if TYPE_CHECKING:
    from torch import nn

# What libraries call the method that folds the branches of a block into one.
_METHODS = ("reparameterize", "reparametrize", "switch_to_deploy")


def forms_of(text: str) -> Iterator[tuple[str, str]]:
    """For each option of a zoo network that has a few values, each other value and its spec."""
    spec = parse_spec(text)
    if spec.scheme != "zoo":
        return
    factory = zoo.factory(spec.target)
    for name, kind in get_type_hints(factory).items():
        values = get_args(kind) if get_origin(kind) is Literal else (True,) if kind is bool else ()
        if any(name == given for given, _ in spec.options):
            continue
        default = (factory.__kwdefaults__ or {}).get(name)
        for value in values:
            if value != default:
                form = f"{name}={int(value) if kind is bool else value}"
                yield form, f"{text},{form}"


def reparameterised(text: str, input: Any) -> Graph | None:
    """The Graph of a network after every block folded its branches; None where none can."""
    changed = []

    def fold(model: nn.Module) -> nn.Module:
        for module in model.modules():
            method = next((getattr(module, name, None) for name in _METHODS
                           if callable(getattr(module, name, None))), None)  # fmt: skip
            if method is not None:
                method()
                changed.append(module)
        return model

    graph = graph_of_spec(text, input, None, fold, text)
    return graph if changed else None


def image_size(graph: Graph) -> tuple[int, ...] | None:
    """The height and width of the one image that a network takes."""
    shapes = [graph.values[value].shape for value in graph.inputs]
    return shapes[0][2:] if len(shapes) == 1 and len(shapes[0]) == 4 else None


def common_stride(one: Graph, other: Graph) -> int:
    """What sides must be a multiple of for every map to scale with the image; 0 where they do not.

    A window whose stride divides one side exactly does so for each multiple of that stride: its
    padding alone decides. Where no map changes, the network took the same part of both images.
    """
    strides = set[int]()
    sizes = (image_size(one), image_size(other))
    if len(one.values) != len(other.values) or any(op.name in _RESIZING for op in one.ops):
        return 0
    inputs = {*one.inputs}
    for index, pair in enumerate(zip(one.values, other.values, strict=True)):
        if pair[0].shape == pair[1].shape or index in inputs:
            continue
        found = {
            (whole // side if whole % side == 0 else 0, axis)
            for value, size in zip(pair, sizes, strict=True)
            for axis, (whole, side) in enumerate(zip(size or (), value.shape[2:], strict=False))
        }
        if len(pair[0].shape) != 4 or len(found) > 2 or (0, 0) in found or (0, 1) in found:
            return 0
        strides |= {stride for stride, _ in found}
    return lcm(*strides) if strides else 0


_RESIZING = frozenset(
    {"_adaptive_avg_pool2d", "adaptive_max_pool2d", "upsample_bilinear2d", "upsample_nearest2d"}
)
