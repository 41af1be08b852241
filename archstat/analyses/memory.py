"""Peak memory of inference, from the lifetimes of storages that the capture recorded.

Parameters, buffers and constants are there throughout. An activation lives from the op that makes
it to the op after which eager Python let go of it; the input, which the caller holds, to the end.
What a library allocates inside an op (workspaces) and what an allocator rounds up is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from archstat.graph import Graph
from archstat.result import Analysis, Analyzer, Column

COLUMNS = (
    Column("peak_memory_bytes", "bytes", "inference: weights, buffers and the most activations "
           "alive at once", "lower", of="model"),
    Column("ideal_peak_bytes", "bytes", "the same with each storage freed after its last use",
           "lower", of="model"),
)  # fmt: skip
CONVENTION = (
    "weights and buffers, and the most bytes of activations alive at once in an eager forward, "
    "the input among them; workspaces of libraries are not included"
)


def memory(graph: Graph) -> Analysis:
    """The bytes at the peak of an eager forward, and of one that frees what it no longer needs."""
    return Analysis(
        totals={
            "peak_memory_bytes": max(live_bytes(graph)),
            "ideal_peak_bytes": max(live_bytes(graph, ideal=True)),
        },
        conventions={"peak_memory_bytes": CONVENTION},
    )


def live_bytes(graph: Graph, *, ideal: bool = False) -> list[int]:
    """The bytes alive before the first op, and then during each op, its inputs and outputs both.

    Args:
        ideal: free each storage after its last use, not when eager Python does; what forward
            returns lives to the end, and weights and buffers throughout.
    """
    ends = _last_uses(graph) if ideal else [storage.released for storage in graph.storages]
    changes = [0] * (len(graph.ops) + 3)
    for storage, end in zip(graph.storages, ends, strict=True):
        born = 0 if storage.born is None else storage.born + 1
        changes[born] += storage.nbytes
        if end is not None:
            changes[max(born, end + 1) + 1] -= storage.nbytes
    return list(accumulate(changes))[:-2]


def _last_uses(graph: Graph) -> list[int | None]:
    """The op after which no op needs a storage any more; None for what must stay."""
    place = [value[3] for value in graph.values]
    last: list[int | None] = [-1 if s.born is None else s.born for s in graph.storages]
    for index, (_, _, _, _, inputs, outputs, _) in enumerate(graph.ops):
        for value in inputs:
            last[place[value]] = index
        for value in outputs:
            last[place[value]] = index
    for storage in _kept(graph):
        last[storage] = None
    return last


def _kept(graph: Graph) -> Iterable[int]:
    stays = ("parameter", "buffer", "constant")
    yield from (value.storage for value in graph.values if value.role in stays)
    yield from (graph.values[value].storage for value in graph.outputs)


ANALYZER = Analyzer("memory", COLUMNS, memory)
