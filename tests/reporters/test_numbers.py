"""Units of whole columns, and digits enough for the smallest number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.errors import OutputError
from archstat.reporters.numbers import Style, scale_of
from archstat.result import Column

COUNT = Column("macs", "count", "")


@given(st.lists(st.integers(1, 10**14), min_size=1))
def test_no_count_is_written_as_zero_or_on_fewer_than_three_digits(numbers):
    scale = scale_of(COUNT, numbers)
    for number in numbers:
        text = scale.text(number)
        assert float(text) * scale.factor == pytest.approx(number, rel=0.005)
        digits = text.replace(".", "").lstrip("0")
        assert len(digits) >= min(3, len(str(number)))


@pytest.mark.parametrize(
    ("numbers", "unit", "decimals"),
    [
        ([138_357_544, 4_231_976], "M", 2),
        ([15_470_264_320, 568_740_352], "G", 3),
        ([138_357_544, 864], "k", 3),
        ([138_357_544, 20], "", 0),
        ([512, 0], "", 0),
        ([0], "", 0),
        ([], "", 0),
    ],
)
def test_unit_is_the_largest_in_which_the_smallest_has_three_decimals_at_most(
    numbers, unit, decimals
):
    scale = scale_of(COUNT, numbers)
    assert (scale.unit, scale.decimals) == (unit, decimals)


@pytest.mark.parametrize(
    ("share", "text"), [(0.5, "50.0"), (0.0521, "5.21"), (0.00001, "<0.01"), (0.0, "0")]
)
def test_share_that_is_not_zero_is_not_written_as_zero(share, text):
    assert scale_of(Column("s", "share", ""), [share]).text(share) == text


@pytest.mark.parametrize("style", [{"digits": 0}, {"digits": 16}, {"units": ("m",)}])
def test_style_that_cannot_be_is_refused(style):
    with pytest.raises(OutputError):
        Style(**style)
