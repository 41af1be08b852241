"""``archstat summary MODEL``: the tree of one model's modules."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.help import CHOOSE, OUTPUT
from archstat.cli.options import Rule, check_options
from archstat.cli.output import Destination, check_plot, draw
from archstat.cli.screen import View, refuse_incomplete, show, sort_key
from archstat.result import Table

if TYPE_CHECKING:
    from archstat.analyses.conventions.tools import Tool

_FILE = ("calls", "output", "params", "params_share", "macs", "macs_share", "flops", "activations")
_SCREEN = ("input", "kernel", *_FILE)
# The most needed first.
_NEEDED = ("macs_share", "macs", "params", "output", "kernel", "params_share", "input", "flops",
           "activations", "calls")  # fmt: skip
_GROUP = ("modules", "output", *_FILE[2:])
_GROUP_NEEDED = ("macs_share", "macs", "params", "params_share", "modules", "flops", "activations",
                 "output")  # fmt: skip
_PAGE = 40  # rows of a tree that goes to no terminal
_AROUND = 14  # lines of a terminal for the header, the totals, a remark and the prompt
_RULES = (
    Rule("--by", excludes=("--depth", "--full", "--top"), hint="groups have no tree"),
    Rule("--full", excludes=("--depth", "--top")),
    Rule("--as", excludes=("--by", "--top", "--bits"), hint="one figure beside macs, in the tree"),
    Rule("--bits", excludes=("--by",), hint="groups have no such column"),
)

Depth = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="Depth of the tree; deeper modules are included in their "
                 "parents."),
]  # fmt: skip
Full = Annotated[
    bool, typer.Option("--full", help="Show every row: all levels, equal neighbours unfolded.",
                       rich_help_panel=CHOOSE),
]  # fmt: skip
By = Annotated[
    str | None,
    typer.Option(metavar="GROUP", help="Add up by stage (size of the map), type or block.",
                 rich_help_panel=CHOOSE),
]  # fmt: skip
As = Annotated[
    str | None,
    typer.Option("--as", metavar="TOOL", help="Show what a tool would count, such as fvcore or "
                 "thop, and where it differs from macs; an unknown name lists all.",
                 rich_help_panel=CHOOSE),
]  # fmt: skip
Plot = Annotated[
    str | None,
    typer.Option(metavar="FILE[:WIDTH]", help="Also draw the modules as a treemap by --sort, such "
                 "as treemap.pdf:3.3in; strip.pdf draws the architecture as a strip.",
                 rich_help_panel=OUTPUT),
]  # fmt: skip
Top = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Instead of the tree, the N modules with the largest figures of their own.",
    ),
]


def summary(
    context: typer.Context,
    model: options.Model,
    depth: Depth = None,
    full: Full = False,
    by: By = None,
    top: Top = None,
    input: options.Input = None,
    batch: options.Batch = None,
    resolution: options.Resolution = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    as_: As = None,
    bits: options.Bits = None,
    fusion: options.FusionName = "none",
    plot: Plot = None,
    no_cache: options.NoCache = False,
    format: options.FormatName = None,
    output: options.Output = None,
    strict: options.Strict = False,
    debug: options.Debug = False,
) -> None:
    """Show a model as a tree of modules with their parameters, macs and shares.

    A screen gets as many levels as fit, equal neighbours folded; --full shows all.
    --top N lists the N largest modules by their own figures; --sort KEY says by which.
    csv and json hold own and inherited figures of every column.
    """
    from archstat.analyses.memory_access import checked_fusion
    from archstat.models.pipeline import report as report_of
    from archstat.tables import summary as trees
    from archstat.tables import summary_groups as groups
    from archstat.tables import summary_tools as tools
    from archstat.tables.compare import at_its_side

    check_options(context, *_RULES)
    destination = Destination(format, output)
    check_plot(plot)
    group = None if by is None else groups.checked_group(by)
    known = groups.known_columns(group) if group else trees.KNOWN_COLUMNS
    tool = _tool(as_, bits)
    known = (*known, *tools.columns_of(tool)) if tool else known
    order = sort_key(sort, known)
    key = order[0] if order else "macs"
    # Rows out of the tree show their whole path.
    label = "module" if destination.is_raw or (order and not top) else "tree"
    view = View(destination, known, columns, first=group or label)
    fused, graphs = checked_fusion(fusion), graphs_for(no_cache)
    shapes = options.shapes(input, resolution)
    [graph] = Attempts([model])(lambda spec: graphs(spec, shapes, batch))
    report = report_of(graph, model, fused)
    report = tools.with_tool(report, at_its_side(tool, report, graphs)) if tool else report
    extended = trees.with_columns(report, (*(view.chosen or ()), *view.added, key))
    if group:
        table = groups.grouped(extended, group)
        shown, needed = _present(table, group, _GROUP), _present(table, group, _GROUP_NEEDED)
    else:
        folds = destination.is_screen and not full and order is None
        rows = _rows(destination) if folds and depth is None else None
        table = trees.summary(extended, depth, top, key, fold=folds, rows=rows)
        shown, needed = [label, *_FILE], None
        if destination.is_screen:
            shown, needed = (_present(table, label, keys) for keys in (_SCREEN, _NEEDED))
        if as_ and tool:
            table = tools.with_difference(table, extended, tool)
            shown, needed = [label, "macs", tool.column.key, "difference", "why"], None
        elif tool:
            shown = [*shown, tool.column.key]
    if view.is_raw and view.chosen is None and not group:
        left_out = {"tree", *(column.key for column in trees.SHAPES)} - {*view.added}
        table = table.select([key for key in table.keys() if key not in left_out])  # noqa: SIM118
    if order and not top:
        table = table.sort(*order)
    if destination.is_screen:
        table = trees.for_screen(table, report)
    show(table, view, shown, needed or (), conventions=True)
    if plot is not None:
        from archstat.tables.report_data import Portrait

        draw(plot, partial(Portrait(report).draw, key))
    tell_of_cache(graphs, 1, view.is_raw)
    refuse_incomplete(report.unknown_ops, strict, destination, table.notes)


def _tool(name: str | None, bits: str | None) -> Tool | None:
    if name is None and bits is None:
        return None
    from archstat.analyses.conventions.bits import bit_operations
    from archstat.analyses.conventions.tools import tool_named

    return tool_named(name) if name is not None else bit_operations(str(bits))


def _present(table: Table, label: str, keys: Sequence[str]) -> list[str]:
    """The label and those columns that tell something."""
    telling = [key for key in keys if any(cell not in (None, "") for cell in table.column(key))]
    if "calls" in telling and max(int(str(n)) for n in table.column("calls")) < 2:
        telling.remove("calls")
    return [label, *telling]


def _rows(destination: Destination) -> int:
    """The rows of a tree for which a screen has room."""
    to_terminal = destination.path is None and sys.stdout.isatty()
    return shutil.get_terminal_size().lines - _AROUND if to_terminal else _PAGE
