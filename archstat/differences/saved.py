"""Models as files hold them: a saved Graph, a report written with ``-o``, a lock file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from archstat.analyses import COLUMNS
from archstat.analyses.alignment import Layer
from archstat.budgets import parse_lock
from archstat.differences.snapshots import Snapshot, snapshot_of
from archstat.errors import GraphFileError, LockFileError, Option
from archstat.graph import Graph
from archstat.models.pipeline import report
from archstat.result import FUNCTIONAL, Cell, Column, notes_of

FILE_SUFFIXES = (".json", ".lock")
_WANTED = (
    "give a saved Graph, a report of compare or summary written with -o FILE.json, or a lock file"
)


def is_file_of_models(text: str) -> bool:
    """Whether an argument names such a file and is not a spec."""
    return text.lower().endswith(FILE_SUFFIXES)


def saved_snapshots(path: str | Path) -> tuple[Snapshot, ...]:
    """The models that a file holds, in its order.

    Raises:
        GraphFileError: it cannot be read, or is not one of the known files.
        LockFileError: a damaged lock file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise GraphFileError(f"There is no file {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise GraphFileError(f"{path} cannot be read: {error}; {_WANTED}.") from error
    if str(path).lower().endswith(".lock"):
        return _of_lock(text, path)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphFileError(f"{path} is not JSON ({error}); {_WANTED}.") from error
    if isinstance(document, dict) and "archstat_graph" in document:
        return (_of_graph(text, path),)
    if isinstance(document, dict) and "budgets" in document:
        return _of_lock(text, path)
    try:
        return _of_report(document, path)
    except (KeyError, TypeError, AttributeError) as error:
        raise GraphFileError(f"{path} holds no models; {_WANTED}.") from error


def _of_graph(text: str, path: str | Path) -> Snapshot:
    try:
        graph = Graph.from_json(text)
    except GraphFileError as error:
        raise GraphFileError(f"{path}: {error}") from error
    return snapshot_of(report(graph, graph.name))


def _of_lock(text: str, path: str | Path) -> tuple[Snapshot, ...]:
    lock = parse_lock(text, str(path))
    if not lock.entries:
        raise LockFileError(f"{path} holds no budgets; `archstat check --update` fills it.")
    return tuple(
        Snapshot(
            name=name,
            model=entry.model,
            input=entry.input,
            totals=entry.totals,
            layers=tuple(Layer(row.module, row.type, (), row.figures) for row in entry.layers),
            bounds=frozenset(entry.lower_bounds),
            torch_version=lock.torch_version,
            origin="lock",
        )
        for name, entry in lock.entries.items()
    )


def _of_report(document: Mapping[str, Any], path: str | Path) -> tuple[Snapshot, ...]:
    rows: Sequence[Mapping[str, Any]] = document["rows"]
    torch_version = str(document["torch"])
    if rows and "module" in rows[0]:
        return (_of_summary(rows, torch_version, path),)
    keys = _known(rows[0]) if rows else ()
    if not keys:
        raise GraphFileError(f"{path} holds no model figures; {_WANTED}.")
    return tuple(
        Snapshot(
            name=name,
            model=str(row["model"]),
            input=str(row.get("input", "")),
            totals={column.key: _cell(row[column.key]) for column in keys},
            layers=None,
            bounds=_bounds(row),
            notes=notes_of(
                [f"{path} holds no layers; write it with `archstat summary -o FILE.json`."]
            ),
            torch_version=torch_version,
            origin="report",
        )
        for name, row in zip(_names(rows), rows, strict=True)
    )


def _of_summary(
    rows: Sequence[Mapping[str, Any]], torch_version: str, path: str | Path
) -> Snapshot:
    root = next((row for row in rows if row["module"] == ""), None)
    if root is None:
        raise GraphFileError(
            f"{path} has no row of the whole model; write it without {Option('top')}."
        )
    model = Path(path).stem
    # what does not add up holds at the root's output there, not for the whole model
    totals = {c.key: _cell(root[c.key]) for c in _known(root) if f"own_{c.key}" in root}
    layers = tuple(_layers(rows))
    for key in sorted(totals.keys() & {key for layer in layers for key in layer.figures}):
        if sum(layer.figures[key] for layer in layers) != totals[key]:
            raise GraphFileError(f"{path} lacks some layers; write it without {Option('depth')}.")
    return Snapshot(
        name=model,
        model=model,
        input="",
        totals=totals,
        layers=layers,
        bounds=_bounds(root),
        torch_version=torch_version,
        origin="report",
    )


def _layers(rows: Sequence[Mapping[str, Any]]) -> Iterator[Layer]:
    """The modules of a summary, what one runs itself among its own figures."""
    functional = {
        row["module"].removesuffix(FUNCTIONAL).rstrip("."): row
        for row in rows
        if row["module"].endswith(FUNCTIONAL)
    }
    for row in rows:
        path = row["module"]
        if path.endswith(FUNCTIONAL):
            continue
        runs = functional.get(path, {})
        figures = {
            column.key: row[own] + runs.get(own, 0)
            for column in COLUMNS
            if (own := f"own_{column.key}") in row
        }
        parts = (("output", str(row["output"])),) if row.get("output") else ()
        yield Layer(path, str(row["type"]), parts, figures)


def _names(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The model of each row, numbered where it stands in several."""
    seen: dict[str, int] = {}
    for row in rows:
        model = str(row["model"])
        seen[model] = seen.get(model, 0) + 1
        yield model if seen[model] == 1 else f"{model} #{seen[model]}"


def _known(row: Mapping[str, Any]) -> tuple[Column, ...]:
    return tuple(column for column in COLUMNS if column.key in row)


def _cell(cell: Any) -> Cell:
    return tuple(cell) if isinstance(cell, list) else cell


def _bounds(row: Mapping[str, Any]) -> frozenset[str]:
    """A report does not say which of its totals are lower bounds; operations may all be."""
    return frozenset(("macs", "flops", "activations") if row.get("unknown_ops") else ())
