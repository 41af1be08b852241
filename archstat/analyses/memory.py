"""Peak memory of inference, from the lifetimes of storages that the capture recorded.

Parameters, buffers and constants are there throughout. An activation lives from the op that makes
it to the op after which eager Python let go of it; the input, which the caller holds, to the end.
What a library allocates inside an op (workspaces) and what an allocator rounds up is not seen.
"""

from __future__ import annotations

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
    last = _last_uses(graph) if ideal else None
    changes = [0] * (len(graph.ops) + 3)
    for index, (nbytes, born, released, _) in enumerate(graph.storages):
        end = released if last is None else last[index]
        first = 0 if born is None else born + 1
        changes[first] += nbytes
        if end is not None:
            changes[max(first, end + 1) + 1] -= nbytes
    return list(accumulate(changes))[:-2]


def _last_uses(graph: Graph) -> list[int | None]:
    """The op after which no op needs a storage any more; None for what must stay."""
    last: list[int | None] = [born for _, born, _, _ in graph.storages]
    place, moving = [], []
    for _, _, role, storage, *_ in graph.values:
        place.append(storage)
        moving.append(role == "activation" or role == "input")
        if last[storage] is None and role == "input":
            last[storage] = -1  # one that nobody reads can go at once
    for index, (_, _, _, _, inputs, outputs, _) in enumerate(graph.ops):
        for value in inputs:
            if moving[value]:
                last[place[value]] = index
        for value in outputs:
            if moving[value]:
                last[place[value]] = index
    for value in graph.outputs:
        last[place[value]] = None
    return last


ANALYZER = Analyzer("memory", COLUMNS, memory)
