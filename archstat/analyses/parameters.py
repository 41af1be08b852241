"""Parameters, trainable parameters, buffers and the bytes of the parameters."""

from __future__ import annotations

from collections.abc import Iterator

from archstat.graph import ITEM_SIZES, Graph, Role, Value
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
    for value, elements in _with_new_elements(graph, "parameter", filled):
        _, dtype, _, _, name, _, trainable = value
        row = own.setdefault(_owner(name), {})
        row["params"] = row.get("params", 0) + elements
        row["trainable_params"] = row.get("trainable_params", 0) + (elements if trainable else 0)
        row["param_bytes"] = row.get("param_bytes", 0) + elements * ITEM_SIZES.get(dtype, 4)
    for value, elements in _with_new_elements(graph, "buffer", filled):
        row = own.setdefault(_owner(value.name), {})
        row["buffers"] = row.get("buffers", 0) + elements
    totals = {c.key: sum([row.get(c.key, 0) for row in own.values()]) for c in COLUMNS}
    return Analysis(totals=totals, per_module=own)


def _owner(name: str | None) -> str:
    return name.rpartition(".")[0] if name else ""


def _with_new_elements(
    graph: Graph, role: Role, filled: dict[int, int]
) -> Iterator[tuple[Value, int]]:
    """Each named value of a role with the elements that its storage still has for it."""
    storages = graph.storages
    for value, elements in zip(graph.values, graph.held[0], strict=True):
        _, dtype, own, storage, name, _, _ = value
        if own != role or name is None:
            continue
        taken = filled.get(storage)
        if taken is not None:
            room = storages[storage][0] // ITEM_SIZES.get(dtype, 4) - taken
            elements = min(elements, room)
        filled[storage] = (taken or 0) + elements
        yield value, elements


ANALYZER = Analyzer("parameters", COLUMNS, parameters)
