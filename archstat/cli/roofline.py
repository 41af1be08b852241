"""``archstat roofline MODEL...``: the least time on a device, and what bounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.cache import graphs_for, tell_of_cache
from archstat.cli.completion import complete_device
from archstat.cli.options import Rule, check_options
from archstat.cli.output import Destination, check_plot, draw
from archstat.cli.progress import working
from archstat.cli.screen import View, held, refuse_incomplete, show
from archstat.errors import SpecError
from archstat.result import Column

if TYPE_CHECKING:
    from archstat.analyses.devices import Device
    from archstat.tables.roofs import Roof

_LAYER_NEEDS = ("layer", "time_floor_ms", "bound", "time_share", "arithmetic_intensity", "flops",
                "memory_access_bytes", "op", "type")  # fmt: skip
_DEVICE_NEEDS = ("device", "memory_bytes", "bandwidth", "vector_float32", "tensor_bfloat16",
                 "tensor_tfloat32", "tensor_float16", "tensor_int8", "title")  # fmt: skip
_MODEL_NEEDS = ("model", "input", "time_floor_ms", "bound", "compute_bound_share",
                "arithmetic_intensity", "flops", "memory_access_bytes")  # fmt: skip
_RULES = (Rule("--every", takes_one_model=True),)

DeviceName = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="A known device (--list-devices), FILE.toml, "
                 "local (this machine's cpu, measured once) or local-cuda (its GPU).",
                 autocompletion=complete_device),
]  # fmt: skip
DeviceFile = Annotated[
    str | None, typer.Option(metavar="FILE.toml", help="A file of further devices.")
]
Dtype = Annotated[
    str, typer.Option(metavar="NAME", help="fp64, fp32, tf32, fp16, bf16, fp8 or int8.")
]
Measure = Annotated[bool, typer.Option("--measure", help="Measure the local device again.")]
ListDevices = Annotated[
    bool, typer.Option("--list-devices", help="List the known devices and their sources.")
]


def roofline(
    context: typer.Context,
    models: options.ModelsIfAny = None,
    device: DeviceName = None,
    device_file: DeviceFile = None,
    dtype: Dtype = "fp32",
    fusion: options.FusionName = "none",
    every: options.Every = False,
    top: options.Top = None,
    measure: Measure = False,
    list_devices: ListDevices = False,
    plot: options.Plot = None,
    input: options.Input = None,
    batch: options.Batch = None,
    resolution: options.Resolution = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    no_cache: options.NoCache = False,
    format: options.FormatName = None,
    output: options.Output = None,
    strict: options.Strict = False,
    debug: options.Debug = False,
) -> None:
    """Show the least time of every layer on a device, and whether compute or memory bounds it.

    An operation takes at least its flops over the peak, and its memory access over the bandwidth.
    Several models get one row each, with ratios to the first. Times are lower bounds.
    """
    from archstat.tables.roofline import device_table, named_total, roofline_table

    destination = Destination(format, output)
    if list_devices:
        table = device_table(_devices(device_file))
        show(table, View(destination, table.columns, columns, sort), held(table, _DEVICE_NEEDS))
        return
    check_options(context, *_RULES)
    if not models:
        raise SpecError("roofline needs a MODEL, or --list-devices.")
    roof, several = roof_for(device, dtype, fusion, device_file, measure), len(models) > 1
    known = _known(several, every)
    view = View(destination, known, columns, sort, top=top, largest="time_floor_ms")
    check_plot(plot)
    graphs, shapes, attempts = (
        graphs_for(no_cache),
        options.shapes(input, resolution),
        Attempts(models),
    )
    found = attempts(lambda spec: roof.over(graphs(spec, shapes, batch), spec))
    whole = roofline_table(found, every, several)
    table = named_total(whole) if view.leaves_choice and not several else whole
    table = attempts.told(table, view)
    needs = attempts.keys(held(table, _MODEL_NEEDS if several else _LAYER_NEEDS))
    show(table, view, needs, totals=0 if several else 1)
    tell_of_cache(graphs, len(found), view.is_raw)
    if plot is not None and whole.picture is not None:
        draw(plot, whole.picture)
    attempts.refuse()
    refuse_incomplete(sum(sum(one.unknown) for one in found), strict, destination, table.notes)


def roof_for(
    device: str | None, dtype: str, fusion: str = "none", file: str | None = None,
    measure: bool = False,
) -> Roof:  # fmt: skip
    """The roof of a device; a local one is measured now where that was not done before."""
    from archstat.tables.roofs import Roof

    if device in ("local", "local-cuda"):
        with working("importing torch"):
            import torch  # noqa: F401 - no bar may run when it is said where the file is kept
    with working(f"measuring {device}"):
        return Roof(device, dtype, fusion, file, measure)


def _devices(own: str | None) -> list[Device]:
    from archstat.analyses.device_files import built_in, read_devices

    return list({**built_in(), **(read_devices(own) if own is not None else {})}.values())


def _known(several: bool, every: bool) -> tuple[Column, ...]:
    from archstat.tables.roofline import LAYER_COLUMNS, MODEL_COLUMNS, OP_COLUMNS

    if several:
        return MODEL_COLUMNS
    return OP_COLUMNS if every else LAYER_COLUMNS
