"""Peak memory of inference, from the lifetimes of storages that the capture recorded.

Parameters, buffers and constants are there throughout. An activation lives from the op that makes
it to the op after which eager Python let go of it; the input, which the caller holds, to the end.
What a kernel takes while it runs counts for cpu's attention and LSTM alone; what else a library
allocates inside an op and what an allocator rounds up is not seen. An unknown op makes the peaks
lower bounds.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

from archstat.analyses.operations import cost
from archstat.analyses.products import UNKNOWN
from archstat.analyses.workspaces import Pass, attention_workspace, lstm_scratch
from archstat.graph import ITEM_SIZES, REGISTERED, Graph, Op
from archstat.result import Analysis, Analyzer, Cell, Column, Report

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
    keys = tuple(column.key for column in COLUMNS)
    return Analysis(
        totals={
            "peak_memory_bytes": max(live_bytes(graph)),
            "ideal_peak_bytes": max(live_bytes(graph, ideal=True)),
        },
        conventions={"peak_memory_bytes": CONVENTION},
        lower_bounds=frozenset(keys if _hides_memory(graph) else ()),
    )


def _hides_memory(graph: Graph) -> bool:
    """Whether an op is unknown, which may hold tensors of its own while it runs.

    One of a library with a formula for its flops may as well.
    """
    others = {op.target: op for op in graph.ops if op.kind == "other"}
    return any(
        REGISTERED in op.attributes or cost(op, graph.values) == UNKNOWN for op in others.values()
    )


_KERNELS = {
    "_scaled_dot_product_flash_attention_for_cpu": "flash",
    "_scaled_dot_product_flash_attention": "flash",
    "_scaled_dot_product_cudnn_attention": "cuDNN",
    "_scaled_dot_product_efficient_attention": "memory-efficient",
    "_safe_softmax": "math",
}


def attention_of(graph: Graph) -> tuple[str, ...]:
    """The kernels that torch's attention runs by, each once; a math kernel stores its scores."""
    found = dict.fromkeys(_KERNELS[op.name] for op in graph.ops if op.name in _KERNELS)
    return tuple(found)


def live_bytes(graph: Graph, *, ideal: bool = False) -> list[int]:
    """The bytes alive before the first op, and then during each op, its inputs and outputs both.

    Args:
        ideal: free each storage after its last use, not when eager Python does; what forward
            returns lives to the end, and weights and buffers throughout.
    """
    return graph.once("ideal bytes" if ideal else "live bytes", lambda: _alive(graph, ideal))


def _alive(graph: Graph, ideal: bool) -> list[int]:
    storages = graph.storages
    taken = [0, *[_taken(op, graph) if op.kind in _WITH_SCRATCH else 0 for op in graph.ops]]
    ends = _last_uses(graph) if ideal else [released for _, _, released in storages]
    changes = [0] * (len(graph.ops) + 3)
    for (nbytes, born, _), end in zip(storages, ends, strict=True):
        first = 0 if born is None else born + 1
        changes[first] += nbytes
        if end is not None:
            changes[(end + 1 if end >= first else first) + 1] -= nbytes
    held = list(accumulate(changes))[:-2]
    return [here + inside for here, inside in zip(held, taken, strict=True)]


_WITH_SCRATCH = frozenset({"attention", "recurrent"})


def _taken(op: Op, graph: Graph) -> int:
    """Bytes that a kernel takes while it runs, where it is known how many."""
    given = [graph.values[index] for index in op.inputs[:2]]
    if op.name == "_scaled_dot_product_flash_attention_for_cpu":
        query, key = given
        width = 8 if query.dtype == "float64" else 4
        return attention_workspace(query.shape, key.shape[-2], width, backward=False)
    if op.name == "mkldnn_rnn_layer":
        x = given[0]
        during: Pass = "forward" if len(op.outputs) > 3 else "inference"
        return lstm_scratch(
            x.shape, op.attributes["hidden_size"], during, ITEM_SIZES.get(x.dtype, 4)
        )
    return 0


def _last_uses(graph: Graph) -> list[int | None]:
    """The op after which no op needs a storage any more; None for what must stay."""
    storages = graph.storages
    last: list[int | None] = [born for _, born, _ in storages]
    # The storage of each value that may be freed; what stays has none here.
    place: list[int | None] = []
    for _, _, role, storage, *_ in graph.values:
        if role == "activation":
            place.append(storage)
        # Eager Python frees a constant where forward replaces it: a cache of keys, say.
        elif role == "input" or storages[storage][2] is not None:
            place.append(storage)
            if last[storage] is None:
                last[storage] = -1  # one that nobody reads can go at once
        else:
            place.append(None)
    for index, (_, _, _, _, inputs, outputs, _) in enumerate(graph.ops):
        for value in inputs:
            if (freed := place[value]) is not None:
                last[freed] = index
        for value in outputs:
            if (freed := place[value]) is not None:
                last[freed] = index
    for value in graph.outputs:
        last[graph.values[value].storage] = None
    return last


ANALYZER = Analyzer("memory", COLUMNS, memory)


MODULE_COLUMNS = (
    Column("peak_memory_bytes", "bytes", "inference: the most bytes alive while the module runs, "
           "the whole model's weights among them", "lower", of="place"),
)  # fmt: skip


def module_peaks(graph: Graph) -> Analysis:
    """The peak of each module in bytes; of several calls, the largest."""
    live = live_bytes(graph)
    peaks: dict[str, int] = {}
    for call in graph.calls:
        # A call without ops holds what there is when it begins; the first entry is before any op.
        held = live[call.first + 1 : call.last + 1] or live[call.first : call.first + 1]
        peaks[call.module] = max(peaks.get(call.module, 0), *held)
    cells: dict[str, dict[str, Cell]] = {
        module: {"peak_memory_bytes": peak} for module, peak in peaks.items()
    }
    return Analysis(totals={}, at_module=cells)


def with_module_peaks(report: Report) -> Report:
    """The Report with the column of this analysis, which is run on request only."""
    others = tuple(column for column in report.columns if column.key != "peak_memory_bytes")
    return replace(
        report,
        columns=(*others, *MODULE_COLUMNS),
        analyses=(*report.analyses, module_peaks(report.graph)),
    )
