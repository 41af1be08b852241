"""The roofline: flops a second against flops a byte, a point a layer under the device's roof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from pathlib import Path
from typing import Any

from archstat.reporters.plots.figures import COLOURS, MARKERS, drawing
from archstat.units import format_count, format_rate

_GREY = "#555555"
_LARGEST, _SMALLEST = 420.0, 9.0  # points squared
_MOST_NAMED, _MOST_TRIED = 5, 12


@dataclass(frozen=True, slots=True)
class RoofLines:
    """The roof: bytes a second, and the flops a second of products and of all else."""

    device: str
    dtype: str
    bandwidth: float
    products: float
    others: float


@dataclass(frozen=True, slots=True)
class RoofPoint:
    """A layer: flops a byte, flops a second in its least time, its part of the model's time."""

    layer: str
    intensity: float
    rate: float
    share: float


@dataclass(frozen=True, slots=True)
class RoofSeries:
    """A model's layers."""

    name: str
    points: tuple[RoofPoint, ...]


def plot_roofline(roof: RoofLines, series: Sequence[RoofSeries], path: str | Path) -> None:
    """Draw the roof and the layers into a .pdf, .svg or .png file.

    Raises:
        OutputError: another suffix, or a file that cannot be written.
        MissingExtraError: matplotlib is absent.
    """
    points = [point for model in series for point in _drawn(model)]
    left, right = _span(points, roof)
    with drawing(path, 7.4, 5.2) as figure:
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        _roof(axes, roof, left, right)
        for number, model in enumerate(series):
            style = {"color": COLOURS[number % len(COLOURS)],
                     "marker": MARKERS[number % len(MARKERS)]}  # fmt: skip
            _points(axes, model, style)
        axes.set_xlim(left, right)
        lowest = min([point.rate for point in points], default=roof.others)
        bottom = min(lowest, left * roof.bandwidth) / 2
        axes.set_ylim(bottom, 4 * max(roof.products, roof.others))
        axes.set_xlabel("arithmetic intensity (flops a byte)")
        axes.set_ylabel("attainable FLOP/s")
        axes.yaxis.set_major_formatter(lambda value, _: format_count(value).replace(".00", ""))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        _name_largest(axes, series)
        _legend(axes, series)
        figure.suptitle(f"{roof.device}, {roof.dtype}", x=0.02, ha="left", fontweight="bold")


def _drawn(model: RoofSeries) -> list[RoofPoint]:
    """The layers that have a place on logarithmic axes, the small ones last, so on top."""
    seen = [point for point in model.points if point.intensity > 0 and point.rate > 0]
    return sorted(seen, key=lambda point: -point.share)


def _span(points: Sequence[RoofPoint], roof: RoofLines) -> tuple[float, float]:
    ridges = (roof.products / roof.bandwidth, roof.others / roof.bandwidth)
    seen = [point.intensity for point in points]
    return min([*seen, *ridges]) / 2.5, max([*seen, *ridges]) * 4


def _roof(axes: Any, roof: RoofLines, left: float, right: float) -> None:
    peaks = {"products": roof.products, "other flops": roof.others}
    if roof.products == roof.others:
        peaks = {"all flops": roof.products}
    highest = max(peaks.values())
    ridge = highest / roof.bandwidth
    axes.plot((left, ridge), (left * roof.bandwidth, highest), color=_GREY, linewidth=1.6)
    axes.annotate(f"{format_rate(roof.bandwidth, 'B/s')}", (ridge / 5, highest / 5), (-12, 6),
                  textcoords="offset points", ha="right", color=_GREY)  # fmt: skip
    for number, (what, peak) in enumerate(sorted(peaks.items(), key=lambda item: -item[1])):
        start = peak / roof.bandwidth
        axes.plot((start, right), (peak, peak), color=_GREY, linewidth=1.6,
                  linestyle="--" if number else "-")  # fmt: skip
        below = -13 if number else 13
        axes.annotate(f"{what}: {format_rate(peak, 'FLOP/s')}", (1, peak), (-4, below), ha="right",
                      xycoords=("axes fraction", "data"), textcoords="offset points",
                      color=_GREY)  # fmt: skip


def _points(axes: Any, model: RoofSeries, style: dict[str, str]) -> None:
    drawn = _drawn(model)
    largest = max([point.share for point in drawn], default=1.0) or 1.0
    sizes = [max(_SMALLEST, _LARGEST * point.share / largest) for point in drawn]
    places = [p.intensity for p in drawn], [p.rate for p in drawn]
    axes.scatter(*places, s=sizes, alpha=0.55, edgecolor="white", linewidth=0.6,
                 label=model.name, zorder=3, **style)  # fmt: skip


def _name_largest(axes: Any, series: Sequence[RoofSeries]) -> None:
    """Name the layers that take most of the time, where their names have room."""
    if len(series) > 1:
        return
    places: list[tuple[float, float]] = []
    for point in _drawn(series[0])[:_MOST_TRIED]:
        x, y = log10(point.intensity), log10(point.rate)
        if any(abs(x - left) < 0.7 and abs(y - low) < 0.25 for left, low in places):
            continue
        places.append((x, y))
        axes.annotate(f"{point.layer}, {point.share:.1%}", (point.intensity, point.rate), (4, -17),
                      textcoords="offset points", fontsize=7, zorder=4)  # fmt: skip
        if len(places) == _MOST_NAMED:
            break


def _legend(axes: Any, series: Sequence[RoofSeries]) -> None:
    title = "area: share of the model's least time"
    if len(series) > 1:
        legend = axes.legend(loc="lower right", title=title)
        for handle in legend.legend_handles:
            handle.set_sizes([40.0])
    else:
        axes.set_title(f"{series[0].name}; {title}", loc="left", fontsize=8)
