"""What ``archstat roofline`` shows: devices, the layers of one model, or a row a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from archstat.analyses.device_files import built_in, find_device, read_devices
from archstat.analyses.devices import DTYPES, Device
from archstat.analyses.roofline import Roofline
from archstat.cli.output import Destination
from archstat.cli.screen import chosen_columns, on_screen, refuse_incomplete, screen_width
from archstat.errors import SpecError
from archstat.hints import did_you_mean
from archstat.result import RATIO_SUFFIX, Column, Table
from archstat.tables.roofline import (
    LAYER_COLUMNS,
    MODEL_COLUMNS,
    OP_COLUMNS,
    device_table,
    layer_table,
    model_table,
)

if TYPE_CHECKING:
    from archstat.models.pipeline import GraphOf

LOCAL = ("local", "local-cuda")
_LAYER_NEEDS = ("layer", "time_floor_ms", "bound", "time_share", "arithmetic_intensity", "flops",
                "memory_access_bytes", "op", "type")  # fmt: skip
_DEVICE_NEEDS = ("device", "memory_bytes", "bandwidth", "vector_float32", "tensor_bfloat16",
                 "tensor_tfloat32", "tensor_float16", "tensor_int8", "title")  # fmt: skip
_MODEL_NEEDS = (
    *("model", "input", "time_floor_ms", "bound", "compute_bound_share", "arithmetic_intensity"),
    *("flops", "memory_access_bytes"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """The command line of ``archstat roofline``."""

    models: tuple[str, ...] = ()
    device: str | None = None
    device_file: str | None = None
    dtype: str = "fp32"
    fusion: str = "none"
    every: bool = False
    top: int | None = None
    measure: bool = False
    list_devices: bool = False
    plot: str | None = None
    input: tuple[str, ...] = ()
    batch: int | None = None
    columns: str | None = None
    strict: bool = False
    no_cache: bool = False


def view(request: Request, destination: Destination) -> None:
    """Write what was asked for, and draw it.

    Raises:
        ArchstatError: whatever cannot be carried out.
    """
    if request.list_devices:
        _list(request, destination)
        return
    _refuse_what_clashes(request)
    known = _columns(request)
    chosen = chosen_columns(request.columns, known, known[0].key)
    if request.plot is not None:
        from archstat.reporters.plots import check_plot_path

        check_plot_path(request.plot)
    from archstat.cli.cached import graphs_for, tell_of_cache

    graphs = graphs_for(request.no_cache)
    found = _rooflines(request, _device(request), graphs)
    several = len(found) > 1
    table = model_table(found) if several else layer_table(found[0], request.every, request.top)
    if chosen is not None:
        table = table.select(chosen)
    elif not destination.is_raw:
        table = _fitted(table, _MODEL_NEEDS if several else _LAYER_NEEDS, destination)
    destination.write(table)
    tell_of_cache(graphs, len(found), destination.is_raw)
    if request.plot is not None:
        from archstat.cli.roofline_plot import draw

        draw(request.plot, found)
    refuse_incomplete(sum(sum(one.unknown) for one in found), request.strict, table.notes)


def _refuse_what_clashes(request: Request) -> None:
    if not request.models:
        raise SpecError("roofline needs a MODEL, or --list-devices.")
    if request.device is None:
        raise SpecError(
            "roofline needs --device NAME, such as --device a100-40gb; "
            "`archstat roofline --list-devices` shows all, and `local` measures this machine."
        )
    if request.dtype not in DTYPES:
        raise SpecError(
            f"There is no dtype {request.dtype!r}.{did_you_mean(request.dtype, DTYPES)} "
            f"Known: {', '.join(DTYPES)}."
        )
    if len(request.models) > 1 and (request.every or request.top is not None):
        option = "--every" if request.every else "--top"
        raise SpecError(f"{option} is of one model, and {len(request.models)} are given.")
    if request.measure and request.device not in LOCAL:
        raise SpecError(f"--measure is of the local device, and --device is {request.device!r}.")


def _columns(request: Request) -> tuple[Column, ...]:
    if len(request.models) > 1:
        return MODEL_COLUMNS
    return OP_COLUMNS if request.every else LAYER_COLUMNS


def _device(request: Request) -> Device:
    assert request.device is not None
    if request.device in LOCAL:
        from archstat.measure.latency.local_device import local_device

        return local_device("cuda" if request.device == "local-cuda" else "cpu", request.measure)
    return find_device(request.device, request.device_file)


def _rooflines(request: Request, device: Device, graph_of: GraphOf) -> list[Roofline]:
    from archstat.analyses.memory_access import checked_fusion
    from archstat.analyses.roofline import roofline
    from archstat.cli.progress import tracked

    fusion = checked_fusion(request.fusion)
    device.roof(request.dtype)
    shapes = list(request.input) or None
    return [
        roofline(graph_of(spec, shapes, request.batch), spec, device, request.dtype, fusion)
        for spec in tracked(request.models)
    ]


def _list(request: Request, destination: Destination) -> None:
    own = read_devices(request.device_file) if request.device_file is not None else {}
    table = device_table(list({**built_in(), **own}.values()))
    chosen = chosen_columns(request.columns, table.columns, "device")
    if chosen is not None:
        table = table.select(chosen)
    elif not destination.is_raw:
        table = _fitted(table, _DEVICE_NEEDS, destination)
    destination.write(table)


def _fitted(table: Table, needs: Sequence[str], destination: Destination) -> Table:
    known = set(table.keys())
    wanted = [key for key in needs if key in known]
    if destination.format.name != "console":
        return table.select(wanted)
    shown = on_screen(table.select(wanted), wanted, screen_width(destination.path))
    # The screen shows a ratio below its figure, in no column of its own.
    ratios = [ratio for key in shown.keys() if (ratio := key + RATIO_SUFFIX) in known]  # noqa: SIM118
    return replace(table.select([*shown.keys(), *ratios]), notes=shown.notes)
