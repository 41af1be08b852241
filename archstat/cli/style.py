"""The options of every command that writes tables for papers: digits, unit, caption, label."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Annotated, Any

import typer

from archstat.cli.help import OUTPUT
from archstat.reporters import Format
from archstat.reporters.numbers import Style


@dataclass(frozen=True, slots=True)
class _Options:
    """The options with their help, in the order in which a command shows them."""

    digits: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=15, help="Significant digits of each number, at "
                     "least; for latex and markdown.", rich_help_panel=OUTPUT),
    ] = None  # fmt: skip
    unit: Annotated[
        str | None,
        typer.Option(metavar="UNIT", help="Unit of whole columns, such as M, MiB or M,MiB; for "
                     "latex and markdown.", rich_help_panel=OUTPUT),
    ] = None  # fmt: skip
    caption: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Caption of the table; for latex.", rich_help_panel=OUTPUT
        ),
    ] = None
    label: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Label of the table; for latex.", rich_help_panel=OUTPUT),
    ] = None


_asked: ContextVar[_Options | None] = ContextVar("asked", default=None)


def with_style(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of this file behind its ``--output``, if it has one."""
    given = inspect.signature(command, eval_str=True)
    if "output" not in given.parameters:
        return command
    ours = inspect.signature(_Options, eval_str=True).parameters
    theirs = list(given.parameters.values())
    place = list(given.parameters).index("output") + 1
    parameters = [*theirs[:place], *ours.values(), *theirs[place:]]

    @wraps(command)
    def styled(**arguments: Any) -> None:
        asked = _asked.set(_Options(**{name: arguments.pop(name) for name in ours}))
        try:
            command(**arguments)
        finally:
            _asked.reset(asked)

    styled.__dict__["__signature__"] = given.replace(parameters=parameters)
    styled.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return styled


def style_for(form: Format) -> Style:
    """The style that was asked for on the command line; see `Format.style`."""
    return form.style(**asdict(_asked.get() or _Options()))
