"""The same training step and inference for real, as the allocator sees them.

On cpu the profiler tells every allocation, on a GPU the caching allocator its peak. Both include
the temporaries that kernels take from torch's allocator, which no count of tensors sees; what a
library takes from the system itself neither of them sees.
"""

from __future__ import annotations

import copy
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from archstat.errors import ArchstatError, CaptureError, InputError, Option, SpecError
from archstat.frontends.building import free_bytes
from archstat.frontends.guard import generators_kept
from archstat.frontends.made_up import made_up, vocabulary_of
from archstat.frontends.trees import replaced, tensors
from archstat.graph import Graph
from archstat.hints import shortened
from archstat.measure.training.live_bytes import TrainingStep
from archstat.measure.training.loss import differentiable, loss_of, targets_for
from archstat.measure.training.optimizers import optimizer_named
from archstat.measure.training.step import Settings, set_training
from archstat.models.real import given_tensors, real_module
from archstat.units import format_bytes

_Given = tuple[tuple[Any, ...], dict[str, Any]]


def measured_training_bytes(
    module: nn.Module, given: _Given, settings: Settings, device: str = "cpu"
) -> int:
    """The allocator's peak in the second step of a copy of a module with real weights.

    On cpu the optimizer takes one parameter at a time, on a GPU all at once, unless `settings`
    name the other's kernels.
    """
    root = copy.deepcopy(module).to(device, settings.dtype)
    set_training(root.modules())
    args, kwargs = _inputs(given, root, device, settings.dtype)
    optimizer = _optimizer(settings, [p for p in root.parameters() if p.requires_grad])
    half = torch.float16 if device == "cuda" else torch.bfloat16

    def step() -> None:
        with torch.autocast(device, half, enabled=settings.amp):
            outputs = differentiable("the model", output := root(*args, **kwargs))
            targets = targets_for(outputs)
            loss = loss_of(outputs, targets)
        torch.autograd.backward(loss)
        optimizer.step()
        del output

    with generators_kept(), torch.enable_grad():
        step()
        optimizer.zero_grad(set_to_none=True)
        states = [t for state in optimizer.state.values() for t in tensors(state)]
        held = [*root.parameters(), *root.buffers(), *states, *tensors((args, kwargs))]
        return _peak(step, held, device)


def measured_inference_bytes(
    module: nn.Module, given: _Given, device: str = "cpu", dtype: torch.dtype | None = None
) -> int:
    """The allocator's peak in a forward pass of a copy of a module with real weights."""
    root = copy.deepcopy(module).to(device, dtype)
    set_training(root.modules(), False)
    args, kwargs = _inputs(given, root, device, dtype)

    def forward() -> None:
        root(*args, **kwargs)

    with generators_kept(), torch.no_grad():
        forward()
        held = [*root.parameters(), *root.buffers(), *tensors((args, kwargs))]
        return _peak(forward, held, device)


def _optimizer(settings: Settings, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    named = optimizer_named(settings.optimizer)
    fused, together = settings.way == "fused", settings.way == "foreach"
    if named.name in ("sgd", "momentum"):
        momentum = 0.9 if named.name == "momentum" else 0.0
        return torch.optim.SGD(parameters, lr=1e-4, momentum=momentum, foreach=together,
                               fused=fused)  # fmt: skip
    kind = torch.optim.Adam if named.name == "adam" else torch.optim.AdamW
    return kind(parameters, lr=1e-4, foreach=together, fused=fused)


def _inputs(given: _Given, root: nn.Module, device: str, dtype: torch.dtype | None) -> Any:
    ids = vocabulary_of(root)

    def made(tensor: torch.Tensor) -> torch.Tensor:
        wanted = dtype if dtype and tensor.is_floating_point() else tensor.dtype
        return made_up(tensor.shape, tensor.dtype, ids).to(device, wanted)

    return replaced(given, made)


def _peak(run: Callable[[], None], held: list[torch.Tensor], device: str) -> int:
    """Bytes that `held` takes, and the most that `run` allocates beyond it."""
    gc.collect()
    storages = {s.data_ptr(): s.nbytes() for t in held if (s := t.untyped_storage()).nbytes()}
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return sum(storages.values()) + torch.cuda.max_memory_allocated() - before
    from torch.profiler import ProfilerActivity, profile

    gc.disable()
    try:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            run()
    finally:
        gc.enable()
    return sum(storages.values()) + _most(profiled)


def _most(profiled: Any) -> int:
    events = list(_flat(profiled.profiler.kineto_results.experimental_event_tree()))
    changes = [e for e in events if "alloc" in str(e.tag).lower()]
    live = most = 0
    for change in sorted(changes, key=lambda event: int(event.start_time_ns)):
        live += change.extra_fields.alloc_size
        most = max(most, live)
    return most


def _flat(events: Any) -> Iterator[Any]:
    for event in events:
        yield event
        yield from _flat(event.children)


@dataclass(frozen=True, slots=True)
class RealPeaks:
    """The allocator's peaks in bytes: of the second training step, and of a forward pass."""

    training_bytes: int
    inference_bytes: int


def real_peaks(
    model: str, graph: Graph, step: TrainingStep, settings: Settings, free: int | None = None
) -> RealPeaks:
    """The peaks of a model with real weights on the inputs of its Graph, by torch.profiler.

    Args:
        step: the same step as it was counted; it says beforehand how much memory a run needs.
        free: bytes that a run may take; by default what this machine has left.

    Raises:
        SpecError: the step was counted with a GPU's kernels.
        InputError: there is not enough memory.
        CaptureError: the model does not run on cpu.
    """
    if settings.kernels != "cpu":
        cuda = Option("kernels", settings.kernels)
        raise SpecError(f"{Option('measure', True)} runs on cpu: leave {cuda} out.")
    _check_room(model, step, free_bytes() if free is None else free)
    try:
        # What a model prints must not get among the figures.
        with redirect_stdout(sys.stderr):
            root = real_module(model)
            given = given_tensors(graph, root, _empty)
            training = measured_training_bytes(root, given, settings)
            inference = measured_inference_bytes(root, given, dtype=settings.dtype)
    except ArchstatError:
        raise
    except Exception as error:
        raise CaptureError(
            f"{model} cannot be measured, since it does not run on cpu: {shortened(error)}. "
            f"Leave {Option('measure')} out, or choose another {Option('dtype')}."
        ) from error
    return RealPeaks(training, inference)


def _check_room(model: str, step: TrainingStep, free: int) -> None:
    needed = step.training_memory_bytes + step.param_bytes  # the module and the copy that trains
    if needed > free:
        raise InputError(
            f"{model}: {Option('measure', True)} runs the step for real, which takes about "
            f"{format_bytes(needed)} of memory, and {format_bytes(free)} are free. "
            f"Choose a smaller {Option('batch')} or {Option('input')}."
        )


def _empty(number: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")
