"""Blocks of networks for small devices, and gates, as the networks they come from have them.

`in` and `out` are channels; without `out` there are as many as `in`. Normalisation and activation
are the network's own.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

from torch import nn

from archstat.errors import OptionError
from archstat.zoo import (
    cbam as cbam_network,
)
from archstat.zoo import (
    ghostnet,
    mobilenet_v2,
    senet,
    shufflenet_v1,
    shufflenet_v2,
    squeezenet,
)
from archstat.zoo.cbam import CBAM
from archstat.zoo.family import Family
from archstat.zoo.ghostnet import GhostModule
from archstat.zoo.mobilenet_v2 import InvertedResidual
from archstat.zoo.options import divides, odd, one_of, positive
from archstat.zoo.senet import SqueezeExcitation
from archstat.zoo.shufflenet_v1 import ShuffleUnit
from archstat.zoo.shufflenet_v2 import ShuffleV2Unit
from archstat.zoo.squeezenet import Bypass, Fire

FAMILY = Family(
    title="Blocks",
    year=2016,
    paper="of the network it comes from",
    category="block",
    input="64x56x56",
    inputs=MappingProxyType(
        {"fire": "96x55x55", "shuffle_v1": "240x28x28", "shuffle_v2": "116x28x28"}
    ),
    origins=MappingProxyType(
        {
            "fire": squeezenet.FAMILY,
            "inverted_residual": mobilenet_v2.FAMILY,
            "shuffle_v1": shufflenet_v1.FAMILY,
            "shuffle_v2": shufflenet_v2.FAMILY,
            "ghost": ghostnet.FAMILY,
            "se": senet.FAMILY,
            "cbam": cbam_network.FAMILY,
        }
    ),
)

Stride = Literal[1, 2]


def fire(
    *, in_: int = 96, squeeze: int = 16, expand: int = 64, bypass: Bypass = "none"
) -> nn.Module:
    """SqueezeNet's fire module; each half of the expansion has `expand` filters."""
    for name, value in {"in": in_, "squeeze": squeeze, "expand": expand}.items():
        positive(name, value)
    one_of("bypass", bypass, ("none", "simple", "complex"))
    return Fire(in_, squeeze, expand, bypass)


def inverted_residual(
    *,
    in_: int = 64,
    out: int | None = None,
    kernel: int = 3,
    stride: int = 1,
    expansion: int = 6,
) -> nn.Module:
    """MobileNet v2's block: `expansion` times the channels within."""
    channels = _channels(in_, out)
    odd("kernel", kernel)
    positive("stride", stride)
    positive("expansion", expansion)
    return InvertedResidual(
        in_, expansion * in_, channels, stride, kernel=kernel, expand=expansion > 1
    )


def shuffle_v1(
    *, in_: int = 240, out: int | None = None, stride: Stride = 1, groups: int = 3
) -> nn.Module:
    """ShuffleNet v1's unit; with stride 2 it has by default twice the channels."""
    one_of("stride", stride, (1, 2))
    channels = _channels(in_, stride * in_ if out is None else out)
    if stride == 1 and channels != in_:
        raise OptionError(
            f"out={channels} differs from in={in_}, to which a unit of stride 1 adds its output: "
            "leave `out` out, or give stride=2."
        )
    if stride == 2 and channels <= in_:
        raise OptionError(
            f"out={channels} leaves no channel beside the {in_} of the pooled input, which a "
            f"unit of stride 2 keeps: give more than {in_}."
        )
    restored = channels if stride == 1 else channels - in_
    divides("groups", groups, in_, "input channels")
    divides("groups", groups, restored, "channels that the last convolution makes")
    return ShuffleUnit(in_, channels, stride, groups)


def shuffle_v2(*, in_: int = 116, out: int | None = None, stride: Stride = 1) -> nn.Module:
    """ShuffleNet v2's unit; with stride 2 it has by default twice the channels."""
    one_of("stride", stride, (1, 2))
    channels = _channels(in_, stride * in_ if out is None else out)
    if channels % 2:
        raise OptionError(f"out={channels} cannot be halved: give an even number of channels.")
    if (stride == 2 or channels != in_) and channels <= in_:
        raise OptionError(
            f"out={channels} leaves no channel beside the {in_} that the first branch keeps: "
            f"give more than {in_}."
        )
    return ShuffleV2Unit(in_, channels, stride, kept=in_)


def ghost(*, in_: int = 64, out: int | None = None, act: bool = True) -> nn.Module:
    """GhostNet's module: half of the maps from a 1x1, the others from these; `act` is its ReLU."""
    return GhostModule(in_, _channels(in_, out), relu=act)


def se(*, in_: int = 64, reduction: int = 16) -> nn.Module:
    """SENet's gate for every channel."""
    positive("in", in_)
    return SqueezeExcitation(in_, reduction)


def cbam(*, in_: int = 64, reduction: int = 16, kernel: Literal[3, 7] = 7) -> nn.Module:
    """CBAM's two gates, for every channel and for every place."""
    positive("in", in_)
    return CBAM(in_, reduction, kernel)


def _channels(in_: int, out: int | None) -> int:
    """The output channels, with both checked."""
    positive("in", in_)
    if out is not None:
        positive("out", out)
    return in_ if out is None else out
