"""The lock file: what every budget's model is, as raw numbers, totals and layer by layer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archstat.result import Cell, Number, Report
from archstat.version import __version__

LOCK_SCHEMA_VERSION = 1
ALWAYS_LOCKED = ("params", "macs")


@dataclass(frozen=True, slots=True)
class Layer:
    """A module's own figures by column key, without those of its children."""

    module: str
    type: str
    figures: Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Entry:
    """One budget's record: its model and input, raw totals, and its layers in their order.

    A total has one number an axis in a tuple, or None. Keys in `lower_bounds` may be too small.
    """

    model: str
    input: str
    totals: Mapping[str, Cell]
    layers: tuple[Layer, ...] = ()
    lower_bounds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockFile:
    """The records by name of budget, and the versions that made them."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    archstat_version: str = __version__
    torch_version: str = ""

    def to_json(self) -> str:
        """The file's text: keys sorted, one line a layer, the same bytes for the same figures."""
        budgets = [
            f"    {_json(name)}: {_entry_text(self.entries[name])}" for name in sorted(self.entries)
        ]
        return (
            f'{{\n  "archstat": {_json(self.archstat_version)},\n'
            f'  "budgets": {{{_lines(budgets, "  ")}}},\n'
            f'  "schema_version": {LOCK_SCHEMA_VERSION},\n'
            f'  "torch": {_json(self.torch_version)}\n}}\n'
        )


def entry_of(report: Report, keys: Iterable[str] = ()) -> Entry:
    """The record of a Report: params, macs and the given columns, in total and by layer.

    Layers without a figure are left out.
    """
    wanted = dict.fromkeys((*ALWAYS_LOCKED, *keys))
    known = report.layers.keys()
    additive = [key for key in wanted if key in known]
    layers = []
    for record in report.layers.records():
        figures = {k: n for k in additive if isinstance(n := record[k], (int, float)) and n}
        if figures:
            layers.append(Layer(str(record["module"]), str(record["type"]), figures))
    totals = {key: report.totals[key] for key in wanted}
    bounds = tuple(sorted(key for key in wanted if key in report.lower_bounds))
    return Entry(report.model, report.input, totals, tuple(layers), bounds)


def _json(content: Any) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def _entry_text(entry: Entry) -> str:
    rows = [
        f"        {_json({'module': layer.module, 'type': layer.type, **layer.figures})}"
        for layer in entry.layers
    ]
    bounds = f'      "lower_bounds": {_json(sorted(entry.lower_bounds))},\n'
    return (
        f'{{\n      "input": {_json(entry.input)},\n'
        f'      "layers": [{_lines(rows, "      ")}],\n'
        f"{bounds if entry.lower_bounds else ''}"
        f'      "model": {_json(entry.model)},\n'
        f'      "totals": {_json(dict(entry.totals))}\n    }}'
    )


def _lines(rows: Sequence[str], indent: str) -> str:
    return "\n" + ",\n".join(rows) + f"\n{indent}" if rows else ""
