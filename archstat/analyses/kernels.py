"""The kernels that a network runs on a device: their macs, their bytes, and their kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from math import prod
from typing import Literal, NamedTuple

from archstat.analyses import costs
from archstat.analyses.accesses import Access, alone
from archstat.analyses.field.axes import steps_of
from archstat.analyses.fusion import fused
from archstat.analyses.operations import operations
from archstat.errors import InputError
from archstat.graph import Graph, Op, Value, is_batch

Engine = Literal["eager", "compile", "ncnn"]
Dtype = Literal["amp", "fp32"]
KINDS = (
    "conv", "conv_3x3", "conv_1x1", "conv_depthwise", "conv_depthwise_large", "conv_grouped",
    "linear", "matmul", "attention", "batch_norm", "layer_norm", "activation", "add", "mul",
    "pool", "softmax", "concat", "move", "other",
)  # fmt: skip
_MOVES = frozenset({"split", "reshape", "pad", "resize", "embedding"})
# A library computes these; what a compiler makes is the element-wise kernels between them.
_LIBRARY = frozenset({"conv", "linear", "matmul", "attention", "recurrent"})
# A compiler writes these out before it goes on.
_WRITTEN = _LIBRARY | {"concat"}
# Libraries have kernels of their own for depthwise windows up to this size.
_LARGEST_DEPTHWISE = 7 * 7
# Halves go through matrix units eight at a time; other channels are padded.
_ALIGNED = 8
# ncnn's blocks of registers lie idle where a sum runs over few channels.
_FILLING = 16
# ncnn's convolutions and linear layers apply these themselves; swish and its like run apart.
_APPLIED = frozenset({"relu", "hardtanh", "leaky_relu", "sigmoid", "clamp"})


class Kernel(NamedTuple):
    """A kernel for one sample: macs, bytes of activations read and written, bytes of weights.

    `shared`: it does not depend on the input, and runs once a batch.
    """

    kind: str
    macs: int
    activations: int
    weights: int
    shared: bool = False


Kernels = Mapping[Kernel, int]
"""How often each kernel runs."""


def samples(graph: Graph) -> int | None:
    """How many samples the inputs hold; None where nothing tells.

    Unless the Graph or its layout says it, it is the first size of an input that divides the batch
    of every product, attention and recurrence, and the first size of the first output.
    """
    if graph.batch is not None:
        return graph.batch
    shapes = [shape for value in graph.inputs if (shape := graph.values[value].shape)]
    if graph.layout:
        axes = [axis for axis, letter in enumerate(graph.layout) if is_batch(letter)]
        told = {shape[axes[0]] if axes else 1 for shape in shapes
                if len(shape) == len(graph.layout)}  # fmt: skip
        return told.pop() if len(told) == 1 else None
    firsts = sorted({shape[0] for shape in shapes if shape[0]}, reverse=True)
    if firsts in ([], [1]):
        return 1
    varying = _varying(graph)
    batches = {_batch_of(graph, op) for op in graph.ops if not varying.isdisjoint(op.inputs)} - {0}
    ends = graph.values[graph.outputs[0]].shape[:1] if graph.outputs else ()
    for first in firsts:
        if first > 1 and ends and not any(size % first for size in (*batches, *ends)):
            return first
    return 1 if batches == {1} else None


def _batch_of(graph: Graph, op: Op) -> int:
    """The batch of an op that mixes the sizes after it; 0 of any other op."""
    shapes = [graph.values[value].shape for value in op.inputs]
    if op.kind == "conv":
        return shapes[0][0] if len(shapes[0]) == len(op.attributes["kernel"]) + 2 else 1
    if op.kind == "recurrent":
        return shapes[0][1 - steps_of(op)] if len(shapes[0]) == 3 else 1
    if op.kind in ("attention", "matmul"):
        return shapes[0][0] if len(shapes[0]) > 2 else 1
    return 0


def kernels(graph: Graph, engine: Engine = "eager", dtype: Dtype = "amp") -> Kernels:
    """The kernels of a Graph that was captured in float32, each for one of its samples.

    Under ``compile`` element-wise operations, norms and copies are merged into the kernel before
    them, unless that is a library's (a convolution, a product, an attention) or a concat. ``ncnn``
    merges batch norms, clips and sigmoids into convolutions and linear layers, and nothing else; it
    runs the groups of a convolution one by one. Under ``amp`` tensors are half as wide where
    PyTorch's autocast has them so; eager mode casts in kernels of its own.

    Raises:
        CaptureError: the Graph has no forward pass.
        InputError: nothing tells how many samples its inputs hold.
    """
    graph.need_forward()
    batch = samples(graph)
    if batch is None:
        raise InputError(
            f"{graph.name} takes {graph.input_text}: which axis is the batch cannot be told, so no "
            "figure is of one sample. Say it as MODEL,layout=TBC: a letter an axis, B the batch."
        )
    varying = _varying(graph)
    macs = operations(graph).per_op["macs"]
    casts: list[int] = []
    if dtype == "amp":
        graph, casts = autocast(graph)
    moved = alone(graph)
    hosts = list(range(len(moved)))
    if engine == "compile":
        moved, hosts = _compiled(graph, moved)
    elif engine == "ncnn":
        moved, hosts = _folded(graph, moved)
    found: dict[int, Kernel] = {}
    for index, (op, access) in enumerate(zip(graph.ops, moved, strict=True)):
        if not access.nbytes and hosts[index] == index:
            continue
        fixed = {value for value in op.inputs if value not in varying}
        varies = not varying.isdisjoint(op.outputs)
        times = batch if varies else 1
        # Each sample looks up rows of its own.
        rows = times if op.kind == "embedding" else 1
        nbytes = access.nbytes // rows
        weights = min(nbytes, sum(graph.held[1][value] for value in fixed))
        work = round(int(macs[index] or 0) // times * _padding(graph, op, fixed, engine))
        activations = (nbytes - weights) * rows // times
        one = Kernel(kind_of(graph, op), work, activations, weights, not varies)
        host = hosts[index]
        found[host] = _joined(found[host], one) if host in found else one
    counted: Counter[Kernel] = Counter()
    for host, kernel in found.items():
        is_split = engine == "ncnn" and kernel.kind == "conv_grouped"
        parts = graph.ops[host].attributes["groups"] if is_split else 1
        counted[_part(kernel, parts)] += parts
    if engine == "eager":
        counted.update(_cast(graph, value, varying, batch) for value in casts)
    return counted


def _part(kernel: Kernel, parts: int) -> Kernel:
    """One of equal parts of a kernel."""
    return kernel._replace(macs=kernel.macs // parts, activations=kernel.activations // parts,
                           weights=kernel.weights // parts)  # fmt: skip


def _varying(graph: Graph) -> set[int]:
    """The values that depend on the input."""
    varying = set(graph.inputs)
    for op in graph.ops:
        if not op.inputs or not varying.isdisjoint(op.inputs):
            varying.update(op.outputs)
    return varying


def _cast(graph: Graph, value: int, varying: Collection[int], batch: int) -> Kernel:
    """A kernel that reads a tensor in float32 and writes it in half."""
    nbytes = graph.held[1][value] * 3 // 2
    varies = value in varying
    return Kernel("move", 0, nbytes // (batch if varies else 1), 0, not varies)


def autocast(graph: Graph) -> tuple[Graph, list[int]]:
    """A float32 Graph as autocast to float16 runs it, and the values that it casts to half.

    Products give halves, norms of layers and softmax give float32, all else the widest that it
    gets: parameters are float32.
    """
    values, storages = graph.values, graph.storages
    halves: set[int] = set()
    casts: dict[int, None] = {}
    for op in graph.ops:
        wide = [
            value
            for value in op.inputs
            if values[value].dtype == "float32" and values[value].storage not in halves
        ]
        if op.kind in _LIBRARY:
            casts.update(dict.fromkeys(wide))
        elif not _keeps(op, wide, values):
            continue
        known = {values[value].storage for value in op.inputs}
        halves |= {values[value].storage for value in op.outputs} - known
    width = [v._replace(dtype="float16") if v.storage in halves and v.dtype == "float32" else v
             for v in values]  # fmt: skip
    narrowed = tuple(
        storage._replace(nbytes=storage.nbytes // 2) if index in halves else storage
        for index, storage in enumerate(storages)
    )
    return replace(graph, values=tuple(width), storages=narrowed), list(casts)


def _keeps(op: Op, wide: list[int], values: tuple[Value, ...]) -> bool:
    """Whether an op that is no product gives halves."""
    if op.kind == "norm":
        return op.name in costs.BATCH_NORMS and op.inputs[0] not in wide
    return op.kind != "softmax" and not wide


def _compiled(graph: Graph, separate: list[Access]) -> tuple[list[Access], list[int]]:
    """What each op moves when a compiler merged it, and the op that each one runs with."""
    merged = fused(graph, separate)
    hosts = list(range(len(separate)))
    moved = list(merged.accesses)
    made_by: dict[int | None, int] = {}
    for index, (op, into) in enumerate(zip(graph.ops, merged.merged_into, strict=True)):
        read = graph.held[1][op.inputs[0]] if op.inputs else 0
        if into is None and read and _reduces(op):
            into = made_by.get(graph.values[op.inputs[0]].storage)
            if into is not None and graph.ops[hosts[into]].kind not in _WRITTEN:
                moved[index] = moved[index]._replace(nbytes=max(0, moved[index].nbytes - read))
        if into is not None and graph.ops[hosts[into]].kind not in _WRITTEN:
            hosts[index] = hosts[into]
        elif into is not None:
            moved[index] = separate[index]
        if separate[index].nbytes:
            made_by.update((graph.values[value].storage, index) for value in op.outputs)
    return moved, hosts


def _reduces(op: Op) -> bool:
    """Whether an op reads whole rows or maps, which a compiler does while it makes them."""
    is_norm = op.kind == "norm" and op.name not in costs.BATCH_NORMS
    return is_norm or op.kind in ("softmax", "reduce")


def _folded(graph: Graph, separate: list[Access]) -> tuple[list[Access], list[int]]:
    """What each op moves where convolutions and linear layers apply batch norm and activation."""
    hosts = list(range(len(separate)))
    for index, into in enumerate(fused(graph, separate).merged_into):
        op = graph.ops[index]
        is_applied = op.name in _APPLIED or kind_of(graph, op) == "batch_norm"
        if into is not None and is_applied:
            host = hosts[into]
            hosts[index] = host if graph.ops[host].kind in ("conv", "linear") else index
    nothing = Access("free", 0, 0)
    moved = [access if host == index else nothing
             for index, (access, host) in enumerate(zip(separate, hosts, strict=True))]  # fmt: skip
    return moved, hosts


def _joined(host: Kernel, merged: Kernel) -> Kernel:
    return host._replace(
        kind=merged.kind if merged.kind in ("layer_norm", "softmax", "pool") else host.kind,
        activations=host.activations + merged.activations,
        weights=host.weights + merged.weights,
    )


def kind_of(graph: Graph, op: Op) -> str:
    """The kind, one of `KINDS`, that decides at which rate an op runs."""
    if op.kind == "conv":
        return _kind_of_convolution(graph, op)
    if op.kind == "norm":
        return "batch_norm" if op.name in costs.BATCH_NORMS else "layer_norm"
    if op.kind in _MOVES:
        return "move"
    if op.kind == "reduce":
        return "pool"
    return op.kind if op.kind in KINDS else "other"


def _kind_of_convolution(graph: Graph, op: Op) -> str:
    groups, window = op.attributes.get("groups", 1), op.attributes["kernel"]
    if groups > 1:
        if groups != graph.values[op.inputs[0]].shape[1]:
            return "conv_grouped"
        is_large = prod(window) > _LARGEST_DEPTHWISE
        return "conv_depthwise_large" if is_large else "conv_depthwise"
    if set(window) == {1}:
        return "conv_1x1"
    # Winograd's algorithm and its like are for these.
    is_plain = set(window) == {3} and set(op.attributes.get("stride", (1,))) == {1}
    return "conv_3x3" if is_plain and len(window) == 2 else "conv"


def _padding(graph: Graph, op: Op, fixed: Collection[int], engine: Engine) -> float:
    """By how much blocks of channels that are not full make a product larger."""
    if op.kind not in ("conv", "linear") or op.attributes.get("groups", 1) > 1 or not fixed:
        return 1.0
    weight = max((graph.values[value] for value in fixed), key=lambda value: value.numel)
    sides = [side for side in weight.shape[:2] if side]
    if engine == "ncnn":
        return 1 + _FILLING / sides[1] if op.kind == "conv" else 1.0
    return prod(-(-side // _ALIGNED) * _ALIGNED / side for side in sides)
