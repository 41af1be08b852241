"""A module with real weights, and ordinary inputs for it."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from archstat.errors import SpecError
from archstat.frontends.inputs import arguments
from archstat.frontends.made_up import made_up, vocabulary_of
from archstat.frontends.module import unwrapped
from archstat.graph import Graph
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
        return unwrapped(model)
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
    graph: Graph, make: Callable[[int, tuple[int, ...], torch.dtype], torch.Tensor]
) -> Given:
    """The inputs of a Graph as tensors; `make` is told their number, shape and dtype."""
    values = [graph.values[index] for index in graph.inputs]
    made = [make(number, value.shape, getattr(torch, value.dtype))
            for number, value in enumerate(values)]  # fmt: skip
    return arguments([value.name for value in values], made)


def ordinary(root: nn.Module) -> Callable[[int, tuple[int, ...], torch.dtype], torch.Tensor]:
    """What makes the inputs of a model, each the same every time: see `made_up`."""
    vocabulary = vocabulary_of(root)
    return lambda number, shape, dtype: made_up(shape, dtype, vocabulary, number)
