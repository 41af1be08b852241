"""Options that several commands share."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from archstat.cli.completion import (
    complete_columns,
    complete_format,
    complete_fusion,
    complete_measured_device,
    complete_model,
)
from archstat.cli.expansion import model_typed, models_typed
from archstat.cli.help import CHOOSE, INPUT, MEASURING, OTHER, OUTPUT
from archstat.errors import SpecError

_SPEC = (
    "Zoo name, FILE.py:NAME, MODULE:NAME, timm:NAME or torchvision:NAME, with ,KEY=VALUE options."
)
_SPECS = (
    f"{_SPEC} Globs such as 'resnet*' or 'timm:mobilenet*', @FILE or - (one per line) name several."
)
Models = Annotated[
    list[str],
    typer.Argument(metavar="MODEL", help=_SPECS, autocompletion=complete_model,
                   callback=models_typed),
]  # fmt: skip
Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help=_SPEC, autocompletion=complete_model,
                   callback=model_typed),
]  # fmt: skip
ModelsIfAny = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL", help=_SPECS, autocompletion=complete_model,
                   callback=models_typed),
]  # fmt: skip
Input = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="SHAPE", help="Input without the batch, such as 3x224x224 or "
                 "tokens=128:int64; repeat for several.", rich_help_panel=INPUT),
]  # fmt: skip
Batch = Annotated[
    int | None,
    typer.Option(metavar="N", help="Batch size of every input.", min=1, rich_help_panel=INPUT),
]
Resolution = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Spatial size of every input, such as 384 or 384x256.",
                 rich_help_panel=INPUT),
]  # fmt: skip
NoCache = Annotated[
    bool,
    typer.Option("--no-cache", help="Capture afresh: neither read nor write the cache.",
                 rich_help_panel=INPUT),
]  # fmt: skip
FusionName = Annotated[
    str,
    typer.Option("--fusion", metavar="NAME", help="Count memory access op by op (none) or as an "
                 "inference engine fuses ops (inference).", autocompletion=complete_fusion,
                 rich_help_panel=INPUT),
]  # fmt: skip
Reference = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="Baseline of the ratios (default: the first model).",
                 autocompletion=complete_model, callback=model_typed, rich_help_panel=CHOOSE),
]  # fmt: skip
Bits = Annotated[
    str | None,
    typer.Option(metavar="WIDTHS", help="Add BOPs: macs x bits of weight x bits of activation, "
                 "such as w4a8,first=8,last=8.", rich_help_panel=CHOOSE),
]  # fmt: skip
Columns = Annotated[
    str | None,
    typer.Option(metavar="KEY,KEY...", help="Columns to show, in this order; +KEY adds to the "
                 "usual ones, all shows every one (`archstat columns` lists them).",
                 autocompletion=complete_columns, rich_help_panel=CHOOSE),
]  # fmt: skip
Sort = Annotated[
    str | None,
    typer.Option(metavar="[-]KEY", help="Sort by a column; prefix with - for descending.",
                 autocompletion=complete_columns, rich_help_panel=CHOOSE),
]  # fmt: skip
Top = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Only the first N rows; without --sort the largest.",
                 rich_help_panel=CHOOSE),
]  # fmt: skip
FormatName = Annotated[
    str | None,
    typer.Option("--format", "-f", metavar="NAME", help="console, csv, json, markdown or latex.",
                 autocompletion=complete_format, rich_help_panel=OUTPUT),
]  # fmt: skip
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write to this file; its suffix chooses "
                 "the format.", rich_help_panel=OUTPUT),
]  # fmt: skip
MeasuredDevice = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="Measure on cpu (the default), cuda or "
                 "cuda:NUMBER.", autocompletion=complete_measured_device,
                 rich_help_panel=MEASURING),
]  # fmt: skip
Budget = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Time for measuring, such as 30s (the default) or 2min; a "
                 "minimum of samples is always taken.", rich_help_panel=MEASURING),
]  # fmt: skip
Every = Annotated[bool, typer.Option("--every", help="One row per operation.")]
Plot = Annotated[
    str | None,
    typer.Option(metavar="FILE[:WIDTH]", help="Also save a figure, such as f.pdf or f.svg:84mm.",
                 rich_help_panel=OUTPUT),
]  # fmt: skip
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Exit with 3 if any operation is unknown.",
                 rich_help_panel=OUTPUT),
]  # fmt: skip
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel=OTHER)
]


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


def shapes(input: Sequence[str] | None, resolution: str | None) -> Any:
    """What takes the place of a model's own input: shapes, or spatial sizes; None for neither.

    Raises:
        SpecError: both.
        InputError: no such size.
    """
    if resolution is None:
        return input or None
    from archstat.models.asked import sized
    from archstat.models.specs import parse_resolution

    return sized(input, parse_resolution(resolution))


def typed(context: typer.Context) -> str:
    """The command as it could be typed again."""
    arguments, flags = [], []
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name == "debug" or source is None or source.name == "DEFAULT":
            continue
        value = context.params[str(parameter.name)]
        for one in value if isinstance(value, list) else [value]:
            if parameter.param_type_name == "argument":
                arguments.append(str(one))
            else:
                flags += [parameter.opts[0], *([] if one is True else [str(one)])]
    return shlex.join(["archstat", str(context.command.name), *arguments, *flags])
