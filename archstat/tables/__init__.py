"""Rows, columns and notes: a file a command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archstat.graph import Graph
from archstat.result import Cell, Column, Table


def of_graphs(
    graphs: Sequence[Graph],
    columns: tuple[Column, ...],
    rows: Sequence[Sequence[Cell]],
    **more: Any,
) -> Table:
    """A table of figures of these Graphs, with their inputs and the torch that made the first."""
    return Table(
        tuple(columns),
        tuple(map(tuple, rows)),
        torch_version=graphs[0].torch_version,
        inputs=tuple(dict.fromkeys(graph.input_text for graph in graphs)),
        **more,
    )
