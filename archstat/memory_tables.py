"""`memory`: what a training step and inference need, a row a model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace

import torch
from torch import nn

from archstat.analyses.memory import COLUMNS as INFERENCE_COLUMNS
from archstat.analyses.memory import memory
from archstat.errors import InputError, OptionError, SpecError
from archstat.frontends.module import capture_call, unwrapped
from archstat.graph import Graph
from archstat.lookup import did_you_mean
from archstat.pipeline import graph_of_spec
from archstat.real_runs import Given, given_tensors
from archstat.reporters.plots import MemoryTimeline
from archstat.result import Cell, Column, Table
from archstat.sources import find
from archstat.specs import parse_spec
from archstat.training.largest_batch import Fit, largest_batch
from archstat.training.optimizers import optimizer_named
from archstat.training.step import Settings, TrainingStep, training_step
from archstat.units import format_bytes
from archstat.version import __version__

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "fp64": "float64"}
FIT_COLUMNS = (
    Column("largest_batch", "number", "largest batch whose training step fits; 0: none", "higher"),
    Column("beyond_bytes", "bytes", "the training peak of one sample more"),
)
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


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``archstat memory`` was asked for, checked."""

    optimizer: str = "sgd"
    dtype: str | None = None
    amp: bool = False
    kernels: str = "cpu"

    def settings(self) -> Settings:
        """The settings of a training step.

        Raises:
            OptionError: an optimizer, dtype or kernels that do not exist.
            SpecError: autocast over weights that are not in single precision.
        """
        optimizer_named(self.optimizer)
        if self.dtype is not None:
            _known("dtype", self.dtype, DTYPES)
        if self.amp and self.dtype not in (None, "fp32"):
            raise SpecError(f"--amp keeps fp32 weights: leave --dtype {self.dtype} out.")
        _known("kernels", self.kernels, ("cpu", "cuda"))
        dtype = getattr(torch, DTYPES[self.dtype]) if self.dtype else None
        kernels = "cuda" if self.kernels == "cuda" else "cpu"
        return Settings(self.optimizer, dtype, self.amp, kernels)


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One model: its training step and its inference, and the search where a budget was given."""

    model: str
    input: str
    step: TrainingStep
    peak_memory_bytes: int
    ideal_peak_bytes: int
    torch_version: str
    fit: Fit | None = None
    budget: int | None = None

    def cells(self) -> tuple[Cell, ...]:
        """The row under `MEMORY_COLUMNS`, and the search's two cells where there was one."""
        step = self.step
        cells: tuple[Cell, ...] = (
            *(self.model, self.input, step.training_memory_bytes, step.param_bytes),
            *(step.gradient_bytes, step.optimizer_bytes, step.saved_activation_bytes),
            *(step.input_bytes, self.peak_memory_bytes, self.ideal_peak_bytes),
            *(step.training_macs, step.peak.phase, step.peak.module or "-"),
        )
        return cells if self.fit is None else (*cells, self.fit.batch, self.fit.beyond)

    def note(self) -> str | None:
        """The sentence about the search."""
        if self.fit is None or self.budget is None:
            return None
        room, peak = format_bytes(self.budget), format_bytes(self.fit.peak)
        if not self.fit.batch:
            return (
                f"{self.model} does not fit {room}: a batch of {self.fit.smallest}, "
                f"which the row shows, needs {peak}."
            )
        beyond = "cannot run" if self.fit.beyond is None else f"needs {format_bytes(self.fit.beyond)}"
        return (
            f"{self.model} fits {room} up to a batch of {self.fit.batch}, which needs {peak}; "
            f"{self.fit.batch + 1} {beyond}."
        )


def memory_row(
    model: str,
    settings: Settings,
    input: Sequence[str] | None = None,
    batch: int | None = None,
    budget: int | None = None,
) -> MemoryRow:
    """What one model needs at a batch or, with a budget in bytes, at the largest that fits.

    Raises:
        SpecError, BuildError, InputError: the spec, the model or its input is wrong.
        CaptureError: the step raised, or the model has no backward pass.
    """
    given = list(input) if input else None
    if budget is None:
        graph = graph_of_spec(model, given, batch)
        return _row(model, _module(model, graph), graph, settings)
    if batch is not None:
        raise SpecError("--fits looks for the batch: leave --batch out.")
    if parse_spec(model).batch:
        raise SpecError(f"{model} fixes the batch that --fits looks for: leave batch= out.")
    graph = graph_of_spec(model, given, 1)
    module = _module(model, graph)
    grows = _growing(graph, graph_of_spec(model, given, 2))

    def peak_of(samples: int) -> int:
        args, kwargs = _at_batch(graph, grows, samples)
        return training_step(module, args, kwargs, settings, model).training_memory_bytes

    fit = largest_batch(peak_of, budget)
    shown = graph_of_spec(model, given, fit.batch or fit.smallest)
    return replace(_row(model, module, shown, settings), fit=fit, budget=budget)


def memory_table(rows: Sequence[MemoryRow], settings: Settings) -> Table:
    """The rows with the sentences that say what the figures leave out."""
    searched = any(row.fit is not None for row in rows)
    columns = (*MEMORY_COLUMNS, *FIT_COLUMNS) if searched else MEMORY_COLUMNS
    found = [note for row in rows if (note := row.note())]
    return Table(
        columns=columns,
        rows=tuple(row.cells() for row in rows),
        notes=(*found, *_notes(rows, settings)),
        convention=_convention(settings),
        torch_version=rows[0].torch_version if rows else "",
        archstat_version=__version__,
        inputs=tuple(dict.fromkeys(row.input for row in rows)),
    )


def timeline(row: MemoryRow) -> MemoryTimeline:
    """Live memory over the row's training step, for a picture."""
    peak, moments = row.step.peak, row.step.moments
    place = f"{peak.module} ({peak.phase})" if peak.module else peak.phase
    return MemoryTimeline(
        f"{row.model}, {row.input}",
        tuple(moment.live_bytes for moment in moments),
        tuple(moment.phase for moment in moments),
        place,
        row.step.steady_bytes,
    )


def _row(model: str, module: nn.Module, graph: Graph, settings: Settings) -> MemoryRow:
    args, kwargs = given_tensors(graph, _empty)
    step = training_step(module, args, kwargs, settings, model)
    if settings.dtype is not None:
        cast = module.to(settings.dtype)
        args, kwargs = given_tensors(graph, lambda n, shape, own: _empty(
            n, shape, settings.dtype if settings.dtype and own.is_floating_point else own))  # fmt: skip
        graph = capture_call(cast, args, kwargs, model)
    inference = memory(graph).totals
    peak, ideal = inference["peak_memory_bytes"], inference["ideal_peak_bytes"]
    assert isinstance(peak, int)
    assert isinstance(ideal, int)
    return MemoryRow(model, graph.input_text, step, peak, ideal, graph.torch_version)


def _module(model: str, graph: Graph) -> nn.Module:
    source = find(parse_spec(model))
    # What a model prints while it is built must not get among the figures.
    with redirect_stdout(sys.stderr):
        built = source.build() if graph.device == "meta" else source.build_for_real()
    return unwrapped(built)


def _empty(number: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    try:
        return torch.empty(shape, dtype=dtype, device="meta")
    except (RuntimeError, TypeError, OverflowError) as error:
        raise InputError(f"an input of {shape} is larger than any tensor.") from error


def _growing(one: Graph, two: Graph) -> tuple[bool, ...]:
    """For each input, whether the batch is one of its dimensions."""
    grows = tuple(
        one.values[a].shape != two.values[b].shape
        for a, b in zip(one.inputs, two.inputs, strict=True)
    )
    if not any(grows):
        raise InputError(f"{one.name}: no input has a batch, so that there is none to look for.")
    return grows


def _at_batch(graph: Graph, grows: tuple[bool, ...], batch: int) -> Given:
    return given_tensors(
        graph,
        lambda n, shape, dtype: _empty(n, (batch, *shape[1:]) if grows[n] else shape, dtype),
    )


def _notes(rows: Sequence[MemoryRow], settings: Settings) -> list[str]:
    losses = " or ".join(dict.fromkeys(row.step.loss for row in rows))
    one = "all parameters at once" if settings.kernels == "cuda" else "one parameter at a time"
    precision = str(settings.dtype or "the model's own dtype").removeprefix("torch.")
    if settings.amp:
        half = "float16" if settings.kernels == "cuda" else "bfloat16"
        precision = f"float32 weights with {half} autocast"
    yes = [
        f"training: a step after the first, loss {losses}, {settings.optimizer} ({one}), "
        f"{precision}; input, output and loss stay alive. The parts do not sum to the peak.",
        f"Kernels of {settings.kernels} are assumed; library workspaces are not included.",
    ]
    if any(row.step.fused_attention for row in rows):
        yes.append("Training attends by a fused kernel, which stores no scores.")
    real = [row.model for row in rows if row.step.device != "meta"]
    if real:
        yes.append(f"{', '.join(real)} ran for real on cpu, since it cannot run on meta.")
    return yes


def _convention(settings: Settings) -> dict[str, str]:
    return {
        "training_memory_bytes": "peak of one training step after the first, run on meta with "
        "storages counted while they live; library workspaces are not included",
        "training_macs": "multiply-accumulates of forward and backward",
        "optimizer": settings.optimizer,
        "kernels": settings.kernels,
        "dtype": str(settings.dtype or "own").removeprefix("torch."),
        "amp": str(settings.amp).lower(),
    }


def _known(what: str, given: str, known: Sequence[str] | dict[str, str]) -> None:
    if given not in known:
        hint = did_you_mean(given, known)
        raise OptionError(f"There is no {what} {given!r}.{hint} Known: {', '.join(known)}.")
