"""The kind of every op: depthwise convolutions and channel shuffles in rows of their own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archstat
from archstat.graph import KINDS as OP_KINDS
from archstat.measure.latency import kinds
from archstat.measure.latency.kinds import KINDS, kind_of_name, kinds_of
from archstat.models.pipeline import graph_of_spec


def by_target(graph):
    return list(zip([op.name for op in graph.ops], kinds_of(graph), strict=True))


class Shuffling(nn.Module):
    def forward(self, x):
        batch, channels, *size = x.shape
        x = x.view(batch, 2, channels // 2, *size)
        return torch.transpose(x, 1, 2).contiguous().view(batch, channels, *size)


class Heads(nn.Module):
    def forward(self, x):
        return x.view(2, 3, 4, 5).transpose(1, 2).contiguous().view(2, 4, 15)


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.Conv2d(4, 8, 3), "convolution"),
        (nn.Conv2d(4, 8, 3, groups=2), "convolution"),
        (nn.Conv2d(4, 8, 3, groups=4), "depthwise convolution"),
        (nn.ConvTranspose2d(4, 4, 3, groups=4), "depthwise convolution"),
        (nn.BatchNorm2d(4), "normalisation"),
        (nn.ReLU(), "element-wise"),
        (nn.MaxPool2d(2), "pooling"),
        (nn.PixelShuffle(2), "data movement"),
        (nn.Softmax(1), "other"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_layer_has_its_kind(module, kind):
    graph = archstat.capture(module.eval(), torch.empty(2, 4, 8, 8))
    assert kinds_of(graph)[-1] == kind


def test_channel_shuffle_is_found_in_any_module():
    graph = archstat.capture(Shuffling(), torch.empty(2, 4, 8, 8))
    assert {kind for _, kind in by_target(graph)} == {"channel shuffle"}
    assert "clone" in [op.name for op in graph.ops]


def test_turned_heads_of_attention_are_no_channel_shuffle():
    graph = archstat.capture(Heads(), torch.empty(2, 3, 20))
    # A 4-D value from a 3-D one whose channels stay: nothing of the channels is split.
    assert {kind for _, kind in by_target(graph)} == {"data movement"}


@pytest.mark.parametrize(("name", "shuffles"), [("shufflenet_v1", 16), ("shufflenet_v2_x1_0", 16)])
def test_every_shuffle_of_a_shufflenet_is_found(name, shuffles):
    found = by_target(graph_of_spec(name))
    assert found.count(("clone", "channel shuffle")) == shuffles
    assert [op for op, kind in found if kind == "data movement" and op in ("clone", "copy")] == []


def test_every_kind_of_op_has_a_row():
    assert set(OP_KINDS) == set(kinds._OF_OP)
    assert set(kinds._OF_OP.values()) <= set(KINDS)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("scaled_dot_product_attention", "matrix product"),
        ("conv2d", "convolution"),
        ("batch_norm", "normalisation"),
        ("hardswish", "element-wise"),
        ("swirl", "other"),
    ],
)
def test_name_outside_the_graph_has_a_kind(name, kind):
    assert kind_of_name(name) == kind
