"""Live memory over a training step by what it is for, and whose it is at the peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from archstat.reporters.plots.figures import COLOURS, drawing
from archstat.units import format_bytes

_FILLS = {
    **dict(zip(("parameters", "gradients", "optimizer", "input", "saved", "gathered", "workspace"),
               COLOURS, strict=True)),
    "buffers": "#777777",
    "other": "#BBBBBB",
}  # fmt: skip
_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_MOST_LETTERS, _WIDE = 22, 6  # letters, inches


@dataclass(frozen=True, slots=True)
class MemoryTimeline:
    """One training step of a network.

    `live` are the bytes alive at each op by category, `phases` the ops' phases, `peak_at` the
    module at the peak, and `modules` the bytes there by module and category, for few modules.
    """

    name: str
    live: Mapping[str, tuple[int, ...]]
    phases: tuple[str, ...]
    peak_at: str
    modules: Mapping[str, Mapping[str, int]]

    @property
    def whole(self) -> list[int]:
        """The bytes alive at each op."""
        return [sum(bytes_alive) for bytes_alive in zip(*self.live.values(), strict=True)]


def plot_memory_timeline(series: Sequence[MemoryTimeline], path: str | Path) -> None:
    """Draw the networks into a .pdf, .svg or .png file; the modules only where it is wide.

    Raises:
        OutputError: another suffix, or a file that cannot be written.
        MissingExtraError: matplotlib is absent.
    """
    most = max(max(network.whole) for network in series)
    unit, factor = next((pair for pair in _UNITS if most >= pair[1]), ("B", 1))
    with drawing(path, 9.5, 0.8 + 2.8 * len(series)) as figure:
        wide = figure.get_figwidth() > _WIDE
        panels = figure.subplots(len(series), 1 + wide, squeeze=False,
                                 width_ratios=(3, 1)[: 1 + wide])  # fmt: skip
        for row, network in zip(panels, series, strict=True):
            _panel(row[0], network, factor, wide)
            row[0].set_ylabel(f"live memory ({unit})")
            row[0].set_ylim(0, 1.22 * most / factor)
            for bars in row[1:]:
                _bars(bars, network, factor)
        panels[-1, 0].set_xlabel("operation, in order of execution")
        for bars in panels[:, 1:].flat:
            bars.set_xlim(0, max(one.get_xlim()[1] for one in panels[:, 1]))
            bars.set_xlabel(f"{unit} at the peak, by module")
        named = {label: patch for (axes,) in panels[:, :1] for patch, label
                 in zip(*axes.get_legend_handles_labels(), strict=True)}  # fmt: skip
        figure.legend(named.values(), named.keys(), loc="outside lower center",
                      ncols=9 if wide else 3)  # fmt: skip


def _panel(axes: Any, network: MemoryTimeline, factor: int, wide: bool) -> None:
    ops = range(len(network.phases))
    axes.stackplot(ops, *([alive / factor for alive in live] for live in network.live.values()),
                   step="post", colors=[_FILLS[kind] for kind in network.live], linewidth=0,
                   alpha=0.85, labels=list(network.live))  # fmt: skip
    for phase, places in groupby(ops, key=network.phases.__getitem__):
        numbers = list(places)
        first, last = numbers[0], numbers[-1]
        if first:
            axes.axvline(first, color="#555555", linewidth=0.8, linestyle=(0, (4, 3)))
        if last - first > len(ops) / (12 if wide else 4):
            axes.text((first + last) / 2, 0.99, phase, transform=axes.get_xaxis_transform(),
                      ha="center", va="top", color="#555555")  # fmt: skip
    heights = network.whole
    peak = max(heights)
    place = heights.index(peak)
    axes.plot([place], [peak / factor], marker="o", markersize=4, color="#000000")
    beside = ("left", "center", "right")[min(2, 3 * place // len(heights))]
    axes.annotate(f"{format_bytes(peak)}: {network.peak_at}", (place, peak / factor), (0, 6),
                  textcoords="offset points", ha=beside, va="bottom")  # fmt: skip
    axes.set_xlim(0, max(1, len(heights) - 1))
    axes.set_title(network.name, loc="left", fontweight="bold")


def _bars(axes: Any, network: MemoryTimeline, factor: int) -> None:
    shown = list(network.modules.items())
    left = [0.0] * len(shown)
    for kind in network.live:
        widths = [live.get(kind, 0) / factor for _, live in shown]
        axes.barh(range(len(shown)), widths, left=left, color=_FILLS[kind], alpha=0.85)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(shown)), [_short(name) for name, _ in shown])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")


def _short(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else "…" + name[1 - _MOST_LETTERS :]
