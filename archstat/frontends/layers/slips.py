"""What a layer list and its input may have been meant as, where they read as something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archstat.frontends.layers.grammar import parse_layers
from archstat.frontends.layers.nodes import Group, Layer, LayerList, Node
from archstat.frontends.layers.windows import window_of
from archstat.units import format_shape, parse_shape

_MOST_CHANNELS_OF_AN_IMAGE = 4
_COUNTS = {2: "two", 3: "three"}


def slips(text: str, input: str | None = None) -> list[str]:
    """A sentence for each likely slip: a parenthesis of settings, a padding, channels last.

    Raises:
        LayerListError, InputError: the list or the input does not parse.
    """
    parsed = parse_layers(text)
    said = [*_settings(parsed, parsed.nodes), *_padding(parsed)]
    if input is not None:
        said += _channels_last(parsed, parse_shape(input))
    return list(dict.fromkeys(said))


def _settings(parsed: LayerList, nodes: Sequence[Node]) -> Iterator[str]:
    """Of ``(3,2,1)``, which reads as three layers."""
    for node in nodes:
        if not isinstance(node, Group):
            continue
        for branch in node.branches:
            yield from _settings(parsed, branch)
        inside = node.branches[0]
        numbers = [one.kernel[0] for one in inside if isinstance(one, Layer) and _is_bare(one)]
        is_alone = len(node.branches) == 1 and node.times == 1 and len(numbers) == len(inside)
        if is_alone and len(numbers) in _COUNTS:
            kernel, stride, *pad = numbers
            layer = f"{format_shape((kernel,) * parsed.axes)}/{stride}"
            written = "".join(parsed.text[node.start : node.end].split())
            read = ", ".join(format_shape((size,) * parsed.axes) for size in numbers)
            padded = f", padding {pad[0]} write {layer}p{pad[0]}" if pad else f" write {layer}"
            yield (
                f"{written} is read as {_COUNTS[len(numbers)]} layers {read}; "
                f"for kernel {kernel}, stride {stride}{padded}."
            )


def _is_bare(layer: Layer) -> bool:
    """Whether a layer is one number and nothing else."""
    plain = Layer("conv", layer.start, layer.end, layer.kernel)
    return layer == plain and len(layer.kernel) == 1


def _padding(parsed: LayerList) -> Iterator[str]:
    """Of the first layer with a stride whose padding was assumed, and is none of torch's."""
    for layer in parsed.layers():
        is_assumed = layer.padding is None and layer.kind in ("conv", "max", "avg")
        pads = window_of(layer, parsed.axes).padding if is_assumed else ()
        if max(layer.stride) > 1 and any(pads):
            written = "".join(parsed.text[layer.start : layer.end].split())
            pad = format_shape(pads[:1] if len(set(pads)) == 1 else pads)
            yield (
                f"Padding that is not written keeps the size at stride 1: {written} is padded by "
                f"{pad}; torch's default is none, {written}p0."
            )
            return


def _channels_last(parsed: LayerList, shape: tuple[int, ...]) -> Iterator[str]:
    *sizes, last = shape or (0,)
    if len(sizes) == parsed.axes and last <= _MOST_CHANNELS_OF_AN_IMAGE < min(sizes):
        meant = format_shape((last, *sizes))
        yield (
            f"{format_shape(shape)} is read as {sizes[0]} channels of "
            f"{format_shape(shape[1:])}, but looks like channels last: did you mean {meant}?"
        )
