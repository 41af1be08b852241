"""Elements and ticks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archstat.reporters.page.svg import fitted, log_ticks, tag, text, ticks


def test_attributes_are_escaped_and_named_as_in_html():
    assert tag("p", text("<b>"), class_='a"b', data_n=3, x=1.25, hidden=True, id=None) == (
        '<p class="a&quot;b" data-n="3" x="1.2" hidden>&lt;b&gt;</p>'
    )


@given(st.floats(1e-3, 1e15), st.booleans())
def test_ticks_are_few_and_inside(most, binary):
    found = ticks(most, binary)
    assert 2 <= len(found) <= 6
    assert found[0] == 0 and found == sorted(found) and found[-1] <= most * (1 + 1e-6)


@given(st.floats(1e-6, 1e12), st.floats(1.3, 1e9))
def test_logarithmic_ticks_are_inside(least, factor):
    found = log_ticks(least, least * factor)
    assert len(found) <= 8
    assert all(least <= tick <= least * factor for tick in found)


def test_ticks_of_a_short_logarithmic_axis_are_equal_steps():
    assert log_ticks(70.2, 82.0) == [75, 80]
    assert log_ticks(70.2, 79.0) == [72.5, 75, 77.5]


def test_text_is_cut_to_its_room():
    assert fitted("conv", 4 * 7.4 + 0.1) == "conv"
    assert fitted("convolution", 6 * 7.4 + 0.1) == "convo…"
    assert fitted("convolution", 20) == ""
