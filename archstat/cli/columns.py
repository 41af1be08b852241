"""``archstat columns [COMMAND]``: the keys that --columns and --sort take, and what they mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.output import Destination
from archstat.cli.screen import View, show
from archstat.result import notes_of
from archstat.tables.columns import COLUMNS, HELD
from archstat.tables.columns import columns as columns_of

_NOTE = "--columns KEY,KEY shows just these, --columns +KEY one more; --sort orders by one."

Command = Annotated[
    str | None,
    typer.Argument(metavar="COMMAND", help="The command whose columns to list; without one, the "
                   "figures of a model.", autocompletion=lambda: list(HELD)),
]  # fmt: skip


def columns(
    command: Command = None,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """List the columns of a command: key, unit and meaning.

    The keys are what --columns and --sort take, and the names in csv and json.
    """
    view = View(Destination(format, output), COLUMNS)
    table = columns_of(command)
    show(replace(table, notes=notes_of([_NOTE])), view, table.shown)
