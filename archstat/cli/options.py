"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from archstat.cli.completion import (
    complete_columns,
    complete_format,
    complete_fusion,
    complete_model,
)
from archstat.errors import SpecError

_SPEC = (
    "Zoo name, FILE.py:NAME, MODULE:NAME, timm:NAME or torchvision:NAME, with ,KEY=VALUE options."
)
Models = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help=_SPEC, autocompletion=complete_model)
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help=_SPEC, autocompletion=complete_model)]
ModelsIfAny = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL]...", help=_SPEC, autocompletion=complete_model),
]
Reference = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Ratios refer to this model, not to the first.")
]
Input = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="[NAME=]SHAPE[:DTYPE]", help="Input without the batch, such as "
                 "3x224x224 or tokens=128:int64; repeat for several."),
]  # fmt: skip
Batch = Annotated[int | None, typer.Option(help="Batch size, before every input.", min=1)]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        autocompletion=complete_format,
        help="console, csv, json, markdown or latex.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write to this file; its suffix chooses the format."
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="KEY,KEY...",
        help="Only these columns, in this order.",
        autocompletion=complete_columns,
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(
        metavar="[-]KEY",
        help="Order by this column; -KEY descending.",
        autocompletion=complete_columns,
    ),
]
FusionName = Annotated[
    str,
    typer.Option(
        "--fusion",
        metavar="NAME",
        autocompletion=complete_fusion,
        help="Memory access of each op alone (none) or as an engine fuses them (inference).",
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Capture afresh: neither read nor write the cache.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 if any operation is unknown.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass(frozen=True, slots=True)
class Rule:
    """What goes together with an option: one that it needs, those that it excludes, one model.

    `hint` says why, or what to do instead.
    """

    option: str
    needs: str = ""
    excludes: Sequence[str] = ()
    takes_one_model: bool = False
    hint: str = ""


def check_options(context: typer.Context, *rules: Rule) -> None:
    """Hold the options that were typed against the rules.

    Raises:
        SpecError: options that do not go together, or too many models for one of them.
    """
    sources = {option: context.get_parameter_source(str(parameter.name))
               for parameter in context.command.params for option in parameter.opts}  # fmt: skip
    given = {option for option, source in sources.items() if source and source.name != "DEFAULT"}
    models = sum(len(context.params.get(name) or ()) for name in ("models", "layers"))
    for rule in (rule for rule in rules if rule.option in given):
        if rule.needs and rule.needs not in given:
            reason = f": {rule.hint}" if rule.hint else ""
            raise SpecError(f"{rule.option} needs {rule.needs}{reason}.")
        for other in (other for other in rule.excludes if other in given):
            raise SpecError(f"{rule.option} takes no {other}: {rule.hint or 'leave one out'}.")
        if rule.takes_one_model and models != 1:
            raise SpecError(f"{rule.option} takes one model; {models} were given.")
