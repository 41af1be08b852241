"""``archstat report MODEL...``: one page that shows a model, or several side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.cache import graphs_for
from archstat.cli.compare import (
    Accuracy,
    As,
    Join,
    JoinOn,
    Latency,
    measured_too,
    sweep_for,
)
from archstat.cli.completion import complete_device
from archstat.cli.help import OUTPUT
from archstat.cli.options import Rule, check_options, typed
from archstat.cli.output import Destination
from archstat.cli.roofline import roof_for
from archstat.errors import OutputError
from archstat.tables.accuracy import ACCURACY_COLUMNS, checked_accuracy, with_accuracy
from archstat.tables.join import joined, read_joined

if TYPE_CHECKING:
    from archstat.tables.report_data import Portrait

_USUAL = "archstat-report.html"
_SUFFIXES = (".html", ".htm")
_RULES = (Rule("--join-on", needs="--join"), Rule("--dtype", needs="--device"))

File = Annotated[
    str,
    typer.Option("--output", "-o", metavar="FILE.html", help="Write the page to this file; - is "
                 "standard output.", rich_help_panel=OUTPUT),
]  # fmt: skip
DeviceName = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="Add the roofline of this device (`archstat "
                 "roofline --list-devices`), of FILE.toml, local or local-cuda.",
                 autocompletion=complete_device),
]  # fmt: skip
Dtype = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="Dtype of the roofline: fp64, fp32, tf32, fp16, bf16, fp8, int8."
    ),
]
Training = Annotated[
    bool, typer.Option("--training", help="Add the live memory of a training step with SGD.")
]


def report(
    context: typer.Context,
    models: options.Models,
    file: File = _USUAL,
    device: DeviceName = None,
    dtype: Dtype = "fp32",
    join: Join = None,
    join_on: JoinOn = None,
    accuracy: Accuracy = None,
    as_: As = None,
    latency: Latency = False,
    training: Training = False,
    input: options.Input = None,
    batch: options.Batch = None,
    resolution: options.Resolution = None,
    no_cache: options.NoCache = False,
    debug: options.Debug = False,
) -> None:
    """Write one HTML page of a model, or of several side by side: pictures, tables and data.

    The file loads nothing and needs no network: architecture, treemaps, receptive field, live
    memory, guidelines and, with --device, the roofline. The data behind each chart can be saved.
    """
    check_options(context, *_RULES)
    destination = _destination(file)
    from archstat.tables.compare import COMPARISON_COLUMNS, table_of, tools_for, with_tools
    from archstat.tables.report import page, usual_step, with_prediction
    from archstat.tables.report_data import portrait

    known = (*COMPARISON_COLUMNS, *(ACCURACY_COLUMNS if accuracy else ()))
    tools = tools_for(as_, None)
    extra = read_joined(join, [column.key for column in known], join_on)
    missing = [extra.missing(models), checked_accuracy(accuracy, models)]
    roof = None if device is None else roof_for(device, dtype)
    graphs, shapes = graphs_for(no_cache), options.shapes(input, resolution)
    sweep = sweep_for(models, None, None, None, input, batch) if latency else None
    step = usual_step() if training else None
    attempts = Attempts(models)

    def seen(model: str) -> Portrait:
        graph = graphs(model, shapes, batch)
        trained = step.row(model, shapes, batch) if step else None
        return portrait(model, graph, roof.over(graph, model) if roof else None, trained)

    made = attempts(seen)
    rows = table_of([one.report for one in made], 0)
    rows = with_tools(rows, [(one.report,) for one in made], tools, graphs)
    if device is not None:
        rows = with_prediction(rows, device, [one.report for one in made])
    rows, is_interrupted = measured_too(rows, sweep, attempts) if sweep else (rows, False)
    rows = joined(with_accuracy(rows) if accuracy else rows, extra)
    destination.write_text(page(made, typed(context), rows))
    failed = [f"{models[number]} failed: {error}" for number, error in attempts.failed.items()]
    for said in [*missing, *failed, f"wrote {destination.path}" if destination.path else ""]:
        if said:
            print(f"archstat: {said}", file=sys.stderr)
    if is_interrupted:
        raise KeyboardInterrupt
    attempts.refuse()


def _destination(file: str) -> Destination:
    """Where the page goes, checked before the work.

    Raises:
        OutputError: another suffix, or a file that cannot be written.
    """
    if file != "-" and Path(file).suffix.lower() not in _SUFFIXES:
        raise OutputError(f"{file}: a report is a page; name a file that ends in .html.")
    return Destination("console", file)
