"""``archstat memory MODEL...``: what training and inference need, and the batch that fits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from archstat.cli import options
from archstat.cli.attempts import Attempts
from archstat.cli.completion import complete_device, complete_optimizer
from archstat.cli.output import Destination, check_plot, draw, write_bytes
from archstat.cli.progress import working
from archstat.cli.screen import View, refuse_incomplete, show
from archstat.files import check_writable
from archstat.result import Table

_ON_SCREEN = ("model", "input", "training_memory_bytes", "param_bytes", "gradient_bytes",
              "optimizer_bytes", "saved_activation_bytes", "peak_memory_bytes",
              "ideal_peak_bytes", "training_macs", "peak_phase", "peak_module")  # fmt: skip
_NEEDED = ("model", "largest_batch", "training_memory_bytes", "reserved_bytes", "left_bytes",
           "gathered_bytes",
           "allocated_bytes", "fragmentation", "measured_training_bytes",
           "peak_memory_bytes", "measured_peak_bytes", "saved_activation_bytes", "param_bytes",
           "gradient_bytes", "optimizer_bytes", "peak_module", "peak_phase", "beyond_bytes",
           "training_macs", "ideal_peak_bytes", "input")  # fmt: skip
_NEEDED_BY = ("model", "live_bytes", "module", "op", "phase", "checkpoint", "live_saved_bytes",
              "live_other_bytes", "live_param_bytes", "live_gradient_bytes",
              "live_optimizer_bytes", "live_gathered_bytes", "target", "live_workspace_bytes",
              "live_input_bytes", "live_buffer_bytes")  # fmt: skip
_BESIDE = {
    "measured_training_bytes": "training_memory_bytes", "measured_peak_bytes": "peak_memory_bytes"
}  # fmt: skip

Optimizer = Annotated[
    str,
    typer.Option(metavar="NAME", help="sgd, momentum, adam or adamw, with ,foreach=false or "
                 ",fused=true as torch takes them.", autocompletion=complete_optimizer),
]  # fmt: skip
DType = Annotated[
    str | None,
    typer.Option("--dtype", metavar="NAME", help="fp32, fp16, bf16 or fp64; by default the "
                 "model's own."),
]  # fmt: skip
Amp = Annotated[
    bool,
    typer.Option("--amp", help="Train under autocast: fp32 weights and half-precision copies."),
]
Kernels = Annotated[
    str,
    typer.Option(metavar="cpu|cuda", help="Kernels to assume; on cuda the optimizer updates all "
                 "parameters at once, dropout masks are bytes and autocast uses fp16. "
                 "cuda:explicit takes no fused attention."),
]  # fmt: skip
Checkpoint = Annotated[
    list[str] | None,
    typer.Option("--checkpoint", metavar="PATTERN", help="Modules that keep only their inputs and "
                 "run again in backward, such as 'layer*'; repeat for several. auto: the cheapest "
                 "that let --batch train within --fits."),
]  # fmt: skip
Fits = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Find the largest batch that trains within SIZE, such as "
                 "24GiB; device is the memory of --device."),
]  # fmt: skip
Steps = Annotated[
    str | None,
    typer.Option("--steps", metavar="N,N,...", help="With --fits, the largest of these batches, "
                 "such as 512,384,256."),
]  # fmt: skip
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="With --kernels cuda, a GPU: show what its "
                 "context takes and what is left.", autocompletion=complete_device),
]  # fmt: skip
Accumulate = Annotated[
    int,
    typer.Option("--accumulate", metavar="N", help="Micro-batches per step: the last one finds "
                 "the gradients of those before it."),
]  # fmt: skip
Zero = Annotated[
    tuple[int, int] | None,
    typer.Option("--zero", metavar="STAGE N", help="Memory of one of N devices under ZeRO stage "
                 "1 (shares optimizer states), 2 (also gradients) or 3 (also parameters)."),
]  # fmt: skip
Fsdp = Annotated[
    int | None,
    typer.Option("--fsdp", metavar="N", help="Memory of one of N devices under FSDP, which "
                 "shares everything and gathers one unit at a time."),
]  # fmt: skip
Wrap = Annotated[
    list[str] | None,
    typer.Option("--wrap", metavar="PATTERN", help="FSDP's units, such as 'layers.*' "
                 "(repeatable); by default the elements of the outermost lists of modules."),
]  # fmt: skip
By = Annotated[
    str,
    typer.Option("--by", metavar="model|module|op", help="One row per model; per module, with what "
                 "is alive at the peak; or per op, the timeline. --checkpoint adds rows without."),
]  # fmt: skip
Snapshot = Annotated[
    str | None,
    typer.Option("--export-snapshot", metavar="FILE", help="With --kernels cuda: write one "
                 "model's training for torch's viewers of memory snapshots, as .pickle or .json."),
]  # fmt: skip
Measure = Annotated[
    bool,
    typer.Option("--measure", help="Also run the step and a forward pass on cpu, and show the "
                 "allocator's peaks."),
]  # fmt: skip


def memory(
    models: options.Models,
    optimizer: Optimizer = "sgd",
    dtype: DType = None,
    amp: Amp = False,
    kernels: Kernels = "cpu",
    checkpoint: Checkpoint = None,
    accumulate: Accumulate = 1,
    zero: Zero = None,
    fsdp: Fsdp = None,
    wrap: Wrap = None,
    steps: Steps = None,
    fits: Fits = None,
    device: Device = None,
    measure: Measure = False,
    by: By = "model",
    plot: options.Plot = None,
    export_snapshot: Snapshot = None,
    input: options.Input = None,
    batch: options.Batch = None,
    resolution: options.Resolution = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    top: options.Top = None,
    format: options.FormatName = None,
    output: options.Output = None,
    strict: options.Strict = False,
    debug: options.Debug = False,
) -> None:
    """Show the memory of training, part by part, and of inference; find the batch that fits.

    The training step runs on the meta device, without weights or a GPU: forward, loss, backward
    and optimizer, with every storage counted while it lives.
    """
    if measure:
        # The profiler announces every start and stop, unless it is told before torch is there.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with working("importing torch"):
        from archstat.tables.memory import (
            CHECKPOINT_COLUMNS,
            CUDA_COLUMNS,
            DEVICE_COLUMNS,
            FIT_COLUMNS,
            MEASURED_COLUMNS,
            MEMORY_COLUMNS,
            Step,
        )
        from archstat.tables.memory_devices import SHARED_COLUMNS, gathers
        from archstat.tables.memory_timeline import WAYS

    from archstat.measure.training.snapshot import check_snapshot, snapshot_bytes

    step = Step(optimizer, dtype, amp, kernels, fits, measure, device,
                checkpoint or (), accumulate=accumulate, zero=zero, fsdp=fsdp,
                wrap=wrap or (), steps=steps or (), by=by, compares=plot is not None)  # fmt: skip
    on_cuda = step.settings.kernels == "cuda"
    asked = ((on_cuda, CUDA_COLUMNS), (device, DEVICE_COLUMNS),
             (gathers(step.settings), SHARED_COLUMNS), (step.searches, FIT_COLUMNS),
             (measure, MEASURED_COLUMNS), (checkpoint, CHECKPOINT_COLUMNS))  # fmt: skip
    on_request = [column for yes, columns in asked if yes for column in columns]
    known = WAYS[by] or (*MEMORY_COLUMNS, *on_request)
    view = View(Destination(format, output), known, columns, sort, top=top,
                largest="live_bytes" if WAYS[by] else "training_memory_bytes")  # fmt: skip
    shapes = options.shapes(input, resolution)
    check_plot(plot)
    snapshot = Path(export_snapshot) if export_snapshot is not None else None
    if snapshot is not None:
        check_writable(snapshot)
        check_snapshot(snapshot, step.settings, len(models))
    attempts = Attempts(models, "running a training step of")
    rows = attempts(lambda model: step.row(model, shapes, batch))
    found = step.table(rows)
    table = attempts.told(found, view)
    shown = (
        _with_bytes(found)
        if WAYS[by]
        else _on_screen([c.key for c in on_request if c not in CHECKPOINT_COLUMNS])
    )
    needed = _NEEDED_BY if WAYS[by] else _NEEDED
    show(table, view, attempts.keys(shown), attempts.keys(needed))
    if plot is not None and found.picture is not None:
        draw(plot, found.picture)
    if snapshot is not None:
        write_bytes(snapshot, snapshot_bytes(rows[0], snapshot.suffix))
    attempts.refuse()
    refuse_incomplete(
        sum(len(row.uncounted) for row in rows), strict, view.destination, table.notes
    )


def _on_screen(on_request: list[str]) -> list[str]:
    """The usual columns, each measured one behind the one it measures, the search's in front."""
    keys = [*_ON_SCREEN[:2], *(key for key in on_request if key not in _BESIDE), *_ON_SCREEN[2:]]
    for key in on_request:
        if key in _BESIDE:
            keys.insert(keys.index(_BESIDE[key]) + 1, key)
    return keys


def _with_bytes(table: Table) -> list[str]:
    """The columns in which something is more than nothing, and whether something runs again."""
    return [column.key for column in table.columns
            if (column.unit != "bytes" or any(table.column(column.key)))
            and (column.key != "checkpoint" or len(set(table.column(column.key))) > 1)]  # fmt: skip
