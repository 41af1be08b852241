"""A forward pass that is written down, step by step, as a module that takes those steps.

Exported programs hold no Python, only operators with their arguments. Here they become a tree of
modules with the paths, types and parameters of the original, so that a program is captured like
any model. The tensors live on meta: no weights are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import nn

from archstat.errors import CaptureError
from archstat.frontends.building import free_bytes
from archstat.frontends.exported.steps import (
    Given,
    Place,
    Program,
    Step,
    filled,
    name_results,
    names,
    refs,
    taken,
)
from archstat.units import InputSpec, format_bytes, format_shape, is_batched

_Modules = Mapping[str, nn.Module]


class _Part(NamedTuple):
    """A call of a module: its steps and calls, what it reads from outside, what it leaves."""

    path: str
    items: tuple[Any, ...]
    reads: tuple[str, ...]
    leaves: tuple[str, ...]


class CalledModule(nn.Module):
    """A module of the original: it takes the steps of one of its calls.

    `layer` is the layer of torch.nn that does what it does, whose settings are attributes here.
    """

    layer: type[nn.Module] | None = None

    def forward(self, *given: Any) -> Any:
        """What the steps leave; `given` are the values that they read."""
        return self.__dict__["run"]()


class ProgramModule(nn.Module):
    """A program as a module: called like the original, it takes the program's steps on meta."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._plan = _plan(program)
        self.needs_functions = program.needs_functions
        self.fixed_batch = True  # whether an input must have the batch of the example
        planted = _plant(self, program)
        for path, layer in self._plan.layers.items():
            if layer is not None:
                planted[path].__dict__.update(layer[1], layer=layer[0])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the program returns, of meta tensors of the sizes that it was exported for.

        Raises:
            CaptureError: an input of another size, one too many or too few.
        """
        program = self._plan.program
        values = _bound(program, args, kwargs, self.fixed_batch)
        modules = dict(self.named_modules(remove_duplicate=False))
        for held in program.held:
            owner, _, name = held.path.rpartition(".")
            values[held.name] = getattr(modules[owner], name)
        self._run(self._plan.parts, values, modules)
        return filled(program.returned, values)

    def fill(self) -> None:
        """Put numbers on cpu in the place of all tensors, of the size that layers begin with.

        Whole numbers are zeros, which are indices of anything.

        Raises:
            MemoryError: they take more than is free.
        """
        held = {id(one.tensor): one.tensor for one in self._plan.program.held}
        taken, free = sum(tensor.nbytes for tensor in held.values()), free_bytes()
        if taken > free:
            raise MemoryError(f"it takes {format_bytes(taken)}, {format_bytes(free)} are free")
        filled = cache(_filled)  # a tensor under several paths stays one
        for module in self.modules():
            for kept in (module._parameters, module._buffers, vars(module)):
                kept.update({n: filled(t) for n, t in kept.items() if torch.is_tensor(t)})

    def own_inputs(self) -> tuple[InputSpec, ...]:
        """The inputs of the example that it was exported for."""
        given = [one for one in self._plan.program.given if one.shape is not None]
        batched = is_batched(one.shape or () for one in given)
        return tuple(
            InputSpec(one.example[1:] if batched else one.example, _dtype(one.dtype), None, batched)
            for one in given
        )

    def _run(self, items: Sequence[Any], values: dict[str, Any], modules: _Modules) -> None:
        for item in items:
            if isinstance(item, _Part):
                self._call(item, values, modules)
                continue
            index, step = item
            self._leave(index, step, taken(step, values), values)

    def _leave(self, index: int, step: Step, result: Any, values: dict[str, Any]) -> None:
        """Name what a step made, and let go of what nobody reads after it."""
        name_results(step.outputs, result, values)
        for name in self._plan.dying[index]:
            values.pop(name, None)

    def _call(self, part: _Part, values: dict[str, Any], modules: _Modules) -> None:
        def run() -> Any:
            self._run(part.items, values, modules)
            left = [values[name] for name in part.leaves]
            return left[0] if len(left) == 1 else tuple(left)

        # Not an argument: captures look at a single tensor faster than at anything else.
        module = modules[part.path]
        module.__dict__["run"] = run
        result = module(*[values[name] for name in part.reads])
        if self._plan.layers.get(part.path):  # a capture need not run it
            ((index, step),) = part.items
            self._leave(index, step, result, values)


def _filled(tensor: Any) -> Any:
    """A tensor whose products neither grow nor vanish."""
    if not tensor.is_floating_point():
        return torch.zeros(tensor.shape, dtype=tensor.dtype)
    if tensor.dim() < 2:
        filled = torch.ones(tensor.shape, dtype=tensor.dtype)
    else:
        filled = torch.randn(tensor.shape).div(tensor[0].numel() ** 0.5).to(tensor.dtype)
    own = isinstance(tensor, nn.Parameter)
    return nn.Parameter(filled, tensor.requires_grad) if own else filled


def program_module(program: Program) -> ProgramModule:
    """A program as a module of its original's type."""
    first = next((step.places[0].type for step in program.steps if step.places), "")
    if not first:
        return ProgramModule(program)
    library, _, name = first.rpartition(".")
    kind = type(name, (ProgramModule,), {"__module__": library or name})
    return kind(program)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A program and how to take its steps; no tuple, into which a capture would look.

    `dying` are for each step the values that nobody reads after it, and `layers` by path what
    takes one step in each call, and always as the same layer of torch.nn, with its settings.
    """

    program: Program
    parts: tuple[Any, ...]
    dying: Sequence[Sequence[str]]
    layers: Mapping[str, _Layer | None]


_Layer = tuple[type[nn.Module], dict[str, Any]]


class _Uses(NamedTuple):
    """What each step makes and reads, the step that reads a value last, what modules pass on.

    `own` has by the path of a module what it calls its tensors; `layers` is yet to be filled.
    """

    made: Sequence[tuple[str, ...]]
    read: Sequence[list[str]]
    last: Mapping[str, int]
    passed: frozenset[str]
    own: Mapping[str, Mapping[str, str]]
    layers: dict[str, _Layer | None]


def _dtype(dtype: torch.dtype | None) -> str | None:
    if dtype is None or dtype is torch.float32:
        return None
    return str(dtype).removeprefix("torch.")


def _plan(program: Program) -> _Plan:
    made = [tuple(names(step.outputs)) for step in program.steps]
    read = [refs(step.args, step.kwargs) for step in program.steps]
    last: dict[str, int] = {}
    for index, found in enumerate(zip(made, read, strict=True)):
        for some in found:
            last.update(dict.fromkeys(some, index))
    last.update(dict.fromkeys(refs(program.returned), len(program.steps)))
    held = {held.name for held in program.held}
    kept = held | {given.ref for given in program.given}
    dying: list[list[str]] = [[] for _ in range(len(program.steps) + 1)]
    for name, index in last.items():
        if name not in kept:
            dying[index].append(name)
    own: dict[str, dict[str, str]] = {}
    for one in program.held:
        owner, _, name = one.path.rpartition(".")
        own.setdefault(owner, {})[one.name] = name
    uses = _Uses(made, read, last, frozenset(last) - held, own, {})
    parts = _nested(list(enumerate(program.steps)), 1, uses)
    return _Plan(program, parts, dying, uses.layers)


def _nested(steps: Sequence[tuple[int, Step]], depth: int, uses: _Uses) -> tuple[Any, ...]:
    """The steps, those of one call at this depth together."""
    items: list[Any] = []

    def place(item: tuple[int, Step]) -> Place | None:
        return item[1].places[depth] if len(item[1].places) > depth else None

    for where, group in groupby(steps, place):
        inside = list(group)
        items += inside if where is None else [_part(where, inside, depth, uses)]
    return tuple(items)


def _part(place: Place, steps: list[tuple[int, Step]], depth: int, uses: _Uses) -> _Part:
    made = dict.fromkeys(name for index, _ in steps for name in uses.made[index])
    read = dict.fromkeys(name for index, _ in steps for name in uses.read[index])
    end = steps[-1][0]
    leaves = tuple(name for name in made if uses.last[name] > end)
    reads = tuple(name for name in read if name not in made and name in uses.passed)
    step, layer = steps[0][1], None
    alone = len(steps) == len(leaves) == len(reads) == 1 and len(step.places) == depth + 1
    if alone and not step.kwargs:
        # This file is read at every start, that one's tables for programs alone.
        from archstat.frontends.exported.functions import as_layer

        layer = as_layer(step.function, step.args, place.type, uses.own.get(place.path, {}))
    same = uses.layers.setdefault(place.path, layer) == layer
    uses.layers[place.path] = layer if same else None
    return _Part(place.path, _nested(steps, depth + 1, uses), reads, leaves)


def _plant(root: nn.Module, program: Program) -> dict[str, nn.Module]:
    """Give the root the tree of modules and tensors of the program's original: them by path."""
    places = dict.fromkeys(place for step in program.steps for place in step.places)
    types = {place.path: place.type for place in places}
    planted = {"": root}

    def at(path: str) -> nn.Module:
        if path not in planted:
            before, _, name = path.rpartition(".")
            full = types.get(path, "torch.nn.modules.module.Module")
            planted[path] = _kind(full)()
            at(before)._modules[name] = planted[path]
        return planted[path]

    for held in program.held:
        path, _, name = held.path.rpartition(".")
        owner = at(path)  # of a class of this file: nothing is in the way that registering finds
        if held.is_constant:
            owner.__dict__[name] = held.tensor
        elif isinstance(held.tensor, nn.Parameter):
            owner._parameters[name] = held.tensor
        else:
            owner._buffers[name] = held.tensor
    for path in types:
        at(path)
    return planted


@lru_cache(maxsize=256)  # programs repeat the types of torch.nn, and a class takes long to make
def _kind(full: str) -> type[nn.Module]:
    """A class by the name, and from the library, of the original's."""
    module, _, name = full.rpartition(".")
    return type(name, (CalledModule,), {"__module__": module or name})


def _bound(
    program: Program, args: tuple[Any, ...], kwargs: Mapping[str, Any], fixed_batch: bool
) -> dict[str, Any]:
    """The values of the inputs, given by position or by name, by the names of their Refs."""
    names = [given.name for given in program.given if given.shape is not None]
    extra = [name for name in kwargs if name not in names]
    if len(args) > len(names) or extra:
        raise CaptureError(
            f"{program.title} takes {', '.join(names) or 'no input'}; "
            f"{', '.join(extra) or f'{len(args)} inputs'} were given."
        )
    values = dict(zip(names, args, strict=False)) | dict(kwargs)
    for given in program.given:
        if given.shape is None:
            values.setdefault(given.name, given.value)
        elif given.name not in values:
            raise CaptureError(f"{program.title} needs the input {given.name}: give its shape.")
        else:
            shape = given.shape if fixed_batch else (None, *given.shape[1:])
            fixed = given._replace(shape=shape)
            _check_sizes(program.title, fixed, tuple(values[given.name].shape))
    return {given.ref: values[given.name] for given in program.given}


def _check_sizes(title: str, given: Given, shape: tuple[int, ...]) -> None:
    assert given.shape is not None
    fits = len(shape) == len(given.shape) and all(
        fixed in (None, size) for fixed, size in zip(given.shape, shape, strict=True)
    )
    if not fits:
        raise CaptureError(
            f"{title} was exported for {given.name} of {format_shape(given.example)}"
            f", of which {'some sizes' if None in given.shape else 'no size'} may change; "
            f"{format_shape(shape)} was given"
        )
