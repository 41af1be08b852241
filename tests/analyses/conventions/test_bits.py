"""BOPs against HAWQ's table (Zhen-Dong/HAWQ, model_zoo.md), and the grammar of widths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.analyses.conventions.bits import Bits, Widths, bit_operations, parse_bits
from archstat.analyses.conventions.printed import parse_printed
from archstat.errors import SpecError
from archstat.models.pipeline import graph_of_spec

# HAWQ's ResNet-50 is the first version, with the stride in the 1x1 convolution, and its W4A4 keeps
# the first and the last layer at 8 bits.
HAWQ = [
    ("resnet18", "32", "1858G", "rounded"),
    ("resnet18", "w8a8", "116G", "rounded"),
    ("resnet18", "w4a4,first=8,last=8", "34G", "truncated"),
]


@pytest.mark.parametrize(("spec", "bits", "figure", "shows"), HAWQ)
def test_table_of_hawq(spec, bits, figure, shows):
    total = bit_operations(bits).total(graph_of_spec(spec))
    assert parse_printed(figure).shows(total) == shows


def test_every_product_counts_its_own_widths():
    graph = graph_of_spec("lenet5_modern")
    layers = [(28 * 28 * 6 * 25, 8 * 3), (10 * 10 * 16 * 6 * 25, 2 * 4), (120 * 400, 2 * 4),
              (84 * 120, 2 * 4), (10 * 84, 5 * 5)]  # fmt: skip
    total = bit_operations("w2a4,first=w8a3,last=5").total(graph)
    assert total == sum(macs * bits for macs, bits in layers)


@given(st.tuples(*[st.integers(1, 64)] * 4))
def test_widths_are_read_as_written(four):
    weight, activation, first, last = four
    assert parse_bits(f"w{weight}a{activation},first={first},last={last}") == Bits(
        Widths(weight, activation), Widths(first, first), Widths(last, last)
    )


@pytest.mark.parametrize(
    "text", ["", "w4", "a8", "w0a4", "w4a65", "4.5", "w4a8,frst=8", "w4a8,8", "w4a8,inner=2",
             "w4a8,first=8,first=4"],
)  # fmt: skip
def test_what_is_no_width_is_refused(text):
    with pytest.raises(SpecError, match="gives no bit widths"):
        parse_bits(text)
