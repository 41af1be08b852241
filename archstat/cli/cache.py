"""``archstat cache info|clear``: the Graphs that earlier runs kept."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.output import Destination

if TYPE_CHECKING:
    from archstat.models.cache import Graphs

Action = Annotated[
    str,
    typer.Argument(metavar="info|clear", help="Show what the cache holds, or empty it.",
                   autocompletion=lambda: ["info", "clear"]),
]  # fmt: skip


def cache(
    action: Action,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Show or clear the cache, which lets a second run answer without torch.

    It is in your cache folder, or in the folder that ARCHSTAT_CACHE names. ARCHSTAT_CACHE=off
    turns it off, and --no-cache does so for one command.
    """
    from archstat.tables.cache import cache as table

    destination = Destination(format, output)
    destination.write(table(action))


def graphs_for(no_cache: bool) -> Graphs:
    """Where a command has its Graphs from: the cache and captures, or captures alone."""
    from archstat.models.cache import Graphs, default_store

    return Graphs(None if no_cache else default_store())


def tell_of_cache(graphs: Graphs, models: int, raw: bool) -> None:
    """Say below a table for readers how many models came from the cache, if --verbose asks.

    It goes to standard error: what a command prints is the same either way, byte for byte.
    """
    verbose = not {"-v", "--verbose"}.isdisjoint(sys.argv[1:2])
    if verbose and graphs.answered and not raw:
        which = "the model" if models == 1 else f"{graphs.answered} of {models} models"
        print(f"from the cache: {which}; --no-cache captures afresh.", file=sys.stderr)
