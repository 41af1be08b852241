"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli.completion import (
    complete_columns,
    complete_format,
    complete_fusion,
    complete_model,
)

Models = Annotated[
    list[str],
    typer.Argument(metavar="MODEL...", help="Zoo name, FILE.py:NAME, MODULE:NAME, timm:NAME or "
                   "torchvision:NAME, with ,KEY=VALUE options.", autocompletion=complete_model),
]  # fmt: skip
Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="Zoo name, FILE.py:NAME, MODULE:NAME, timm:NAME or "
                   "torchvision:NAME, with ,KEY=VALUE options.", autocompletion=complete_model),
]  # fmt: skip
ModelsIfAny = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MODEL]...", help="Zoo name, FILE.py:NAME, MODULE:NAME, timm:NAME or "
                   "torchvision:NAME, with ,KEY=VALUE options.", autocompletion=complete_model),
]  # fmt: skip
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
        "--output", "-o", metavar="FILE", help="Write here; the suffix chooses the format."
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="KEY,KEY...",
        help="Just these columns, in this order.",
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
