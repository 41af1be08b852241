"""The guidelines of ShuffleNet V2 as tables: a row a guideline and a module, or a row a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from archstat.analyses.fusion import Fusion
from archstat.analyses.guidelines import RULES, Breach, Guideline, Limits, guidelines
from archstat.analyses.memory_access import FUSIONS
from archstat.analyses.operations import operations
from archstat.frontends.garbage import collection_paused
from archstat.graph import Graph
from archstat.result import Cell, Column, Mark, Number, Table, notes_of
from archstat.tables import of_graphs
from archstat.units import format_share

COLUMNS = (
    Column("model", "text", "the spec as typed"),
    Column("input", "text", "shape of each input, batch first"),
    Column("guideline", "text", "G1 to G4"),
    Column("module", "text", "path of the module; empty on the line of the whole model"),
    Column("figure", "number", "G1: access over the least, minus 1. G2: access over that of one "
           "group. G3: fragments a block. G4: share of access to maps", "lower"),
    Column("limit", "number", "what the figure must not exceed"),
    Column("verdict", "text", "kept or broken; empty where nothing is judged"),
    Column("found", "text", "what the figure comes from"),
    Column("access", "count", "elements read and written", "lower"),
    Column("optimum", "count", "elements at the optimum, with the same macs", "lower"),
    Column("type", "text", "class of the module"),
)  # fmt: skip
_HEADS = {"G1": "widths", "G2": "groups", "G3": "fragments", "G4": "element-wise"}
_ACCESS = (
    "elements read and written: in G1 and G2 by the layer's formula, without bias; in G4 of "
    "feature maps alone; in G3 and G4"
)


# Modules below each guideline for a reader who looks at one model.
MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Judged:
    """A model with its guidelines."""

    model: str
    graph: Graph
    guidelines: tuple[Guideline, ...]


def judged(model: str, graph: Graph, limits: Limits, fusion: Fusion) -> Judged:
    """A model against the guidelines."""
    graph.need_forward()
    with collection_paused():
        return Judged(model, graph, guidelines(graph, limits, fusion))


def guideline_table(models: Sequence[Judged], fusion: Fusion, top: int | None = None) -> Table:
    """For each model and guideline a line of the whole and one a module, the worst first.

    Args:
        top: no more modules than this for each guideline, and only those that break it.
    """
    rows = [row for model in models for row in _rows(model, top)]
    return _table(models, COLUMNS, rows, fusion)


def side_by_side(models: Sequence[Judged], fusion: Fusion) -> Table:
    """A row a model, the guidelines beside each other, figure and verdict in one cell."""
    heads = (Column(f"{name} {_HEADS[name]}", "text", rule) for name, rule in RULES.items())
    rows = [
        (model.model, *(_short(guideline) for guideline in model.guidelines)) for model in models
    ]
    return _table(models, (COLUMNS[0], *heads), rows, fusion)


def for_screen(table: Table, *, several: bool) -> Table:
    """The table for a reader: figures as their guideline writes them, no empty words."""
    keys = table.keys()
    name, module = keys.index("guideline"), keys.index("module")
    rows = []
    for row in table.rows:
        cells = list(row)
        for key in ("figure", "limit"):
            index = keys.index(key)
            cells[index] = _written(str(row[name]), row[index])
        if row[module]:
            cells[name] = cells[keys.index("limit")] = ""
        else:
            cells[module] = RULES[str(row[name])]
        rows.append(tuple(cells))
    columns = tuple(
        replace(column, unit="text") if column.key in ("figure", "limit") else column
        for column in table.columns
    )
    notes = (*table.notes, *notes_of([f"access: {table.convention['access']}."]))
    shown = replace(table, rows=tuple(rows), columns=columns, notes=notes)
    return (
        shown if several else shown.select([key for key in keys if key not in ("model", "input")])
    )


def _table(
    models: Sequence[Judged], columns: tuple[Column, ...], rows: Sequence[tuple[Cell, ...]],
    fusion: Fusion,
) -> Table:  # fmt: skip
    unknown = (finding for model in models for finding in operations(model.graph).findings)
    return of_graphs(
        [model.graph for model in models],
        columns,
        rows,
        notes=tuple(dict.fromkeys(unknown)),
        convention={"access": f"{_ACCESS} {FUSIONS[fusion]}"},
    )


def _rows(judged: Judged, top: int | None) -> Iterator[tuple[Cell, ...]]:
    identity = (judged.model, judged.graph.input_text)
    for guideline in judged.guidelines:
        yield (
            *identity, guideline.name, "", guideline.figure, guideline.limit,
            _verdict(guideline), guideline.found, guideline.access, guideline.optimum, "",
        )  # fmt: skip
        for breach in _shown(guideline, top):
            yield (
                *identity, guideline.name, breach.module or judged.graph.name, breach.figure,
                guideline.limit if breach.is_broken is not None else None,
                _WORDS[breach.is_broken], breach.found, breach.access, breach.optimum,
                breach.module_type,
            )  # fmt: skip


_WORDS: Mapping[bool | None, str] = {
    True: Mark("broken", "bad"), False: Mark("kept", "good"), None: ""
}  # fmt: skip


def _verdict(guideline: Guideline) -> str:
    return "" if guideline.figure is None else _WORDS[guideline.is_broken]


def _shown(guideline: Guideline, top: int | None) -> Sequence[Breach]:
    if top is None:
        return guideline.modules
    return [breach for breach in guideline.modules if breach.is_broken is not False][:top]


def _short(guideline: Guideline) -> str:
    figure, verdict = _written(guideline.name, guideline.figure), _verdict(guideline)
    text = f"{figure} {verdict}".strip() or "-"
    return Mark(text, verdict.tone) if isinstance(verdict, Mark) else text


def _written(name: str, figure: Cell) -> str:
    return _FORMATS[name](figure) if isinstance(figure, int | float) else ""


_FORMATS: Mapping[str, Callable[[Number], str]] = {
    "G1": lambda figure: f"+{format_share(figure)}",
    "G2": lambda figure: f"{figure:.2f}x",
    "G3": lambda figure: f"{figure:.3g}",
    "G4": format_share,
}
