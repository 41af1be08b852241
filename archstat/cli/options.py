"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Models = Annotated[
    list[str],
    typer.Argument(metavar="MODEL...", help="Zoo name, FILE.py:NAME, MODULE:NAME, timm:NAME or "
                   "torchvision:NAME, with ,KEY=VALUE options."),
]  # fmt: skip
Input = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="[NAME=]SHAPE[:DTYPE]", help="Input without the batch, such as "
                 "3x224x224 or tokens=128:int64; repeat for several."),
]  # fmt: skip
Batch = Annotated[int | None, typer.Option(help="Batch size, before every input.", min=1)]
FormatName = Annotated[
    str | None, typer.Option("--format", "-f", metavar="NAME", help="console, csv or json.")
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write here; the suffix chooses the format."
    ),
]
Columns = Annotated[
    str | None, typer.Option(metavar="KEY,KEY...", help="Just these columns, in this order.")
]
Sort = Annotated[
    str | None, typer.Option(metavar="[-]KEY", help="Order by this column; -KEY descending.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 if any operation is unknown.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
