"""``archstat predict MODEL...``: throughput on a device that is not at hand."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.completion import complete_device
from archstat.cli.output import Destination
from archstat.cli.screen import View, refuse_incomplete, show

DeviceName = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="A device with measurements or a data sheet "
                 "(`archstat roofline --list-devices`), FILE.toml, or board: any that runs ncnn, "
                 "with --calibrate.",
                 autocompletion=complete_device),
]  # fmt: skip
Engine = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="eager, compile or ncnn (default: what was measured)."),
]
Dtype = Annotated[str | None, typer.Option(metavar="NAME", help="amp (GPUs) or fp32 (cpus).")]
Layout = Annotated[str | None, typer.Option(metavar="NAME", help="nchw or nhwc.")]
Calibrate = Annotated[
    str | None,
    typer.Option(metavar="FILE.csv", help="At least three networks measured on the device, with "
                 "columns model, latency_ms and batch, as `archstat bench -o` writes them."),
]  # fmt: skip


def predict(
    models: options.Models,
    device: DeviceName = None,
    engine: Engine = None,
    dtype: Dtype = None,
    layout: Layout = None,
    calibrate: Calibrate = None,
    input: options.Input = None,
    batch: options.Batch = None,
    resolution: options.Resolution = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    top: options.Top = None,
    no_cache: options.NoCache = False,
    format: options.FormatName = None,
    output: options.Output = None,
    strict: options.Strict = False,
    debug: options.Debug = False,
) -> None:
    """Predict the throughput of models on a device; four in five lie in the interval given.

    Kernel rates were fitted to the measured throughput of a thousand networks. A device without
    measurements is predicted from similar ones by the ratios of their data sheets.
    """
    from archstat.tables.predict import (
        COLUMNS,
        ON_SCREEN,
        adapted,
        fit_named,
        predict_table,
        predicted,
    )

    view = View(Destination(format, output), COLUMNS, columns, sort, top=top,
                largest="predicted_ms")  # fmt: skip
    fit = fit_named(device, engine, dtype, layout, calibrate)
    graphs, shapes = graphs_for(no_cache), options.shapes(input, resolution)
    errors: list[float] = []
    if calibrate is not None:
        fit, errors = adapted(calibrate, fit, graphs)
    attempts = Attempts(models)
    found = attempts(lambda spec: predicted(spec, graphs(spec, shapes, None), fit, batch))
    table = attempts.told(predict_table(found, fit, errors), view)
    show(table, view, attempts.keys(ON_SCREEN))
    tell_of_cache(graphs, len(found), view.is_raw)
    attempts.refuse()
    refuse_incomplete(sum(one.unknown for one in found), strict, view.destination, table.notes)
