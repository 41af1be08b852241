"""The window of a written layer, per axis: same padding, sizes, and the attributes of its op."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archstat.frontends.layers.nodes import Layer, LayerKind
from archstat.units import format_shape

Sizes = tuple[int, ...]
_HEADS: dict[LayerKind, str] = {"conv": "", "transposed": "t", "max": "max", "avg": "avg"}


@dataclass(frozen=True, slots=True)
class Window:
    """A layer's geometry with every default filled in, one number an axis.

    `more` is what a transposed convolution adds at the end (torch: output padding).
    """

    kind: LayerKind
    name: str
    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    more: Sizes

    @property
    def span(self) -> Sizes:
        """From the first to the last pixel that the kernel touches, both included."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def enlarges(self) -> bool:
        """Whether its stride makes the output larger, not smaller."""
        return self.kind in ("up", "transposed")

    @property
    def target(self) -> str:
        """The aten overload that torch runs for it."""
        axes = len(self.kernel)
        names = {
            "max": f"max_pool{axes}d_with_indices",
            "avg": f"avg_pool{axes}d",
            "up": f"upsample_nearest{axes}d",
        }
        return f"aten.{names.get(self.kind, 'convolution')}.default"

    def convolving(self) -> dict[str, Any]:
        """Attributes of a convolution, under their schema names, without groups."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "transposed": self.kind == "transposed",
            "output_padding": self.more,
        }

    def pooling(self) -> dict[str, Any]:
        """Attributes of a pooling, under their schema names."""
        window = {"kernel_size": self.kernel, "stride": self.stride, "padding": self.padding}
        further: dict[str, Any] = {"dilation": self.dilation, "ceil_mode": False}
        if self.kind == "avg":
            further = {"ceil_mode": False, "count_include_pad": True, "divisor_override": None}
        return {**window, **further, "kernel": self.kernel}

    def scaled(self, sizes: Sizes) -> dict[str, Any]:
        """Attributes of an upsampling to these sizes, under their schema names."""
        names = ("scales_d", "scales_h", "scales_w")[-len(sizes) :]
        factors = map(float, self.stride)
        return {"output_size": sizes, **dict(zip(names, factors, strict=True))}

    def problem(self, sizes: Sizes) -> str | None:
        """Why it cannot run on an input of these sizes, or at all; None where it can."""
        for size, span, padding in zip(sizes, self.span, self.padding, strict=True):
            if self.kind in ("max", "avg") and 2 * padding > span:
                return f"a pooling window of {span} takes at most {span // 2} of padding"
            if not self.enlarges and span > size + 2 * padding:
                pads = f" and {padding} of padding on each side" if padding else ""
                return f"a kernel of {span} is larger than its input of {size}{pads}"
        if min(output_sizes(self, sizes)) < 1:
            return f"nothing is left of an input of {format_shape(sizes)}"
        return None


def window_of(layer: Layer, axes: int) -> Window:
    """The window of a layer over so many axes."""
    kernel, stride, dilation = (
        sizes * axes if len(sizes) == 1 else sizes
        for sizes in (layer.kernel, layer.stride, layer.dilation)
    )
    padding, more = _padding(layer, kernel, stride, dilation)
    name = _name(layer, kernel, stride, dilation)
    return Window(layer.kind, name, kernel, stride, padding, dilation, more)


def output_sizes(window: Window, sizes: Sizes) -> Sizes:
    """floor((n + 2p - span) / s) + 1, its transpose, or n times the factor."""
    if window.kind == "up":
        return tuple(n * s for n, s in zip(sizes, window.stride, strict=True))
    axes = zip(sizes, window.span, window.stride, window.padding, window.more, strict=True)
    if window.kind == "transposed":
        return tuple((n - 1) * s - 2 * p + span + more for n, span, s, p, more in axes)
    return tuple((n + 2 * p - span) // s + 1 for n, span, s, p, _ in axes)


def _padding(layer: Layer, kernel: Sizes, stride: Sizes, dilation: Sizes) -> tuple[Sizes, Sizes]:
    axes = len(kernel)
    none = (0,) * axes
    if layer.padding is not None:
        return (layer.padding * axes if len(layer.padding) == 1 else layer.padding), none
    if layer.kind == "up":
        return none, none
    spread = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if layer.kind != "transposed":
        return tuple(wide // 2 for wide in spread), none
    # Same means an output of n x s here: what sticks out, span - s, goes half to either side.
    out = [wide + 1 - s for wide, s in zip(spread, stride, strict=True)]
    padding = tuple(max(0, -(-beyond // 2)) for beyond in out)
    more = tuple(
        # torch takes no output padding that is neither below the stride nor the dilation.
        left if (left := 2 * p - beyond) < max(s, d) else 0
        for p, beyond, s, d in zip(padding, out, stride, dilation, strict=True)
    )
    return padding, more


def _name(layer: Layer, kernel: Sizes, stride: Sizes, dilation: Sizes) -> str:
    """The layer as one would write it, without blanks."""
    if layer.kind == "up":
        return f"up{_short(stride)}"
    groups = "dw" if layer.groups == 0 else f"g{layer.groups}" if layer.groups > 1 else ""
    return "".join((
        f"{_HEADS[layer.kind]}{format_shape(kernel)}",
        f"/{_short(stride)}" if max(stride) > 1 else "",
        "" if layer.padding is None else f"p{_short(layer.padding)}",
        f"d{_short(dilation)}" if max(dilation) > 1 else "",
        groups,
        f"-{layer.channels}" if layer.channels else "",
    ))  # fmt: skip


def _short(sizes: Sizes) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 else format_shape(sizes)
