"""Attributes of an op: every argument under its schema name, as plain values."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archstat.frontends.module import capture

IMAGE = torch.rand(1, 4, 8, 8)


def test_operator_arguments_are_attributes_under_their_schema_names():
    graph = capture(nn.Conv2d(4, 6, (3, 1), 2, (1, 0), groups=2, bias=False), IMAGE)
    assert graph.ops[0].attributes == {
        "bias": None,
        "stride": (2, 2),
        "padding": (1, 0),
        "dilation": (1, 1),
        "transposed": False,
        "output_padding": (0, 0),
        "groups": 2,
        "kernel": (3, 1),
    }


@pytest.mark.parametrize(
    ("layer", "shape", "kernel"),
    [
        (nn.MaxPool2d(3), (1, 4, 9, 9), (3, 3)),
        (nn.MaxPool2d((3, 2)), (1, 4, 9, 9), (3, 2)),
        (nn.AvgPool2d(2), (1, 4, 9, 9), (2, 2)),
        (nn.AvgPool3d(2), (1, 4, 4, 4, 4), (2, 2, 2)),
        (nn.ConvTranspose1d(4, 4, 5), (1, 4, 9), (5,)),
        (nn.Conv3d(4, 4, (1, 2, 3)), (1, 4, 4, 4, 4), (1, 2, 3)),
    ],
)
def test_kernel_has_one_size_for_each_axis(layer, shape, kernel):
    ops = capture(layer, torch.rand(shape)).ops
    (op,) = [op for op in ops if op.kind in ("pool", "conv")]
    assert op.attributes["kernel"] == kernel


def test_defaults_that_the_call_leaves_out_are_attributes_too():
    (op,) = capture(nn.MaxPool2d(2), IMAGE).ops
    assert op.attributes["dilation"] in (1, (1,), (1, 1))
    assert op.attributes["ceil_mode"] is False


def test_attributes_hold_plain_values_alone(as_module):
    net = as_module(lambda x: F.pad(x.to(torch.float64).sum((2, 3), keepdim=True), (1, 1)))
    for op in capture(net, IMAGE).ops:
        for value in op.attributes.values():
            items = value if isinstance(value, tuple) else (value,)
            assert all(type(item) in (int, float, bool, str, type(None)) for item in items)
