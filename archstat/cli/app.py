"""The Typer application and the ordered list of its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli.bench import bench
from archstat.cli.cache import cache
from archstat.cli.check import check
from archstat.cli.compare import compare
from archstat.cli.crosscheck import crosscheck
from archstat.cli.diff import diff
from archstat.cli.experiment import experiment
from archstat.cli.guidelines import guidelines
from archstat.cli.list import list_networks
from archstat.cli.memory import memory
from archstat.cli.rf import rf
from archstat.cli.roofline import roofline
from archstat.cli.summary import summary
from archstat.version import __version__

COMMANDS = (
    ("compare", compare),
    ("summary", summary),
    ("crosscheck", crosscheck),
    ("rf", rf),
    ("guidelines", guidelines),
    ("experiment", experiment),
    ("memory", memory),
    ("roofline", roofline),
    ("bench", bench),
    ("diff", diff),
    ("check", check),
    ("list", list_networks),
    ("cache", cache),
)

_PACKAGES = ("torch", "typer", "rich", "fvcore", "pandas", "torchvision", "timm")

app = typer.Typer(
    name="archstat",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _name, _command in COMMANDS:
    app.command(_name)(_command)


@app.callback(invoke_without_command=True)
def _archstat(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Say what came from the cache; with --version, show what it runs with.",
        ),
    ] = False,
) -> None:
    """What a neural-network architecture costs and sees: parameters, macs, flops, depth.

    A model is a zoo name (vgg16, mobilenet_v1,width=0.5), FILE.py:NAME, MODULE:NAME, timm:NAME or
    torchvision:NAME, with options as KEY=VALUE after commas.
    """
    if version:
        print(f"archstat {__version__}")
        if verbose:
            print("\n".join(facts()))
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def facts() -> list[str]:
    """Versions of Python and packages, and the devices that torch sees, one a line."""
    import platform
    from importlib import metadata

    lines = [f"python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    for package in _PACKAGES:
        try:
            lines.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{package} not installed")
    return [*lines, f"devices {', '.join(_devices())}", f"cache {_cache()}"]


def _cache() -> str:
    from archstat.models.cache import default_store

    kept = default_store()
    return "off" if kept is None else str(kept.folder)


def _devices() -> list[str]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["cpu", *(f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(count))]
