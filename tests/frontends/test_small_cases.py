"""Small modules with a known number of multiply-accumulates, each a case that counters get wrong."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archstat.frontends.module import capture


class PaddedConv(nn.Conv2d):
    """A convolution under another name, with a forward of its own."""

    def forward(self, input):
        return super().forward(F.pad(input, (1, 1, 1, 1)))


LAYERS = [
    ("conv with bias", nn.Conv2d(16, 32, 3, padding=1), (1, 16, 16, 16), 32 * 16 * 3**2 * 16**2),
    ("conv without bias", nn.Conv2d(16, 32, 3, bias=False), (1, 16, 16, 16), 32 * 16 * 9 * 14**2),
    ("conv on a batch", nn.Conv2d(16, 32, 1), (4, 16, 8, 8), 4 * 16 * 32 * 8**2),
    ("conv without a batch axis", nn.Conv2d(16, 32, 1), (16, 8, 8), 16 * 32 * 8**2),
    ("conv with strides apart", nn.Conv2d(3, 8, (3, 5), (2, 1)), (1, 3, 9, 9),
     8 * 3 * 3 * 5 * 4 * 5),
    ("conv dilated", nn.Conv2d(3, 8, 3, dilation=2), (1, 3, 9, 9), 8 * 3 * 3**2 * 5**2),
    ("conv grouped", nn.Conv2d(8, 16, 3, groups=4), (1, 8, 10, 10), 16 * 2 * 3**2 * 8**2),
    ("conv depthwise", nn.Conv2d(8, 8, 3, groups=8), (1, 8, 10, 10), 8 * 1 * 3**2 * 8**2),
    ("conv on 1 axis", nn.Conv1d(4, 6, 3), (1, 4, 20), 6 * 4 * 3 * 18),
    ("conv on 3 axes", nn.Conv3d(2, 4, 3), (1, 2, 6, 7, 8), 4 * 2 * 3**3 * 4 * 5 * 6),
    ("conv padded with zeros to the same size", nn.Conv2d(3, 8, 3, padding="same"), (1, 3, 8, 8),
     8 * 3 * 3**2 * 8**2),
    ("conv padded by reflection", nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"),
     (1, 3, 8, 8), 8 * 3 * 3**2 * 8**2),
    ("conv subclass", PaddedConv(16, 32, 3), (1, 16, 16, 16), 32 * 16 * 3**2 * 16**2),
    ("transposed conv", nn.ConvTranspose2d(8, 16, 4, 2, 1), (1, 8, 16, 16), 8 * 16 * 4**2 * 16**2),
    ("transposed conv grouped", nn.ConvTranspose2d(8, 16, 4, 2, 1, groups=4), (1, 8, 16, 16),
     8 * (16 // 4) * 4**2 * 16**2),
    ("transposed conv with output padding", nn.ConvTranspose2d(8, 16, 3, 2, 1, output_padding=1),
     (1, 8, 5, 5), 8 * 16 * 3**2 * 5**2),
    ("transposed conv on 1 axis", nn.ConvTranspose1d(8, 4, 2, 2), (1, 8, 5), 8 * 4 * 2 * 5),
    ("linear", nn.Linear(64, 10), (1, 64), 64 * 10),
    ("linear on one vector", nn.Linear(64, 10), (64,), 64 * 10),
    ("linear on tokens", nn.Linear(64, 64), (1, 50, 64), 50 * 64 * 64),
    ("linear on an image of tokens", nn.Linear(64, 32), (2, 7, 7, 64), 2 * 7 * 7 * 64 * 32),
    ("linear without bias on tokens", nn.Linear(64, 64, bias=False), (2, 50, 64), 2 * 50 * 64**2),
    ("GRU cell", nn.GRUCell(8, 16), (1, 8), 3 * 16 * (8 + 16)),
    ("LSTM cell", nn.LSTMCell(8, 16), (1, 8), 4 * 16 * (8 + 16)),
    ("batch norm", nn.BatchNorm2d(16), (1, 16, 32, 32), 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "shape", "macs"), [row[1:] for row in LAYERS], ids=[row[0] for row in LAYERS]
)
def test_layer_has_the_multiply_accumulates_of_its_definition(module, shape, macs, totals):
    found = totals(module, torch.rand(shape))
    assert found["macs"] == macs
    assert found["unknown_ops"] == 0


# function, shapes of its arguments, multiply-accumulates
FUNCTIONS = [
    ("conv", lambda x, w: F.conv2d(x, w), [(1, 3, 8, 8), (4, 3, 3, 3)], 4 * 3 * 3**2 * 6**2),
    ("linear", lambda x, w: F.linear(x, w), [(5, 8), (4, 8)], 5 * 8 * 4),
    ("matrix product", lambda a, b: a @ b, [(5, 8), (8, 4)], 5 * 8 * 4),
    ("matrix product of batches", lambda a, b: a @ b, [(2, 3, 5, 8), (2, 3, 8, 4)], 6 * 5 * 8 * 4),
    ("matrix product that broadcasts", lambda a, b: a @ b, [(2, 3, 5, 8), (8, 4)], 6 * 5 * 8 * 4),
    ("matrix times vector", lambda a, b: a @ b, [(5, 8), (8,)], 5 * 8),
    ("vector times vector", lambda a, b: a @ b, [(8,), (8,)], 8),
    ("outer product", lambda a, b: torch.outer(a, b), [(5,), (8,)], 0),
    ("sum and matrix product", torch.addmm, [(4,), (5, 8), (8, 4)], 5 * 8 * 4),
    ("sum and product of batches", torch.baddbmm, [(2, 5, 4), (2, 5, 8), (2, 8, 4)], 2 * 5 * 8 * 4),
    ("sum over products of a batch", torch.addbmm, [(5, 4), (2, 5, 8), (2, 8, 4)], 2 * 5 * 8 * 4),
    ("sum and matrix times vector", torch.addmv, [(5,), (5, 8), (8,)], 5 * 8),
    ("products in a chain", torch.linalg.multi_dot, [], 2 * 3 * 4 + 2 * 4 * 5),
    ("tensordot", lambda a, b: torch.tensordot(a, b, dims=2), [(2, 3, 4), (3, 4, 5)], 2 * 12 * 5),
    ("einsum", lambda a, b: torch.einsum("bij,bjk->bik", a, b), [(2, 5, 6), (2, 6, 7)],
     2 * 5 * 6 * 7),
    ("einsum over two axes", lambda a, b: torch.einsum("nchw,ocw->noh", a, b),
     [(2, 3, 4, 5), (6, 3, 5)], 2 * 4 * 6 * 3 * 5),
    ("einsum without contraction", lambda a, b: torch.einsum("bij,bij->bij", a, b),
     [(2, 5, 6), (2, 5, 6)], 0),
    ("bilinear", F.bilinear, [(2, 5), (2, 6), (7, 5, 6)], 2 * 5 * 6 * 7),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "shapes", "macs"), [row[1:] for row in FUNCTIONS], ids=[r[0] for r in FUNCTIONS]
)
def test_function_has_the_multiply_accumulates_of_its_definition(
    function, shapes, macs, totals, as_module
):
    arguments = [torch.rand(shape) for shape in shapes]
    if not shapes:
        arguments = [[torch.rand(2, 3), torch.rand(3, 4), torch.rand(4, 5)]]
    found = totals(as_module(function), *arguments)
    assert found["macs"] == macs
    assert found["unknown_ops"] == 0


def test_einsum_without_contraction_costs_its_multiplications(totals, as_module):
    product = as_module(lambda a, b: torch.einsum("bij,bij->bij", a, b))
    assert totals(product, torch.rand(2, 5, 6), torch.rand(2, 5, 6))["flops"] == 2 * 5 * 6


@pytest.mark.parametrize("norm", [nn.BatchNorm1d(16), nn.BatchNorm1d(16, affine=False)])
def test_batch_norm_in_eval_is_a_scale_and_a_shift(norm, totals):
    assert totals(norm, torch.rand(3, 16, 9))["flops"] == 2 * 3 * 16 * 9


@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        (nn.LayerNorm(16), (2, 9, 16), 5 * 2 * 9 * 16),
        (nn.GroupNorm(4, 16), (2, 16, 9), 5 * 2 * 16 * 9),
        (nn.ReLU(), (2, 9), 2 * 9),
        (nn.ReLU6(), (2, 9), 2 * 9),
        (nn.Hardsigmoid(), (2, 9), 3 * 2 * 9),
        (nn.Hardswish(), (2, 9), 4 * 2 * 9),
        (nn.Sigmoid(), (2, 9), 4 * 2 * 9),
        (nn.Tanh(), (2, 9), 4 * 2 * 9),
        (nn.SiLU(), (2, 9), 5 * 2 * 9),
        (nn.GELU(), (2, 9), 8 * 2 * 9),
        (nn.Softmax(-1), (2, 9), 5 * 2 * 9),
        (nn.MaxPool1d(2), (1, 3, 16), 3 * 8 * (2 - 1)),
        (nn.MaxPool2d(3, 2, 1), (1, 3, 9, 9), 3 * 5**2 * (3**2 - 1)),
        (nn.MaxPool3d(2), (1, 3, 4, 4, 4), 3 * 2**3 * (2**3 - 1)),
        (nn.AvgPool1d(2), (1, 3, 16), 3 * 8 * 2),
        (nn.AvgPool2d((3, 2)), (1, 3, 9, 8), 3 * 3 * 4 * 3 * 2),
        (nn.AvgPool3d(2), (1, 3, 4, 4, 4), 3 * 2**3 * 2**3),
        (nn.AdaptiveAvgPool2d(2), (1, 3, 8, 8), 3 * 2**2 * 4**2),
        (nn.AdaptiveAvgPool2d(1), (1, 3, 8, 8), 3 * 8**2),
        (nn.AdaptiveMaxPool2d(2), (1, 3, 8, 8), 3 * 2**2 * (4**2 - 1)),
        (nn.Dropout(), (2, 9), 0),
        (nn.Flatten(), (2, 3, 3), 0),
        (nn.ZeroPad2d(1), (1, 3, 4, 4), 0),
        (nn.Upsample(scale_factor=2), (1, 3, 4, 4), 0),
        (nn.Conv2d(3, 8, 3), (1, 3, 6, 6), 2 * 8 * 3 * 3**2 * 4**2 + 8 * 4**2),
        (nn.Conv2d(3, 8, 3, bias=False), (1, 3, 6, 6), 2 * 8 * 3 * 3**2 * 4**2),
        (nn.Linear(8, 4), (5, 8), 2 * 5 * 8 * 4 + 5 * 4),
        (nn.Linear(8, 4, bias=False), (5, 8), 2 * 5 * 8 * 4),
    ],
    ids=str,
)  # fmt: skip
def test_flops_of_a_layer_follow_the_convention(layer, shape, flops, totals):
    found = totals(layer, torch.rand(shape))
    assert found["flops"] == flops
    assert found["unknown_ops"] == 0


def test_bias_of_a_linear_layer_on_tokens_is_counted_once_for_each_output(totals):
    layer, x = nn.Linear(8, 4), torch.rand(2, 5, 8)
    assert totals(layer, x)["flops"] == 2 * (2 * 5 * 8 * 4) + 2 * 5 * 4


def test_linear_on_a_permuted_input_is_one_linear_layer(totals):
    class ChannelsLast(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(8, 4)

        def forward(self, x):
            return self.linear(x.permute(0, 2, 3, 1))

    graph = capture(ChannelsLast(), torch.rand(2, 8, 5, 5))
    assert [op.kind for op in graph.ops if op.kind in ("linear", "matmul")] == ["linear"]
    found = totals(ChannelsLast(), torch.rand(2, 8, 5, 5))
    assert found["macs"] == 2 * 5 * 5 * 8 * 4
    assert found["flops"] == 2 * found["macs"] + 2 * 5 * 5 * 4
    assert found["depth"] == 1


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_padding_of_an_even_kernel_is_a_pad_and_a_convolution(totals):
    layer, image = nn.Conv2d(3, 8, 4, padding="same"), torch.rand(1, 3, 8, 8)
    graph = capture(layer, image)
    assert graph.device == "meta"
    assert [op.kind for op in graph.ops] == ["pad", "conv"]
    assert totals(layer, image)["macs"] == 8 * 3 * 4**2 * 8**2


LSTM_STEP = 4 * 64 * (32 + 64)
RECURRENT = [
    ("LSTM", nn.LSTM(32, 64, batch_first=True), 20 * LSTM_STEP),
    ("LSTM of two layers both ways", nn.LSTM(32, 64, 2, bidirectional=True, batch_first=True),
     20 * 2 * (LSTM_STEP + 4 * 64 * (2 * 64 + 64))),
    ("LSTM without bias", nn.LSTM(32, 64, bias=False, batch_first=True), 20 * LSTM_STEP),
    ("GRU", nn.GRU(32, 64, batch_first=True), 20 * 3 * 64 * (32 + 64)),
    ("GRU of two layers", nn.GRU(32, 64, 2, batch_first=True), 20 * 3 * 64 * (32 + 64 + 64 + 64)),
    ("RNN", nn.RNN(32, 64, batch_first=True), 20 * 64 * (32 + 64)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "macs"), [row[1:] for row in RECURRENT], ids=[row[0] for row in RECURRENT]
)
@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_recurrent_layer_multiplies_both_weights_at_each_step(layer, macs, place, totals):
    found = totals(_twin(layer, place), torch.rand(2, 10, 32))
    assert found["macs"] == macs
    assert found["unknown_ops"] == 0


@pytest.mark.parametrize("layer", [row[1] for row in RECURRENT], ids=[r[0] for r in RECURRENT])
def test_recurrent_layer_is_as_deep_on_cpu_as_on_meta(layer, totals):
    x = torch.rand(2, 10, 32)
    on_cpu = totals(layer, x)["depth"]
    assert on_cpu == totals(_twin(layer, "meta"), x)["depth"]
    assert on_cpu >= 10


def test_lstm_with_a_projection_multiplies_it_at_each_step(totals):
    with torch.device("meta"):
        layer = nn.LSTM(32, 64, proj_size=16)
    assert totals(layer, torch.rand(10, 1, 32))["macs"] == 10 * (4 * 64 * (32 + 16) + 64 * 16)


def _twin(layer, place):
    return layer if place == "cpu" else copy.deepcopy(layer).to("meta")
