"""The Typer application and the ordered list of its commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from archstat.cli.help import OPTIONS, Command, UsageError, write_groups
from archstat.errors import SpecError
from archstat.version import __version__


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its name, one line of at most 55 characters, and examples.

    Its function is `home`, by default that of its name in the file of its name.
    """

    name: str
    line: str
    examples: tuple[str, ...]
    home: str = ""

    @property
    def run(self) -> Callable[..., None]:
        """The function, imported now: a command does not wait for the imports of others."""
        file, _, function = (self.home or f"{self.name}:{self.name}").partition(":")
        run: Callable[..., None] = getattr(import_module(f"archstat.cli.{file}"), function)
        return run


CommandName = Annotated[
    str | None, typer.Argument(metavar="COMMAND", help="The command to explain.")
]


def help_(context: typer.Context, command: CommandName = None) -> None:
    """Show the commands, or what one of them takes."""
    group = context.parent
    assert group is not None
    if command is None:
        print(group.get_help())
    else:
        app([command, "--help"], prog_name=str(group.command_path))


def version(
    context: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also versions, devices and cache folder.")
    ] = False,
) -> None:
    """Print the version; with -v also versions of packages, devices and the cache folder."""
    assert context.parent is not None
    _tell_version(verbose or context.parent.params["verbose"])


def _tell_version(verbose: bool) -> None:
    print("\n".join([f"archstat {__version__}", *(facts() if verbose else ())]))


# The groups of `archstat --help` and their commands, in the order in which they are shown.
COMMANDS: dict[str, tuple[Entry, ...]] = {
    "Look at models": (
        Entry("list", "The networks of the zoo, filtered and sorted", (
            "list", "list 'vgg*' --sort=-macs", "list --category lightweight --max-macs 600M"),
            home="list:list_networks"),
        Entry("summary", "One model as a tree of modules, with shares", (
            "summary resnet18 --depth 2", "summary vgg16 --by stage",
            "summary net.py:Net --input 3x32x32 --columns params,im2col")),
        Entry("explain", "Each figure with its formula and its numbers", (
            "explain vgg16 features.2", "explain resnet50",
            "explain --layers 3x3,3x3/2 2 --input 224 --channels 64")),
        Entry("rf", "Receptive field, stride and padding of every layer", (
            "rf vgg16", "rf --layers 7x7/2,max3x3/2,3x3 --input 224", "rf resnet50 --at layer2")),
        Entry("memory", "Memory of training and inference, and what fits", (
            "memory resnet50 --batch 8", "memory resnet50 --optimizer adam --fits 24GiB",
            "memory vgg16 --plot memory.pdf")),
        Entry("roofline", "The least time on a device, and what bounds it", (
            "roofline resnet50 --device a100-40gb", "roofline vgg16 --device local --top 5",
            "roofline --list-devices")),
        Entry("report", "One HTML page: pictures, tables and their data", (
            "report resnet50", "report vgg16 resnet50 -o page.html --device a100-40gb",
            "report resnet18 mobilenet_v2 --join accuracy.csv")),
        Entry("predict", "Throughput on a device that you do not have", (
            "predict resnet50 vit_b_16 --device rtx-4090",
            "predict net.py:Net --device h100-sxm --batch 256",
            "predict vgg16 --device i9-10940x --calibrate mine.csv")),
    ),
    "Check and compare": (
        Entry("compare", "Several models side by side, with ratios", (
            "compare vgg16 mobilenet_v1", "compare net.py:Net resnet18 --input 3x64x64",
            "compare resnet18 resnet50 --columns params,macs,peak_memory_bytes")),
        Entry("sweep", "A design space: every candidate, fronts, exponents", (
            "sweep 'mobilenet_v1,width=0.25..1.0:0.25,resolution=128|224'",
            "sweep space.toml --sample 1000 -o results.csv",
            "sweep results.csv --pareto macs,receptive_field")),
        Entry("scale", "How one model's figures grow with its options", (
            "scale mobilenet_v1 --by width,resolution",
            "scale mobilenet_v1 --by width=0.25..2.0:0.25",
            "scale net.py:Net --by width,depth,width+depth+resolution")),
        Entry("diff", "What differs between two models, layer by layer", (
            "diff resnet18 resnet34", "diff net.py:Net --base origin/main",
            "diff before.json after.json --top 5")),
        Entry("check", "Budgets for models, in a terminal or in CI", (
            "check --init net.py:Net", "check net.py:Net 'params<=5M' 'macs<=300M'",
            "check --locked --format github")),
        Entry("crosscheck", "The same counts by fvcore and by PyTorch", (
            "crosscheck resnet18 mobilenet_v1", "crosscheck vgg16 --deep",
            "crosscheck net.py:Net --input 3x32x32")),
        Entry("reconcile", "Which convention and input give a printed figure", (
            "reconcile resnet50 --macs 4.12G", "reconcile resnet50 --flops 8.5G --params 25.6M",
            "reconcile mobilenet_v2 --figure 0.319G --source fvcore")),
        Entry("audit", "A published table of models, a verdict per figure", (
            "audit table.csv", "audit table.csv --map model=Model --map flops=GFLOPs",
            "audit - --format csv")),
        Entry("guidelines", "The four guidelines of ShuffleNet V2, kept or broken", (
            "guidelines mobilenet_v1", "guidelines shufflenet_v2 mobilenet_v2",
            "guidelines net.py:Net --top 10")),
    ),
    "Measure": (
        Entry("bench", "Latency on this machine: interval and verdict", (
            "bench resnet18 mobilenet_v2", "bench resnet50 --batch 1,8 --threads 1,2",
            "bench vgg16 --per-layer")),
        Entry("experiment", "ShuffleNet V2's experiments, run on this machine", (
            "experiment g1", "experiment g2 --budget 2min", "experiment separable --plot s.pdf")),
    ),
    "Housekeeping": (
        Entry("columns", "The columns of a command: key, unit, meaning", (
            "columns", "columns summary", "columns rf -f csv")),
        Entry("cache", "Show or clear the cache of earlier runs", (
            "cache info", "cache clear", "-v compare vgg16")),
        Entry("help", "This page, or the help of a command", ("help", "help compare"),
            home="app:help_"),
        Entry("version", "The version; with -v of its packages, too", (
            "version", "-v version"), home="app:version"),
    ),
}  # fmt: skip

_PACKAGES = ("torch", "typer", "rich", "fvcore", "pandas", "torchvision", "timm")


_ENTRIES = {entry.name: entry for entries in COMMANDS.values() for entry in entries}
_SETTINGS = {"help_option_names": ["-h", "--help"]}


class _Commands(TyperGroup):
    """The commands in groups; a first word that is none is a model, and shows its overview."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options before the command.

        Raises:
            SpecError: an option that is none.
        """
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            if not hasattr(error, "possibilities"):
                raise
            raise SpecError(
                f"archstat has no option {error.option_name}. `archstat -h` is the help."
            ) from None

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, in the order in which they are shown."""
        return list(_ENTRIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, made now; None if there is none."""
        entry = _ENTRIES.get(cmd_name)
        if entry is None:
            return None
        from archstat.cli.style import with_inputs, with_style, with_width

        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(
            entry.name, cls=Command, short_help=entry.line, epilog="\n".join(entry.examples),
            context_settings={**_SETTINGS, "allow_extra_args": True},
        )(with_inputs(with_width(with_style(entry.run))))  # fmt: skip
        return typer.main.get_command(alone)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the groups of commands, each line whole, and the options below them."""
        lines = {
            title: [(entry.name, entry.line) for entry in entries]
            for title, entries in COMMANDS.items()
        }
        records = (parameter.get_help_record(ctx) for parameter in self.get_params(ctx))
        write_groups(formatter, lines)
        write_groups(formatter, {OPTIONS: [record for record in records if record is not None]})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first word, or `summary` of the model that it names.

        Raises:
            UnknownModelError: it is neither a command nor a model.
        """
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            _check_model(args[0])
            args = ["summary", *args]
        return super().resolve_command(ctx, args)


def _check_model(word: str) -> None:
    """Refuse what is neither a command nor in the zoo; files and packages speak for themselves."""
    from archstat import zoo
    from archstat.errors import UnknownModelError
    from archstat.hints import did_you_mean
    from archstat.models.specs import parse_spec

    spec = parse_spec(word)
    try:
        if spec.scheme == "zoo":
            zoo.entry(spec.target)
    except UnknownModelError as error:
        from archstat.analyses import COLUMNS

        hint = did_you_mean(word, (*_ENTRIES, *zoo.catalogue()))
        if word.lower() in {column.key for column in COLUMNS}:
            hint = f" It is a column: `archstat compare MODEL --columns {word.lower()}`."
        raise UnknownModelError(
            f"{word}: there is no such command, and no such model.{hint} "
            "`archstat --help` and `archstat list` show what there is."
        ) from error


app = typer.Typer(
    name="archstat",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    cls=_Commands,
    context_settings=_SETTINGS,
)


@app.callback(invoke_without_command=True)
def _archstat(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Say what came from the cache. With --version: also "
                     "versions, devices and cache folder."),
    ] = False,
) -> None:  # fmt: skip
    """What a network costs (parameters, MACs, memory, time) and how much of the input it sees.

    A model is a zoo name (vgg16, mobilenet_v1,width=0.5), FILE.py:NAME, MODULE:NAME, timm:NAME or
    torchvision:NAME, with options as KEY=VALUE after commas. `archstat MODEL` shows its overview,
    as `archstat summary MODEL` does; `archstat COMMAND -h` shows what a command takes.
    """
    if version:
        _tell_version(verbose)
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
