"""From specs to models ready to be timed: built with real weights, given inputs, moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from archstat.errors import ArchstatError, CaptureError
from archstat.frontends.exported.program import ProgramModule
from archstat.graph import Graph
from archstat.hints import shortened
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.sampling import Subject
from archstat.measure.latency.subject import Given, Inference, Loss, Training, moved, tensors_moved
from archstat.measure.training.loss import batch_norm_hint, differentiable, loss_of, targets_for
from archstat.models.pipeline import graph_of_spec
from archstat.models.real import given_tensors, real_module
from archstat.models.specs import parse_spec

_FEWEST_IDS = 2


@dataclass(slots=True)
class TimedModel:
    """A module on its device, and, at one batch, its inputs and what times it.

    `asked_batch` is what was asked for, `batch` what memory allows; `input` names the sizes.
    """

    spec: str
    module: nn.Module
    conditions: Conditions
    given_input: tuple[str, ...]
    asked_batch: int
    batch: int
    input: str
    subject: Subject

    def at_batch(self, batch: int) -> TimedModel:
        """The same module at another batch."""
        return _timed(self.spec, self.module, self.given_input, self.conditions,
                      self.asked_batch, batch)  # fmt: skip

    def first_call(self) -> None:
        """Run once; errors of forward and backward get the model's name.

        Raises:
            CaptureError: it raised, for another reason than too little memory.
        """
        try:
            self.subject.call()
        except ArchstatError as error:
            raise type(error)(f"{self.spec}: {error}") from error
        except Exception as error:
            if out_of_memory(error):
                raise
            raise _failure(self.spec, self.conditions, error) from error


def load(spec: str, input: Sequence[str], conditions: Conditions) -> TimedModel:
    """The model of a spec, built for real, at the spec's own batch or that of the conditions.

    Raises:
        ArchstatError: what `pipeline.graph_of_spec` and `sources.find` raise.
    """
    batch = parse_spec(spec).batch or conditions.batch or 1
    module = moved(timed_module(spec), conditions)
    return _timed(spec, module, tuple(input), conditions, batch, batch)


def timed_module(spec: str) -> nn.Module:
    """The module of a spec, built for real.

    Raises:
        CaptureError: it is on meta, or a program, whose weights are not read.
    """
    module = real_module(spec)
    on_meta = any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    if on_meta or isinstance(module, ProgramModule):
        raise CaptureError(
            f"{spec} is read without its weights, which a measurement needs: give the model as "
            "FILE.py:NAME."
        )
    return module


def _timed(
    spec: str,
    module: nn.Module,
    input: tuple[str, ...],
    conditions: Conditions,
    asked: int,
    batch: int,
) -> TimedModel:
    graph = graph_of_spec(_without_batch(spec), list(input) or None, batch)
    given = tensors_moved(random_inputs(graph, module), conditions)
    subject = _subject(spec, module, given, conditions)
    return TimedModel(spec, module, conditions, input, asked, batch, graph.input_text, subject)


def _without_batch(spec: str) -> str:
    """The spec without its own batch, which would have the last word."""
    return ",".join(part for part in spec.split(",") if not part.strip().startswith("batch="))


def _subject(spec: str, module: nn.Module, given: Given, conditions: Conditions) -> Subject:
    if conditions.backward:
        training = Training(module, given, conditions, _loss_of(spec))
        if conditions.on_cuda:
            from archstat.measure.latency.cuda import CudaTraining

            return CudaTraining(training, conditions)
        return training
    inference = Inference(module, given, conditions)
    if conditions.on_cuda:
        from archstat.measure.latency.cuda import CudaInference

        return CudaInference(inference, conditions)
    return inference


def _loss_of(title: str) -> Loss:
    """Cross-entropy or the sum, as a training step is counted; targets are made once."""
    targets: list[list[torch.Tensor | None]] = []

    def loss(output: Any) -> torch.Tensor:
        outputs = differentiable(title, output)
        if not targets:
            targets.append(targets_for(outputs))
        return loss_of(outputs, targets[0])

    return loss


def random_inputs(graph: Graph, module: nn.Module) -> Given:
    """Inputs of a Graph's shapes and dtypes, the same every time and never constant.

    Real numbers lie between 0 and 1, whole ones within the rows of the embedding they go to, or
    are those that were told.
    """

    def make(number: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        seeded = torch.Generator().manual_seed(number)
        if dtype.is_floating_point:
            return torch.rand(shape, generator=seeded).to(dtype)
        if dtype.is_complex:
            pairs = torch.rand((*shape, 2), generator=seeded)
            return torch.view_as_complex(pairs).to(dtype)
        below = _ids_of(graph, graph.inputs[number])
        return torch.randint(0, below, shape, generator=seeded).to(dtype)

    return given_tensors(graph, module, make)


def _ids_of(graph: Graph, index: int) -> int:
    """How many ids an input may hold: the rows of its embedding, else of the smallest."""
    storage = graph.values[index].storage
    own: list[int] = []
    others: list[int] = []
    for op in graph.ops:
        tables = [graph.values[i] for i in op.inputs if graph.values[i].role == "parameter"]
        if op.kind == "embedding" and tables:
            takes_it = any(graph.values[i].storage == storage for i in op.inputs)
            (own if takes_it else others).append(tables[0].shape[0])
    return max(1, min(own or others, default=_FEWEST_IDS))


def out_of_memory(error: BaseException) -> bool:
    """Whether a device had too little memory for something."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in said or "not enough memory" in said
    )


def _failure(spec: str, conditions: Conditions, error: Exception) -> CaptureError:
    what = "the training step of " if conditions.backward else ""
    return CaptureError(
        f"{what}{spec} does not run on {conditions.device} in {conditions.dtype}"
        f"{' compiled' if conditions.compile else ''}: {shortened(error)}.{batch_norm_hint(error)}"
    )
