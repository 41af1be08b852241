"""Operators that take functions: branches, loops and flexible attention."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archstat

pytestmark = pytest.mark.filterwarnings("ignore")


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.function = function

    def forward(self, *tensors):
        return self.function(self.layer, *tensors)


def counted(function, *tensors):
    return archstat.analyze(archstat.capture(Calls(function), *tensors))


@pytest.fixture(scope="module", autouse=True)
def compiler():
    # The operators compile themselves outside of any capture that has met the compiler before.
    with torch.compiler.set_stance("force_eager"):
        yield


LAYER = 4 * 4


def branch(layer, x):
    return torch.cond(x.sum() > 0, lambda y: layer(y), lambda y: layer(layer(y)), (x,))


@pytest.mark.parametrize(("sign", "layers"), [(1, 1), (-1, 2)])
def test_a_branch_counts_the_side_that_is_taken(sign, layers):
    report = counted(lambda layer, x: branch(layer, sign * x), torch.rand(1, 4))
    assert report.totals["macs"] == layers * LAYER


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_loop_counts_every_turn(steps):
    def loop(layer, x):
        return torch.while_loop(lambda i, y: i < steps, lambda i, y: (i + 1, layer(y)),
                                (torch.tensor(0), x))  # fmt: skip

    assert counted(loop, torch.rand(1, 4)).totals["macs"] == steps * LAYER


@pytest.mark.parametrize(("heads", "groups", "length", "source"), [(2, 2, 128, 128),
                                                                   (4, 2, 128, 64)])  # fmt: skip
def test_flexible_attention_is_two_products(heads, groups, length, source):
    from torch.nn.attention.flex_attention import flex_attention

    def attend(layer, query, key):
        return flex_attention(query, key, key, enable_gqa=heads != groups)

    report = counted(attend, torch.rand(1, heads, length, 16), torch.rand(1, groups, source, 16))
    assert report.totals["macs"] == 2 * heads * length * source * 16
    assert not {"macs", "flops"} & report.lower_bounds


def test_a_function_of_the_scores_bounds_flops_alone():
    from torch.nn.attention.flex_attention import flex_attention

    def attend(layer, query):
        return flex_attention(query, query, query, score_mod=lambda s, b, h, i, j: s + (i - j))

    report = counted(attend, torch.rand(1, 2, 128, 16))
    assert report.totals["macs"] == 2 * 2 * 128 * 128 * 16
    assert {"macs", "flops"} & report.lower_bounds == {"flops"}


def test_a_function_compiled_whole_inside_forward_is_captured_as_written():
    def compiled(layer, x):
        return torch.compile(lambda y: layer(y).relu(), fullgraph=True)(x)

    report = counted(compiled, torch.rand(3, 4))
    assert (report.totals["macs"], report.totals["flops"]) == (3 * LAYER, 3 * (2 * LAYER + 4 + 4))


def test_an_operator_without_a_rule_is_named():
    from torch._higher_order_ops.map import map_impl

    with pytest.raises(archstat.errors.CaptureError, match="map_impl"):
        counted(lambda layer, x: map_impl(lambda y: (y,), (x,), ()), torch.rand(1, 4))
