"""What a fused graph moves: folded norms, merged activations, one operand of an addition."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archstat.analyses.memory_access import accesses, memory_access
from archstat.frontends.module import capture

SIZE = 6
MAP = SIZE * SIZE


class Net(nn.Module):
    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.function(self, x)


def fused(net, channels=4):
    """Elements of each op of a network once it is fused."""
    graph = capture(net.eval(), torch.empty(1, channels, SIZE, SIZE, device="meta"))
    return [access.elements for access in accesses(graph, "inference")]


def conv(before, after, bias=False):
    return nn.Conv2d(before, after, 1, bias=bias)


@given(c1=st.integers(1, 9), c2=st.integers(1, 9), bias=st.booleans())
@settings(max_examples=30, deadline=None)
def test_convolution_takes_norm_and_activation_in(c1, c2, bias):
    net = nn.Sequential(conv(c1, c2, bias), nn.BatchNorm2d(c2), nn.ReLU())
    own = MAP * (c1 + c2) + c1 * c2
    # A convolution with a bias keeps it; one without gets that of the norm.
    assert fused(net, c1) == [own + (c2 if bias else 0), 0 if bias else c2, 0]


def test_activation_in_place_is_merged_like_any_other():
    for relu in (nn.ReLU(), nn.ReLU(inplace=True), nn.SiLU(), nn.Hardswish(inplace=True)):
        assert fused(nn.Sequential(conv(4, 4), relu))[1:] == [0]


def test_addition_reads_only_its_second_operand():
    net = Net(lambda net, x: torch.relu(net.conv(x) + x), conv=conv(4, 4))
    assert fused(net) == [MAP * 8 + 16, MAP * 4, 0]


def test_map_with_two_readers_is_written_before_the_activation():
    def function(net, x):
        y = net.conv(x)
        return torch.relu(y) * y

    # The product is merged into the activation, which nobody else reads.
    assert fused(Net(function, conv=conv(4, 4))) == [MAP * 8 + 16, 2 * MAP * 4, MAP * 4]


def test_gate_of_another_shape_is_read_beside_the_map():
    def function(net, x):
        return net.conv(x) * net.gate(x.mean((2, 3), keepdim=True))

    net = Net(function, conv=conv(4, 4), gate=conv(4, 4))
    assert fused(net) == [MAP * 8 + 16, MAP * 4 + 4, 4 + 4 + 16, 4]


def test_norm_before_a_convolution_stands_alone_and_after_a_concat_is_merged():
    assert fused(nn.Sequential(nn.BatchNorm2d(4), conv(4, 4)))[0] == 2 * MAP * 4 + 4 * 4
    net = Net(lambda net, x: net.norm(torch.cat([x, x.abs()], 1)), norm=nn.BatchNorm2d(8))
    assert fused(net)[-1] == 2 * 8


def test_norm_with_batch_statistics_is_not_folded():
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    assert fused(nn.Sequential(conv(4, 4), norm))[1] >= 2 * MAP * 4


def test_concat_shuffle_and_split_are_one_op():
    def function(net, x):
        left, right = x.chunk(2, 1)
        y = torch.cat([left, net.conv(right)], 1)
        y = y.view(1, 2, 4, SIZE, SIZE).transpose(1, 2).reshape(1, 8, SIZE, SIZE)
        left, right = y.chunk(2, 1)
        return left, net.conv(right)

    moved = [n for n in fused(Net(function, conv=conv(4, 4)), 8) if n]
    assert moved == [MAP * 8 + 16, 2 * 8 * MAP, MAP * 8 + 16]


def test_shuffle_after_a_convolution_is_a_copy_of_its_own():
    def function(net, x):
        y = net.conv(x)
        return y.view(1, 2, 2, SIZE, SIZE).transpose(1, 2).reshape(1, 4, SIZE, SIZE)

    moved = [n for n in fused(Net(function, conv=conv(4, 4))) if n]
    assert moved == [MAP * 8 + 16, 2 * 4 * MAP]


def test_indices_that_nobody_reads_are_not_written():
    assert fused(nn.Sequential(nn.MaxPool2d(2))) == [4 * MAP + 4 * MAP // 4]


def test_softmax_and_layer_norm_are_not_element_wise():
    net = Net(lambda net, x: net.conv(x).softmax(1), conv=conv(4, 4))
    assert fused(net)[1] == 2 * MAP * 4


CHAIN = st.lists(st.sampled_from(["conv", "norm", "relu", "add", "pool", "mul"]), max_size=8)


@given(CHAIN)
@settings(max_examples=80, deadline=None)
def test_fusion_never_moves_more_and_never_less_than_nothing(names):
    layers = {"conv": lambda: conv(4, 4), "norm": lambda: nn.BatchNorm2d(4), "relu": nn.ReLU,
              "pool": lambda: nn.MaxPool2d(3, 1, 1)}  # fmt: skip
    built = {f"{name}{i}": layers[name]() for i, name in enumerate(names) if name in layers}

    def function(net, x):
        before = x
        for i, name in enumerate(names):
            if name in ("add", "mul"):
                x, before = (x + before if name == "add" else x * before), x
            else:
                x, before = getattr(net, f"{name}{i}")(x), x
        return x

    net = Net(function, **built).eval()
    graph = capture(net, torch.empty(1, 4, SIZE, SIZE, device="meta"))
    pairs = list(zip(accesses(graph), accesses(graph, "inference"), strict=True))
    assert all(0 <= after.elements <= before.elements for before, after in pairs)
    assert all(0 <= after.nbytes <= before.nbytes for before, after in pairs)
    totals = [memory_access(graph, f).totals["memory_access"] for f in ("none", "inference")]
    assert totals[1] <= totals[0]
