"""The areas of a treemap are its figures, and none lies on another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.reporters.page.treemap import Box, squarified

SIDES = st.floats(10, 1000)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=30), SIDES, SIDES)
def test_areas_are_proportional_and_inside(sizes, width, height):
    sizes = sorted(sizes, reverse=True)
    places = squarified(sizes, Box(0, 0, width, height))
    scale = width * height / sum(sizes)
    for size, place in zip(sizes, places, strict=True):
        assert place.width * place.height == pytest.approx(size * scale, rel=1e-6)
        assert place.x >= -1e-6 and place.x + place.width <= width * (1 + 1e-6)
        assert place.y >= -1e-6 and place.y + place.height <= height * (1 + 1e-6)


@given(st.lists(st.floats(1, 1000), min_size=2, max_size=12), SIDES, SIDES)
def test_no_area_lies_on_another(sizes, width, height):
    places = squarified(sorted(sizes, reverse=True), Box(0, 0, width, height))
    for number, one in enumerate(places):
        for other in places[number + 1 :]:
            across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert min(across, down) <= 1e-6 * max(width, height)
