"""A drawing of the page as a picture: its shapes and names, and tints that differ in grey."""

from __future__ import annotations

from itertools import pairwise

import pytest

from archstat.reporters.page.strip import Block, strip
from archstat.reporters.plots import from_page, plot_from_page

BLOCKS = (Block("a", "Conv2d", "conv", (8, 8), 4), Block("b", "Block", "conv", (4, 4), 8, 3, True),
          Block("c", "$x^2 <b>\x01", "linear", (), 10))  # fmt: skip


@pytest.mark.parametrize("width", [3.3, 6.9])
def test_letters_are_of_8_points_at_any_width(width, tmp_path):
    found = []

    def drawn(units):
        found.append(units)
        return strip("net", BLOCKS, [(0, 2)], "strip", units)

    plot_from_page(drawn, f"{tmp_path}/a.svg:{width}in")
    assert 12 * 72 * width / found[0] == pytest.approx(8)
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    said = [">Conv2d<", ">Block x3<", ">x3<", "$x^2 &lt;b&gt;", "convolution", "linear"]
    assert [word for word in said if word not in text] == []


def test_tints_differ_in_grey_and_carry_black_letters():
    from matplotlib.colors import to_rgb

    tints = {from_page._colours(kind)[1] for kind in from_page._TINTS}
    greys = sorted(0.2126 * r**2.2 + 0.7152 * g**2.2 + 0.0722 * b**2.2
                   for r, g, b in map(to_rgb, tints))  # fmt: skip
    assert all(low * 1.08 < high for low, high in pairwise(greys))
    assert (greys[0] + 0.05) / (0.011 + 0.05) > 4.5
