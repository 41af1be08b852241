"""A forward pass that is written down, step by step, as a module that takes those steps.

Exported programs hold no Python, only operators with their arguments. Here they become a tree of
modules with the paths, types and parameters of the original, so that a program is captured like
any model. The tensors live on meta: no weights are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import nn

from archstat.errors import CaptureError
from archstat.units import InputSpec, format_shape, is_batched


class Ref(NamedTuple):
    """A value of the program, by its name."""

    name: str


class Place(NamedTuple):
    """A call of a module that a step belongs to: `key` tells the calls of one module apart."""

    key: str
    path: str
    type: str


@dataclass(frozen=True, slots=True)
class Step:
    """One operator with its arguments, among which Refs stand for values.

    `outputs` names what it returns: a name, a nesting of names, or None for what nobody uses.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: Any
    places: tuple[Place, ...]


class Given(NamedTuple):
    """An input: its name, its shape in the example with None for sizes that may change, its dtype.

    `shape` is None for an argument that is no tensor, and `value` what it was. `node` is what Refs
    call it where that is not its name: torch.fx renames `input`, as Python has one.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: torch.dtype | None = None
    value: Any = None
    example: tuple[int, ...] = ()
    node: str = ""

    @property
    def ref(self) -> str:
        """The name of the Refs to it."""
        return self.node or self.name


class Held(NamedTuple):
    """A tensor that the program keeps, on meta: the value's name and the path of the tensor."""

    name: str
    path: str
    tensor: torch.Tensor


@dataclass(frozen=True)
class Program:
    """What an exported forward does: `steps` from the inputs `given` to the Refs in `returned`."""

    title: str
    given: tuple[Given, ...]
    held: tuple[Held, ...]
    steps: tuple[Step, ...]
    returned: Any
    needs_functions: bool = field(default=False)


def refs(*trees: Any) -> list[str]:
    """The names of all values in nested arguments, one after the other."""
    found: list[str] = []
    for tree in trees:
        kind = type(tree)
        if kind is Ref:
            found.append(tree.name)
        elif kind is list or kind is tuple:
            found += refs(*tree)
        elif kind is dict:
            found += refs(*tree.values())
        elif kind is SubProgram:
            found += tree.reads
    return found


def names(outputs: Any) -> Iterator[str]:
    """The names in the outputs of a step."""
    if isinstance(outputs, str):
        yield outputs
    elif outputs is not None:
        for item in outputs:
            yield from names(item)


class SubProgram:
    """The steps of a branch, a loop or a region, called with tensors as operators call them."""

    __name__ = "program"

    def __init__(self, takes: Sequence[str], steps: Sequence[Step], returned: Any) -> None:
        self.takes, self.steps, self.returned = takes, tuple(steps), returned
        made = {name for step in steps for name in names(step.outputs)} | set(takes)
        read = (name for step in steps for name in refs(step.args, step.kwargs))
        self.reads = tuple(dict.fromkeys(n for n in read if n not in made))
        self.outer: Mapping[str, Any] = {}

    def __call__(self, *args: Any) -> Any:
        values = dict(self.outer) | dict(zip(self.takes, args, strict=True))
        for step in self.steps:
            _take(step, values)
        return _filled(self.returned, values)


def _filled(tree: Any, values: Mapping[str, Any]) -> Any:
    kind = type(tree)
    if kind is Ref:
        return values[tree.name]
    if kind is list or kind is tuple:
        return kind([_filled(item, values) for item in tree])
    if kind is dict:
        return {key: _filled(item, values) for key, item in tree.items()}
    if kind is SubProgram:
        tree.outer = {name: values[name] for name in tree.reads}
    return tree


def _take(step: Step, values: dict[str, Any]) -> None:
    kwargs = _filled(step.kwargs, values) if step.kwargs else {}
    _name(step.outputs, step.function(*_filled(step.args, values), **kwargs), values)


def _name(outputs: Any, result: Any, values: dict[str, Any]) -> None:
    if isinstance(outputs, str):
        values[outputs] = result
    elif outputs is not None:
        for name, item in zip(outputs, result, strict=False):
            _name(name, item, values)


_Modules = Mapping[str, nn.Module]


class _Part(NamedTuple):
    """A call of a module: its steps and calls, what it reads from outside, what it leaves."""

    path: str
    items: tuple[Any, ...]
    reads: tuple[str, ...]
    leaves: tuple[str, ...]


class _Called(nn.Module):
    """A module of the original: it takes the steps of one of its calls."""

    def forward(self, *given: Any) -> Any:
        """What the steps leave; `given` are the values that they read."""
        return self.__dict__["run"]()


class ProgramModule(nn.Module):
    """A program as a module: called like the original, it takes the program's steps on meta."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._plan = _plan(program)
        self.needs_functions = program.needs_functions
        _plant(self, program)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the program returns, of meta tensors of the sizes that it was exported for.

        Raises:
            CaptureError: an input of another size, one too many or too few.
        """
        program = self._plan.program
        values = _bound(program, args, kwargs)
        modules = dict(self.named_modules(remove_duplicate=False))
        for held in program.held:
            owner, _, name = held.path.rpartition(".")
            values[held.name] = getattr(modules[owner], name)
        self._run(self._plan.parts, values, modules)
        return _filled(program.returned, values)

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
            _take(step, values)
            for name in self._plan.dying[index]:
                values.pop(name, None)

    def _call(self, part: _Part, values: dict[str, Any], modules: _Modules) -> None:
        def run() -> Any:
            self._run(part.items, values, modules)
            left = [values[name] for name in part.leaves]
            return left[0] if len(left) == 1 else tuple(left)

        # Not an argument: captures look at a single tensor faster than at anything else.
        modules[part.path].__dict__["run"] = run
        modules[part.path](*[values[name] for name in part.reads])


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

    `dying` are for each step the values that nobody reads after it.
    """

    program: Program
    parts: tuple[Any, ...]
    dying: Sequence[Sequence[str]]


class _Uses(NamedTuple):
    """What each step makes and reads, the step that reads a value last, what modules pass on."""

    made: Sequence[tuple[str, ...]]
    read: Sequence[list[str]]
    last: Mapping[str, int]
    passed: frozenset[str]


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
    uses = _Uses(made, read, last, frozenset(last) - held)
    return _Plan(program, _nested(list(enumerate(program.steps)), 1, uses), dying)


def _nested(steps: Sequence[tuple[int, Step]], depth: int, uses: _Uses) -> tuple[Any, ...]:
    """The steps, those of one call at this depth together."""
    items: list[Any] = []

    def place(item: tuple[int, Step]) -> Place | None:
        return item[1].places[depth] if len(item[1].places) > depth else None

    for where, group in groupby(steps, place):
        inside = list(group)
        items += inside if where is None else [_part(where.path, inside, depth, uses)]
    return tuple(items)


def _part(path: str, steps: list[tuple[int, Step]], depth: int, uses: _Uses) -> _Part:
    made = dict.fromkeys(name for index, _ in steps for name in uses.made[index])
    read = dict.fromkeys(name for index, _ in steps for name in uses.read[index])
    end = steps[-1][0]
    leaves = tuple(name for name in made if uses.last[name] > end)
    reads = tuple(name for name in read if name not in made and name in uses.passed)
    return _Part(path, _nested(steps, depth + 1, uses), reads, leaves)


def _plant(root: nn.Module, program: Program) -> None:
    """Give the root the tree of modules and tensors that the program's original had."""
    places = dict.fromkeys(place for step in program.steps for place in step.places)
    types = {place.path: place.type for place in places}
    kinds: dict[str, type[nn.Module]] = {}
    planted = {"": root}

    def at(path: str) -> nn.Module:
        if path not in planted:
            before, _, name = path.rpartition(".")
            full = types.get(path, "torch.nn.modules.module.Module")
            planted[path] = _kind(full, kinds)()
            at(before)._modules[name] = planted[path]
        return planted[path]

    for held in program.held:
        path, _, name = held.path.rpartition(".")
        owner = at(path)  # of a class of this file: nothing is in the way that registering finds
        if isinstance(held.tensor, nn.Parameter):
            owner._parameters[name] = held.tensor
        else:
            owner._buffers[name] = held.tensor
    for path in types:
        at(path)


def _kind(full: str, kinds: dict[str, type[nn.Module]]) -> type[nn.Module]:
    """A class by the name, and from the library, of the original's."""
    if full not in kinds:
        module, _, name = full.rpartition(".")
        kinds[full] = type(name, (_Called,), {"__module__": module or name})
    return kinds[full]


def _bound(program: Program, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
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
            _check_sizes(program.title, given, tuple(values[given.name].shape))
    return {given.ref: values[given.name] for given in program.given}


def _check_sizes(title: str, given: Given, shape: tuple[int, ...]) -> None:
    assert given.shape is not None
    fits = len(shape) == len(given.shape) and all(
        fixed in (None, size) for fixed, size in zip(given.shape, shape, strict=True)
    )
    if not fits:
        raise CaptureError(
            f"{title} was exported for {given.name} of {format_shape(given.example)}"
            f"{'' if None not in given.shape else ', of which some sizes may change'}; "
            f"{format_shape(shape)} was given"
        )
