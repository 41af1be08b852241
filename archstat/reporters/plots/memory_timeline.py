"""Live memory over a training step, a panel a network, its phases coloured and its peak named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from archstat.reporters.plots.figures import COLOURS, drawing
from archstat.units import format_bytes

_FILLS = dict(zip(("forward", "loss", "backward", "optimizer"), COLOURS, strict=False))
_UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


@dataclass(frozen=True, slots=True)
class MemoryTimeline:
    """One network: bytes alive at each op, the op's phase, and the module at the peak.

    `steady` are the bytes that were there before the step: weights, states, input.
    """

    name: str
    live: tuple[int, ...]
    phases: tuple[str, ...]
    peak_at: str
    steady: int


def plot_memory_timeline(series: Sequence[MemoryTimeline], path: str | Path) -> None:
    """Draw the networks into a .pdf, .svg or .png file.

    Raises:
        OutputError: another suffix, or a file that cannot be written.
        MissingExtraError: matplotlib is absent.
    """
    most = max(max(network.live) for network in series)
    unit, factor = next((pair for pair in _UNITS if most >= pair[1]), ("B", 1))
    with drawing(path, 8.0, 0.8 + 2.8 * len(series)) as figure:
        panels = figure.subplots(len(series), 1, squeeze=False, sharey=True)[:, 0]
        for axes, network in zip(panels, series, strict=True):
            _panel(axes, network, factor)
            axes.set_ylabel(f"live memory ({unit})")
        panels[0].set_ylim(0, 1.18 * most / factor)
        panels[-1].set_xlabel("operation, in order of execution")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center",
                      ncols=5 if figure.get_figwidth() > 4 else 3)  # fmt: skip


def _panel(axes: Any, network: MemoryTimeline, factor: int) -> None:
    heights = [bytes_alive / factor for bytes_alive in network.live]
    for phase, places in groupby(range(len(heights)), key=network.phases.__getitem__):
        first, *_, last = *places, len(heights) - 1
        last = next((n for n in range(first, len(heights)) if network.phases[n] != phase), last)
        # Up to the first op of the next phase, so that no gap is left between two.
        axes.fill_between(range(first, last + 1), heights[first : last + 1], step="post",
                          color=_FILLS.get(phase, COLOURS[-1]), alpha=0.75, linewidth=0,
                          label=phase)  # fmt: skip
    axes.axhline(network.steady / factor, color="#555555", linewidth=1, linestyle=(0, (4, 3)),
                 label="before the step")  # fmt: skip
    peak = max(network.live)
    place = network.live.index(peak)
    axes.plot([place], [peak / factor], marker="o", markersize=4, color="#000000")
    beside = ("left", "center", "right")[min(2, 3 * place // len(heights))]
    axes.annotate(f"{format_bytes(peak)}: {network.peak_at}", (place, peak / factor), (0, 6),
                  textcoords="offset points", ha=beside, va="bottom")  # fmt: skip
    axes.set_xlim(0, max(1, len(heights) - 1))
    axes.set_title(network.name, loc="left", fontweight="bold")
