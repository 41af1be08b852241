"""The input of a layer list: the sizes given, or sizes with room for every layer."""

from __future__ import annotations

from collections.abc import Sequence

from archstat.errors import InputError
from archstat.frontends.layer_nodes import Group, LayerList, Node
from archstat.frontends.layer_windows import Sizes, window_of
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
        f"{format_shape(given)!r} is no input of a list with {parsed.axes} axes: give one size, "
        f"one for each axis, or those after the channels, such as {_example(parsed.axes)}."
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
