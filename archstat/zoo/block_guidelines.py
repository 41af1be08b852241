"""What ShuffleNet V2 measured its four guidelines on: one block, stacked ten times.

N. Ma, X. Zhang, H.-T. Zheng and J. Sun, "ShuffleNet V2: Practical Guidelines for Efficient CNN
Architecture Design", 2018, arXiv:1807.11164, Tables 1 to 4. No convolution has a bias, and there is
no normalisation: an inference engine folds it away. `number` is of the blocks.
"""

from __future__ import annotations

from types import MappingProxyType

from torch import Tensor, nn

from archstat.errors import OptionError
from archstat.zoo.block_convolutions import window
from archstat.zoo.family import Family
from archstat.zoo.options import divides, one_of, positive

FAMILY = Family(
    title="Guideline networks",
    year=2018,
    paper="arXiv:1807.11164",
    category="block",
    input="128x56x56",
    inputs=MappingProxyType({"bottleneck_units": "32x56x56"}),
)

SHRINKS_BY = 4


def pointwise_pairs(*, in_: int = 128, inner: int | None = None, number: int = 10) -> nn.Module:
    """Table 1: pairs of 1x1 convolutions, from `in` channels to `inner` ones and back."""
    positive("in", in_)
    positive("number", number)
    channels = in_ if inner is None else inner
    positive("inner", channels)
    widths = [(in_, channels), (channels, in_)] * number
    return nn.Sequential(*(window(wide, out, 1, bias=False) for wide, out in widths))


def pointwise_groups(*, in_: int = 128, groups: int = 1, number: int = 10) -> nn.Module:
    """Table 2: 1x1 convolutions in groups, which never meet."""
    positive("in", in_)
    positive("number", number)
    divides("groups", groups, in_, "channels")
    layers = [window(in_, in_, 1, bias=False, groups=groups) for _ in range(number)]
    return nn.Sequential(*layers)


def pointwise_fragments(
    *, in_: int = 128, fragments: int = 1, parallel: bool = False, number: int = 10
) -> nn.Module:
    """Table 3: blocks of 1x1 convolutions in a row or, if `parallel`, side by side and added."""
    for name, value in (("in", in_), ("fragments", fragments), ("number", number)):
        positive(name, value)
    one_of("parallel", parallel, (False, True))
    return nn.Sequential(*(_fragmented(in_, fragments, parallel) for _ in range(number)))


def bottleneck_units(
    *, in_: int = 32, relu: bool = True, shortcut: bool = True, number: int = 10
) -> nn.Module:
    """Table 4: ResNet's bottleneck of `in` channels, a quarter inside, with or without the rest."""
    positive("in", in_)
    positive("number", number)
    one_of("relu", relu, (False, True))
    one_of("shortcut", shortcut, (False, True))
    if in_ % SHRINKS_BY:
        raise OptionError(
            f"in={in_} is impossible: a bottleneck has a quarter of the channels inside; "
            f"give a multiple of {SHRINKS_BY}."
        )
    return nn.Sequential(*(BottleneckUnit(in_, relu, shortcut) for _ in range(number)))


class ParallelSum(nn.Module):
    """Branches on the same input, added up."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.branches
        y: Tensor = first(x)
        for branch in others:
            y = y + branch(x)
        return y


class BottleneckUnit(nn.Module):
    """1x1, 3x3 and 1x1, each with a ReLU, around a shortcut; either can be left out."""

    def __init__(self, channels: int, relu: bool, shortcut: bool) -> None:
        super().__init__()
        inner = channels // SHRINKS_BY
        layers: list[nn.Module] = []
        for convolution in (
            window(channels, inner, 1, bias=False),
            window(inner, inner, 3, bias=False),
            window(inner, channels, 1, bias=False),
        ):
            layers += [convolution, nn.ReLU(inplace=True)] if relu else [convolution]
        # The last ReLU follows the addition.
        self.relu = layers.pop() if relu else None
        self.residual = nn.Sequential(*layers)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        if self.shortcut:
            y = y + x
        return y if self.relu is None else self.relu(y)


def _fragmented(channels: int, fragments: int, parallel: bool) -> nn.Module:
    convolutions = [window(channels, channels, 1, bias=False) for _ in range(fragments)]
    if fragments == 1:
        return convolutions[0]
    return ParallelSum(*convolutions) if parallel else nn.Sequential(*convolutions)
