"""The Typer application and the ordered list of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat import __version__
from archstat.cli.compare import compare
from archstat.cli.list import list_networks

COMMANDS = (
    ("compare", compare),
    ("list", list_networks),
)

app = typer.Typer(
    name="archstat",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _name, _command in COMMANDS:
    app.command(_name)(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"archstat {__version__}")
        raise typer.Exit


@app.callback()
def _archstat(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """What a neural-network architecture costs and sees: parameters, macs, flops, depth.

    A model is a zoo name (vgg16, mobilenet_v1,width=0.5), FILE.py:NAME, MODULE:NAME, timm:NAME or
    torchvision:NAME, with options as KEY=VALUE after commas.
    """
