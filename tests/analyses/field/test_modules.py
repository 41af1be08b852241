"""Exact supports of small modules beside what NaN reaches when they run for real.

One row or column of the input is NaN at a time; what becomes NaN has seen it. Where nothing on the
way reads padding the two are equal, and elsewhere NaN reaches no more than is said.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from archstat import capture
from archstat.analyses.field import FieldRow, Fields, analysis, receptive_field


class Block(nn.Module):
    """A function of the input and some layers."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.layers)


def conv(*sizes, channels=2, out=2, **options) -> nn.Conv2d:
    return nn.Conv2d(channels, out, *sizes, **options)


def same() -> nn.Conv2d:
    return conv(3, padding=1)


def up(**options) -> nn.Upsample:
    return nn.Upsample(**options)


def focus(x: Tensor, layer: nn.Module) -> Tensor:
    parts = [x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return layer(torch.cat(parts, 1))


def space_to_depth(x: Tensor, layer: nn.Module) -> Tensor:
    return layer(x.view(1, 2, 4, 2, 3, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 8, 4, 3))


def depth_to_space(x: Tensor, one: nn.Module, two: nn.Module) -> Tensor:
    y = one(x).view(1, 2, 2, 2, 8, 6).permute(0, 1, 4, 2, 5, 3).reshape(1, 2, 16, 12)
    return two(y)


def window_attention(x: Tensor, layer: nn.Module) -> Tensor:
    tokens = x.view(1, 2, 4, 2, 3, 2).permute(0, 2, 4, 3, 5, 1).reshape(12, 4, 2)
    seen = (tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens
    return layer(seen.view(1, 4, 3, 2, 2, 2).permute(0, 5, 1, 3, 2, 4).reshape(1, 2, 8, 6))


def shifted_window_attention(x: Tensor, layer: nn.Module) -> Tensor:
    return window_attention(x.roll((-1, -1), (2, 3)), layer).roll((1, 1), (2, 3))


def coordinates(x: Tensor, one: nn.Module, two: nn.Module) -> Tensor:
    return x * one(x.mean(2, True)) * two(x.mean(3, True))


def class_token(x: Tensor, layer: nn.Module) -> Tensor:
    tokens = torch.cat([torch.zeros(1, 1, 2, device=x.device), x.flatten(2).transpose(1, 2)], 1)
    return layer(tokens[:, 1:].transpose(1, 2).reshape(1, 2, 8, 6))


def zeroed(x: Tensor) -> Tensor:
    x[:, :, 2:4] = 0
    return x


def assembled(x: Tensor, y: Tensor) -> Tensor:
    made = x.new_zeros(1, 2, 10, 6)
    made[:, :, :8] = x
    made[:, :, 8:] += y[:, :, :2]
    return made


def cut_off(x: Tensor, count: int) -> Tensor:
    extra = torch.zeros(1, count, 2, device=x.device)
    tokens = torch.cat([extra, x.flatten(2).transpose(1, 2)], 1)
    tokens = tokens + functional.gelu(tokens) * 2
    return tokens[:, count:].transpose(1, 2).reshape(1, 2, 8, 6)


def unpooled(x: Tensor, layer: nn.Module) -> Tensor:
    values, places = functional.max_pool2d(layer(x), 2, return_indices=True)
    return functional.max_unpool2d(values, places, 2)


CASES = {
    "strided": conv(3, stride=2, padding=1),
    "dilated": nn.Sequential(conv(3, dilation=2, padding=3), same()),
    "non-square": nn.Sequential(conv((1, 5), padding=(0, 2)), conv((3, 2), stride=(2, 1))),
    "cropped": Block(lambda x, a: a(functional.pad(x, (-3, 0, -3, 0))), same()),
    "transposed": nn.Sequential(conv(3, 2, 1), nn.ConvTranspose2d(2, 2, 4, 2, 1), same()),
    "transposed with gaps": nn.ConvTranspose2d(2, 2, 2, 3, 0, 1),
    "transposed, dilated": nn.Sequential(
        nn.ConvTranspose2d(2, 2, 3, 2, 1, 1, dilation=2), nn.MaxPool2d(2)
    ),
    "nearest": nn.Sequential(up(scale_factor=2), same()),
    "nearest by 1.5": nn.Sequential(up(scale_factor=1.5), same()),
    "nearest exact": up(size=(5, 9), mode="nearest-exact"),
    "bilinear": nn.Sequential(up(scale_factor=2, mode="bilinear"), same()),
    "bilinear, corners": nn.Sequential(
        up(scale_factor=2, mode="bilinear", align_corners=True), same()
    ),
    "bilinear to a size": nn.Sequential(up(size=(7, 3), mode="bilinear"), same()),
    "bicubic": up(scale_factor=1.5, mode="bicubic"),
    "antialiased": Block(
        lambda x: functional.interpolate(x, size=(5, 4), mode="bilinear", antialias=True)
    ),
    "adaptive": nn.AdaptiveAvgPool2d((3, 4)),
    "adaptive, one axis whole": nn.AdaptiveMaxPool2d((3, 1)),
    "ceil mode": nn.MaxPool2d(3, 2, ceil_mode=True),
    "ceil mode, average": nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
    "residual": Block(lambda x, a, b: a(x) + b(x), conv(3, 2, 1), conv(1, 2)),
    "strides apart": Block(
        lambda x, a, b: a(functional.pad(x, (2, 1, 2, 1)))[..., :2, :2] + b(x)[..., :2, :2],
        conv(5, 2), conv(3),
    ),
    "reflected": nn.Sequential(nn.ReflectionPad2d(2), conv(5)),
    "replicated": nn.Sequential(nn.ReplicationPad2d(2), conv(5)),
    "even kernel, same size": conv(4, padding="same"),
    "sliced with steps": Block(lambda x, a: a(x[..., ::2, 1::3]), same()),
    "parts in a row": Block(lambda x, a, b: a(torch.cat([x[..., :3], b(x)[..., 3:]], 3)),
                            same(), same()),
    "parts in another order": Block(
        lambda x, a: a(torch.cat(x.split([3, 5], 2)[::-1], 2)), same()
    ),
    "zeros beside": Block(
        lambda x, a: a(torch.cat([x, torch.zeros(1, 2, 8, 3, device=x.device)], 3)), same()
    ),
    "focus": Block(focus, conv(3, channels=8, padding=1)),
    "flipped": Block(lambda x, a: a(x.flip(2)), conv(3, 2, 1)),
    "rolled": Block(lambda x, a: a(x.roll((1, -2), (2, 3))), same()),
    "pixel shuffle": nn.Sequential(conv(3, out=8, padding=1), nn.PixelShuffle(2), same()),
    "pixel unshuffle": nn.Sequential(nn.PixelUnshuffle(2), conv(3, channels=8, padding=1)),
    "space to depth": Block(space_to_depth, conv(3, channels=8, padding=1)),
    "depth to space": Block(depth_to_space, conv(3, out=8, padding=1), same()),
    "channels last": Block(
        lambda x, a, b: b(a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2), same(), nn.Linear(2, 2)
    ),
    "channel shuffle": Block(
        lambda x, a, b: b(a(x).view(1, 2, 2, 8, 6).transpose(1, 2).reshape(1, 4, 8, 6)),
        conv(3, out=4, padding=1), conv(3, channels=4, padding=1, groups=2),
    ),
    "tokens and back": Block(
        lambda x, a, b: b(a(x.flatten(2).transpose(1, 2)).transpose(1, 2).view(1, 2, 8, 6)),
        nn.Linear(2, 2), conv(3),
    ),
    "window attention": Block(window_attention, same()),
    "shifted windows": Block(shifted_window_attention, conv(1)),
    "squeeze and excite": Block(
        lambda x, a, b: a(x) * torch.sigmoid(b(functional.adaptive_avg_pool2d(x, 1))),
        same(), conv(1),
    ),
    "global branch added": Block(lambda x, a, b: a(x) + b(x.mean((2, 3), True)), same(), conv(1)),
    "global branch of a crop": Block(
        lambda x: x[..., :1, :1] + functional.pad(x, (-2, -1, 0, -3)).mean((2, 3), True)
    ),
    "coordinate attention": Block(
        coordinates, conv((1, 3), padding=(0, 1)), conv((3, 1), padding=(1, 0))
    ),
    "three dimensions of one": Block(lambda x, a: torch.stack([x, a(x)]).mean(0), same()),
    "repeated whole": Block(lambda x, a: a(x.repeat(1, 1, 2, 1)), same()),
    "repeated pixels": Block(lambda x, a: a(x.repeat_interleave(2, 3)), same()),
    "contracted": Block(
        lambda x: torch.einsum("bchw,dc->bdhw", x, torch.ones(2, 2, device=x.device))
    ),
    "group norm": nn.Sequential(conv(3), nn.GroupNorm(1, 2)),
    "layer norm of a row": nn.Sequential(same(), nn.LayerNorm(6)),
    "tensor unfold": Block(lambda x: x.unfold(2, 3, 2).sum(-1)),
    "mere padding": conv(1, padding=2),
}  # fmt: skip


def written(x: Tensor, layer: nn.Module) -> Tensor:
    y = layer(x)
    z = y.clone()
    z[..., ::2, :] = y[..., 1::2, :]
    return z


def put(x: Tensor, layer: nn.Module, *places) -> Tensor:
    y = layer(x)
    z = y.clone()
    z[places] = layer(y)[places].flip(-1)
    return z


CASES |= {
    "circular": conv(3, padding=1, padding_mode="circular"),
    "circular twice": nn.Sequential(*(conv(3, padding=1, padding_mode="circular") for _ in "ab")),
    "circular, one side": Block(
        lambda x, a: a(functional.pad(x, (2, 0, 0, 1), mode="circular")), conv(3)
    ),
    "reflect": conv(3, padding=1, padding_mode="reflect"),
    "replicate": conv(5, padding=2, padding_mode="replicate"),
    "every second row written": Block(written, same()),
    "box written": Block(lambda x, a: put(x, a, ..., slice(1, 5), slice(2, 4)), same()),
    "box written and a window": Block(
        lambda x, a, b: b(put(x, a, ..., slice(1, 5), slice(2, 4))), same(), same()
    ),
    "row written": Block(lambda x, a: put(x, a, slice(None), slice(None), 3), same()),
    "channel written": Block(lambda x, a: put(x, a, slice(None), 1), same()),
    "rows filled": Block(lambda x, a: a(x).index_fill(2, torch.tensor([1, 2]), 0.0), same()),
    "rows zeroed in place": Block(lambda x, a: zeroed(a(x)), same()),
    "written into new memory": Block(lambda x, a: assembled(a(x), x), same()),
    "rows picked by a list": Block(lambda x, a: a(x)[:, :, torch.tensor([5, 0, 2])], same()),
    "rows picked by a range": Block(
        lambda x, a: a(x)[:, :, torch.arange(1, 8, 3, device=x.device)], same()
    ),
    "rows and columns picked": Block(
        lambda x, a: a(x)[:, :, torch.tensor([[0], [7]]), torch.tensor([1, 3, 5])], same()
    ),
    "index_select": Block(lambda x, a: a(x.index_select(3, torch.tensor([5, 4, 0, 1]))), conv(2)),
    "index_select of channels": Block(
        lambda x, a: a(x).index_select(1, torch.tensor([1, 0])), same()
    ),
    "gather along rows": Block(
        lambda x, a: a(x).gather(2, torch.tensor([6, 1, 4]).view(1, 1, 3, 1).expand(1, 2, 3, 6)),
        same(),
    ),
    "index_copy": Block(
        lambda x, a: a(x).index_copy(2, torch.tensor([7, 0]), x[:, :, 2:4]), same()
    ),
    "index_add": Block(
        lambda x, a: a(x).index_add(2, torch.tensor([7, 0]), x[:, :, 2:4]), same()
    ),
    "scattered rows": Block(
        lambda x, a: a(x).scatter(
            2, torch.tensor([2, 5]).view(1, 1, 2, 1).expand(1, 2, 2, 6), x[:, :, :2]
        ),
        same(),
    ),
    "slice_scatter": Block(
        lambda x, a: torch.slice_scatter(a(x), x[:, :, 1::2], 2, 0, 8, 2), same()
    ),
    "select_scatter": Block(lambda x, a: torch.select_scatter(a(x), x[:, :, 4], 2, 0), same()),
    "running sum": Block(lambda x, a: a(x).cumsum(2), conv(3)),
    "running sum backwards": Block(lambda x, a: a(x).flip(3).cumsum(3).flip(3), conv(3)),
    "running sum and a window": Block(lambda x, a: a(x.cumsum(2)), conv(3)),
    "topk over channels": Block(lambda x, a: a(x).topk(1, 1)[0], same()),
    "sorted channels": Block(lambda x, a: a(x).sort(1)[0], same()),
    "sorted row": Block(lambda x, a: a(x).sort(3)[0], same()),
    "depth to space at the end": Block(
        lambda x, a: a(x).view(1, 1, 2, 8, 6).permute(0, 1, 3, 2, 4).reshape(1, 1, 16, 6), same()
    ),
    "depth to space, columns": Block(
        lambda x, a: a(x).view(1, 1, 2, 8, 6).permute(0, 1, 3, 4, 2).reshape(1, 1, 8, 12), same()
    ),
    "depth to space and a window": Block(
        lambda x, a, b: b(a(x).view(1, 2, 1, 8, 6).permute(0, 2, 3, 1, 4).reshape(1, 1, 16, 6)),
        same(), conv(3, padding=1, channels=1),
    ),
    "space to depth at the end": Block(
        lambda x, a: a(x).view(1, 2, 4, 2, 3, 2).permute(0, 1, 3, 5, 2, 4).reshape(1, 8, 4, 3),
        same(),
    ),
    "class token cut off": Block(lambda x, a, b: b(cut_off(a(x), 1)), same(), conv(1)),
    "register tokens cut off": Block(lambda x, a, b: b(cut_off(a(x), 5)), same(), conv(3)),
}  # fmt: skip
# What is said to be seen includes more than NaN reaches.
COARSE = {
    "unfold and fold": Block(
        lambda x: functional.fold(
            functional.unfold(x, 3, padding=1, stride=2), (8, 6), 3, padding=1, stride=2
        )
    ),
    "max-unpooling": Block(unpooled, same()),
    "fractional pooling": nn.Sequential(same(), nn.FractionalMaxPool2d(2, output_size=(4, 3))),
    "added to its transpose": Block(lambda x, a: a(x[..., :6, :] + x[..., :6, :].mT), same()),
    "class token": Block(class_token, conv(1)),
}


def seen_by_nan(module: nn.Module, x: Tensor) -> list[Tensor]:
    """For each axis, which input index each output position sees: (index, position...)."""
    found = []
    for axis in range(2, x.dim()):
        reached = []
        for index in range(x.shape[axis]):
            poisoned = x.clone()
            poisoned.select(axis, index).fill_(float("nan"))
            reached.append(module(poisoned).isnan().any(1)[0])
        found.append(torch.stack(reached))
    return found


def run(module: nn.Module, *shape: int) -> tuple[Fields, list[Tensor], tuple[int, ...]]:
    x = torch.rand(1, *shape) + 0.1
    with torch.no_grad():
        module = module.eval()
        graph = capture(module, x)
        return receptive_field(graph), seen_by_nan(module, x), module(x).shape[2:]


def of_output(fields: Fields) -> FieldRow:
    """The final row where it is of the output itself, positions settled."""
    output = fields.graph.outputs[0]
    row = fields.final if fields.final.value == output else fields.of_value(output)
    assert row is not None
    return row


def differing(fields: Fields, seen: list[Tensor], equal: bool = True) -> list[str]:
    """The positions and axes where NaN reaches what it should not, or not what it should."""
    row = of_output(fields)
    wrong = []
    for position in itertools.product(*map(range, row.size)):
        exact = equal and not row.reads_padding(position, gates=True)
        for axis, indices in enumerate(row.support(position, gates=True)):
            reached = torch.nonzero(seen[axis][(slice(None), *position)]).flatten().tolist()
            said = set(indices)
            if not set(reached) <= said or (exact and set(reached) != said):
                wrong.append(f"{position}, axis {axis}: {reached} but {sorted(said)}")
    return wrong


@pytest.mark.parametrize("name", CASES)
def test_support_is_what_nan_reaches(name):
    fields, seen, shape = run(CASES[name], 2, 8, 6)
    assert of_output(fields).size == shape
    assert of_output(fields).known
    assert differing(fields, seen) == []


@pytest.mark.parametrize("name", COARSE)
def test_nan_reaches_no_more_than_what_counts_as_seen(name):
    fields, seen, _ = run(COARSE[name], 2, 8, 6)
    row = of_output(fields)
    assert row.size in ((8, 6), (6, 6), (4, 3))
    assert row.size == (1, 1) or differing(fields, seen, equal=False) == []


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Sequential(nn.Conv1d(2, 2, 3, 2, 1), nn.MaxPool1d(3, 2, 1)), (2, 20)),
        (nn.Sequential(nn.Conv1d(2, 2, 3, padding=1), nn.ConvTranspose1d(2, 2, 4, 2)), (2, 9)),
        (nn.Sequential(nn.Conv3d(2, 2, 3, (1, 2, 2), 1), nn.MaxPool3d(2)), (2, 6, 7, 8)),
    ],
)
def test_one_and_three_dimensions(module, shape):
    fields, seen, size = run(module, *shape)
    assert fields.final.size == size
    assert differing(fields, seen) == []


UNKNOWN = {
    "added to its transpose": COARSE["added to its transpose"],
    "strided at will": Block(lambda x, a: a(x.as_strided((1, 2, 8, 6), (96, 48, 1, 8))), same()),
    "picked by what the input says": Block(
        lambda x, a: a(x)[:, :, x[0, 0, :, 0].argsort()], same()
    ),
    "written by a mask": Block(lambda x, a: a(x).masked_scatter(x > 0.5, x.flatten()), same()),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_followed_is_unknown_and_told(name):
    fields, _, _ = run(UNKNOWN[name], 2, 8, 6)
    assert fields.findings
    assert not fields.final.known
    found = analysis(fields.graph)
    assert found.totals["receptive_field"] is None
    assert {"receptive_field", "effective_stride", "effective_padding"} == found.unknown


def test_mean_after_an_unknown_op_is_unknown_still():
    fields, _, _ = run(Block(lambda x, a: a(x.as_strided((1, 2, 8, 6), (96, 48, 1, 8))).mean(
        (2, 3), keepdim=True), same()), 2, 8, 6)  # fmt: skip
    assert not fields.final.known
    assert fields.global_from is None


@pytest.mark.parametrize(
    "module",
    [
        Block(lambda x, a: a(x) * torch.sigmoid(x.mean((2, 3), True)), same()),
        Block(lambda x, a: a(x).mean((2, 3)), same()),
    ],
)
def test_gates_and_poolings_leave_the_field_known(module):
    fields = receptive_field(capture(module.eval(), torch.rand(1, 2, 8, 6)))
    assert fields.final.known
    assert fields.final.receptive_field == (3, 3)


@pytest.mark.parametrize(
    "name",
    ["space to depth", "window attention", "channels last", "tokens and back", "parts in a row"],
)
def test_what_is_followed_needs_no_finding(name):
    fields, _, _ = run(CASES[name], 2, 8, 6)
    assert fields.findings == ()
    assert None not in fields.final.receptive_field
