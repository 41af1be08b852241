"""The two sides of a difference: models, files of models, or one model at two revisions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archstat.differences.repository import repository_of
from archstat.differences.revisions import snapshots_at
from archstat.differences.saved import is_file_of_models, saved_snapshots
from archstat.differences.snapshots import Snapshot, snapshot_of
from archstat.errors import Option, SpecError
from archstat.graph import Graph
from archstat.models.pipeline import GraphOf, analyze, graph_of_spec, report

if TYPE_CHECKING:
    from torch import nn

    from archstat.graph import Graph

    Side = nn.Module | Graph | str
    Snapshots = tuple[Snapshot, ...]

_TABLES = (".csv", ".md", ".parquet", ".tex", ".txt")


def both(
    sides: Sequence[Side], base: str | None, head: str | None, input: Any, batch: int | None,
    graphs: GraphOf = graph_of_spec,
) -> tuple[Snapshots, Snapshots]:  # fmt: skip
    """The models before and after.

    Args:
        sides: two models or files of models (.json, .lock); of one, `base` and `head` are git
            revisions, the latter the working tree by default.
        graphs: where Graphs of specs come from; by default all are captured.

    Raises:
        SpecError: too few or too many models for what was asked; see also `analyze`.
        RevisionError: no such revision.
    """
    if head is not None and base is None:
        raise SpecError(f"{Option('head')} needs {Option('base')}.")
    if base is None:
        if len(sides) > 2:
            raise SpecError(f"diff compares two models; {len(sides)} were given.")
        if len(sides) < 2:
            raise SpecError(
                "diff compares two models; 1 was given: give a second one, or "
                f"{Option('base')} and a git revision."
            )
        before, after = (_here(side, input, batch, graphs) for side in sides)
        return before, after
    if len(sides) != 1:
        raise SpecError(f"{Option('base')} takes one model; {len(sides)} were given.")
    if not isinstance(sides[0], str):
        raise SpecError(f"{Option('base')} takes a spec: a module has no revisions.")
    if head is not None:
        repository_of(Path.cwd()).commit(head)  # a typo is told before the work
    before = snapshots_at(sides[0], base, input, batch)
    if head is None:
        return before, _here(sides[0], input, batch, graphs)
    return before, snapshots_at(sides[0], head, input, batch)


def _here(side: Side, input: Any, batch: int | None, graphs: GraphOf) -> Snapshots:
    if not isinstance(side, str):
        return (snapshot_of(analyze(side, input, batch)),)
    if is_file_of_models(side):
        return saved_snapshots(side)
    if side.lower().endswith(_TABLES):
        raise SpecError(
            f"{side} is a table, which has no layers: write it as .json (-o FILE.json)."
        )
    return (snapshot_of(report(graphs(side, input, batch), side)),)
