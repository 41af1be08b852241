"""``archstat roofline MODEL...``: the least time on a device, and what bounds it."""

from __future__ import annotations

from typing import Annotated

import typer

from archstat.cli.completion import complete_device
from archstat.cli.options import (
    Batch,
    Columns,
    Debug,
    FormatName,
    FusionName,
    Input,
    ModelsIfAny,
    NoCache,
    Output,
    Strict,
)

DeviceName = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="A known device (--list-devices), FILE.toml, or "
                 "local: this machine's cpu, measured once; local-cuda: its GPU.",
                 autocompletion=complete_device),
]  # fmt: skip
DeviceFile = Annotated[
    str | None, typer.Option(metavar="FILE.toml", help="Devices of your own beside the known ones.")
]
Dtype = Annotated[str, typer.Option(help="fp64, fp32, tf32, fp16, bf16, fp8 or int8.")]
Every = Annotated[bool, typer.Option("--every", help="A row for every operation.")]
Top = Annotated[int | None, typer.Option(min=1, help="Just the N rows that take longest.")]
Measure = Annotated[bool, typer.Option("--measure", help="Measure the local device again.")]
ListDevices = Annotated[bool, typer.Option("--list-devices", help="The devices and their sources.")]
Plot = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Draw the roofline, a point a layer: .pdf, .svg or .png."),
]


def roofline(
    models: ModelsIfAny = None,
    device: DeviceName = None,
    device_file: DeviceFile = None,
    dtype: Dtype = "fp32",
    fusion: FusionName = "none",
    every: Every = False,
    top: Top = None,
    measure: Measure = False,
    list_devices: ListDevices = False,
    plot: Plot = None,
    input: Input = None,
    batch: Batch = None,
    columns: Columns = None,
    no_cache: NoCache = False,
    format: FormatName = None,
    output: Output = None,
    strict: Strict = False,
    debug: Debug = False,
) -> None:
    """Show the least time of every layer on a device, and whether compute or memory bounds it.

    An op takes at least its flops over the peak, and its memory access over the bandwidth.
    Several models get a row each, with ratios to the first. Times are floors, not forecasts.
    """
    from archstat.cli.output import Destination
    from archstat.cli.roofline_views import Request, view

    request = Request(
        models=tuple(models or ()),
        device=device,
        device_file=device_file,
        dtype=dtype,
        fusion=fusion,
        every=every,
        top=top,
        measure=measure,
        list_devices=list_devices,
        plot=plot,
        input=tuple(input or ()),
        batch=batch,
        columns=columns,
        strict=strict,
        no_cache=no_cache,
    )
    view(request, Destination(format, output))
