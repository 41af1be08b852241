"""What an exported program does, as data: its steps, the values that they read and make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch


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
    """A tensor that the program keeps, on meta: the value's name and the path of the tensor.

    A constant is what forward reads and no module registered.
    """

    name: str
    path: str
    tensor: torch.Tensor
    is_constant: bool = False


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
            name_results(step.outputs, taken(step, values), values)
        return filled(self.returned, values)


def filled(tree: Any, values: Mapping[str, Any]) -> Any:
    """Arguments with the values in the place of Refs."""
    kind = type(tree)
    if kind is Ref:
        return values[tree.name]
    if kind is list or kind is tuple:
        return kind([filled(item, values) for item in tree])
    if kind is dict:
        return {key: filled(item, values) for key, item in tree.items()}
    if kind is SubProgram:
        tree.outer = {name: values[name] for name in tree.reads}
    return tree


def taken(step: Step, values: Mapping[str, Any]) -> Any:
    """What a step returns."""
    kwargs = filled(step.kwargs, values) if step.kwargs else {}
    return step.function(*filled(step.args, values), **kwargs)


def name_results(outputs: Any, result: Any, values: dict[str, Any]) -> None:
    """Put what a step returned among the values."""
    if isinstance(outputs, str):
        values[outputs] = result
    elif outputs is not None:
        for name, item in zip(outputs, result, strict=False):
            name_results(name, item, values)
