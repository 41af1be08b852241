"""Options that stand beside one of a command's own, and that the command does not hand on itself.

Beside ``--output`` those of tables for papers: digits, unit, caption, label. Beside ``--plot`` the
width of the picture, beside ``--input`` its layout and an example.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Annotated, Any

import typer

from archstat.cli.help import INPUT, OUTPUT
from archstat.errors import OutputError, SpecError
from archstat.reporters import Format
from archstat.reporters.numbers import Style
from archstat.units import LAYOUT


@dataclass(frozen=True, slots=True)
class _Options:
    """The options with their help, in the order in which a command shows them."""

    digits: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=15, help="Least number of significant digits, for "
                     "latex and markdown.", rich_help_panel=OUTPUT),
    ] = None  # fmt: skip
    unit: Annotated[
        str | None,
        typer.Option(metavar="UNIT", help="One unit for a whole column, such as M, MiB or M,MiB, "
                     "for latex and markdown.", rich_help_panel=OUTPUT),
    ] = None  # fmt: skip
    caption: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Caption of the table, for latex.", rich_help_panel=OUTPUT
        ),
    ] = None
    label: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Label of the table, for latex.", rich_help_panel=OUTPUT),
    ] = None


_asked: ContextVar[_Options | None] = ContextVar("asked", default=None)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What says more of inputs than their shapes."""

    layout: Annotated[
        str | None,
        typer.Option(metavar="LETTERS", help=f"{LAYOUT}, such as NHWC or BTF.",
                     rich_help_panel=INPUT),
    ] = None  # fmt: skip
    example: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:NAME", help="Function that returns the inputs, instead of "
                     "--input.", rich_help_panel=INPUT),
    ] = None  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Sizes:
    """How large a picture is."""

    width: Annotated[
        str | None,
        typer.Option(metavar="WIDTH", help="Width of the figure, such as 3.3 (inches) or 84mm.",
                     rich_help_panel=OUTPUT),
    ] = None  # fmt: skip


def with_width(command: Callable[..., None]) -> Callable[..., None]:
    """The command with ``--width`` behind its ``--plot``, if it has one: behind the file's name."""

    def told(taken: dict[str, Any], arguments: dict[str, Any]) -> None:
        width, plot = taken["width"], arguments["plot"]
        if width is None:
            return
        from archstat.reporters.plots import sized

        if plot is None:
            raise SpecError("--width needs --plot.")
        unit = "in" if width[-1:].isdigit() else ""
        arguments["plot"] = f"{plot}:{width}{unit}"
        path, inches = sized(arguments["plot"])
        if inches is None:
            raise OutputError(f"--width {width}: write inches, such as 3.3, or 84mm, 8.4cm, 252pt.")
        if sized(path)[1] is not None:
            raise OutputError(f"{plot} says its width: leave out --width.")

    return _beside(command, "plot", _Sizes, told)


def with_inputs(command: Callable[..., None]) -> Callable[..., None]:
    """The command with ``--layout`` and ``--example`` behind its ``--input``, if it has one.

    They come to it as texts among the inputs. A command with a ``--layout`` of its own keeps that.
    """

    def told(taken: dict[str, Any], arguments: dict[str, Any]) -> None:
        layout, example = taken.get("layout"), taken["example"]
        if layout is not None or example is not None:
            from archstat.models.asked import with_words

            given, shapes = arguments["input"] or (), arguments["input"] or None
            words = with_words(shapes, layout, example).checked().words()
            arguments["input"] = [*given, *words]

    return _beside(command, "input", _Inputs, told)


def with_style(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of this file behind its ``--output``, if it has one."""

    def told(taken: dict[str, Any], arguments: dict[str, Any]) -> None:
        _asked.set(_Options(**taken))

    return _beside(command, "output", _Options, told)


def _beside(
    command: Callable[..., None], own: str, options: type,
    told: Callable[[dict[str, Any], dict[str, Any]], None],
) -> Callable[..., None]:  # fmt: skip
    """The command with options behind one of its own; `told` gets these and the command's."""
    given = inspect.signature(command, eval_str=True)
    if own not in given.parameters:
        return command
    ours = {name: option for name, option in
            inspect.signature(options, eval_str=True).parameters.items()
            if name not in given.parameters}  # fmt: skip
    theirs = list(given.parameters.values())
    place = list(given.parameters).index(own) + 1
    parameters = [*theirs[:place], *ours.values(), *theirs[place:]]

    @wraps(command)
    def extended(**arguments: Any) -> None:
        before = _asked.get()
        told({name: arguments.pop(name) for name in ours}, arguments)
        try:
            command(**arguments)
        finally:
            _asked.set(before)

    extended.__dict__["__signature__"] = given.replace(parameters=parameters)
    extended.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return extended


def style_for(form: Format) -> Style:
    """The style that was asked for on the command line; see `Format.style`."""
    return form.style(**asdict(_asked.get() or _Options()))
