"""A module made ready to run under conditions, and its phases timed on cpu."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from archstat.errors import CaptureError, LatencyError, Option
from archstat.frontends.trees import replaced
from archstat.hints import shortened
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.rounds import Samples
from archstat.measure.latency.sampling import MILLISECOND, Clock, blocks_of

Given = tuple[tuple[Any, ...], dict[str, Any]]
Loss = Callable[[Any], torch.Tensor]

_TORCH_DTYPES = {"fp32": None, "fp16": torch.float16, "bf16": torch.bfloat16, "amp": None}


def moved(module: nn.Module, conditions: Conditions) -> nn.Module:
    """The module itself, on the device, in the dtype and layout and mode of the conditions.

    float64 and integer parts of a module in fp32 stay what they are.
    """
    module.to(conditions.device, _TORCH_DTYPES[conditions.dtype])
    if conditions.channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for part in module.modules():
        part.training = conditions.backward
    return module


def tensors_moved(given: Given, conditions: Conditions) -> Given:
    """Inputs on the device; floating-point ones in the dtype, images in the layout."""
    moved_there: Given = replaced(given, lambda tensor: _tensor(tensor, conditions))
    return moved_there


def _tensor(value: torch.Tensor, conditions: Conditions) -> torch.Tensor:
    dtype = _TORCH_DTYPES[conditions.dtype] if value.is_floating_point() else None
    value = value.to(conditions.device, dtype)
    if conditions.channels_last and value.dim() == 4:
        value = value.contiguous(memory_format=torch.channels_last)
    return value


def autocast(conditions: Conditions) -> AbstractContextManager[Any]:
    """Mixed precision where it is asked for: fp16 on a GPU, bf16 on a cpu, torch's defaults."""
    if conditions.dtype != "amp":
        return nullcontext()
    half = torch.float16 if conditions.on_cuda else torch.bfloat16
    kind = "cuda" if conditions.on_cuda else "cpu"
    # A captured graph must not point at casts that are gone when it is replayed.
    return torch.autocast(kind, half, cache_enabled=not conditions.cuda_graph)


def check_here(conditions: Conditions) -> None:
    """Whether this machine has the device and its kernels the dtype.

    Raises:
        LatencyError: not so; the message lists the devices that there are.
    """
    if conditions.on_cuda:
        from archstat.measure.latency.machine import check_gpu

        check_gpu(conditions)
    dtype = _TORCH_DTYPES[conditions.dtype]
    if dtype is None:
        return
    try:
        with torch.inference_mode():
            conv = nn.Conv2d(1, 1, 3).to(conditions.device, dtype)
            conv(torch.ones(1, 1, 8, 8, device=conditions.device, dtype=dtype))
    except RuntimeError as error:
        raise LatencyError(
            f"{Option('dtype', conditions.dtype)}: {conditions.device} has no convolution in this "
            f"dtype ({shortened(error)}); try fp32, or amp for mixed precision."
        ) from error


class Inference:
    """A forward pass on cpu."""

    def __init__(self, module: nn.Module, given: Given, conditions: Conditions) -> None:
        self._run: Callable[..., Any] = torch.compile(module) if conditions.compile else module
        self._args, self._kwargs = given
        self._conditions = conditions

    def call(self) -> None:
        """Run once, to the end."""
        with autocast(self._conditions):
            self._run(*self._args, **self._kwargs)

    def sample(self, clock: Clock, calls: int, blocks: int) -> Samples:
        """Blocks of forward passes, in ms a pass."""
        run, args, kwargs = self._run, self._args, self._kwargs
        if self._conditions.dtype == "amp":
            return {"forward": blocks_of(self.call, clock, calls, blocks)}
        if kwargs:
            return {"forward": blocks_of(lambda: run(*args, **kwargs), clock, calls, blocks)}
        return {"forward": blocks_of(lambda: run(*args), clock, calls, blocks)}


class Training:
    """A training step in parts: forward with the loss, backward, and plain SGD's step."""

    def __init__(self, module: nn.Module, given: Given, conditions: Conditions, loss: Loss) -> None:
        self._run: Callable[..., Any] = torch.compile(module) if conditions.compile else module
        self._args, self._kwargs = given
        self._conditions = conditions
        self._loss = loss
        trainable = [p for p in module.parameters() if p.requires_grad]
        # A rate of 0 costs what any other does, and weights stay finite however long it runs.
        self._optimizer = torch.optim.SGD(trainable, lr=0.0) if trainable else None

    def forward(self) -> torch.Tensor:
        """The loss of a forward pass."""
        with autocast(self._conditions):
            return self._loss(self._run(*self._args, **self._kwargs))

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients, made anew."""
        torch.autograd.backward(loss)

    def optimize(self) -> None:
        """The optimizer's step, and gradients gone."""
        if self._optimizer is None:
            raise CaptureError("the model has no parameter that is trained.")
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    def call(self) -> None:
        """One step, to the end."""
        self.backward(self.forward())
        self.optimize()

    def sample(self, clock: Clock, calls: int, blocks: int) -> Samples:
        """Every step by its parts; a step is long beside the readings of the clock."""
        marks: list[tuple[int, int, int, int]] = []
        for _ in range(blocks * calls):
            start = clock.now_ns()
            loss = self.forward()
            forward = clock.now_ns()
            self.backward(loss)
            backward = clock.now_ns()
            del loss
            self.optimize()
            marks.append((start, forward, backward, clock.now_ns()))
        return by_phase([[t / MILLISECOND for t in mark] for mark in marks], calls)


def by_phase(marks: list[list[float]], calls: int) -> Mapping[str, list[float]]:
    """The parts of steps from their marks in ms, blocks of `calls` steps averaged."""
    phases: dict[str, list[float]] = {}
    parts = {"forward": (0, 1), "backward": (1, 2), "optimizer": (2, 3), "step": (0, 3)}
    for phase, (begin, end) in parts.items():
        each = [mark[end] - mark[begin] for mark in marks]
        phases[phase] = [sum(each[at : at + calls]) / calls for at in range(0, len(each), calls)]
    return phases
