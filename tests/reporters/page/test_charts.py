"""Charts of a page: where a front steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.reporters.page.charts import front


@pytest.mark.parametrize("points, more, corners", [
    ([(1, 1), (2, 3), (3, 2)], (False, True), [(1, 1), (2, 1), (2, 3)]),
    ([(1, 3), (2, 1)], (False, False), [(1, 3), (2, 3), (2, 1)]),
    ([(1, 3), (2, 1)], (True, True), [(2, 1), (1, 1), (1, 3)]),
    ([(1, 1), (1, 2)], (False, True), [(1, 2)]),
    ([], (False, True), []),
])  # fmt: skip
def test_front_holds_until_a_better_point(points, more, corners):
    assert front(points, *more) == corners


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9))), st.booleans(), st.booleans())
def test_no_point_beats_the_front(points, more_x, more_y):
    signs = (1 if more_x else -1, 1 if more_y else -1)
    best = {point for point in front(points, more_x, more_y) if point in points}
    for x, y in points:
        beaten = any((a - x) * signs[0] >= 0 and (b - y) * signs[1] >= 0 for a, b in best)
        assert beaten
