"""Receptive fields as tables: a row a layer, a row a network, and one position looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from archstat.analyses.field import FieldRow, Fields, receptive_field
from archstat.analyses.field.advice import Verdict, advice
from archstat.analyses.field.remarks import interval_text, one_kernel, remarks
from archstat.analyses.field.steps import LayerStep, layer_steps, positions_of, row_label, some
from archstat.analyses.operations import operations
from archstat.errors import LookupFailedError
from archstat.graph import Graph
from archstat.hints import did_you_mean
from archstat.reporters.plots import FieldSeries, plot_field_by_depth
from archstat.result import Cell, Column, Mark, Table, Tabular, notes_of

ADVICE_COLUMNS = (
    Column("rule", "text", "the rule"),
    Column("verdict", "text", "kept, broken, or why neither"),
    Column("layers", "text", "the layers that break it"),
    Column("figure", "text", "what was found"),
)


def advice_table(fields: Fields, sized: bool = True, most: int | None = None) -> Table:
    """The rules as rows, with no more than `most` layers of each spelled out."""
    rows = tuple(
        (entry.rule, _marked(entry.verdict), some(list(entry.layers), most), entry.figure)
        for entry in advice(fields, sized)
    )
    return Table(ADVICE_COLUMNS, rows, torch_version=fields.graph.torch_version)


def _marked(verdict: Verdict) -> str:
    if verdict == "kept":
        return Mark(verdict, "good")
    return Mark(verdict, "bad") if verdict == "broken" else verdict


_FIELD = (
    Column("receptive_field", "pixels", "input pixels seen, the most over positions"),
    Column("smallest_receptive_field", "pixels", "input pixels seen, the least over positions"),
    Column("effective_stride", "pixels", "input pixels from one position to the next"),
    Column("effective_padding", "pixels", "pixels by which position 0 reaches before the input"),
)
_GLOBAL = Column("global_from", "text", "the first layer or gate that sees everything")
_OUTPUT = Column("output", "pixels", "positions")
_COSTS = (
    Column("weights", "count", "weights, without bias"),
    Column("macs", "count", "multiply-accumulates"),
)
LAYER_COLUMNS = (
    Column("layer", "text", "path of the module, or the op that its parent runs"),
    Column("type", "text", "class of the module, or the layer as written"),
    Column("op", "text", "name of the operation"),
    Column("kernel", "pixels", "its own window"),
    Column("stride", "pixels", "its own stride"),
    Column("dilation", "pixels", "its own dilation"),
    Column("padding", "pixels", "its own padding"),
    *_FIELD,
    _OUTPUT,
    Column("lost", "pixels", "last pixels of the padded input that no window reaches"),
    *_COSTS,
    _GLOBAL,
)
NETWORK_COLUMNS = (
    Column("model", "text", "the spec or the layer list as typed"),
    Column("input", "text", "shape of each input, batch first"),
    *_FIELD,
    _OUTPUT,
    Column("layer", "text", "the last layer before everything is pooled or flattened"),
    _GLOBAL,
)
POSITION_COLUMNS = (
    *LAYER_COLUMNS,
    Column("position", "pixels", "an output position"),
    Column("first_seen", "pixels", "first input index that it sees"),
    Column("last_seen", "pixels", "last input index that it sees"),
)
CONVENTION = {
    "receptive_field": "largest side over output positions, borders aside; null sees everything",
    "effective_padding": "before the first index",
}


def layer_table(fields: Fields, every: bool = False, sized: bool = True, costed: bool = True) -> (
    Table
):  # fmt: skip
    """A row for each layer, or each op, with what a reader must be told below.

    Args:
        every: a row for each op, not only for those that change the geometry.
        sized: whether the input size was given; sizes that were assumed are left out.
        costed: whether channels were given; weights and macs that were assumed are left out.
    """
    costs = _costs(fields, sized) if costed else {}
    steps = {step.row.value: step for step in layer_steps(fields)}
    shown = fields.rows if every else [step.row for step in steps.values() if not step.is_idle]
    rows = [_row(fields, row, steps.get(row.value), costs, sized) for row in shown]
    notes = list(remarks(fields, sized))
    single = one_kernel(fields)
    if single is not None:
        notes.append(single.sentence)
        if costed:
            rows += _beside_one_kernel(fields, sized)
    return _table(fields, LAYER_COLUMNS, rows, notes)


def one_layer_table(fields: Fields, row: FieldRow, costed: bool = True) -> Table:
    """One row: a layer of a network whose input size is not known."""
    steps = {step.row.value: step for step in layer_steps(fields)}
    costs = _costs(fields, False) if costed else {}
    return _table(
        fields, LAYER_COLUMNS, [_row(fields, row, steps.get(row.value), costs, False)], []
    )


def position_table(fields: Fields, row: FieldRow, position: Sequence[int] | None,
                   costed: bool = True) -> Table:  # fmt: skip
    """One row: a layer, and what one position of it (by default the centre) sees of the input.

    Raises:
        InputError: no such position.
    """
    place = tuple(size // 2 for size in row.size) if position is None else tuple(position)
    seen = row.interval(place)
    ends = ([pair[end] if pair else None for pair in seen] for end in (0, 1))
    steps = {step.row.value: step for step in layer_steps(fields)}
    costs = _costs(fields, True) if costed else {}
    cells = (*_row(fields, row, steps.get(row.value), costs, True), place, *map(tuple, ends))
    note = (
        f"{row_label(row)} at ({', '.join(map(str, place))}) sees "
        f"{interval_text(seen, fields.input_sizes)}."
    )
    return _table(fields, POSITION_COLUMNS, [cells], [note])


def network_table(networks: Sequence[tuple[str, str, Fields]]) -> Table:
    """A row for each network: its title, its input ("" where it is assumed), and its last map."""
    rows = []
    for title, shown, fields in networks:
        final = fields.final
        layer = final.module or final.name
        size = positions_of(fields.graph, final) if shown else None
        cells = (title, shown or None, *_field_cells(final), size, layer, fields.global_from)
        rows.append(cells)
    return _table(networks[0][2], NETWORK_COLUMNS, rows, [])


def row_of(fields: Fields, name: str) -> FieldRow:
    """The last value that a module, with everything below it, makes.

    Raises:
        LookupFailedError: no module of that path takes part; the message holds the nearest.
    """
    within = [row for row in fields.rows if f"{row.module}.".startswith(f"{name}.")]
    if within and name:
        return within[-1]
    paths = [row.module.split(".") for row in fields.rows if row.module]
    known = dict.fromkeys(".".join(path[:n]) for path in paths for n in range(1, len(path) + 1))
    outer = list(dict.fromkeys(path[0] for path in paths))
    more = " and more" if len(outer) > 8 else ""
    hint = did_you_mean(name, known) or f" It has {', '.join(outer[:8])}{more}."
    raise LookupFailedError(f"the network has no layer {name!r}.{hint}")


def for_screen(table: Table) -> Table:
    """The table for a reader: ranges in one cell, no column that says nothing."""
    keys = table.keys()
    least = keys.index("smallest_receptive_field") if "receptive_field" in keys else None
    rows = [list(row) for row in table.rows]
    if least is not None:
        for row in rows:
            row[least - 1] = _range(row[least], row[least - 1]) or "unknown"
        rows = [[_unless_global(cell, index == least - 1) for index, cell in enumerate(row)]
                for row in rows]  # fmt: skip
    if "op" in keys:
        paths = (str(cell).split(".") for cell in table.column("layer"))
        above = {".".join(path[:n]) for path in paths for n in range(1, len(path))}
        for row in (row for row in rows if row[0] in above):
            row[0] = f"{row[0]} ({row[2]})"
        names = [str(row[0]) for row in rows]
        for number, row in enumerate(rows):
            if before := names[:number].count(names[number]):
                row[0] = f"{row[0]} #{before + 1}"
    plain = replace(table, rows=tuple(tuple(row) for row in rows))
    hidden = {"smallest_receptive_field", "op", *(k for k in keys if _says_nothing(table, k))}
    return plain.select([key for key in keys if key not in hidden])


def _unless_global(cell: Cell, is_field: bool) -> Cell:
    if not isinstance(cell, tuple) or set(cell) != {None}:
        return cell
    return "global" if is_field else None


def _range(least: Cell, most: Cell) -> Cell:
    if not isinstance(least, tuple) or not isinstance(most, tuple) or least == most:
        return most
    return "x".join(
        "-" if b is None else str(b) if a in (b, None) else f"{a}..{b}"
        for a, b in zip(least, most, strict=True)
    )


def _says_nothing(table: Table, key: str) -> bool:
    cells = table.column(key)
    if key in ("dilation", "lost"):
        usual = 1 if key == "dilation" else 0
        return all(not isinstance(cell, tuple) or set(cell) <= {usual} for cell in cells)
    return key != "layer" and all(cell in (None, "") for cell in cells)


def _row(
    fields: Fields,
    row: FieldRow,
    step: LayerStep | None,
    costs: dict[int, tuple[int, int | None]],
    sized: bool,
) -> tuple[Cell, ...]:
    lost = step.lost if step is not None and sized else None
    output = positions_of(fields.graph, row) if sized else None
    cost = costs.get(-1 if row.op is None else row.op, (None, None))
    return (row.module or row.name, row.module_type, row.name, row.kernel, row.stride, row.dilation,
            row.padding, *_field_cells(row), output, lost, *cost, row.global_from)  # fmt: skip


def _field_cells(row: FieldRow) -> tuple[Cell, ...]:
    if not row.known:
        return (None,) * len(_FIELD)
    return (row.receptive_field, row.smallest, row.effective_stride, row.effective_padding)


def _costs(fields: Fields, sized: bool) -> dict[int, tuple[int, int | None]]:
    """Weights and macs of each convolution by its op; macs need a size."""
    graph = fields.graph
    macs = operations(graph).per_op["macs"]
    return {
        index: (graph.values[op.inputs[1]].numel, int(macs[index]) if sized else None)
        for index, op in enumerate(graph.ops)
        if op.kind == "conv"
    }


def _beside_one_kernel(fields: Fields, sized: bool) -> list[tuple[Cell, ...]]:
    """Two more rows: all layers together, and the single kernel of the same field."""
    single, final = one_kernel(fields), fields.final
    if single is None:
        return []
    size = final.size if sized else None
    ones = (1,) * len(single.kernel)
    field = _field_cells(final)
    together = (single.own_weights, single.own_macs if sized else None)
    alone = (single.weights, single.macs if sized else None)
    return [
        ("all", f"{single.layers} layers", "", None, None, None, None, *field, size, None,
         *together, None),
        ("instead", "one kernel", "convolution", single.kernel, single.stride, ones,
         single.padding, *field, size, None, *alone, None),
    ]  # fmt: skip


def _table(fields: Fields, columns: tuple[Column, ...], rows: Sequence[tuple[Cell, ...]],
           notes: Sequence[str]) -> Table:  # fmt: skip
    return Table(
        columns,
        tuple(rows),
        notes=notes_of(notes),
        convention=CONVENTION,
        torch_version=fields.graph.torch_version,
    )


class FieldTable(Fields, Tabular):
    """Fields that are indexed by layer, and shown, saved and drawn as a table a row a layer."""

    def __getitem__(self, layer: int | str) -> FieldRow:
        """A layer by its number in `layers`, or the last value that a module makes.

        Raises:
            LookupFailedError: no module of that path takes part.
            IndexError: no layer of that number.
        """
        return row_of(self, layer) if isinstance(layer, str) else self.layers[layer]

    def __iter__(self) -> Iterator[FieldRow]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def table(self) -> Table:
        """A row a layer, every column."""
        table = layer_table(self)
        usual = for_screen(table).keys()
        picture = partial(plot_field_by_depth, [field_series(self.graph.name, self)])
        return replace(table, shown=usual, picture=picture)

    def __repr__(self) -> str:
        return repr(for_screen(self.table()))

    def _repr_html_(self) -> str:
        return for_screen(self.table())._repr_html_()


def field_table(graph: Graph) -> FieldTable:
    """The fields of a Graph, as a table.

    Raises:
        SpatialAxesError: no input has spatial axes.
    """
    graph.need_forward()
    found = receptive_field(graph)
    return FieldTable(**{one.name: getattr(found, one.name) for one in dataclasses.fields(found)})


def field_series(title: str, found: Fields, sized: bool = True) -> FieldSeries:
    """Field and stride by depth, for a picture; `sized` tells whether the input was given."""
    local = [row for row in found.layers if None not in row.receptive_field]
    return FieldSeries(
        title,
        tuple(row_label(row) for row in local),
        tuple(_largest(row.receptive_field) for row in local),
        tuple(_largest(row.effective_stride) for row in local),
        max(found.input_sizes) if sized else None,
    )


def _largest(sizes: Sequence[int | float | None]) -> float | None:
    return max((size for size in sizes if size is not None), default=None)
