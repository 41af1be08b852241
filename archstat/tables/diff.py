"""Differences as one raw table, for csv and json, and what a reader must be told of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from archstat.analyses import COLUMNS, CONVENTION
from archstat.analyses.alignment import Change, Layer
from archstat.budgets.rules import FURTHER_COLUMNS
from archstat.differences.difference import Difference
from archstat.result import Cell, Column, Note, Table, notes_of

TEXT_COLUMNS = (
    Column("model", "text", "the model after, or before it was removed"),
    Column("model_before", "text", "the model before"),
    Column("input", "text", "shape of each input after, batch first"),
    Column("input_before", "text", "shape of each input before"),
    Column("row", "text", "total, or layer"),
    Column("status", "text", "same, changed, added, removed or renamed"),
    Column("layer", "text", "path of the layer after"),
    Column("layer_before", "text", "path of the layer before"),
    Column("type", "text", "class of the layer after"),
    Column("type_before", "text", "class of the layer before"),
    Column("structure", "text", "its shapes after"),
    Column("structure_before", "text", "its shapes before"),
)


# Lock files may hold more than Reports do.
FIGURES = (*COLUMNS, *FURTHER_COLUMNS)


def raw_columns(keys: Sequence[str] | None = None) -> tuple[Column, ...]:
    """The columns of `raw_table`: four for each figure, or for each of `keys`."""
    return _in_quarters(chosen_columns(keys))


def _in_quarters(figures: Sequence[Column]) -> tuple[Column, ...]:
    return (*TEXT_COLUMNS, *(part for column in figures for part in _quarters(column)))


def raw_table(
    differences: Sequence[Difference], keys: Sequence[str] | None = None, top: int | None = None
) -> Table:
    """A row for each model's totals, followed by one for each layer that differs.

    `top` keeps the largest changes of each model.
    """
    chosen = chosen_columns(keys)
    if keys is None:  # what only lock files hold
        told = {column.key for difference in differences for column in difference.columns}
        chosen = (*chosen, *(column for column in FURTHER_COLUMNS if column.key in told))
    rows: list[tuple[Cell, ...]] = []
    bounds: set[tuple[int, str]] = set()
    for difference in differences:
        for column in chosen:
            if difference.is_bound(column.key):
                bounds |= {(len(rows), f"{column.key}_{when}") for when in ("before", "after")}
        rows.append(_total_row(difference, chosen))
        rows += (_layer_row(difference, change, chosen) for change in difference.changes[:top])
    return table_of_differences(
        differences, _in_quarters(chosen), rows, remarks(differences), frozenset(bounds)
    )


def remarks(differences: Sequence[Difference]) -> tuple[Note, ...]:
    """What a reader of the figures must be told."""
    notes: list[Note] = []
    for difference in differences:
        before, after = difference.before, difference.after
        notes += [note for side in (before, after) if side for note in side.notes]
        if not difference.input_is_same and before and after:
            notes += notes_of([
                f"the inputs differ ({before.input} before, {after.input} after), and so does "
                "every figure that depends on them."
            ])  # fmt: skip
        if any(difference.is_bound(column.key) for column in COLUMNS):
            notes += notes_of([
                f"{difference.some.name}: totals with >= are lower bounds, so their change is "
                "unknown."
            ])  # fmt: skip
    return tuple(dict.fromkeys(notes))


def table_of_differences(
    differences: Sequence[Difference],
    columns: tuple[Column, ...],
    rows: Sequence[tuple[Cell, ...]],
    notes: tuple[Note, ...],
    bounds: frozenset[tuple[int, str]] = frozenset(),
) -> Table:
    """A table with the versions and inputs of the models that it compares."""
    torch_versions = [difference.some.torch_version for difference in differences]
    return Table(
        columns=columns,
        rows=tuple(rows),
        bounds=bounds,
        notes=notes,
        convention=CONVENTION,
        torch_version=next(filter(None, torch_versions), ""),
        inputs=tuple(dict.fromkeys(d.some.input for d in differences if d.some.input)),
    )


def with_texts(table: Table, texts: Sequence[str]) -> Table:
    """The table with these alone of its columns that are no figures of models, if it has any."""
    known = table.keys()
    if not {*texts} & {*known}:
        return table
    own = {*_NAMING, *texts, *(k for k in known if k.rpartition("_")[0] in _KEYS)}
    return replace(table.select([key for key in known if key in own]), needed=())


_NAMING = ("model", "row", "total")
_KEYS = frozenset(column.key for column in FIGURES)


def chosen_columns(keys: Sequence[str] | None) -> tuple[Column, ...]:
    """The columns of some keys, in the usual order; those of every Report for None."""
    return COLUMNS if keys is None else tuple(c for c in FIGURES if c.key in keys)


def _quarters(column: Column) -> Iterator[Column]:
    yield Column(f"{column.key}_before", column.unit, f"{column.key} before")
    yield Column(f"{column.key}_after", column.unit, f"{column.key} after")
    yield Column(f"{column.key}_change", column.unit, f"{column.key} after minus before")
    yield Column(f"{column.key}_share", "share", f"the layer's part of the change of {column.key}")


def _total_row(difference: Difference, columns: Sequence[Column]) -> tuple[Cell, ...]:
    figures: list[Cell] = []
    for column in columns:
        change = difference.of(column.key)
        share = 1.0 if change else None
        figures += [difference.was(column.key), difference.now(column.key), change, share]
    return (*_sides(difference), "total", difference.status, *[None] * 6, *figures)


def _layer_row(
    difference: Difference, change: Change, columns: Sequence[Column]
) -> tuple[Cell, ...]:
    before, after = change.before, change.after
    figures: list[Cell] = []
    for column in columns:
        key = column.key
        figures += [
            difference.own(before, key),
            difference.own(after, key),
            difference.moved(change, key),
            difference.share(change, key),
        ]
    texts: list[str | None] = []
    for text in (_path_of, _type_of, _structure_of):
        texts += [None if layer is None else text(layer) for layer in (after, before)]
    return (*_sides(difference), "layer", change.status, *texts, *figures)


def _sides(difference: Difference) -> tuple[str | None, ...]:
    before, after = difference.before, difference.after
    return (
        difference.some.name,
        before.name if before else None,
        after.input if after else None,
        before.input if before else None,
    )


def _path_of(layer: Layer) -> str:
    return layer.path


def _type_of(layer: Layer) -> str:
    return layer.type


def _structure_of(layer: Layer) -> str:
    return ", ".join(f"{name} {text}" for name, text in layer.parts)
