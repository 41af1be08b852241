"""A module with real weights, and ordinary inputs for it."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from archstat.frontends.made_up import made_up, vocabulary_of
from archstat.frontends.module import unwrapped
from archstat.graph import Graph
from archstat.models.sources import find
from archstat.models.specs import parse_spec

_CGROUP = Path("/sys/fs/cgroup")
Given = tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]


def real_module(model: nn.Module | str, seed: int = 0) -> nn.Module:
    """The module itself, or what a spec names, initialised on cpu from a seed.

    No generator of the process advances.

    Raises:
        BuildError: the spec does not build for real; see also `sources.find`.
    """
    if not isinstance(model, str):
        return unwrapped(model)
    source = find(parse_spec(model))
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
    args: list[torch.Tensor] = []
    kwargs: dict[str, torch.Tensor] = {}
    for number, index in enumerate(graph.inputs):
        value = graph.values[index]
        tensor = make(number, value.shape, getattr(torch, value.dtype))
        if value.name is None:
            args.append(tensor)
        else:
            kwargs[value.name] = tensor
    return tuple(args), kwargs


def ordinary(root: nn.Module) -> Callable[[int, tuple[int, ...], torch.dtype], torch.Tensor]:
    """What makes the inputs of a model, each the same every time: see `made_up`."""
    vocabulary = vocabulary_of(root)
    return lambda number, shape, dtype: made_up(shape, dtype, vocabulary, number)


def free_bytes() -> int:
    """The memory that this process can still take, by the system and by its container."""
    return min(_free_of_system(), _free_of_container())


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
