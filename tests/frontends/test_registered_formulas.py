"""Operators of one's own, counted by the formula that torch's flop counter was given for them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import flop_registry, register_flop_formula

import archstat
from archstat.graph import Graph
from archstat.models.pipeline import report

_NUMBERS = itertools.count()


@pytest.fixture
def own_mm():
    """A product of one's own without a formula; its backward has none either."""
    name = f"archstat_tests::mm{next(_NUMBERS)}"

    @torch.library.custom_op(name, mutates_args=())
    def mm(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b

    @mm.register_fake
    def _(a, b):
        return a.new_empty(a.shape[0], b.shape[1])

    packet = getattr(torch.ops.archstat_tests, name.rpartition(":")[2])
    yield packet
    flop_registry.pop(packet, None)


class Product(nn.Module):
    def __init__(self, packet):
        super().__init__()
        self.packet, self.weight = packet, nn.Parameter(torch.rand(4, 5))

    def forward(self, x):
        return self.packet(x, self.weight)


def given_formula(packet):
    @register_flop_formula(packet)
    def _(a, b, *args, out_shape=None, **kwargs):
        return 2 * a[0] * a[1] * b[1]


def test_operator_with_a_formula_is_counted_by_it(own_mm):
    given_formula(own_mm)
    totals = archstat.analyze(Product(own_mm), (4,), batch=3).totals
    assert totals["macs"] == 3 * 4 * 5
    assert totals["flops"] == 2 * 3 * 4 * 5
    assert totals["unknown_ops"] == 0


def test_operator_without_a_formula_is_unknown_whatever_its_name(own_mm):
    found = archstat.analyze(Product(own_mm), (4,), batch=3)
    assert found.totals["unknown_ops"] == 1
    assert "macs" in found.lower_bounds


def test_formula_given_after_a_first_capture_counts_in_the_next(own_mm):
    model = Product(own_mm)
    assert archstat.analyze(model, (4,), batch=3).totals["unknown_ops"] == 1
    given_formula(own_mm)
    assert archstat.analyze(model, (4,), batch=3).totals["macs"] == 3 * 4 * 5


def test_saved_graph_keeps_the_figure_where_the_formula_is_gone(own_mm, tmp_path):
    given_formula(own_mm)
    archstat.capture(Product(own_mm), torch.empty(3, 4, device="meta")).save(tmp_path / "g.json")
    flop_registry.pop(own_mm)
    assert report(Graph.load(tmp_path / "g.json"), "saved").totals["macs"] == 3 * 4 * 5
