"""Small random networks as real modules: every way in which an output comes to see an input."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = 4
LARGEST = {1: 30, 2: 30, 3: 12}
CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX_POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE_POOLS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
ADAPTIVE_POOLS = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
LINEAR_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


class Function(nn.Module):
    """A function of one tensor as a module, with the modules that it calls."""

    def __init__(self, function, *modules):
        super().__init__()
        self.function = function
        self.inner = nn.ModuleList(modules)

    def forward(self, x):
        return self.function(x, *self.inner)


@dataclass
class Generator:
    """Draws blocks of `axes` spatial axes; `smooth` ones have no maximum, kink or zero weight."""

    seed: int
    axes: int
    smooth: bool
    random: random.Random = field(init=False)

    def __post_init__(self):
        self.random = random.Random(self.seed)

    def each(self, low, high):
        """A number for each axis, often the same one."""
        if self.random.random() < 0.5:
            return (self.random.randint(low, high),) * self.axes
        return tuple(self.random.randint(low, high) for _ in range(self.axes))

    def conv(self, stride=3, groups=1, after=CHANNELS):
        kernel, dilation = self.each(1, 4), self.each(1, 2)
        padding = tuple(self.random.randint(0, k) for k in kernel)
        mode = self.random.choice(["zeros"] * 4 + ["reflect", "replicate", "circular"])
        return CONVS[self.axes](CHANNELS, after, kernel, self.each(1, stride), padding, dilation,
                                groups, padding_mode=mode)  # fmt: skip

    def depthwise(self):
        return self.conv(groups=CHANNELS)

    def same(self, kernel=None):
        kernel = kernel or self.random.choice([1, 3, 5])
        dilation = self.random.choice([1, 1, 2, 3])
        return CONVS[self.axes](
            CHANNELS, CHANNELS, kernel, padding="same", dilation=dilation, bias=False
        )

    def transposed(self):
        kernel, stride = self.each(1, 4), self.each(1, 3)
        padding = tuple(self.random.randint(0, k - 1) for k in kernel)
        extra = tuple(self.random.randint(0, s - 1) for s in stride)
        return TRANSPOSED[self.axes](CHANNELS, CHANNELS, kernel, stride, padding, extra)

    def pool(self):
        kernel, stride = self.each(1, 3), self.each(1, 3)
        padding = tuple(self.random.randint(0, k // 2) for k in kernel)
        ceil = self.random.random() < 0.4
        if self.smooth or self.random.random() < 0.4:
            if self.axes == 1:
                kernel, stride, padding = kernel[0], stride[0], padding[0]
            return AVERAGE_POOLS[self.axes](kernel, stride, padding, ceil_mode=ceil)
        return MAX_POOLS[self.axes](kernel, stride, padding, self.each(1, 2), ceil_mode=ceil)

    def adaptive(self):
        out = self.each(2, 7)
        return ADAPTIVE_POOLS[self.axes](out[0] if self.axes == 1 else out)

    def pad(self):
        mode = self.random.choice(["constant", "constant", "reflect", "replicate", "circular"])
        low = -2 if mode == "constant" else 0
        pads = [self.random.randint(low, 3) for _ in range(2 * self.axes)]
        return Function(lambda x: F.pad(x, pads, mode=mode))

    def sliced(self):
        cuts = [slice(self.random.randint(0, 2), self.random.choice([None, -1, -2]),
                      self.random.choice([1, 1, 2, 3])) for _ in range(self.axes)]  # fmt: skip
        return Function(lambda x: x[(slice(None), slice(None), *cuts)])

    def resized(self):
        mode = (
            "nearest" if self.smooth else self.random.choice(["nearest", LINEAR_MODES[self.axes]])
        )
        if self.random.random() < 0.5:
            return nn.Upsample(scale_factor=self.random.choice([2, 3]), mode=mode)
        return nn.Upsample(size=self.each(2, 9), mode=mode)

    def moved(self):
        axis = self.random.randint(2, self.axes + 1)
        if self.random.random() < 0.5:
            return Function(lambda x: x.flip(axis))
        shift = self.random.randint(-3, 3)
        return Function(lambda x: x.roll(shift, axis))

    def concatenated(self):
        axis = self.random.randint(2, self.axes + 1)
        return Function(
            lambda x, conv: torch.cat([conv(x), x.narrow(axis, 0, 1)], axis), self.same()
        )

    def residual(self):
        return Function(lambda x, a, b: x + b(a(x)), self.same(), self.same())

    def unaligned(self):
        """Branches of different strides, cut to one size and added."""

        def joined(x, first, second):
            pair = first(x), second(x)
            cut = [slice(min(sizes)) for sizes in zip(*(y.shape[2:] for y in pair), strict=True)]
            one, other = (y[(slice(None), slice(None), *cut)] for y in pair)
            return one + other

        return Function(joined, self.conv(), self.conv())

    def inception(self):
        def joined(x, first, second, third, project):
            return project(torch.cat([first(x), second(x), third(x)], 1))

        project = CONVS[self.axes](3 * CHANNELS, CHANNELS, 1)
        return Function(joined, self.same(1), self.same(), nn.Sequential(self.same(), self.same()),
                        project)  # fmt: skip

    def gate(self):
        dims = tuple(range(2, self.axes + 2))
        return Function(
            lambda x, conv: x * conv(x.mean(dims, keepdim=True)).sigmoid(), self.same(1)
        )

    def local_gate(self):
        return Function(lambda x, conv: x * conv(x).sigmoid(), self.same())

    def channels_last(self):
        def mixed(x, norm, linear):
            return linear(norm(x.movedim(1, -1))).movedim(-1, 1)

        norm = nn.Identity() if self.smooth else nn.LayerNorm(CHANNELS)
        return Function(mixed, norm, nn.Linear(CHANNELS, CHANNELS))

    def shuffled(self):
        def shuffle(x):
            return x.view(-1, 2, CHANNELS // 2, *x.shape[2:]).transpose(1, 2).reshape(x.shape)

        return Function(shuffle)

    def written(self):
        """A part of a copy written over: rows of a stride, a box, a channel, a single row."""
        stride, first = self.random.randint(1, 3), self.random.randint(0, 2)
        cuts = [slice(self.random.randint(0, 1), self.random.choice([None, -1])) for _ in
                range(self.axes)]  # fmt: skip
        axis = self.random.randrange(self.axes)
        kind = self.random.choice(["stride", "box", "channel", "row"])

        def places():
            rows = [slice(None)] * self.axes
            if kind == "box":
                return (slice(None), slice(None), *cuts)
            if kind == "channel":
                return (slice(None), slice(1, 3))
            rows[axis] = slice(first, None, stride) if kind == "stride" else first
            return (slice(None), slice(None), *rows)

        def write(x, layer):
            copy = x.clone()
            copy[places()] = layer(x)[places()]
            return copy

        return Function(write, self.same())

    def scattered(self):
        axis, step = self.random.randint(2, self.axes + 1), self.random.randint(1, 2)

        def write(x, layer):
            return torch.slice_scatter(x, layer(x).narrow(axis, 0, 1), axis, step, step + 1)

        return Function(write, self.same())

    def picked(self):
        """Indices of one axis in another order, by indexing, a range, index_select or gather."""
        axis, kind = self.random.randint(2, self.axes + 1), self.random.randrange(4)
        count = self.random.randint(2, 6)
        seed = self.random.random()

        def pick(x):
            size = x.shape[axis]
            places = [int(seed * 1000 * (n + 1)) % size for n in range(count)]
            if kind == 0:
                return x[(slice(None),) * axis + (torch.tensor(places),)]
            if kind == 1:
                spread = torch.arange(0, size, 2, device=x.device)
                return x[(slice(None),) * axis + (spread,)]
            index = torch.tensor(places)
            if kind == 2:
                return x.index_select(axis, index)
            shape = [count if dim == axis else 1 for dim in range(x.dim())]
            full = [count if dim == axis else size for dim, size in enumerate(x.shape)]
            return x.gather(axis, index.view(shape).expand(full))

        return Function(pick)

    def running(self):
        axis, back = self.random.randint(2, self.axes + 1), self.random.random() < 0.5

        def run(x):
            return x.flip(axis).cumsum(axis).flip(axis) if back else x.cumsum(axis)

        return Function(run)

    def recurrent(self):
        layer = self.random.choice([nn.LSTM, nn.GRU, nn.RNN])
        both = self.random.random() < 0.3
        net = layer(CHANNELS, CHANNELS // (1 + both), bidirectional=both)

        def run(x, net):
            steps = x.movedim(1, -1).movedim(-2, 0)
            made = net(steps.reshape(x.shape[-1], -1, CHANNELS))[0]
            return made.view(steps.shape).movedim(0, -2).movedim(-1, 1)

        return Function(run, net)

    def depth_to_space(self):
        axis = self.random.randrange(self.axes)

        def spread(x):
            sizes = list(x.shape[2:])
            y = x.view(x.shape[0], 2, CHANNELS // 2, *sizes).movedim(1, axis + 3)
            sizes[axis] *= 2
            return y.reshape(x.shape[0], CHANNELS // 2, *sizes).repeat_interleave(2, 1)

        return Function(spread)

    def space_to_depth(self):
        axis = self.random.randrange(self.axes)

        def fold(x, project):
            sizes = list(x.shape[2:])
            half = sizes[axis] // 2
            x = x.narrow(axis + 2, 0, 2 * half)
            parted = [*x.shape[:2], *sizes[:axis], half, 2, *sizes[axis + 1 :]]
            y = x.reshape(parted).movedim(axis + 3, 1)
            sizes[axis] = half
            return project(y.reshape(x.shape[0], 2 * CHANNELS, *sizes))

        return Function(fold, CONVS[self.axes](2 * CHANNELS, CHANNELS, 1))

    def tokens(self):
        """Register tokens before the positions, and cut off again."""
        count = self.random.randint(1, 3)

        def mixed(x, linear):
            tokens = x.flatten(2).transpose(1, 2)
            extra = torch.ones(x.shape[0], count, CHANNELS, device=x.device)
            tokens = torch.cat([extra, tokens], 1)
            tokens = tokens + linear(tokens)
            return tokens[:, count:].transpose(1, 2).reshape(x.shape)

        return Function(mixed, nn.Linear(CHANNELS, CHANNELS))

    def ranked(self):
        return Function(lambda x: x.sort(1)[0])

    def pointwise(self):
        acts = [nn.ReLU, nn.ReLU6, nn.Hardswish, nn.GELU, nn.Sigmoid]
        act = nn.Identity if self.smooth else self.random.choice(acts)
        return nn.Sequential(NORMS[self.axes](CHANNELS), act())

    def block(self):
        """One block, as likely a convolution as anything else."""
        kinds = [self.depthwise, self.same, self.transposed, self.pool, self.pool, self.adaptive,
                 self.pad, self.sliced, self.resized, self.moved, self.concatenated, self.residual,
                 self.unaligned, self.inception, self.local_gate, self.channels_last, self.shuffled,
                 self.pointwise, self.written, self.written, self.scattered, self.picked,
                 self.running, self.depth_to_space, self.space_to_depth, self.tokens,
                 self.ranked]  # fmt: skip
        kinds += [] if self.smooth else [self.gate, self.gate, self.recurrent]
        return self.conv() if self.random.random() < 0.3 else self.random.choice(kinds)()


def fits(block, shape):
    """The shape that a block makes of another, None where it cannot or grows too large."""
    try:
        with torch.no_grad():
            made = block(torch.zeros(shape))
    except (RuntimeError, ValueError, IndexError):
        return None
    largest = LARGEST[len(shape) - 2]
    # A maximum over padding alone is minus infinity, and makes a NaN further on. An axis of one
    # index cannot be told from a batch of one once it has gone through a view.
    good = made.isfinite().all() and all(2 <= size <= largest for size in made.shape[2:])
    return made.shape if good else None


@pytest.fixture(scope="session")
def random_network():
    """Build (network in eval mode, its input's shape) from a seed."""

    def build(seed, smooth=False):
        axes = (2, 2, 1, 3)[seed % 4]
        generator = Generator(seed, axes, smooth)
        torch.manual_seed(seed)
        first = tuple(generator.random.randint(5, 9 if axes == 3 else 16) for _ in range(axes))
        shape = given = torch.Size((1, CHANNELS, *first))
        # A first window tells what the axes are.
        blocks = [generator.same(1).eval()] if axes == 1 else []
        wanted = generator.random.randint(2, 7)
        while len(blocks) < wanted:
            block = generator.block().eval()
            made = fits(block, shape)
            if made is not None:
                blocks.append(block)
                shape = made
        network = nn.Sequential(*blocks).eval()
        if smooth:
            for parameter in network.parameters():
                # Positive and scaled by fan-in: nothing cancels, nothing overflows.
                fan_in = max(1, parameter[0].numel())
                nn.init.uniform_(parameter, 0.5 / fan_in, 1.5 / fan_in)
        return network, given

    return build
