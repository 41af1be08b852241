"""Training macs: the formulas, by closed forms and by torch's own counter where that is right."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archstat.measure.training.step import training_step


def trained(module, *shape):
    return training_step(module, (torch.empty(shape, device="meta"),)).training_macs


def by_torch(module, *shape):
    x = torch.empty(shape, device="meta")
    module = module.to("meta").train()
    with FlopCounterMode(display=False) as counter:
        module(x).sum().backward()
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_grouped_convolution_counts_its_groups_in_backward(groups):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1, bias=False), nn.Conv2d(8, 16, 3, groups=groups, bias=False)
    )
    once = 2 * 16 * 10 * 10 * (8 // groups) * 9
    first = 2 * 8 * 12 * 12 * 3
    assert trained(net, 2, 3, 12, 12) == 3 * once + 2 * first


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution_counts_its_groups_in_backward(groups):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ConvTranspose2d(8, 16, 4, stride=2, groups=groups, padding=1)
    )
    once = 2 * 8 * 12 * 12 * (16 // groups) * 16
    first = 2 * 8 * 12 * 12 * 3
    assert trained(net, 2, 3, 12, 12) == 3 * once + 2 * first


def test_first_layer_has_no_gradient_of_its_input():
    assert trained(nn.Conv2d(3, 8, 3), 2, 3, 12, 12) == 2 * (2 * 8 * 10 * 10 * 27)


def test_frozen_layer_has_no_gradient_of_its_weight():
    net = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 7), nn.Linear(7, 3))
    net[1].requires_grad_(False)
    sizes = 5 * 6, 6 * 7, 7 * 3
    assert trained(net, 4, 5) == 4 * (2 * sizes[0] + 2 * sizes[1] + 3 * sizes[2])


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 3, stride=2)),
            (2, 3, 11, 11),
        ),
        (nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 4)), (3, 7, 4)),
        (nn.LSTM(6, 5, batch_first=True), (2, 4, 6)),
        (nn.Conv1d(3, 8, 3, dilation=2), (2, 3, 20)),
    ],
    ids=["convolutions", "batched linear", "lstm", "dilated"],
)
def test_ungrouped_products_are_those_of_torchs_counter(net, shape):
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            out = self.net(x)
            return out[0] if isinstance(out, tuple) else out

    assert trained(First(), *shape) == by_torch(First(), *shape) > 0


def test_attention_computes_its_scores_again_in_backward():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(8, 24, bias=False)

        def forward(self, x):
            q, k, v = (t.unflatten(2, (2, 4)).transpose(1, 2) for t in self.qkv(x).chunk(3, 2))
            return nn.functional.scaled_dot_product_attention(q, k, v)

    batch, heads, length, size = 3, 2, 10, 4
    scores = batch * heads * length * length
    projection = batch * length * 8 * 24
    assert trained(Attention(), batch, length, 8) == 7 * scores * size + 2 * projection
