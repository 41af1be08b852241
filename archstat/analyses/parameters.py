"""Parameters, trainable parameters, buffers and the bytes of the parameters."""

from __future__ import annotations

from collections.abc import Iterable

from archstat.graph import ITEM_SIZES, Graph, Value
from archstat.result import Analysis, Analyzer, Column

COLUMNS = (
    Column("params", "count", "parameter elements, a shared tensor once", "lower"),
    Column("trainable_params", "count", "elements of parameters that require a gradient", "lower"),
    Column("buffers", "count", "buffer elements, running statistics among them", "lower"),
    Column("param_bytes", "bytes", "bytes of the parameters in their own dtype", "lower"),
)


def parameters(graph: Graph) -> Analysis:
    """Element counts of a Graph's parameters and buffers, each attributed to its first owner.

    Tensors that share memory count once: what several of them hold together is at most their
    storage. A module's own share is what stands directly under its path.
    """
    own: dict[str, dict[str, int]] = {}
    filled: dict[int, int] = {}
    for value in graph.parameters():
        elements = _new_elements(graph, value, filled)
        row = own.setdefault(_owner(value), {})
        _add(row, "params", elements)
        _add(row, "trainable_params", elements if value.trainable else 0)
        _add(row, "param_bytes", elements * ITEM_SIZES.get(value.dtype, 4))
    for value in graph.buffers():
        row = own.setdefault(_owner(value), {})
        _add(row, "buffers", _new_elements(graph, value, filled))
    totals = {column.key: _total(own.values(), column.key) for column in COLUMNS}
    return Analysis(totals=totals, per_module=own)


def _owner(value: Value) -> str:
    return (value.name or "").rpartition(".")[0]


def _new_elements(graph: Graph, value: Value, filled: dict[int, int]) -> int:
    capacity = graph.storages[value.storage].nbytes // ITEM_SIZES.get(value.dtype, 4)
    taken = filled.get(value.storage, 0)
    elements = min(value.numel, capacity - taken)
    filled[value.storage] = taken + elements
    return elements


def _add(row: dict[str, int], key: str, number: int) -> None:
    row[key] = row.get(key, 0) + number


def _total(rows: Iterable[dict[str, int]], key: str) -> int:
    return sum(row.get(key, 0) for row in rows)


ANALYZER = Analyzer("parameters", COLUMNS, parameters)
