"""Named points: no two names share a place."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.reporters.plots import Named, pareto


@settings(max_examples=4, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 1e3), st.floats(60, 90)), min_size=1, max_size=12))
def test_names_do_not_hit_each_other(places):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3, 2.2))
    axes = figure.subplots()
    points = [Named(f"network {n}", x, y) for n, (x, y) in enumerate(places)]
    axes.scatter(*zip(*places, strict=True), label="front")
    axes.legend()
    pareto._name(axes, points, places[:1])
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
