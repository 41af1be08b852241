"""What the allocator holds at most when a model trains and infers for real, on cpu."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import torch

from archstat.errors import ArchstatError, CaptureError, InputError, SpecError
from archstat.graph import Graph
from archstat.lookup import shortened
from archstat.real_runs import given_tensors, real_module
from archstat.training.figures import Settings, TrainingStep
from archstat.training.measuring import measured_inference_bytes, measured_training_bytes
from archstat.units import format_bytes

_CGROUP = Path("/sys/fs/cgroup")


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
        raise SpecError("--measure runs on cpu: leave --kernels cuda out.")
    _check_room(model, step, free_bytes() if free is None else free)
    try:
        # What a model prints must not get among the figures.
        with redirect_stdout(sys.stderr):
            root = real_module(model)
            given = given_tensors(graph, _empty)
            training = measured_training_bytes(root, given, settings)
            inference = measured_inference_bytes(root, given, dtype=settings.dtype)
    except ArchstatError:
        raise
    except Exception as error:
        raise CaptureError(
            f"{model} cannot be measured, since it does not run on cpu: {shortened(error)}. "
            "Leave --measure out, or choose another --dtype."
        ) from error
    return RealPeaks(training, inference)


def free_bytes() -> int:
    """The memory that this process can still take, by the system and by its container."""
    return min(_free_of_system(), _free_of_container())


def _check_room(model: str, step: TrainingStep, free: int) -> None:
    needed = step.training_memory_bytes + step.param_bytes  # the module and the copy that trains
    if needed > free:
        raise InputError(
            f"{model}: --measure runs the step for real, which takes about {format_bytes(needed)} "
            f"of memory, and {format_bytes(free)} are free. Choose a smaller --batch or --input."
        )


def _free_of_system() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    known = {name: text.split() for name, _, text in (line.partition(":") for line in lines)}
    return int(known["MemAvailable"][0]) * 1024


def _free_of_container() -> int:
    try:
        limit, used = (
            (_CGROUP / name).read_text(encoding="ascii").strip()
            for name in ("memory.max", "memory.current")
        )
    except OSError:
        return sys.maxsize
    return sys.maxsize if limit == "max" else max(0, int(limit) - int(used))


def _empty(number: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")
