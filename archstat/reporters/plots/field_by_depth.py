"""Receptive field and effective stride against depth, one line a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from archstat.reporters.plots.figures import COLOURS, LINES, drawing

_MOST_NAMED = 24


@dataclass(frozen=True, slots=True)
class FieldSeries:
    """One network: its layers in order, with the field and stride of each, in input pixels.

    None stands for a layer that sees everything. `input_size` is drawn where all share it.
    """

    name: str
    layers: tuple[str, ...]
    fields: tuple[float | None, ...]
    strides: tuple[float | None, ...]
    input_size: int | None = None


def plot_field_by_depth(series: Sequence[FieldSeries], path: str | Path) -> None:
    """Draw the networks into a .pdf, .svg or .png file.

    Raises:
        OutputError: another suffix, or a file that cannot be written.
        MissingExtraError: matplotlib is absent.
    """
    depth = max((len(network.layers) for network in series), default=0)
    with drawing(path, min(11.0, max(5.5, 3.5 + 0.16 * depth)), 5.6) as figure:
        fields, strides = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (2, 1)})
        for number, network in enumerate(series):
            style = {
                "color": COLOURS[number % len(COLOURS)],
                "linestyle": LINES[number % len(LINES)],
            }
            # Among several, one branch after another would draw a saw, and marks look like a code.
            several = len(series) > 1
            reached = _running_most(network.fields) if several else network.fields
            _line(fields, reached, network.name, style, marked=not several)
            _line(strides, network.strides, network.name, style, marked=not several)
        _input_lines(fields, series)
        what = "receptive field" if len(series) == 1 else "largest field so far"
        fields.set_ylabel(f"{what}\n(input pixels)")
        strides.set_ylabel("effective stride\n(input pixels)")
        strides.set_yscale("log", base=2)
        strides.yaxis.get_major_locator().set_params(numticks=20)
        strides.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        fields.set_ylim(bottom=0)
        _name_layers(strides, series, depth)
        if len(series) > 1:
            fields.legend(loc="upper left")
        else:
            fields.set_title(series[0].name, loc="left", fontweight="bold")


def _running_most(numbers: Sequence[float | None]) -> list[float | None]:
    """The largest so far at every layer; None stays."""
    most = accumulate((n or 0 for n in numbers), max)
    return [None if n is None else so_far for n, so_far in zip(numbers, most, strict=True)]


def _line(
    axes: Any, numbers: Sequence[float | None], name: str, style: dict[str, Any], *, marked: bool
) -> None:
    points = [(place, n) for place, n in enumerate(numbers, 1) if n is not None]
    if points:
        marker = {"marker": "o", "markersize": 3} if marked and len(points) <= 60 else {}
        # A value holds from its layer to the next.
        axes.plot(*zip(*points, strict=True), label=name, drawstyle="steps-post", linewidth=1.5,
                  **marker, **style)  # fmt: skip


def _input_lines(axes: Any, series: Sequence[FieldSeries]) -> None:
    sizes = {network.input_size for network in series}
    if len(sizes) == 1 and None not in sizes:
        (size,) = sizes
        axes.axhline(size, color="#555555", linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(f"input: {size}", (1, size), (-2, 3), xycoords=("axes fraction", "data"),
                      textcoords="offset points", ha="right", color="#555555",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip


def _name_layers(axes: Any, series: Sequence[FieldSeries], depth: int) -> None:
    if len(series) == 1 and depth <= _MOST_NAMED:
        names = series[0].layers
        axes.set_xticks(range(1, depth + 1), names, rotation=90 if depth > 8 else 30,
                        ha="center" if depth > 8 else "right", fontsize=7)  # fmt: skip
    else:
        axes.set_xlabel("layer, in order of execution")
        axes.xaxis.get_major_locator().set_params(integer=True)
