"""What each op still moves when an inference engine has fused the graph.

The rules, those of the setting of ShuffleNet V2 (arXiv:1807.11164, "tensor fusion"):

- a batch norm in eval mode after a convolution or linear layer is folded into it: the layer reads
  one bias an output channel, unless it has one already, and the norm moves nothing else;
- an activation, another element-wise op, or a batch norm that cannot be folded is merged into the
  op that produced its map, where nobody else reads that map: the producer writes the result in
  its place. A second operand (the shortcut of an addition) is still read;
- a copy that only moves elements (a channel shuffle's) is merged into the concat or copy before
  it; with the split behind it, a view, the three are one element-wise op, as the paper has it;
- what an op makes and nobody reads (the indices of a max pooling) is not written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from archstat.analyses import costs
from archstat.analyses.accesses import VIEW, Access
from archstat.graph import Graph, Op

Fusion = Literal["none", "inference"]

_NOT_ELEMENT_WISE = frozenset({
    "_softmax", "_log_softmax", "_safe_softmax", "softmax", "native_layer_norm",
    "native_group_norm", "_fused_rms_norm", "_weight_norm_interface", "upsample_linear1d",
    "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "grid_sampler_2d", "grid_sampler_3d",
    "glu", "linalg_cross", "addr",
})  # fmt: skip
ELEMENT_WISE = (frozenset(costs.PER_OUTPUT) - _NOT_ELEMENT_WISE) | frozenset({
    "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_not",
    "logical_xor", "bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor", "masked_fill",
    "where", "nan_to_num", "copysign", "_to_copy",
})  # fmt: skip
"""Names of ops whose every output element depends on one element of each operand."""

MOVES = frozenset({
    "cat", "stack", "clone", "contiguous", "copy", "roll", "flip", "channel_shuffle",
    "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle", "repeat", "tile",
    "repeat_interleave", "constant_pad_nd", "rot90",
})  # fmt: skip
"""Names of ops that only put elements into other places."""

_ALONE = frozenset({"conv", "linear", "matmul", "attention", "pool", "reduce", "recurrent"})
_FOLDABLE = frozenset({"conv", "linear"})
MERGED = "merged into its producer"
FOLDED = "folded into its layer"
_PER_CHANNEL = 2  # the scale and the shift that remain of a batch norm merged but not folded


@dataclass(frozen=True, slots=True)
class Fused:
    """What each op moves, and which op it was merged into, None where into none."""

    accesses: list[Access]
    merged_into: list[int | None]


def fused(graph: Graph, separate: Sequence[Access]) -> Fused:
    """The accesses of a fused Graph, from those of its ops by themselves."""
    plan = _Plan(graph, separate)
    found: list[Access] = []
    into: list[int | None] = []
    for index, (op, access) in enumerate(zip(graph.ops, separate, strict=True)):
        main = None if access.state != "counted" else plan.main_operand(op, plan.names[index])
        if main is None:
            found.append(plan.without_unread(op, access))
            into.append(None)
            continue
        producer = plan.made_by[main]
        plan.is_move[index] = plan.is_move[producer]
        found.append(plan.merged(op, main, access))
        into.append(producer)
    return Fused(found, into)


class _Plan:
    """Who made each map and how many read it, views seen through."""

    def __init__(self, graph: Graph, separate: Sequence[Access]) -> None:
        self.values = graph.values
        self.held, self.nbytes = graph.held
        self.ops = graph.ops
        self.names = [op.name for op in graph.ops]
        self.root = list(range(len(graph.values)))
        self.uses = [0] * len(graph.values)
        self.made_by = [-1] * len(graph.values)
        self.is_move = [False] * len(graph.ops)
        for index, (op, access) in enumerate(zip(graph.ops, separate, strict=True)):
            if access.reason == VIEW:
                for output in op.outputs:
                    self.root[output] = self.root[op.inputs[0]]
                continue
            inputs = op.inputs
            for value in inputs if len(inputs) == 1 else set(inputs):
                self.uses[self.root[value]] += 1
            if access.state == "counted":
                for output in op.outputs:
                    self.made_by[output] = index
            self.is_move[index] = self.names[index] in MOVES
        for value in graph.outputs:
            self.uses[self.root[value]] += 1

    def main_operand(self, op: Op, name: str) -> int | None:
        """The map that the op is merged into the producer of; None where it stands alone."""
        if op.kind in _ALONE:
            return None
        moves = name in MOVES and name not in ("cat", "stack")
        if not moves and name not in ELEMENT_WISE and not is_affine(op):
            return None
        nbytes = self.nbytes[op.outputs[0]] if op.outputs else -1
        found = -1
        for value in op.inputs:
            root = self.root[value]
            producer = self.made_by[root]
            if producer < 0 or self.uses[root] != 1 or self.nbytes[root] != nbytes:
                continue
            if (not moves or self.is_move[producer]) and (
                found < 0 or producer > self.made_by[found]
            ):
                found = root
        return None if found < 0 else found

    def merged(self, op: Op, main: int, access: Access) -> Access:
        """What remains of an op whose producer writes its result: its other operands."""
        if op.kind == "norm":
            return self._norm(op, main)
        out = op.outputs[0]
        elements = access.elements - self.held[out] - self.held[main]
        nbytes = access.nbytes - self.nbytes[out] - self.nbytes[main]
        return Access("counted" if nbytes else "free", elements, nbytes, MERGED)

    def _norm(self, op: Op, main: int) -> Access:
        layer = self.ops[self.made_by[main]]
        vector = op.inputs[-1]  # the running variance, one element a channel
        times, reason = _PER_CHANNEL, MERGED
        if layer.kind in _FOLDABLE:
            times, reason = 0 if _has_bias(layer) else 1, FOLDED
        elements, nbytes = times * self.held[vector], times * self.nbytes[vector]
        return Access("counted" if times else "free", elements, nbytes, reason)

    def without_unread(self, op: Op, access: Access) -> Access:
        """The access without the further unused outputs."""
        if len(op.outputs) < 2 or access.state != "counted":
            return access
        unread = [value for value in op.outputs[1:] if not self.uses[value]]
        elements = access.elements - sum(self.held[value] for value in unread)
        return Access("counted", elements, access.nbytes - sum(self.nbytes[v] for v in unread))


def is_affine(op: Op) -> bool:
    """Whether the op is a batch norm with statistics known beforehand."""
    if op.kind != "norm" or op.name not in costs.BATCH_NORMS or len(op.inputs) < 3:
        return False
    eval_only = op.name == "_native_batch_norm_legit_no_training"
    return eval_only or not op.attributes.get("training", False)


def _has_bias(layer: Op) -> bool:
    if layer.kind == "conv":
        return len(layer.inputs) > 2
    return layer.name.startswith("add") or (layer.name == "linear" and len(layer.inputs) > 2)
