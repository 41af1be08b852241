"""An experiment: the speed of each network over the first of its size, and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from archstat.reporters.plots.figures import COLOURS, HATCHES, drawing

_MARKERS = ("D", "o", "s")
_HEADROOM = 1.5
_WIDTH = 0.8  # of a group, the rest is a gap


@dataclass(frozen=True, slots=True)
class SpeedBar:
    """A network: its speed over the first one's, between 95 % limits; `others` have theirs too."""

    name: str
    speed: float
    low: float
    high: float
    others: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SpeedGroup:
    """The networks of one size, the first one left out."""

    size: str
    bars: tuple[SpeedBar, ...]


@dataclass(frozen=True, slots=True)
class SpeedPicture:
    """An experiment: its title, where it ran, what it found, what speeds are relative to."""

    title: str
    place: str
    conclusion: str
    reference: str
    groups: tuple[SpeedGroup, ...]


def plot_experiment(picture: SpeedPicture, path: str | Path) -> None:
    """Draw the relative speeds as bars, the published ones as marks, into a file.

    Raises:
        OutputError: another suffix than .pdf, .svg or .png, or a file that cannot be written.
        MissingExtraError: matplotlib is absent.
    """
    with drawing(path, max(6.4, 0.55 * len(picture.groups) + 3), 4.2) as figure:
        axes = figure.subplots()
        names = list(dict.fromkeys(bar.name for group in picture.groups for bar in group.bars))
        for number, name in enumerate(names):
            _bars(axes, picture.groups, name, number, len(names))
        for number, name in enumerate(_others(picture)):
            _marks(axes, picture.groups, names, name, _MARKERS[number % len(_MARKERS)])
        axes.axhline(1, color="#555555", linewidth=1)
        # Where an interval says next to nothing, it must not flatten everything else.
        axes.set_ylim(0, _HEADROOM * max(1.0, *_heights(picture)))
        axes.set_xticks(range(len(picture.groups)), [group.size for group in picture.groups],
                        rotation=0 if len(picture.groups) < 6 else 45)  # fmt: skip
        axes.set_ylabel(f"speed over {picture.reference}")
        axes.set_title(fill(picture.conclusion, 95), loc="left", fontsize=7)
        axes.legend(ncols=2, fontsize=7)
        figure.suptitle(f"{picture.title}; {picture.place}", x=0.02, ha="left", fontweight="bold")


def _heights(picture: SpeedPicture) -> list[float]:
    bars = [bar for group in picture.groups for bar in group.bars]
    return [height for bar in bars for height in (bar.speed, *bar.others.values())]


def _others(picture: SpeedPicture) -> list[str]:
    bars = [bar for group in picture.groups for bar in group.bars]
    return list(dict.fromkeys(name for bar in bars for name in bar.others))


def _bars(axes: Any, groups: Sequence[SpeedGroup], name: str, number: int, of: int) -> None:
    found = [(n, bar) for n, group in enumerate(groups) for bar in group.bars if bar.name == name]
    places = [_place(n, number, of) for n, _ in found]
    speeds = [bar.speed for _, bar in found]
    reach = [[bar.speed - bar.low for _, bar in found], [bar.high - bar.speed for _, bar in found]]
    axes.bar(places, speeds, _WIDTH / of, yerr=reach, color=COLOURS[number % len(COLOURS)],
             hatch=HATCHES[number % len(HATCHES)], edgecolor="white", label=name,
             error_kw={"linewidth": 0.8})  # fmt: skip


def _marks(
    axes: Any, groups: Sequence[SpeedGroup], names: Sequence[str], other: str, marker: str
) -> None:
    found = [
        (_place(n, names.index(bar.name), len(names)), bar.others[other])
        for n, group in enumerate(groups)
        for bar in group.bars
        if other in bar.others
    ]
    axes.plot([x for x, _ in found], [y for _, y in found], marker, color="black", markersize=3.5,
              markerfacecolor="none", label=other)  # fmt: skip


def _place(group: int, number: int, of: int) -> float:
    return group + ((number + 0.5) / of - 0.5) * _WIDTH
