"""ResNet: depth made trainable by identity shortcuts.

K. He, X. Zhang, S. Ren and J. Sun, "Deep Residual Learning for Image Recognition", 2015,
arXiv:1512.03385, with projection shortcuts where the shape changes (option B).

The paper puts the stride of a bottleneck on its first 1x1 convolution (`stride="first"`). The
default puts it on the 3x3, as torchvision does and most published weights: the parameters are
the same, the multiply-accumulates are not. TF-slim's resnet_v1 (`layout="slim"`) halves the map
in the last unit of a stage instead of the first unit of the next, and pads its pooling as
TensorFlow does: again the same parameters. Common implementations for small images
(`stem="cifar"`) begin with a 3x3 convolution and do not pool.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import partial
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from archstat.zoo.family import Family
from archstat.zoo.options import one_of, positive

VARIANTS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
FAMILY = Family(
    title="ResNet",
    year=2015,
    paper="arXiv:1512.03385",
    category="depth",
    inputs={f"{variant},stem=cifar": "3x32x32" for variant in VARIANTS},
)

StridePlace = Literal["3x3", "first"]
Layout = Literal["torchvision", "slim"]
Stem = Literal["imagenet", "cifar"]
# a shortcut is made from the channels of its two ends and the stride, a gate from its channels
Shortcut = Callable[[int, int, int], nn.Module]
Gate = Callable[[int], nn.Module]

# Table 1, stages conv2_x to conv5_x: filters of the 3x3 convolutions, and each network's blocks
FILTERS = (64, 128, 256, 512)
BLOCKS_18 = (2, 2, 2, 2)
BLOCKS_34 = (3, 4, 6, 3)
BLOCKS_50 = (3, 4, 6, 3)
BLOCKS_101 = (3, 4, 23, 3)
BLOCKS_152 = (3, 8, 36, 3)


def resnet18(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    stride: StridePlace = "3x3",
    stem: Stem = "imagenet",
) -> nn.Module:
    """ResNet-18, of basic blocks: `stride` may be given and changes nothing."""
    one_of("stride", stride, ("3x3", "first"))
    return ResNet(BasicBlock, BLOCKS_18, num_classes, in_channels, stem=stem)


def resnet34(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    stride: StridePlace = "3x3",
    stem: Stem = "imagenet",
) -> nn.Module:
    """ResNet-34, of basic blocks: `stride` may be given and changes nothing."""
    one_of("stride", stride, ("3x3", "first"))
    return ResNet(BasicBlock, BLOCKS_34, num_classes, in_channels, stem=stem)


def resnet50(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    stride: StridePlace = "3x3",
    layout: Layout = "torchvision",
    stem: Stem = "imagenet",
) -> nn.Module:
    """ResNet-50, of bottlenecks."""
    return _of_bottlenecks(BLOCKS_50, num_classes, in_channels, stride, layout, stem)


def resnet101(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    stride: StridePlace = "3x3",
    layout: Layout = "torchvision",
    stem: Stem = "imagenet",
) -> nn.Module:
    """ResNet-101, of bottlenecks."""
    return _of_bottlenecks(BLOCKS_101, num_classes, in_channels, stride, layout, stem)


def resnet152(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    stride: StridePlace = "3x3",
    layout: Layout = "torchvision",
    stem: Stem = "imagenet",
) -> nn.Module:
    """ResNet-152, of bottlenecks."""
    return _of_bottlenecks(BLOCKS_152, num_classes, in_channels, stride, layout, stem)


@dataclass(frozen=True, slots=True)
class Stage:
    """So many blocks, and the filters of their 3x3 convolutions."""

    depth: int
    filters: int


def resnet_space(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    block: Literal["bottleneck", "basic"] = "bottleneck",
    stage1: Stage = Stage(3, 64),
    stage2: Stage = Stage(4, 128),
    stage3: Stage = Stage(6, 256),
    stage4: Stage = Stage(3, 512),
) -> nn.Module:
    """ResNet by its stages, ResNet-50 by default; ``stage3.depth=23`` is ResNet-101."""
    one_of("block", block, ("bottleneck", "basic"))
    stages = (stage1, stage2, stage3, stage4)
    for number, stage in enumerate(stages, start=1):
        positive(f"stage{number}.depth", stage.depth)
        positive(f"stage{number}.filters", stage.filters)
    kind = Bottleneck if block == "bottleneck" else BasicBlock
    depths, filters = (tuple(each) for each in zip(*map(astuple, stages), strict=True))
    return ResNet(kind, depths, num_classes, in_channels, filters=filters)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; a gate, if there is one, weighs the residual."""

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        in_channels: int,
        filters: int,
        stride: int,
        *,
        gate: Gate | None = None,
        shortcut: Shortcut | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, filters, 3, stride)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = _convolution(filters, filters, 3)
        self.bn2 = nn.BatchNorm2d(filters)
        self.gate = gate(filters) if gate is not None else None
        self.shortcut = _shortcut(in_channels, filters, stride, shortcut or Projection)
        self.relu = nn.ReLU(inplace=True)

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""
        y: Tensor = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.gate is not None:
            y = self.gate(y)
        return y

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y += x if self.shortcut is None else self.shortcut(x)
        y = self.relu(y)
        return y


class Bottleneck(nn.Module):
    """A 1x1 that reduces, a 3x3, a 1x1 that restores, and a shortcut.

    The 3x3 has `groups` groups, each of `group_width` channels where `filters` is 64 and of
    proportionally more where it is more. A gate, if there is one, weighs the residual.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        in_channels: int,
        filters: int,
        stride: int,
        place: StridePlace = "3x3",
        *,
        groups: int = 1,
        group_width: int = 64,
        gate: Gate | None = None,
        shortcut: Shortcut | None = None,
    ) -> None:
        super().__init__()
        width = groups * (group_width * filters // 64)
        out_channels = self.expansion * filters
        first, second = (stride, 1) if place == "first" else (1, stride)
        self.conv1 = _convolution(in_channels, width, 1, first)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _convolution(width, width, 3, second, groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _convolution(width, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.gate = gate(out_channels) if gate is not None else None
        self.shortcut = _shortcut(in_channels, out_channels, stride, shortcut or Projection)
        self.relu = nn.ReLU(inplace=True)

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""
        y: Tensor = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.gate is not None:
            y = self.gate(y)
        return y

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x)
        y += x if self.shortcut is None else self.shortcut(x)
        y = self.relu(y)
        return y


class Projection(nn.Sequential):
    """The shortcut of option B where the shape changes: a strided 1x1."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(
            OrderedDict(
                conv=_convolution(in_channels, out_channels, 1, stride),
                bn=nn.BatchNorm2d(out_channels),
            )
        )


class SamePool(nn.MaxPool2d):
    """Max pooling 3/2 padded as TensorFlow's SAME: near and far on an odd side, else far."""

    def __init__(self) -> None:
        super().__init__(kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        # it follows a ReLU, so a zero never wins against the map itself
        height, width = x.shape[-2:]
        pooled: Tensor = super().forward(functional.pad(x, (width % 2, 1, height % 2, 1)))
        return pooled


class ResNet(nn.Sequential):
    """The stem, four stages of what `block` makes, and the classifier of table 1."""

    def __init__(
        self,
        block: Callable[[int, int, int], BasicBlock | Bottleneck],
        depths: tuple[int, ...],
        num_classes: int,
        in_channels: int,
        layout: Layout = "torchvision",
        stem: Stem = "imagenet",
        filters: tuple[int, ...] = FILTERS,
    ) -> None:
        positive("num_classes", num_classes)
        positive("in_channels", in_channels)
        one_of("layout", layout, ("torchvision", "slim"))
        one_of("stem", stem, ("imagenet", "cifar"))
        kernel, stride = (7, 2) if stem == "imagenet" else (3, 1)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv1=_convolution(in_channels, 64, kernel, stride),
            bn1=nn.BatchNorm2d(64),
            relu=nn.ReLU(inplace=True),
        )
        if stem == "imagenet":
            is_slim = layout == "slim"
            layers["maxpool"] = SamePool() if is_slim else nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64
        for stage, (own, depth) in enumerate(zip(filters, depths, strict=True), start=2):
            blocks = []
            for stride in strides(stage, depth, slim=layout == "slim"):
                blocks.append(block(channels, own, stride))
                channels = blocks[-1].expansion * own
            layers[f"conv{stage}_x"] = nn.Sequential(*blocks)
        layers["pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["fc"] = nn.Linear(channels, num_classes)
        super().__init__(layers)
        if next(self.parameters()).is_meta:
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # arXiv:1502.01852, as the paper says
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _convolution(
    in_channels: int, filters: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels, filters, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )


def strides(stage: int, depth: int, *, slim: bool) -> list[int]:
    """The stride of each unit of a stage: 2 in the first or, in TF-slim, in the last."""
    found = [1] * depth
    if slim and stage < 5:
        found[-1] = 2
    # the max pooling has already halved the input of conv2_x
    elif not slim and stage > 2:
        found[0] = 2
    return found


def _shortcut(
    in_channels: int, out_channels: int, stride: int, changing: Shortcut
) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None  # the identity
    return changing(in_channels, out_channels, stride)


def _slim_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if in_channels == out_channels:
        return nn.MaxPool2d(1, stride)
    return Projection(in_channels, out_channels, stride)


def _of_bottlenecks(
    depths: tuple[int, ...],
    num_classes: int,
    in_channels: int,
    place: StridePlace,
    layout: Layout,
    stem: Stem,
) -> nn.Module:
    one_of("stride", place, ("3x3", "first"))
    shortcut = _slim_shortcut if layout == "slim" else Projection
    block = partial(Bottleneck, place=place, shortcut=shortcut)
    return ResNet(block, depths, num_classes, in_channels, layout, stem)
