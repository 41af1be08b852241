"""What the arguments of ``archstat diff`` stand for: models, files, or one of them twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archstat.diff.saved import is_file_of_models, saved_snapshots
from archstat.diff.snapshots import Snapshot, snapshot_of
from archstat.errors import SpecError
from archstat.models.pipeline import GraphOf, report

Sides = tuple[tuple[Snapshot, ...], tuple[Snapshot, ...]]


@dataclass(frozen=True, slots=True)
class Request:
    """The models of a command line of ``archstat diff``."""

    sides: tuple[str, ...]
    base: str | None = None
    head: str | None = None
    input: Sequence[str] | None = None
    batch: int | None = None


def both_sides(request: Request, graph_of: GraphOf) -> Sides:
    """The models before and after; `graph_of` gives the Graphs of specs in the working tree.

    Raises:
        SpecError: too few or too many arguments for what was asked; see also `analyze`.
    """
    if request.base is None:
        if request.head is not None:
            raise SpecError("--head needs --base, the revision to compare it with.")
        if len(request.sides) != 2:
            raise SpecError(
                f"diff compares two models, and {len(request.sides)} given: write BEFORE AFTER, or "
                "one model and --base REV."
            )
        before, after = request.sides
        return _here(before, request, graph_of), _here(after, request, graph_of)
    if len(request.sides) != 1:
        raise SpecError("--base compares one model with itself: name just one.")
    from archstat.diff.repository import repository_of
    from archstat.diff.revisions import snapshots_at

    (text,) = request.sides
    if request.head is not None:
        repository_of(Path.cwd()).commit(request.head)  # a typo is told before the work
    before_it = snapshots_at(text, request.base, request.input, request.batch)
    if request.head is None:
        return before_it, _here(text, request, graph_of)
    return before_it, snapshots_at(text, request.head, request.input, request.batch)


def _here(text: str, request: Request, graph_of: GraphOf) -> tuple[Snapshot, ...]:
    if is_file_of_models(text):
        return saved_snapshots(text)
    graph = graph_of(text, request.input or None, request.batch)
    return (snapshot_of(report(graph, text)),)


def unknown_ops(snapshots: Sequence[Snapshot]) -> int:
    """How many operations of all models are neither counted nor free, as far as they tell."""
    counts = (snapshot.totals.get("unknown_ops") for snapshot in snapshots)
    return sum(count for count in counts if isinstance(count, int))
