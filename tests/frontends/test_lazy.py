"""Lazy modules: counted as what they become, and lazy again afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from archstat.errors import CaptureError
from archstat.frontends.module import capture

IMAGE = torch.rand(2, 3, 8, 8)


def lazy_net():
    return nn.Sequential(
        nn.LazyConv2d(4, 3),
        nn.LazyBatchNorm2d(),
        nn.ReLU(),
        nn.LazyConvTranspose2d(5, 2),
        nn.Flatten(),
        nn.LazyLinear(7, bias=False),
    )


def full_net():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 5, 2),
        nn.Flatten(),
        nn.Linear(5 * 7 * 7, 7, bias=False),
    )


def test_lazy_network_counts_as_the_network_it_becomes(totals):
    assert totals(lazy_net(), IMAGE) == totals(full_net(), IMAGE)


def test_lazy_network_has_the_ops_and_names_of_the_network_it_becomes():
    lazy, full = capture(lazy_net(), IMAGE), capture(full_net(), IMAGE)
    assert [(op.target, op.module, op.attributes) for op in lazy.ops] == [
        (op.target, op.module, op.attributes) for op in full.ops
    ]
    for role in ("parameters", "buffers"):
        found, expected = list(getattr(lazy, role)()), list(getattr(full, role)())
        assert {(v.name, v.shape, v.trainable) for v in found} == {
            (v.name, v.shape, v.trainable) for v in expected
        }


def test_lazy_network_stays_lazy_and_materialises_later(unchanged):
    net = lazy_net()
    with unchanged(net):
        capture(net, IMAGE)
    assert is_lazy(net[0].weight)
    assert type(net[0]) is nn.LazyConv2d
    assert net(IMAGE).shape == (2, 7)
    assert type(net[0]) is nn.Conv2d


def test_lazy_network_stays_lazy_when_forward_raises(unchanged, as_module):
    net = lazy_net()

    def failing(x):
        net(x)
        raise RuntimeError("afterwards")

    outer = as_module(failing, net=net)
    with unchanged(outer), pytest.raises(CaptureError, match="afterwards"):
        capture(outer, IMAGE)


def test_lazy_network_in_a_real_run_counts_the_same(looking, totals, unchanged):
    net = looking(lazy_net())
    with unchanged(net):
        found = totals(net, IMAGE)
    expected = totals(full_net(), IMAGE)
    assert {key: found[key] for key in ("params", "buffers", "macs", "depth")} == {
        key: expected[key] for key in ("params", "buffers", "macs", "depth")
    }


def test_lazy_network_of_another_dtype_keeps_it(totals):
    net = nn.Sequential(nn.LazyConv2d(4, 3, dtype=torch.float64))
    assert totals(net, IMAGE.double())["param_bytes"] == 8 * (4 * 3 * 3**2 + 4)


def test_lazy_module_that_has_materialised_is_an_ordinary_one(totals):
    net = lazy_net()
    net(IMAGE)
    assert totals(net, IMAGE) == totals(full_net(), IMAGE)
