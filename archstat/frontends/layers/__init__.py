"""A layer list such as ``"3x3,3x3/2,3x3d2"`` as a Graph, without torch.

The ops carry the targets and attributes that a captured module would have, so that every analysis
reads them alike. Convolutions have no bias, and nothing but what is written is there. See
`layer_list` for the grammar and docs/receptive_field.md for the conventions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import lcm
from typing import Any

from archstat.errors import InputError, LayerListError
from archstat.frontends.layers.grammar import parse_layers
from archstat.frontends.layers.nodes import Group, Layer, LayerList, Node
from archstat.frontends.layers.windows import Sizes, Window, output_sizes, window_of
from archstat.graph import Graph, Kind, Module, ModuleCall, Op, Role, Storage, Value
from archstat.units import format_shape, parse_shape

LARGEST_SIZE = 2**53
LARGEST_INPUT = 2**31 - 1
_MOST_TRIES = 32


def input_sizes(
    parsed: LayerList, input: int | str | Sequence[int] | None
) -> tuple[tuple[int, ...] | None, int | None]:
    """The spatial sizes that an input gives, and its channels where it names them.

    Raises:
        InputError: no sizes, or not as many as the list has axes.
    """
    if input is None:
        return None, None
    if isinstance(input, str):
        given = parse_shape(input)
    else:
        given = (input,) if isinstance(input, int) else tuple(input)
        if not all(type(size) is int and 0 < size <= LARGEST_INPUT for size in given):
            raise InputError(f"{input!r}: every size must be a whole number from 1 to 2^31 - 1.")
    if len(given) == 1:
        return given * parsed.axes, None
    if len(given) == parsed.axes:
        return given, None
    if len(given) == parsed.axes + 1:
        return given[1:], given[0]
    raise InputError(
        f"{format_shape(given)!r} is not an input for a list with {parsed.axes} axes: give one "
        f"size, one for each axis, or those after the channels, such as {_example(parsed.axes)}."
    )


def _example(axes: int) -> str:
    return format_shape((3, *(224,) * axes))


def roomy_sizes(parsed: LayerList) -> list[tuple[int, ...]]:
    """Input sizes with room for every field; several, since branches may join at some only."""
    one = (1,) * parsed.axes
    steps, reach = _extent(parsed, parsed.nodes, one, one)
    least = [-(-2 * far // step) * step for far, step in zip(reach, steps, strict=True)]
    tries = min(max(steps), _MOST_TRIES)
    return [tuple(size + more for size in least) for more in range(tries)]


def _extent(parsed: LayerList, nodes: Sequence[Node], steps: Sizes, reach: Sizes) -> (
    tuple[Sizes, Sizes]
):  # fmt: skip
    """Per axis, the strides multiplied, and no less than what the layers see and crop away."""
    for node in nodes:
        if isinstance(node, Group):
            for _ in range(node.times):
                ends = [_extent(parsed, branch, steps, reach) for branch in node.branches]
                steps = tuple(map(max, zip(*(end[0] for end in ends), strict=True)))
                reach = tuple(map(max, zip(*(end[1] for end in ends), strict=True)))
        elif node.kind != "id":
            window = window_of(node, parsed.axes)
            axes = zip(reach, window.span, window.padding, steps, strict=True)
            reach = tuple(far + (span + 2 * pad) * step for far, span, pad, step in axes)
            if not window.enlarges:
                steps = tuple(a * b for a, b in zip(steps, window.stride, strict=True))
            if max(steps) * max(reach) > LARGEST_SIZE:
                raise parsed.wrong(node, "up to here, strides and kernels multiply beyond 2^53")
    return steps, reach


ASSUMED = "no input was given: its size is assumed, large enough for every layer"


def layers(
    text: str, input: int | str | Sequence[int] | None = None, channels: int | None = None
) -> Graph:
    """The Graph of a layer list.

    Args:
        text: such as ``"7x7/2,max3x3/2,(3x3,3x3|id)*2"``.
        input: the input's spatial sizes: ``224``, ``"224x160"`` or, with channels, ``"3x224x224"``.
            Without it, one so large that no layer lacks room; no field depends on it.
        channels: those that enter. Without it, the fewest that the groups allow.

    Raises:
        LayerListError: the list does not parse, or its layers do not fit together or the input.
        InputError: the input or the channels are no sizes for this list.
    """
    if not isinstance(text, str):
        raise LayerListError(f"{text!r} is not a layer list; write one, such as '7x7/2,max3x3/2'.")
    parsed = parse_layers(text)
    sizes, named = input_sizes(parsed, input)
    entering = named if channels is None else channels
    if entering is not None and not (type(entering) is int and 1 <= entering <= LARGEST_INPUT):
        raise InputError(f"{entering!r} channels: give a whole number of at least 1.")
    if named is not None and channels not in (None, named):
        raise InputError(f"The input has {named} channels, not {channels}: give them once.")
    tries = [sizes] if sizes else roomy_sizes(parsed)
    for number, tried in enumerate(tries):
        try:
            return _Builder(parsed, entering, sizes is not None).graph(tried)
        except _UnequalBranches as unequal:
            if number == len(tries) - 1:
                raise unequal.error(parsed, sizes is not None) from None
    raise AssertionError("there is always a size to try")


class _UnequalBranches(Exception):
    """Branches that end at different sizes; perhaps only at this input."""

    def __init__(self, group: Group, sizes: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.group, self.sizes = group, sizes

    def error(self, parsed: LayerList, given: bool) -> Exception:
        shown = [format_shape(size) for size in self.sizes]
        ends = (
            " and ".join(shown) if given else f"sizes that differ, such as {shown[0]} to {shown[1]}"
        )
        return parsed.wrong(self.group, f"the branches cannot be added: they end at {ends}")


@dataclass(slots=True)
class _Builder:
    """A Graph in the making; `entering` None means that nobody told the channels."""

    parsed: LayerList
    entering: int | None
    sized: bool
    ops: list[Op] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    born: list[int | None] = field(default_factory=list)
    calls: list[ModuleCall] = field(default_factory=list)
    windows: dict[int, Window] = field(default_factory=dict)
    known: bool = False

    def graph(self, sizes: tuple[int, ...]) -> Graph:
        """The whole Graph at these input sizes."""
        self.known = self.entering is not None
        channels = self.entering or lcm(*{layer.groups or 1 for layer in self.parsed.layers()})
        first = self.value((1, channels, *sizes), "input", None)
        last = self.sequence(self.parsed.nodes, first)
        root = ModuleCall("", "Layers", 0, len(self.ops), None, (first,), (last,))
        text = "".join(self.parsed.text.split())
        return Graph(
            name=text if len(text) <= 80 else f"{text[:77]}...",
            ops=tuple(self.ops),
            values=tuple(self.values),
            storages=self.storages(last),
            calls=(root, *self.calls),
            modules=(Module("", "Layers"), *(Module(c.module, c.module_type) for c in self.calls)),
            inputs=(first,),
            outputs=(last,),
            notes=() if self.sized else (ASSUMED,),
        )

    def storages(self, output: int) -> tuple[Storage, ...]:
        """One block of memory a value, released after its last reader."""
        released: list[int | None] = [None] * len(self.values)
        for index, op in enumerate(self.ops):
            for value in (*op.inputs, *op.outputs):
                released[value] = index
        return tuple(
            Storage(
                value.nbytes, born, None if born is None or number == output else released[number]
            )
            for number, (value, born) in enumerate(zip(self.values, self.born, strict=True))
        )

    def sequence(self, nodes: Sequence[Node], value: int) -> int:
        for node in nodes:
            if isinstance(node, Layer):
                value = self.layer(node, value)
                continue
            for _ in range(node.times):
                value = self.branches(node, value)
        return value

    def branches(self, group: Group, value: int) -> int:
        known, ends = self.known, []
        for branch in group.branches:
            self.known = known
            end = self.sequence(branch, value)
            ends.append((end, self.known))
        total, self.known = ends[0]
        for end, is_known in ends[1:]:
            self.check_addends(group, total, end, self.known == is_known)
            shape = self.values[total].shape
            total = self.op("add", "aten.add.Tensor", "add", (total, end), shape, {"alpha": 1})
        return total

    def check_addends(self, group: Group, one: int, other: int, alike: bool) -> None:
        left, right = self.values[one].shape, self.values[other].shape
        if left[2:] != right[2:]:
            raise _UnequalBranches(group, (left[2:], right[2:]))
        if left[1] != right[1]:
            hint = "" if alike else "; say how many enter the list (channels)"
            message = f"the branches cannot be added: {left[1]} and {right[1]} channels{hint}"
            raise self.parsed.wrong(group, message)

    def layer(self, layer: Layer, value: int) -> int:
        if layer.kind == "id":
            return value
        window = self.windows.get(layer.start) or window_of(layer, self.parsed.axes)
        self.windows[layer.start] = window
        before = self.values[value].shape
        self.check_room(layer, window, before[2:])
        sizes = output_sizes(window, before[2:])
        if max(sizes) > LARGEST_SIZE:
            raise self.parsed.wrong(layer, "up to here, the sizes multiply beyond 2^53")
        if layer.kind in ("conv", "transposed"):
            return self.convolution(layer, window, value, sizes)
        shape, name = (*before[:2], *sizes), window.name
        if layer.kind == "up":
            return self.op("resize", window.target, name, (value,), shape, window.scaled(sizes))
        return self.op("pool", window.target, name, (value,), shape, window.pooling())

    def check_room(self, layer: Layer, window: Window, sizes: tuple[int, ...]) -> None:
        problem = window.problem(sizes)
        if problem is not None:
            raise self.parsed.wrong(layer, problem)

    def convolution(self, layer: Layer, window: Window, value: int, sizes: tuple[int, ...]) -> int:
        entering = self.values[value].shape[1]
        groups = layer.groups or entering
        leaving = layer.channels or entering
        for channels, verb in ((entering, "enter"), (leaving, "leave")):
            if channels % groups:
                message = f"{channels} channels {verb}, which {groups} groups do not divide"
                raise self.parsed.wrong(layer, message)
        self.known = self.known or layer.channels is not None
        ends = (entering, leaving) if layer.kind == "transposed" else (leaving, entering)
        shape = (ends[0], ends[1] // groups, *window.kernel)
        weight = self.value(shape, "parameter", None, f"{self.number}.weight")
        attributes = {"bias": None, **window.convolving(), "groups": groups}
        attributes["kernel"] = window.kernel
        made = (1, leaving, *sizes)
        return self.op("conv", window.target, window.name, (value, weight), made, attributes)

    @property
    def number(self) -> int:
        """The place of the next layer, and its module path."""
        return len(self.calls) + 1

    def op(self, kind: Kind, target: str, name: str, inputs: tuple[int, ...],
           shape: tuple[int, ...], attributes: dict[str, Any]) -> int:  # fmt: skip
        index, module = len(self.ops), str(self.number)
        out = self.value(shape, "activation", index)
        outputs: tuple[int, ...] = (out,)
        if "max_pool" in target:
            outputs = (out, self.value(shape, "activation", index, dtype="int64"))
        self.ops.append(Op(kind, target, module, name, inputs, outputs, attributes))
        read = tuple(i for i in inputs if self.values[i].role != "parameter")
        self.calls.append(ModuleCall(module, name, index, index + 1, 0, read, (out,)))
        return out

    def value(self, shape: tuple[int, ...], role: Role, born: int | None, name: str | None = None,
              dtype: str = "float32") -> int:  # fmt: skip
        number = len(self.values)
        trainable = role == "parameter"
        self.values.append(Value(shape, dtype, role, number, name, (), trainable))
        self.born.append(born)
        return number
