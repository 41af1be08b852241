"""A module with real weights, from a file if there is one, and ordinary inputs for it."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from archstat.errors import InputError, SpecError
from archstat.frontends.exported.program import ProgramModule
from archstat.frontends.inputs import arguments, input_specs, tensors_for
from archstat.frontends.made_up import made_up, vocabulary_of
from archstat.frontends.module import unwrapped
from archstat.frontends.trees import replaced
from archstat.graph import Graph
from archstat.hints import shortened
from archstat.models.asked import arguments_of, asked_of
from archstat.models.sources import find
from archstat.models.specs import parse_spec

Given = tuple[tuple[Any, ...], dict[str, Any]]


def real_module(model: nn.Module | str, seed: int = 0) -> nn.Module:
    """The module itself, or what a spec names, initialised on cpu from a seed.

    No generator of the process advances.

    Raises:
        BuildError: the spec does not build for real; see also `sources.find`.
        SpecError: the spec asks for training mode.
    """
    if not isinstance(model, str):
        module = unwrapped(model)
        if isinstance(module, ProgramModule):
            module.fill()
        return module
    spec = parse_spec(model)
    if spec.train_mode:
        raise SpecError(f"{model}: train_mode= is for counts; leave it out where a model is run.")
    source = find(spec)
    # What a model prints while it is built must not get among the figures.
    with redirect_stdout(sys.stderr):
        return unwrapped(replace(source, factory=_seeded(source.factory, seed)).build_for_real())


def _seeded(factory: Callable[[], Any], seed: int) -> Callable[[], Any]:
    def build() -> Any:
        torch.default_generator.manual_seed(seed)
        random.seed(seed)
        return factory()

    return build


def given_tensors(
    graph: Graph,
    root: nn.Module,
    make: Callable[[int, tuple[int, ...], torch.dtype], torch.Tensor],
) -> Given:
    """How a Graph's forward was called: plain values, whole numbers that were told, and tensors.

    `make` makes the tensors; it is told their number, shape and dtype.
    """
    values = [graph.values[index] for index in graph.inputs]
    made = [make(number, value.shape, getattr(torch, value.dtype))
            for number, value in enumerate(values)]  # fmt: skip
    if not graph.call:
        return arguments([value.name for value in values], made)
    asked, fresh = asked_of(graph.call), iter(made)
    args, kwargs = (
        arguments_of(asked.example)
        if asked.example
        else tensors_for(input_specs(asked.shapes), 1, root)
    )

    def filled(tensor: torch.Tensor) -> torch.Tensor:
        return _as_told(tensor, next(fresh))

    return replaced(args, filled), replaced(kwargs, filled)


def has_numbers(graph: Graph) -> bool:
    """Whether it was said which whole numbers an input holds, which forward may want to know."""
    dtypes = (getattr(torch, graph.values[index].dtype) for index in graph.inputs)
    return bool(graph.call) and not all(d.is_floating_point or d.is_complex for d in dtypes)


def _as_told(told: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """Whole numbers as they were told, over and over where the batch is another; else `made`."""
    if told.is_meta or told.is_floating_point() or told.is_complex():
        return made
    repeats = -(-made.numel() // max(1, told.numel()))
    return told.reshape(-1).repeat(repeats)[: made.numel()].reshape(made.shape)


def ordinary(root: nn.Module) -> Callable[[int, tuple[int, ...], torch.dtype], torch.Tensor]:
    """What makes the inputs of a model, each the same every time: see `made_up`."""
    vocabulary = vocabulary_of(root)
    return lambda number, shape, dtype: made_up(shape, dtype, vocabulary, number)


# -- weights from a file -----------------------------------------------------------------------


def read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """The state_dict in a file, also where it stands under the key ``state_dict``.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # whatever a file that is none makes of the unpickler
        raise InputError(
            f"{path} is not a state_dict that torch.load(..., weights_only=True) reads: "
            f"{shortened(error)[:200]}"
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not (
        isinstance(state, Mapping) and all(isinstance(v, torch.Tensor) for v in state.values())
    ):
        raise InputError(f"{path} holds a {type(state).__name__}, not a state_dict of tensors.")
    return state


def load_weights(root: nn.Module, state: Mapping[str, torch.Tensor], origin: str) -> None:
    """Copy a state_dict into a module; `origin` names it in the error.

    Raises:
        InputError: its keys or shapes are not those of the module.
    """
    own = root.state_dict()
    absent = [key for key in own if key not in state]
    foreign = [key for key in state if key not in own]
    unlike = [key for key in own if key in state and own[key].shape != state[key].shape]
    faults = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for keys, what in ((absent, "missing"), (foreign, "unknown"), (unlike, "of another shape"))
        if keys
    ]
    if faults:
        raise InputError(f"{origin} does not fit {type(root).__name__}: keys {'; '.join(faults)}.")
    root.load_state_dict(state)
