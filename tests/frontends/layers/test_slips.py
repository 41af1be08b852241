"""Layer lists and inputs that read as something else than was likely meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.frontends.layers.slips import slips


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(3,2,1)", "(3,2,1) is read as three layers 3x3, 2x2, 1x1; for kernel 3, stride 2, "
                    "padding 1 write 3x3/2p1."),
        ("( 3 , 2 )", "(3,2) is read as two layers 3x3, 2x2; for kernel 3, stride 2 write 3x3/2."),
        ("(3,2,1),3x3x3", "(3,2,1) is read as three layers 3x3x3, 2x2x2, 1x1x1; for kernel 3, "
                          "stride 2, padding 1 write 3x3x3/2p1."),
    ],
)  # fmt: skip
def test_parenthesis_of_settings_is_told(text, said):
    assert slips(text) == [said]


def test_settings_that_repeat_are_told_once():
    assert len(slips("(3,2,1),(3,2,1),((3,2,1)|id)")) == 1


@pytest.mark.parametrize(
    "text",
    ["3,2,1", "(3,3,3)*2", "(3,2|1)", "(3x3,2x2)", "(3/2p0,2)", "(3,2,1,1)", "(3)", "(3,max2)",
     "(3,2dw,1)", "3x3,3x3/1", "3x3/2p0", "3x3/2p1", "2x2/2p0", "1x1/2", "t4/2", "up2", "id"],
)  # fmt: skip
def test_what_reads_as_it_is_meant_is_left_alone(text):
    assert slips(text) == []


@pytest.mark.parametrize(
    ("text", "written", "pad"),
    [("11x11/4,max3/2", "11x11/4", "5"), ("3x3,max3/2", "max3/2", "1"), ("5x3/2", "5x3/2", "2x1")],
)
def test_padding_that_was_assumed_at_a_stride_is_told(text, written, pad):
    assert slips(text) == [
        f"Padding that is not written keeps the size at stride 1: {written} is padded by {pad}; "
        f"torch's default is none, {written}p0."
    ]


def test_channels_that_come_last_are_told():
    assert slips("3x3", "224x160x3") == [
        "224x160x3 is read as 224 channels of 160x3, but looks like channels last: "
        "did you mean 3x224x160?"
    ]


@pytest.mark.parametrize("shape", ["3x224x224", "224", "224x160", "64x8x8", "4x4x4", "512x7x7"])
def test_input_with_channels_in_front_is_left_alone(shape):
    assert slips("3x3", shape) == []


@given(st.tuples(*[st.integers(2, 9)] * 3))
def test_three_numbers_in_a_parenthesis_are_always_told(numbers):
    kernel, stride, pad = numbers
    (said,) = slips(f"({kernel},{stride},{pad})")
    assert said.endswith(f"write {kernel}x{kernel}/{stride}p{pad}.")
