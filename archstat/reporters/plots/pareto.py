"""Named points between two figures, and the front of those that no other beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi, sin
from pathlib import Path
from typing import Any

from archstat.reporters.page.charts import front
from archstat.reporters.plots.figures import COLOURS, drawing
from archstat.result import Column
from archstat.units import format_bytes, format_count

_WIDE = 6.0  # the most over the least of an axis that is logarithmic
_GREY = "#777777"
_RINGS = (7.0, 12.0, 19.0, 28.0, 40.0)  # points from a mark to its name
_DIRECTIONS = 12


@dataclass(frozen=True, slots=True)
class Named:
    """A point with its name."""

    name: str
    x: float
    y: float


def plot_pareto(
    points: Sequence[Named], x: Column, y: Column, path: str | Path, *, more: tuple[bool, bool]
) -> None:
    """Draw the points, named where there is room, into a .pdf, .svg or .png file.

    An axis is logarithmic where its numbers are sizes, above 0, that differ by more than `_WIDE`.
    `more` says of x and of y whether more is better.

    Raises:
        OutputError, MissingExtraError: see `check_plot_path`.
    """
    line = front([(point.x, point.y) for point in points], *more)
    best = [point for point in points if (point.x, point.y) in line]
    with drawing(path, 6.9, 4.6) as figure:
        axes = figure.subplots()
        axes.plot(*zip(*line, strict=True), color=COLOURS[1], linewidth=1.2, zorder=1,
                  label="Pareto front")  # fmt: skip
        for some, style in ((points, {"color": _GREY, "marker": "o", "s": 18}),
                            (best, {"color": COLOURS[0], "marker": "D", "s": 24})):  # fmt: skip
            axes.scatter([one.x for one in some], [one.y for one in some], zorder=2, **style)
        _scale(axes.set_xscale, axes.xaxis, x, [point.x for point in points])
        _scale(axes.set_yscale, axes.yaxis, y, [point.y for point in points])
        axes.margins(0.08)
        axes.legend(loc="best", fontsize=8)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        _name(axes, points, line)


def _scale(set_scale: Any, axis: Any, column: Column, numbers: Sequence[float]) -> None:
    axis.set_label_text(column.key)
    if column.unit in ("count", "bytes", "ms") and 0 < min(numbers) * _WIDE < max(numbers):
        set_scale("log")
        axis.set_minor_formatter("")
    if column.unit in ("count", "bytes"):
        shown = format_count if column.unit == "count" else format_bytes
        axis.set_major_formatter(lambda value, _: shown(value).replace(".00", ""))


def _name(axes: Any, points: Sequence[Named], line: Sequence[tuple[float, float]]) -> None:
    """The name of each point at the nearest place that hits nothing; those of the front first."""
    from matplotlib.transforms import Bbox

    a_point = axes.figure.dpi / 72
    marks = [axes.transData.transform((point.x, point.y)) for point in points]
    taken = [Bbox.from_bounds(x - 4 * a_point, y - 4 * a_point, 8 * a_point, 8 * a_point)
             for x, y in marks]  # fmt: skip
    taken += [Bbox(axes.transData.transform(ends)).padded(3) for ends in pairwise(line)]
    taken.append(axes.get_legend().get_window_extent())
    frame = axes.get_window_extent()
    for point in sorted(points, key=lambda point: (point.x, point.y) not in line):
        text = axes.annotate(point.name, (point.x, point.y), (0, 0), textcoords="offset points",
                             fontsize=7, color="black" if (point.x, point.y) in line else "#444444",
                             annotation_clip=False, parse_math=False)  # fmt: skip
        for right, up, anchor in _places():
            text.set_position((right, up))
            text.set_horizontalalignment(anchor)
            text.set_verticalalignment("center")
            box = text.get_window_extent()
            inside = (frame.x0 <= box.x0 and box.x1 <= axes.figure.bbox.x1
                      and frame.y0 <= box.y0 and box.y1 <= axes.figure.bbox.y1)  # fmt: skip
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                if right * right + up * up > 2 * _RINGS[1] ** 2:
                    _lead(axes, point, right, up)
                break
        else:
            text.remove()


def _places() -> Iterator[tuple[float, float, str]]:
    """Where a name may stand, in points from its mark, and the side of it that stands there."""
    for ring in _RINGS:
        for n in range(_DIRECTIONS):
            angle = 2 * pi * n / _DIRECTIONS
            right, up = ring * cos(angle), ring * sin(angle)
            yield right, up, "center" if abs(right) < 1 else "left" if right > 0 else "right"


def _lead(axes: Any, point: Named, right: float, up: float) -> None:
    axes.annotate("", (point.x, point.y), (right, up), textcoords="offset points",
                  arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": _GREY})  # fmt: skip
