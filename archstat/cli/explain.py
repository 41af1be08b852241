"""``archstat explain MODEL [MODULE]``: every figure with its formula and the numbers in it."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.options import Rule, check_options
from archstat.cli.output import Destination
from archstat.cli.rf import Channels, Layers
from archstat.cli.screen import View, refuse_incomplete, show
from archstat.errors import SpecError
from archstat.result import Cell, Note
from archstat.units import format_axes, format_cell, format_share

if TYPE_CHECKING:
    from archstat.tables.explain import Explained

_WIDEST = 100
_RULES = (
    Rule("--channels", needs="--layers"),
    Rule("--layers", excludes=("--batch", "--resolution"), hint="--input gives its size"),
)
_FOR_READERS = ("op", "figure", "formula", "arithmetic", "value", "unit")

Model = Annotated[
    str | None,
    typer.Argument(metavar="MODEL", help="A model or, with --layers, the number of a layer."),
]
Module = Annotated[
    str | None,
    typer.Argument(metavar="MODULE", help="Path of a module, such as features.2; by default the "
                   "whole model, summed over its modules."),
]  # fmt: skip


def explain(
    context: typer.Context,
    model: Model = None,
    module: Module = None,
    layers: Layers = None,
    input: options.Input = None,
    channels: Channels = None,
    batch: options.Batch = None,
    resolution: options.Resolution = None,
    columns: options.Columns = None,
    no_cache: options.NoCache = False,
    format: options.FormatName = None,
    output: options.Output = None,
    strict: options.Strict = False,
    debug: options.Debug = False,
) -> None:
    """Write out each figure of a module: its formula, the numbers filled in, and the value.

    Explains one module of a model, the whole model as sums, or one layer of a layer list
    (--layers 3x3,3x3/2 2). csv and json hold the convention and the source of each figure.
    """
    from archstat.tables.explain import COLUMNS, KNOWN_FIGURES, only

    check_options(context, *_RULES)
    destination = Destination(format, output)
    view = View(destination, (*COLUMNS, *KNOWN_FIGURES), columns, first="figure")
    names = {column.key for column in KNOWN_FIGURES}
    figures = [key for key in (*(view.chosen or ()), *view.added) if key in names]
    view.chosen, view.added = _but(names, view.chosen or ()), _but(names, view.added) or []
    unknown, notes = 0, tuple[Note, ...]()
    if layers:
        if len(layers) > 1 or module is not None:
            raise SpecError("explain takes one layer list and the number of one of its layers.")
        explained = _of_layers(layers[0], model, input or [], channels)
    elif model is None:
        raise SpecError("explain needs a MODEL, such as vgg16 features.2, or --layers LIST N.")
    else:
        from archstat.models.pipeline import report
        from archstat.tables.explain import explain as explained_of

        graphs = graphs_for(no_cache)
        shapes = options.shapes(input, resolution)
        [graph] = Attempts([model])(lambda spec: graphs(spec, shapes, batch))
        found = report(graph, model)
        explained = explained_of(found, module or "")
        unknown, notes = int(found.totals["unknown_ops"] or 0), found.findings
        tell_of_cache(graphs, 1, view.is_raw)
    if figures and len(figures) < len(names):
        explained = only(explained, figures)
    if destination.is_screen and view.leaves_choice and not view.added:
        destination.write_text(as_text(explained, _width(destination)))
    else:
        show(explained.table, view, None if view.is_raw else _FOR_READERS, ())
    refuse_incomplete(unknown, strict, destination, notes)


def _but(figures: Collection[str], keys: Sequence[str]) -> list[str] | None:
    """The keys that are columns, where there is any but that of the figures."""
    left = [key for key in keys if key not in figures]
    return left if left not in ([], ["figure"]) else None


def _of_layers(text: str, layer: str | None, input: list[str], channels: int | None) -> Explained:
    from archstat.frontends.layers import layers
    from archstat.models.pipeline import report
    from archstat.tables.explain import explain

    given = input[0] if input else None
    graph = layers(text, given, channels)
    axes = len(graph.values[graph.inputs[0]].shape) - 2
    costed = channels is not None or (given is not None and given.count("x") == axes)
    if layer is None and not (given and costed):
        raise SpecError("the sums of a layer list need --input and --channels; or name a layer, 1.")
    return explain(report(graph, text), layer or "", sized=given is not None, costed=costed)


def _width(destination: Destination) -> int:
    to_terminal = destination.path is None and sys.stdout.isatty()
    return min(shutil.get_terminal_size().columns, _WIDEST) if to_terminal else _WIDEST


def as_text(explained: Explained, width: int) -> str:
    """The lines of a module below its name: each formula, and below it the numbers."""
    table = explained.table
    rows = list(enumerate(table.records()))
    params = [row["value"] for _, row in rows if row["figure"] == "params"]
    # All of them are trainable, as a rule.
    rows = [(n, row) for n, row in rows
            if row["figure"] != "trainable_params" or [row["value"]] != params]  # fmt: skip
    indent = 2 + max((len(str(row["figure"])) for _, row in rows), default=0)
    lines, op = [explained.heading], None
    for number, row in rows:
        if row["op"] != op:
            op = row["op"]
            lines += ["", str(op or "together")] if op or number else [""]
        value = _value(row, (number, "value") in table.bounds)
        head = f"{row['figure']:<{indent}}{row['formula']}"
        if row["arithmetic"]:
            shown = "" if row["arithmetic"] == str(row["value"]) else f"{row['arithmetic']} = "
            told = [head, f"{'':<{indent}}= {shown}{value}".replace("= >= ", ">= ")]
        else:
            told = [f"{head}: {value}" if value else head]
        for line in told:
            lines += textwrap.wrap(line, width, subsequent_indent=" " * (indent + 2),
                                   break_long_words=False, break_on_hyphens=False)  # fmt: skip
    notes = [line for note in table.notes for line in textwrap.wrap(note.text, width)]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _value(row: Mapping[str, Cell], is_bound: bool) -> str:
    value, share = row["value"], row["share"]
    if value is None:
        return ""
    if isinstance(value, tuple):
        text = format_axes(value)
    else:
        text = f"{value:,}" if isinstance(value, int) else format_cell(value, "number")
    bound = ">= " if is_bound else ""
    unit = f" {row['unit']}" if row["unit"] and value != 0 else ""
    part = ""
    if isinstance(share, float) and 0 < share < 1:
        part = f", {format_share(share)} of the model"
    return f"{bound}{text}{unit}{part}"
