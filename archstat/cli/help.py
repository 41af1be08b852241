"""Help that can be skimmed: commands and options in groups, and examples below."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from typer import BadParameter
from typer.core import TyperArgument, TyperCommand

from archstat.errors import SpecError
from archstat.hints import did_you_mean

# The groups of options; what a command has of its own stands first.
_ARGUMENTS, OPTIONS = "Arguments", "Options"
INPUT, CHOOSE, MEASURING = "Input", "Choose and order", "Measuring"
OUTPUT, OTHER = "Output", "Other"
_PANELS = (_ARGUMENTS, OPTIONS, MEASURING, INPUT, CHOOSE, OUTPUT, OTHER)

# The name of the command that runs.
RUNNING: ContextVar[str] = ContextVar("running", default="COMMAND")

# Older releases of typer take click's, newer ones have their own.
UsageError: Any = BadParameter.__base__


class Command(TyperCommand):
    """A command whose options stand in groups, its epilog holding an example a line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options and arguments.

        Raises:
            SpecError: an option that the command does not have, or a value that it does not take.
        """
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            said = f"{self.name}: {_wanted(error) or error.format_message().rstrip('.')}."
            if hasattr(error, "possibilities"):
                name = error.option_name
                said = f"{self.name} has no option {name}.{self._instead_of(name, ctx)}"
            raise SpecError(f"{said} `archstat {self.name} -h` is the help.") from None

    def _instead_of(self, option: str, ctx: Any) -> str:
        """The commands that have an option, else the one of this command that is spelt alike."""
        group: Any = ctx.parent.command
        others = [name for name in group.list_commands(ctx)
                  if option in _options(group.get_command(ctx, name))]  # fmt: skip
        if others:
            return f" It is an option of {', '.join(others)}."
        return did_you_mean(option, _options(self))

    def invoke(self, ctx: Any) -> Any:
        """Run it, its name being known to messages meanwhile.

        Raises:
            SpecError: arguments beyond those that it takes.
        """
        if ctx.args:
            taken = " ".join(_piece(p) for p in self.params if _is_argument(p)) or "no argument"
            several = " `archstat compare` takes several models." if taken == "MODEL" else ""
            raise SpecError(
                f"{self.name} takes {taken}, so {' '.join(ctx.args)} is too much.{several} "
                f"`archstat {self.name} -h` is the help."
            )
        token = RUNNING.set(str(self.name))
        try:
            return super().invoke(ctx)
        finally:
            RUNNING.reset(token)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """``[OPTIONS] MODEL...``: arguments as their metavars, in brackets if they may lack."""
        return [self.options_metavar or "", *(_piece(p) for p in self.params if _is_argument(p))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and each group of options that has any."""
        found: dict[str, list[tuple[str, str]]] = {panel: [] for panel in _PANELS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if _is_argument(parameter):
                found[_ARGUMENTS].append((_piece(parameter), getattr(parameter, "help", "")))
            elif record is not None:
                # typer itself adds --help
                usual = OTHER if parameter.name == "help" else OPTIONS
                found[getattr(parameter, "rich_help_panel", None) or usual].append(record)
        write_groups(formatter, found)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they stand."""
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.splitlines():
                    formatter.write(f"  archstat {line}\n")


def _wanted(error: Any) -> str:
    """What an option that takes a whole number wants; of others and other mistakes nothing."""
    parameter: Any = getattr(error, "param", None)
    if not isinstance(error, BadParameter) or getattr(parameter, "metavar", "") != "N":
        return ""
    # typer keeps the limits itself, click in the type
    kept = getattr(parameter, "type", parameter)
    least, most = getattr(kept, "min", None), getattr(kept, "max", None)
    above = "" if least is None else f" of at least {least}"
    return f"{parameter.opts[0]} takes a whole number{above}" + (
        f", at most {most}" if most else ""
    )


def _options(command: Any) -> list[str]:
    return [name for parameter in command.params for name in parameter.opts]


def _is_argument(parameter: Any) -> bool:
    return isinstance(parameter, TyperArgument)


def _piece(argument: Any) -> str:
    name = str(argument.metavar or argument.name) + "..." * (argument.nargs != 1)
    return name if argument.required else f"[{name}]"


_WIDEST_NAME = 26


def write_groups(formatter: Any, groups: dict[str, list[tuple[str, str]]]) -> None:
    """Write groups of names and texts, the texts of all of them below each other."""
    names = [name for rows in groups.values() for name, _ in rows if len(name) <= _WIDEST_NAME]
    widest = max(map(len, names), default=0)
    for title, rows in groups.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(widest), text) for name, text in rows], _WIDEST_NAME
                )
