"""Operators of one's own, counted by the formula that torch's flop counter was given for them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import flop_registry, register_flop_formula

import archstat
from archstat.errors import CaptureError, SpecError
from archstat.frontends import registered
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
    registered._OWN.pop(registered.name_of(packet), None)


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


def own(packet, **formulas):
    archstat.register_op(registered.name_of(packet), **formulas)


def product(a, b):
    return a.shape[0] * a.shape[1] * b.shape[1]


def test_formula_of_ones_own_counts_and_comes_before_torchs(own_mm):
    given_formula(own_mm)
    own(own_mm, macs=lambda a, b: 7 * product(a, b))
    totals = archstat.analyze(Product(own_mm), (4,), batch=3).totals
    assert totals["macs"] == 7 * 3 * 4 * 5
    assert totals["flops"] == 2 * 7 * 3 * 4 * 5
    assert totals["unknown_ops"] == 0


def test_flops_alone_are_no_products_and_beside_macs_they_are_all(own_mm):
    own(own_mm, flops=product)
    alone = archstat.analyze(Product(own_mm), (4,), batch=3).totals
    assert (alone["macs"], alone["flops"]) == (0, 3 * 4 * 5)
    own(own_mm, macs=product, flops=lambda a, b: 3 * product(a, b))
    both = archstat.analyze(Product(own_mm), (4,), batch=3).totals
    assert (both["macs"], both["flops"]) == (3 * 4 * 5, 3 * 3 * 4 * 5)


def test_operator_that_is_said_to_be_free_is_free_for_that_reason(own_mm):
    own(own_mm, free="a view in our kernels")
    found = archstat.analyze(Product(own_mm), (4,), batch=3)
    assert (found.totals["flops"], found.totals["unknown_ops"]) == (0, 0)
    assert "flops" not in found.lower_bounds


def test_saved_graph_keeps_what_a_formula_of_ones_own_said(own_mm, tmp_path):
    own(own_mm, macs=product, flops=product)
    archstat.capture(Product(own_mm), torch.empty(3, 4, device="meta")).save(tmp_path / "g.json")
    registered._OWN.clear()
    totals = report(Graph.load(tmp_path / "g.json"), "saved").totals
    assert (totals["macs"], totals["flops"]) == (3 * 4 * 5, 3 * 4 * 5)


@pytest.mark.parametrize("formula", [lambda a, b: a / 0, lambda a: 1, lambda a, b: 1.5,
                                     lambda a, b: -1])  # fmt: skip
def test_formula_that_gives_no_number_is_one_message(own_mm, formula):
    own(own_mm, macs=formula)
    with pytest.raises(CaptureError, match=f"registered for {registered.name_of(own_mm)}"):
        archstat.analyze(Product(own_mm), (4,), batch=3)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("mine", {"free": "why"}, "names no operator"),
        ("aten::mm", {"free": "why"}, "archstat counts aten's operators itself"),
        ("mine::x", {}, "give macs="),
        ("mine::x", {"free": "why", "macs": product}, "give macs="),
    ],
)
def test_registration_that_says_nothing_or_too_much_is_refused(name, given, said):
    with pytest.raises(SpecError, match=said):
        archstat.register_op(name, **given)
