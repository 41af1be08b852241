"""Named points: where a front steps, and that no two names share a place."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.reporters.plots import Named, pareto
from archstat.result import Column

X, Y = Column("macs", "count", ""), Column("top1", "number", "")


def test_front_steps_to_what_spends_more():
    assert pareto._steps([(1, 1), (2, 3)], more_x=False) == [(1, 1), (2, 1), (2, 3)]
    assert pareto._steps([(1, 3), (2, 1)], more_x=True) == [(1, 3), (1, 1), (2, 1)]


@settings(max_examples=4, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 1e3), st.floats(60, 90)), min_size=1, max_size=12))
def test_names_do_not_hit_each_other(places):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3, 2.2))
    axes = figure.subplots()
    points = [Named(f"network {n}", x, y, n % 2 == 0) for n, (x, y) in enumerate(places)]
    axes.scatter(*zip(*places, strict=True), label="front")
    axes.legend()
    pareto._name(axes, points, places[:1])
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert not any(a.overlaps(b) for n, a in enumerate(boxes) for b in boxes[:n])
