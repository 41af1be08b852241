"""Other forms of a network: its family's options one at a time, its deployment, its sizes."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from math import lcm
from typing import TYPE_CHECKING, Any

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
    given = {name for name, _ in spec.options}
    for name, (default, values) in choices(zoo.entry(spec.target)).items():
        for value in values if name not in given else ():
            if value != default:
                form = f"{name}={int(value) if isinstance(value, bool) else value}"
                yield form, f"{text},{form}"


def choices(entry: zoo.Entry) -> dict[str, tuple[object, tuple[object, ...]]]:
    """The options of a zoo network that have a few values: the default one, and all of them.

    They are read from the source: an import of its file would import torch.
    """
    body, kinds = _body(entry.file), _kinds(entry.file)
    found: dict[str, tuple[object, tuple[object, ...]]] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.name:
            for option, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
                values = _literal(option.annotation, kinds)
                if values and isinstance(default, ast.Constant):
                    found[option.arg] = (default.value, values)
    return found


@cache
def _body(file: str) -> list[ast.stmt]:
    source = resources.files(zoo).joinpath(f"{file}.py").read_text(encoding="utf-8")
    return ast.parse(source).body


def _kinds(file: str) -> dict[str, tuple[object, ...]]:
    """The values of each name for a kind of option in a file of the zoo, the imported ones too."""
    kinds: dict[str, tuple[object, ...]] = {"bool": (True,)}
    for node in _body(file):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{zoo.__name__}."):
            there = _kinds((node.module or "").rpartition(".")[2])
            kinds |= {one.name: there[one.name] for one in node.names if one.name in there}
        elif isinstance(node, ast.Assign):
            kinds[ast.unparse(node.targets[0])] = _literal(node.value, {})
    return kinds


def _literal(kind: ast.expr | None, kinds: Mapping[str, tuple[object, ...]]) -> tuple[object, ...]:
    """The values of a Literal or of the name of one, empty for all else."""
    if isinstance(kind, ast.Subscript) and ast.unparse(kind.value) == "Literal":
        values = ast.literal_eval(kind.slice)
        return values if isinstance(values, tuple) else (values,)
    return kinds.get(kind.id, ()) if isinstance(kind, ast.Name) else ()


def reparameterised(text: str, input: Any) -> Graph | None:
    """The Graph of a network after every block folded its branches; None where none can.

    No network of the zoo can: its forms are options.
    """
    if parse_spec(text).scheme == "zoo":
        return None
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
