"""`memory`: what a training step and inference need, a row a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from archstat.analyses.cuda_allocator import Reserved
from archstat.analyses.device_files import find_device
from archstat.analyses.devices import Device
from archstat.analyses.memory import COLUMNS as INFERENCE_COLUMNS
from archstat.errors import DeviceError, Option, SpecError
from archstat.measure.training.checkpoints import Choice
from archstat.measure.training.rows import AUTO, MemoryRow, Plan, memory_row
from archstat.measure.training.step import Settings
from archstat.result import Cell, Column, Table, notes_of
from archstat.tables.memory_devices import (
    SHARED_COLUMNS,
    convention_of_devices,
    gathers,
    notes_of_devices,
    sharding_of,
)
from archstat.tables.memory_timeline import WAYS, cells_by, checked_way, timelines
from archstat.units import (
    BYTE_UNITS,
    format_bytes,
    format_count,
    format_share,
    parse_bytes,
    short_dtype,
)

FIT_COLUMNS = (
    Column("largest_batch", "number", "largest batch whose training step fits; 0: none", "higher"),
    Column("beyond_bytes", "bytes", "training peak of the next larger batch"),
)
MEASURED_COLUMNS = (
    Column("measured_training_bytes", "bytes", "the allocator's peak in a real training step"),
    Column("measured_peak_bytes", "bytes", "the allocator's peak in a real forward pass"),
)
CUDA_COLUMNS = (
    Column(
        "allocated_bytes",
        "bytes",
        "training: the most bytes of the allocator's blocks in use",
        "lower",
    ),
    Column(
        "reserved_bytes",
        "bytes",
        "training: the most bytes its segments take from the GPU",
        "lower",
    ),
    Column(
        "fragmentation", "share", "share of the reserved bytes beyond the most allocated", "lower"
    ),
    Column("inference_reserved_bytes", "bytes", "the most its segments take in inference", "lower"),
)
DEVICE_COLUMNS = (
    Column("context_bytes", "bytes", "what driver and CUDA context take; empty: unknown"),
    Column("left_bytes", "bytes", "of the device's memory, without context and reserved bytes"),
)
CHECKPOINT_COLUMNS = (Column("checkpointed", "text", "modules that run once more in backward"),)
MEMORY_COLUMNS = (
    Column("model", "text", "the spec as typed"),
    Column("input", "text", "shape of each input, batch first"),
    Column("training_memory_bytes", "bytes", "peak of a training step", "lower"),
    Column("param_bytes", "bytes", "bytes of the parameters", "lower"),
    Column("gradient_bytes", "bytes", "gradients of the parameters", "lower"),
    Column("optimizer_bytes", "bytes", "what the optimizer keeps between steps", "lower"),
    Column("saved_activation_bytes", "bytes", "what autograd saves, each storage once", "lower"),
    Column("input_bytes", "bytes", "the model's inputs", "lower"),
    *INFERENCE_COLUMNS,
    Column("training_macs", "count", "multiply-accumulates of forward and backward", "lower"),
    Column("peak_phase", "text", "phase of the training step that holds the peak"),
    Column("peak_module", "text", "module whose op holds the peak"),
)  # fmt: skip


class Step:
    """A training step that is asked about: how it trains, and what is to be found out.

    Args:
        optimizer, dtype, amp, kernels: as `memory` takes them, in upper or lower case.
        fits: a size such as ``"24GiB"``, or bytes, to find the largest batch for.
        measure: whether the step also runs for real.
        checkpoint: patterns of the paths of modules that run once more in backward, in one text
            with commas or in several; ``"auto"`` finds them for `fits`.
        device: a GPU's name as `roofline` takes it; `fits` may be ``"device"`` then.
        accumulate: micro-batches a step.
        zero: ZeRO's stage and the number of devices.
        steps: batches of which the largest that fits is looked for, with commas or as numbers.
        fsdp: the number of devices of FSDP; `wrap` are patterns of the paths of its units.
        by: what a row is of: model, module (what is alive at the peak) or op (the timeline).
        compares: whether a checkpointed step is also run without, as `by` module and op do.

    Raises:
        DeviceError: no such device, or one whose memory nobody tells.
        OptionError, SpecError: settings that do not exist, or do not go together.
    """

    def __init__(self, optimizer: str, dtype: object, amp: bool, kernels: str,
                 fits: str | int | None, measure: bool,
                 device: str | None = None, checkpoint: str | Sequence[str] = (), *,
                 accumulate: int = 1, zero: tuple[int, int] | None = None,
                 fsdp: int | None = None, wrap: str | Sequence[str] = (),
                 steps: str | Iterable[int] = (), by: str = "model",
                 compares: bool = False) -> None:  # fmt: skip
        self.by, self.compares = checked_way(by), compares or by != "model"
        named = None if dtype is None else short_dtype(str(dtype))
        plan = Plan(str(optimizer).lower(), named, amp, str(kernels).lower(), checkpoint)
        self.settings = replace(plan.settings(), accumulate=accumulate,
                                sharding=sharding_of(zero, fsdp, wrap))  # fmt: skip
        if not isinstance(accumulate, int) or accumulate < 1:
            raise SpecError(f"{Option('accumulate', accumulate)} is impossible: give a whole "
                            "number of at least 1.")  # fmt: skip
        given = {"checkpoint": checkpoint, "accumulate": accumulate > 1, "zero": zero,
                 "fsdp": fsdp, "kernels": self.settings.explicit}  # fmt: skip
        if measure and (left := [str(Option(name)) for name, value in given.items() if value]):
            raise SpecError(f"{Option('measure')} runs the model as it is, on one device: leave "
                            f"{' and '.join(left)} out.")  # fmt: skip
        self.device = self._gpu(device) if device is not None else None
        if fits == "device":
            fits = self._whole_device()
        self.budget = parse_bytes(fits) if isinstance(fits, str) else fits
        if self.budget is not None and not self.budget > 0:
            raise SpecError(f"{Option('fits', fits)} is impossible: give a size above zero.")
        self.fits = fits if isinstance(fits, str) else format_bytes(fits or 0)
        self.measure = measure
        self.grid = _batches(steps)
        if self.grid and not self.searches:
            lacking = (f"goes with {Option('fits')}, which looks for a batch; "
                       f"{Option('checkpoint', 'auto')} looks for modules" if self.budget
                       else f"needs {Option('fits')}")  # fmt: skip
            raise SpecError(f"{Option('steps', steps)} {lacking}.")

    @property
    def searches(self) -> bool:
        """Whether the largest batch is looked for."""
        return self.budget is not None and self.settings.checkpoint != AUTO

    def _gpu(self, name: str) -> Device:
        self.settings.need_segments(Option("device", name))
        device = find_device(name)
        if device.memory is None:
            raise DeviceError(f"{device.title} has no `memory` in its device file: add it.")
        return device

    def _whole_device(self) -> int:
        if self.device is None or self.device.memory is None:
            raise SpecError(f"{Option('fits', 'device')} needs {Option('device')} NAME, or give "
                            "a size such as 24GiB.")  # fmt: skip
        return self.device.memory - (self.device.context or 0)

    def row(self, model: str, input: Any, batch: int | None) -> MemoryRow:
        """The row of a model; see `memory_row`."""
        return memory_row(model, self.settings, input, batch, self.budget, measure=self.measure,
                          device=self.device, grid=self.grid, compares=self.compares)  # fmt: skip

    def table(self, rows: Sequence[MemoryRow]) -> Table:
        """The rows as a table that draws their steps."""
        table = replace(memory_table(rows, self.settings, self.fits), picture=timelines(rows))
        if self.by == "model":
            return table
        return replace(table, columns=WAYS[self.by], rows=tuple(cells_by(rows, self.by)),
                       bounds=frozenset())  # fmt: skip


def _batches(steps: str | Iterable[int]) -> tuple[int, ...]:
    """The batches of a grid, as typed or as numbers."""
    parts = steps.split(",") if isinstance(steps, str) and steps else steps or ()
    if not all(str(part).strip().isdecimal() and int(part) for part in parts):
        raise SpecError(f"{Option('steps', steps)} is no list of batches: give some, such as "
                        "512,384,256.")  # fmt: skip
    return tuple(int(part) for part in parts)


def memory_table(rows: Sequence[MemoryRow], settings: Settings, room: str = "") -> Table:
    """The rows with the sentences that say what the figures leave out; `room` as it was typed."""
    searched = any(row.fit is not None for row in rows)
    measured = any(row.real is not None for row in rows)
    columns = (
        *MEMORY_COLUMNS,
        *(CUDA_COLUMNS if settings.kernels == "cuda" else ()),
        *(DEVICE_COLUMNS if any(row.device is not None for row in rows) else ()),
        *(SHARED_COLUMNS if gathers(settings) else ()),
        *(MEASURED_COLUMNS if measured else ()),
        *(CHECKPOINT_COLUMNS if settings.checkpoint else ()),
        *(FIT_COLUMNS if searched else ()),
    )
    found = [note for row in rows if (note := _found(row, room))]
    return Table(
        columns=columns,
        rows=tuple(_cells(row, settings) for row in rows),
        bounds=frozenset((n, key) for n, row in enumerate(rows) for key in row.lower_bounds),
        notes=notes_of([*found, *_notes(rows, settings)]),
        convention=_convention(settings),
        torch_version=rows[0].torch_version if rows else "",
        inputs=tuple(dict.fromkeys(row.input for row in rows)),
    )


def _cells(row: MemoryRow, settings: Settings) -> tuple[Cell, ...]:
    """The row under `MEMORY_COLUMNS`, then what was measured and the search, where there was."""
    step = row.step
    cells: tuple[Cell, ...] = (
        *(row.model, row.input, step.training_memory_bytes, step.param_bytes),
        *(step.gradient_bytes, step.optimizer_bytes, step.saved_activation_bytes),
        *(step.input_bytes, row.peak_memory_bytes, row.ideal_peak_bytes),
        *(step.training_macs, step.peak.phase, step.peak.module or "-"),
    )
    if row.reserved is not None and row.inference_reserved is not None:
        cells = (*cells, row.reserved.allocated_bytes, row.reserved.reserved_bytes,
                 row.reserved.fragmentation, row.inference_reserved.reserved_bytes)  # fmt: skip
    if row.device is not None and row.reserved is not None:
        cells = (*cells, row.device.context, _left(row.device, row.reserved))
    if gathers(settings):
        cells = (*cells, step.gathered_bytes)
    if row.real is not None:
        cells = (*cells, row.real.training_bytes, row.real.inference_bytes)
    if settings.checkpoint:
        cells = (*cells, ",".join(row.step.checkpointed) or "-")
    return cells if row.fit is None else (*cells, row.fit.batch, row.fit.beyond)


def _left(device: Device, reserved: Reserved) -> int | None:
    """Bytes of a device that nobody takes; None where its context's are unknown."""
    if device.memory is None or device.context is None:
        return None
    return device.memory - device.context - reserved.reserved_bytes


def _found(row: MemoryRow, room: str) -> str | None:
    """The sentence about the search."""
    if row.choice is not None:
        return _chosen(row.choice, row, room)
    if row.fit is None or row.budget is None:
        return None
    room, peak = room or format_bytes(row.budget), _beside(row.fit.peak, room)
    if not row.fit.batch:
        return (
            f"{row.model} does not fit {room}: a batch of {row.fit.smallest}, "
            f"which the row shows, needs {peak}, and {row.step.beyond(row.budget)}."
        )
    more, found = row.fit.beyond, f"{row.model} fits {room} up to a batch of {row.fit.batch}"
    if row.fit.next is None:
        return f"{found}, the largest that was asked for, which needs {peak}."
    beyond = "cannot run" if more is None else f"needs {_beside(more, room)}"
    if more is not None and format_bytes(more) == format_bytes(row.budget):
        beyond = f"needs {format_bytes(more - row.budget)} more than that size"
    return f"{found}, which needs {peak}; {row.fit.next} {beyond}."


def _chosen(choice: Choice, row: MemoryRow, room: str) -> str:
    """The sentence about the modules that were chosen."""
    if not choice.names:
        return f"{row.model} fits {room} as it is, with {_beside(choice.needed, room)}."
    share = format_share(choice.more_macs / choice.plain.training_macs)
    return (f"{row.model} fits {room} with {_beside(choice.needed, room)} where modules are "
            f"checkpointed, for {format_count(choice.more_macs)} more macs ({share}): the fewest, "
            f"found by {choice.simulated} simulated steps.")  # fmt: skip


def _checkpointed(row: MemoryRow) -> list[str]:
    """Which modules run once more, and the line that lets them."""
    names = row.step.checkpointed
    line = (f"for name in {json.dumps(names)}: m = model.get_submodule(name); m.forward = "
            "functools.partial(torch.utils.checkpoint.checkpoint, m.forward, "
            "use_reentrant=False)")  # fmt: skip
    return [f"Checkpointed in {row.model}, so that each keeps its inputs and runs once more in "
            f"backward: {line}"] if names else []  # fmt: skip


def _beside(size: int, room: str) -> str:
    """Bytes with a binary prefix, behind them in the unit of the room where that is decimal."""
    unit = room.lstrip("0123456789. ")
    text, factor = format_bytes(size), BYTE_UNITS.get(unit, 1)
    return f"{size / factor:.2f} {unit} ({text})" if factor % 10**3 == 0 else text


def _notes(rows: Sequence[MemoryRow], settings: Settings) -> list[str]:
    losses = " or ".join(dict.fromkeys(row.step.loss for row in rows))
    on_gpu = Option("kernels", "cuda")
    kernels = f"CPU kernels ({on_gpu} for a GPU)" if settings.kernels == "cpu" else "CUDA kernels"
    way = {"each": "one parameter at a time", "foreach": "all parameters at once",
           "fused": "in one kernel"}[settings.way]  # fmt: skip
    precision = str(settings.dtype or "the model's own dtype").removeprefix("torch.")
    if settings.amp:
        half = "float16" if settings.kernels == "cuda" else "bfloat16"
        precision = f"float32 weights with {half} autocast (inference without)"
    yes = [
        f"training: a step after the first, loss {losses}, "
        f"{settings.optimizer.partition(',')[0]} ({way}), "
        f"{precision}; input, output and loss stay alive. The parts "
        "reach their maxima at different times, so they do not add up to the peak.",
        f"Assumes PyTorch's {kernels}; library workspaces are not included.",
    ]
    yes += [note for row in rows for note in _checkpointed(row)]
    yes += notes_of_devices(settings)
    if settings.kernels == "cuda":
        yes.append("Reserved: torch's caching allocator over the first three steps, with cuBLAS's "
                   "workspaces if anything multiplies matrices; cuDNN's are unknown and not "
                   "included.")  # fmt: skip
    unknown = {row.device.title for row in rows if row.device and row.device.context is None}
    yes += [f"What driver and CUDA context take on {title} is unknown, and so is what is "
            "left." for title in sorted(unknown)]  # fmt: skip
    if any(row.real is not None for row in rows):
        yes.append(
            "measured: torch's allocator on cpu by torch.profiler, with what kernels take from it."
        )
    training = list(dict.fromkeys(name for row in rows for name in row.step.attention))
    inference = list(dict.fromkeys(name for row in rows for name in row.attention))
    if training or inference:
        said = attention_kernels(settings.kernels, training, inference)
        yes.append("Attention is explicit, as asked: the math kernel stores the scores."
                   if settings.explicit else f"{said}.")  # fmt: skip
    recurrent = list(dict.fromkeys(name for row in rows for name in row.step.recurrent))
    if recurrent:
        yes.append(_recurrent_kernels(settings.kernels, recurrent))
    yes += [
        f"{row.model}: training_macs and memory are lower bounds; {', '.join(row.uncounted)} may "
        "multiply or hold tensors, and has no formula."
        for row in rows
        if row.uncounted
    ]
    yes += [
        f"{row.model}: the train() of {', '.join(row.step.own_train)} was not called; "
        "every layer trains."
        for row in rows
        if row.step.own_train
    ]
    real = [row.model for row in rows if row.step.device != "meta"]
    if real:
        yes.append(f"{', '.join(real)} ran for real on cpu, since it cannot run on meta.")
    return yes


def attention_kernels(kernels: str, training: Sequence[str], inference: Sequence[str]) -> str:
    """The clause that says which kernels attention runs by."""
    used = f"{' and '.join(training)} in training" if training else ""
    if inference:
        used += ", " if used else ""
        used += f"{' and '.join(inference)} in inference"
    stores = "math stores" if "math" in (*training, *inference) else "a math kernel would store"
    return f"Attention uses the kernels that torch takes on {kernels}: {used}; {stores} the scores"


def _recurrent_kernels(kernels: str, names: Sequence[str]) -> str:
    said = f"Recurrent layers use the kernels that torch takes on {kernels}: {' and '.join(names)}"
    if kernels == "cuda":
        return f"{said}; of cuDNN's reserve, whose size is not published, gates and cells count."
    return f"{said}; what oneDNN keeps and takes is included." if "oneDNN" in names else f"{said}."


def _convention(settings: Settings) -> dict[str, str]:
    return {
        "training_memory_bytes": "peak of one training step after the first, run on meta with "
        "storages counted while they live; library workspaces are not included",
        "training_macs": "multiply-accumulates of forward and backward",
        "optimizer": settings.optimizer,
        "kernels": settings.kernels + ":explicit" * settings.explicit,
        "dtype": str(settings.dtype or "own").removeprefix("torch."),
        "amp": str(settings.amp).lower(),
        **convention_of_devices(settings),
    }
