"""Models as points between two figures, with power laws and a front as lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from archstat.reporters.plots.figures import COLOURS, LINES, MARKERS, drawing
from archstat.result import Column
from archstat.units import format_bytes, format_printed

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points under a name; `law` is a line through them, by its points, and `steps` a front."""

    name: str
    points: Points
    law: Points = ()
    steps: Points = ()


def plot_scatter(clouds: Sequence[Scatter], x: Column, y: Column, path: str | Path) -> None:
    """Draw the points into a .pdf, .svg or .png file, both axes logarithmic where all are above 0.

    Raises:
        OutputError, MissingExtraError: see `check_plot_path`.
    """
    every = [number for cloud in clouds for point in cloud.points for number in point]
    with drawing(path, 6.4, 4.4) as figure:
        axes = figure.subplots()
        for number, cloud in enumerate(clouds):
            _draw(axes, cloud, number)
        if every and min(every) > 0:
            axes.set_xscale("log")
            axes.set_yscale("log")
        for axis, column in ((axes.xaxis, x), (axes.yaxis, y)):
            axis.set_label_text(column.key)
            if column.unit in ("count", "bytes"):
                shown = format_printed if column.unit == "count" else format_bytes
                axis.set_major_formatter(lambda value, _, shown=shown: shown(round(value)))
                axis.set_minor_formatter(partial(_at_twos_and_fives, shown))
        # Above the points, where names of any length have room.
        figure.legend(loc="outside upper left", fontsize=8)


def _at_twos_and_fives(shown: Callable[[int], str], value: float, place: int) -> str:
    return shown(round(value)) if f"{value:.0e}"[0] in "25" else ""


def _draw(axes: Any, cloud: Scatter, number: int) -> None:
    colour, marker = (of[number % len(of)] for of in (COLOURS, MARKERS))
    faint = {"alpha": 0.5} if len(cloud.points) > 50 else {}
    axes.scatter(*zip(*cloud.points, strict=True), s=14, color=colour, marker=marker,
                 label=cloud.name, **faint)  # fmt: skip
    if cloud.law:
        axes.plot(*zip(*cloud.law, strict=True), color=colour, linewidth=1.2,
                  linestyle=LINES[number % len(LINES)])  # fmt: skip
    if cloud.steps:
        axes.plot(*zip(*cloud.steps, strict=True), color=COLOURS[1], drawstyle="steps-post",
                  marker="o", markersize=4, linewidth=1.2, label="Pareto front")  # fmt: skip
