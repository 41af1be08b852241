"""What one model needs in training and in inference, at a batch or at the largest that fits."""

from __future__ import annotations

import glob
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from archstat.analyses.cuda_allocator import (
    Event,
    OutOfMemoryError,
    Reserved,
    events_of,
    reserved_for,
)
from archstat.analyses.devices import CUBLAS_WORKSPACE, Device
from archstat.analyses.memory import attention_of, memory
from archstat.errors import InputError, Option, OptionError, SpecError
from archstat.frontends.attention import AttentionKernels
from archstat.frontends.module import capture_call, unwrapped
from archstat.frontends.trees import patterns_of
from archstat.graph import UNSEEN, Graph
from archstat.hints import did_you_mean
from archstat.measure.training.checkpoints import Choice, cheapest_checkpoints
from archstat.measure.training.largest_batch import Fit, largest_batch, largest_of
from archstat.measure.training.live_bytes import TrainingStep, foreseen
from archstat.measure.training.optimizers import optimizer_named
from archstat.measure.training.real_peaks import RealPeaks, real_peaks
from archstat.measure.training.step import Settings, training_step
from archstat.models.pipeline import graph_of_spec
from archstat.models.real import Given, given_tensors, has_numbers
from archstat.models.sources import find
from archstat.models.specs import parse_spec
from archstat.units import format_bytes

DTYPES: Mapping[str, str] = MappingProxyType(
    {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "fp64": "float64"}
)
# Whose, and with attention written out.
KERNELS = ("cpu", "cuda", "cpu:explicit", "cuda:explicit")
# In place of patterns: the cheapest modules with which a batch fits.
AUTO = ("auto",)


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``archstat memory`` was asked for, checked."""

    optimizer: str = "sgd"
    dtype: str | None = None
    amp: bool = False
    kernels: str = "cpu"
    checkpoint: str | Sequence[str] = ()

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
            half = Option("dtype", self.dtype)
            raise SpecError(f"{Option('amp', True)} keeps fp32 weights: leave {half} out.")
        _known("kernels", self.kernels, KERNELS)
        checkpoint = patterns_of("checkpoint", self.checkpoint)
        if set(AUTO) < set(checkpoint):
            raise SpecError(f"{Option('checkpoint', 'auto')} finds the modules by itself: give no "
                            "pattern beside it.")  # fmt: skip
        dtype = getattr(torch, DTYPES[self.dtype]) if self.dtype else None
        kernels, _, attention = self.kernels.partition(":")
        return Settings(self.optimizer, dtype, self.amp, "cuda" if kernels == "cuda" else "cpu",
                        checkpoint, explicit=bool(attention))  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One model; `before` is the step without what `checkpoint` names, by pattern or path."""

    model: str
    input: str
    step: TrainingStep
    peak_memory_bytes: int
    ideal_peak_bytes: int
    torch_version: str
    fit: Fit | None = None
    budget: int | None = None
    real: RealPeaks | None = None
    attention: tuple[str, ...] = ()
    inference_bounds: frozenset[str] = frozenset()
    threads: bool = False
    reserved: Reserved | None = None
    inference_reserved: Reserved | None = None
    device: Device | None = None
    choice: Choice | None = None
    before: TrainingStep | None = None
    checkpoint: tuple[str, ...] = ()

    @property
    def uncounted(self) -> tuple[str, ...]:
        """What may multiply and has no formula: ops, and what other threads did."""
        return (*self.step.uncounted, *["work in other threads"] * self.threads)

    @property
    def lower_bounds(self) -> frozenset[str]:
        """The keys of figures to which what is `uncounted` may add."""
        more = ("training_memory_bytes", "training_macs", "allocated_bytes", "reserved_bytes")
        bounds = more if self.uncounted else ()
        saved = ("saved_activation_bytes",) if self.threads else ()
        return self.inference_bounds.union(bounds, saved)


def memory_row(
    model: str,
    settings: Settings,
    input: Any = None,
    batch: int | None = None,
    budget: int | None = None,
    *,
    measure: bool = False,
    device: Device | None = None,
    grid: Sequence[int] = (),
    compares: bool = False,
) -> MemoryRow:
    """What one model needs at a batch or, with a budget in bytes, at the largest that fits.

    With checkpoints of `AUTO`, the batch is given, and the modules that let it fit are found.
    With a `grid`, it is the largest of these batches. With `measure`, the step and a forward pass
    also run for real; where it `compares`, a checkpointed step also runs without. With kernels of
    cuda, what torch's allocator reserves has to fit; `device` says what it gives cuBLAS.

    Raises:
        SpecError, BuildError, InputError: the spec, the model or its input is wrong.
        CaptureError: the step raised, or the model has no backward pass.
        InputError: no modules let it fit.
    """
    if parse_spec(model).train_mode:
        raise SpecError(f"{model}: a step is in training mode anyway; leave train_mode= out.")
    if budget is None or settings.checkpoint == AUTO:
        graph = graph_of_spec(model, input, batch)
        module = _module(model, graph)
        if settings.checkpoint != AUTO:
            return _row(model, module, graph, settings, measure, device, compares=compares)
        auto = Option("checkpoint", "auto")
        if budget is None:
            raise SpecError(f"{auto} needs {Option('fits')}: the size that the step must fit in.")
        if settings.accumulate > 1 or settings.sharding is not None:
            raise SpecError(f"{auto} is for one device and one batch a step.")
        return _fitted(model, module, graph, settings, device, budget)
    if batch is not None:
        raise SpecError(f"{Option('fits')} looks for the batch: leave {Option('batch')} out.")
    if parse_spec(model).batch:
        raise SpecError(
            f"{model} fixes the batch that {Option('fits')} looks for: leave batch= out."
        )
    graph = graph_of_spec(model, input, 1)
    module = _module(model, graph)
    grows = _growing(graph, graph_of_spec(model, input, 2))

    steps: dict[int, TrainingStep] = {}

    def peak_of(samples: int) -> int:
        args, kwargs = _at_batch(graph, module, grows, samples)
        step = steps[samples] = _step(module, (args, kwargs), settings, model)
        if settings.kernels == "cpu":
            return step.training_memory_bytes
        return _needed(step, device, budget)

    def beyond(low: int) -> Callable[[int], int] | None:
        known = sorted(steps)
        first = max(0, min(bisect_right(known, low) - 1, len(known) - 2))
        near = {samples: steps[samples] for samples in known[first : first + 2]}
        if len(known) < 2 or foreseen(near, low) is None:
            return None

        def peak(samples: int) -> int:
            step = foreseen(near, samples)
            assert step is not None
            return _taken(step, settings, device, budget)

        return peak

    fit = largest_of(peak_of, budget, grid) if grid else largest_batch(peak_of, budget, beyond)
    size = fit.batch or fit.smallest
    row = _row(model, module, graph_of_spec(model, input, size), settings, measure, device, budget,
               steps.get(size), compares=compares)  # fmt: skip
    return replace(row, fit=fit, budget=budget)


# A training's second step may find the blocks of the first too small or in pieces; later ones
# find the second's.
_STEPS = 3
_MULTIPLIES = frozenset({"addmm", "addmv", "addbmm", "baddbmm", "bmm", "mm", "mv"})


def reserved_by(
    step: TrainingStep, device: Device | None = None, capacity: int | None = None
) -> Reserved:
    """What torch's allocator takes from a GPU in a training of such steps, from its start.

    cuBLAS gets a workspace for the thread of forward and one for that of backward. Within a
    `capacity` it gives back free segments; what does not fit all the same is as without one.
    """
    events = training_events(step, device)
    unlimited = reserved_for(events)
    if capacity is None or unlimited.reserved_bytes <= capacity:
        return unlimited
    try:
        return reserved_for(events, capacity)
    except OutOfMemoryError:
        return unlimited


def _taken(step: TrainingStep, settings: Settings, device: Device | None, budget: int) -> int:
    """The bytes that have to fit: those alive on a cpu, those reserved on a GPU."""
    if settings.kernels == "cpu":
        return step.training_memory_bytes
    return reserved_by(step, device, budget).reserved_bytes


def _needed(step: TrainingStep, device: Device | None, budget: int) -> int:
    """The least capacity in which a training of such steps runs, to 2 MiB.

    Whether it is within the budget is exact.
    """
    events = training_events(step, device)
    free = reserved_for(events)
    low, high = free.allocated_bytes - 1, free.reserved_bytes
    capacity = budget if low < budget < high else (low + high) // 2
    tried = False
    while high - low > 2**21 or not tried:
        tried = True
        try:
            high = min(high, reserved_for(events, capacity).reserved_bytes)
        except OutOfMemoryError:
            low = capacity
        capacity = (low + high) // 2
    return high


def training_events(
    step: TrainingStep, device: Device | None = None, *, gradients_kept: bool = False
) -> list[Event]:
    """A training from its start, after the workspaces that cuBLAS gets in it."""
    workspace = device.workspace if device else CUBLAS_WORKSPACE
    multiplies = any(m.target.split(".")[1] in _MULTIPLIES for m in step.moments)
    libraries: list[Event] = [(-1, workspace), (-2, workspace)] if multiplies else []
    return [*libraries, *step.trace.steps(_STEPS, gradients_kept=gradients_kept)]


def _fitted(
    model: str,
    module: nn.Module,
    graph: Graph,
    settings: Settings,
    device: Device | None,
    budget: int,
) -> MemoryRow:
    """The row with the cheapest modules checkpointed that let a step fit."""
    given = given_tensors(graph, module, _empty)

    def step_of(names: tuple[str, ...]) -> TrainingStep:
        patterns = tuple(map(glob.escape, names))
        return _step(module, given, replace(settings, checkpoint=patterns), model)

    taken = partial(_taken, settings=settings, device=device, budget=budget)
    choice = cheapest_checkpoints(step_of, taken, budget)
    if choice.needed > budget:
        least = f"with {', '.join(choice.names)} checkpointed" if choice.names else "as it is"
        raise InputError(
            f"{model} at {graph.input_text} does not fit {format_bytes(budget)}, whatever is "
            f"checkpointed: it needs {format_bytes(choice.needed)} {least}, and "
            f"{choice.step.beyond(budget)}. Choose a smaller {Option('batch')}."
        )
    settings = replace(settings, checkpoint=choice.names)
    row = _row(model, module, graph, settings, False, device, budget, choice.step)
    return replace(row, choice=choice, budget=budget, before=choice.plain if choice.names else None)


def _row(model: str, module: nn.Module, graph: Graph, settings: Settings, measure: bool,
         device: Device | None, budget: int | None = None, step: TrainingStep | None = None,
         *, compares: bool = False) -> MemoryRow:  # fmt: skip
    given = given_tensors(graph, module, _empty)
    step = step or _step(module, given, settings, model)
    before = (_step(module, given, replace(settings, checkpoint=()), model)
              if compares and settings.checkpoint else None)  # fmt: skip
    real = real_peaks(model, graph, step, settings) if measure else None
    attention = attention_of(graph)
    if settings.dtype or (attention and (settings.explicit or settings.kernels == "cuda")):
        graph = _captured_as(settings, module, graph, model)
        attention = attention_of(graph)
    inference = memory(graph)
    peak, ideal = (inference.totals[key] for key in ("peak_memory_bytes", "ideal_peak_bytes"))
    assert isinstance(peak, int)
    assert isinstance(ideal, int)
    threads = any(op.target == UNSEEN for op in graph.ops)
    on_gpu = settings.kernels == "cuda"
    return MemoryRow(model, graph.input_text, step, peak, ideal, graph.torch_version, real=real,
                     attention=attention, inference_bounds=inference.lower_bounds,
                     threads=threads, device=device,
                     reserved=reserved_by(step, device, budget) if on_gpu else None,
                     inference_reserved=reserved_for(events_of(graph)) if on_gpu else None,
                     before=before, checkpoint=settings.checkpoint)  # fmt: skip


def _step(module: nn.Module, given: Given, settings: Settings, model: str) -> TrainingStep:
    # What a model prints while it runs must not get among the figures.
    with redirect_stdout(sys.stderr):
        return training_step(module, *given, settings, model)


def _captured_as(settings: Settings, module: nn.Module, graph: Graph, model: str) -> Graph:
    """The Graph of the same call in the settings' dtype and by their kernels."""
    dtype = settings.dtype

    def cast(number: int, shape: tuple[int, ...], own: torch.dtype) -> torch.Tensor:
        return _empty(number, shape, dtype if dtype and own.is_floating_point else own)

    given = given_tensors(graph, module, cast)
    attend = partial(AttentionKernels, settings.kernels, settings.explicit)
    return capture_call(module.to(dtype), *given, model, attend)


def _module(model: str, graph: Graph) -> nn.Module:
    source = find(parse_spec(model))
    # What a model prints while it is built must not get among the figures.
    with redirect_stdout(sys.stderr):
        is_real = graph.device != "meta" or has_numbers(graph)
        built = source.build_for_real() if is_real else source.build()
    return unwrapped(built)


def _empty(number: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    try:
        return torch.empty(shape, dtype=dtype, device="meta")
    except (RuntimeError, TypeError, OverflowError) as error:
        raise InputError(f"an input of {shape} is larger than any tensor.") from error


def _growing(one: Graph, two: Graph) -> tuple[tuple[int, ...], ...]:
    """For each input, the dimensions that are the batch."""
    pairs = ((one.values[a].shape, two.values[b].shape)
             for a, b in zip(one.inputs, two.inputs, strict=True))  # fmt: skip
    grows = tuple(
        tuple(axis for axis, size in enumerate(shape) if size != other[axis])
        for shape, other in pairs
    )
    if not any(grows):
        raise InputError(
            f"{one.name}: no input has a batch, so {Option('fits')} has nothing to look for."
        )
    return grows


def _at_batch(
    graph: Graph, module: nn.Module, grows: tuple[tuple[int, ...], ...], batch: int
) -> Given:
    def make(number: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        sizes = (batch if axis in grows[number] else size for axis, size in enumerate(shape))
        return _empty(number, tuple(sizes), dtype)

    return given_tensors(graph, module, make)


def _known(what: str, given: str, known: Sequence[str] | Mapping[str, str]) -> None:
    if given not in known:
        hint = did_you_mean(given, known)
        raise OptionError(f"There is no {Option(what, given)}.{hint} Known: {', '.join(known)}.")
