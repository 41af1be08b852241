"""Where time goes, by kind: what every op of a Graph counts as in a table of times.

The kinds are those of ShuffleNet V2's Figure 2 (arXiv:1807.11164), with depthwise convolutions and
channel shuffles in rows of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

from archstat.graph import Graph, Op

CONVOLUTION = "convolution"
DEPTHWISE = "depthwise convolution"
PRODUCT = "matrix product"
NORMALISATION = "normalisation"
ELEMENT_WISE = "element-wise"
POOLING = "pooling"
SHUFFLE = "channel shuffle"
MOVEMENT = "data movement"
OTHER = "other"
KINDS = (CONVOLUTION, DEPTHWISE, PRODUCT, NORMALISATION, ELEMENT_WISE, POOLING, SHUFFLE, MOVEMENT,
         OTHER)  # fmt: skip

_OF_OP: Mapping[str, str] = {
    "conv": CONVOLUTION,
    **dict.fromkeys(("linear", "matmul", "attention", "recurrent"), PRODUCT),
    "norm": NORMALISATION,
    **dict.fromkeys(("activation", "add", "mul"), ELEMENT_WISE),
    **dict.fromkeys(("pool", "reduce"), POOLING),
    **dict.fromkeys(("concat", "split", "reshape", "pad", "resize", "embedding"), MOVEMENT),
    **dict.fromkeys(("softmax", "other"), OTHER),
}
# For what ran and is no op of the Graph: a part of the name, the first that fits.
_OF_NAME: Mapping[str, str] = {
    **dict.fromkeys(("conv",), CONVOLUTION),
    **dict.fromkeys(("attention", "transformer", "linear", "mm", "matmul", "lstm", "gru", "rnn"),
                    PRODUCT),
    **dict.fromkeys(("norm",), NORMALISATION),
    **dict.fromkeys(("pool", "mean"), POOLING),
    **dict.fromkeys(("shuffle",), SHUFFLE),
    **dict.fromkeys(("relu", "sigmoid", "swish", "silu", "gelu", "tanh", "clamp", "add", "sub",
                     "mul", "div"), ELEMENT_WISE),
    **dict.fromkeys(("cat", "stack", "chunk", "split", "view", "shape", "flatten", "copy", "clone",
                     "contiguous", "to", "pad", "transpose", "permute", "slice", "select",
                     "squeeze", "expand", "interpolate", "upsample", "embedding"), MOVEMENT),
}  # fmt: skip
_TRANSPOSES = frozenset({"transpose", "permute"})
_COPIES = frozenset({"clone", "contiguous", "copy", "_reshape_copy"})
_SHUFFLES = frozenset({"channel_shuffle", "native_channel_shuffle"})


def kinds_of(graph: Graph) -> list[str]:
    """The kind of every op, of `KINDS`."""
    shuffling = _shuffling(graph)
    return [
        SHUFFLE if index in shuffling else _kind(graph, op) for index, op in enumerate(graph.ops)
    ]


def kind_of_name(name: str) -> str:
    """The kind of something that ran and that no Graph knows, by its name."""
    return next((kind for part, kind in _OF_NAME.items() if part in name), OTHER)


def _kind(graph: Graph, op: Op) -> str:
    if op.kind == "conv" and is_depthwise(graph, op):
        return DEPTHWISE
    return _OF_OP[op.kind]


def is_depthwise(graph: Graph, op: Op) -> bool:
    """Whether a convolution filters every channel alone."""
    groups = op.attributes.get("groups", 1)
    if groups == 1 or len(op.inputs) < 2:
        return False
    shape = graph.values[op.inputs[1]].shape
    channels = shape[0] if op.attributes.get("transposed") else groups * shape[1]
    return bool(channels == groups)


def _shuffling(graph: Graph) -> set[int]:
    """The ops of channel shuffles, written in any module: split the channels, turn, copy, join."""
    users: dict[int, list[int]] = {}
    for index, op in enumerate(graph.ops):
        for value in op.inputs:
            users.setdefault(value, []).append(index)
    found = {index for index, op in enumerate(graph.ops) if op.name in _SHUFFLES}
    for index, op in enumerate(graph.ops):
        split = _turned(graph, op) if op.name in _TRANSPOSES else None
        copies = users.get(op.outputs[0], []) if split is not None else []
        if split is None or not any(graph.ops[user].name in _COPIES for user in copies):
            continue
        found |= {split, index, *copies}
        for copy in copies:
            joins = (user for value in graph.ops[copy].outputs for user in users.get(value, ()))
            found |= {join for join in joins if graph.ops[join].kind == "reshape"}
    return found


def _turned(graph: Graph, op: Op) -> int | None:
    """The op that split the channels of the map whose groups this op turns; None if it does not."""
    split = graph.producers[op.inputs[0]]
    if split is None or graph.ops[split].kind != "reshape":
        return None
    before = graph.values[graph.ops[split].inputs[0]].shape
    given, turned = (graph.values[v].shape for v in (op.inputs[0], op.outputs[0]))
    if len(before) < 3 or len(given) != len(before) + 1:
        return None
    groups = given[1], given[2]
    # The batch before them and the map behind them stay where they are.
    stays = given[0] == before[0] and given[3:] == before[2:] and given[3:] == turned[3:]
    return split if stays and turned[1:3] == groups[::-1] else None
