"""Receptive fields of real modules as tables; apart from those of Graphs, since it needs torch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path

from torch import nn

from archstat.analyses.field import Fields
from archstat.errors import SpecError
from archstat.graph import Graph
from archstat.measure.field.effective import SHARES, EffectiveField, effective_field
from archstat.measure.field.measured import FieldCheck, measured_field
from archstat.result import Column, Table, notes_of
from archstat.tables.rf import row_of
from archstat.tables.rf_pictures import draw_effective
from archstat.units import format_shape

CHECK_COLUMNS = (
    Column("model", "text", "the spec as typed"),
    Column("layer", "text", "the module whose output was watched"),
    Column("axis", "number", "spatial axis, 0 the first"),
    Column("input_size", "number", "input indices that were poisoned, one at a time"),
    Column("positions", "number", "positions compared, gates in place or cut counted apart"),
    Column("exact", "number", "those that see exactly the expected interval"),
    Column("disagreements", "number", "those that see more, or less without reading padding"),
)
EFFECTIVE_COLUMNS = (
    Column("model", "text", "the spec as typed"),
    Column("layer", "text", "the module whose output was differentiated"),
    Column("theoretical_field", "number", "side of the theoretical field, pixels"),
    *(
        Column(f"side_{share * 100:.0f}", "number", f"side that holds {share:.0%} of the mass")
        for share in SHARES
    ),
    Column("two_sigma", "number", "side of the pixels above 4.55 % of the centre's density"),
    Column("effective_share", "share", "two_sigma over theoretical_field"),
)


def measured_table(
    model: nn.Module | str | Graph, fields: Fields, at: str | None,
    weights: str | Path | None = None, effective: bool = False,
) -> Table:  # fmt: skip
    """The check of a layer's field or, `effective`, its effective field, with its picture.

    Raises:
        SpecError: a Graph, which cannot be run; see also `measured_field`, `effective_field`.
    """
    if isinstance(model, Graph):
        raise SpecError("a Graph has nothing to run: give a module or a spec.")
    row, name = fields.final if at is None else row_of(fields, str(at)), fields.graph.name
    if not effective:
        found = replace(measured_field(model, fields, row), model=name)
        return check_table(found, fields)
    seen = replace(effective_field(model, fields, row, weights=weights), model=name)
    return replace(effective_table(seen, fields), picture=partial(draw_effective, seen))


def check_table(found: FieldCheck, fields: Fields) -> Table:
    """A row an axis."""
    axes = range(len(found.sizes))
    wrong = [sum(one.axis == axis for one in found.disagreements) for axis in axes]
    cells = zip(found.sizes, found.positions, found.exact, wrong, strict=True)
    rows = tuple((found.model, found.at, axis, *row) for axis, row in enumerate(cells))
    version = fields.graph.torch_version
    return Table(CHECK_COLUMNS, rows, notes=notes_of(found.lines()), torch_version=version)


def effective_table(found: EffectiveField, fields: Fields) -> Table:
    """One row, with a note of how it was measured."""
    sides = (found.sides[share] for share in SHARES)
    theoretical = prod(found.theoretical) ** (1 / len(found.theoretical))
    cells = (found.model, found.at, round(theoretical, 1), *sides, found.two_sigma, found.ratio)
    note = (
        f"{found.model}: gradient of {found.at} at position {format_shape(found.position)}, "
        f"absolute, mean of {found.samples} normal random inputs of {format_shape(found.sizes)}; "
        f"{found.weights}."
    )
    version = fields.graph.torch_version
    return Table(EFFECTIVE_COLUMNS, (cells,), notes=notes_of([note]), torch_version=version)
