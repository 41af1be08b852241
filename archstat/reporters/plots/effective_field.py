"""The effective receptive field as a map of densities over the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archstat.reporters.plots.figures import drawing

# Densities below this part of the largest share the darkest colour.
_FLOOR = 1e-4


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Densities of the input's pixels in rows, 1 the largest.

    `box` is the theoretical field as (top, left, bottom, right), both ends seen, and `sides` maps
    a share of the mass to the side of the square around `middle` (row, column) that holds it.
    """

    name: str
    layer: str
    density: Sequence[Sequence[float]]
    middle: tuple[float, float]
    box: tuple[int, int, int, int] | None
    sides: Mapping[float, int]


def plot_effective_field(heat: HeatMap, path: str | Path) -> None:
    """Draw the map into a .pdf, .svg or .png file.

    Raises:
        OutputError: another suffix, or a file that cannot be written.
        MissingExtraError: matplotlib is absent.
    """
    rows, columns = len(heat.density), len(heat.density[0])
    tall = min(9.0, max(0.8, 4.6 * rows / columns))
    with drawing(path, 6.2, tall + 1.6) as figure:
        from matplotlib.colors import LogNorm

        axes = figure.subplots()
        floored = [[max(cell, _FLOOR) for cell in row] for row in heat.density]
        # Cividis looks the same with any colour vision.
        image = axes.imshow(floored, cmap="cividis", norm=LogNorm(_FLOOR, 1),
                            interpolation="nearest")  # fmt: skip
        bar = figure.colorbar(image, ax=axes, shrink=0.9)
        bar.set_label("mean absolute gradient, of the largest")
        bar.outline.set_visible(False)
        for number, (share, side) in enumerate(sorted(heat.sides.items())):
            _square(axes, heat.middle, side, rows, ("-", "--", "-.", ":")[number % 4],
                    f"{share:.0%} of the mass: side {side}")  # fmt: skip
        if heat.box is not None:
            _box(axes, *heat.box, "theoretical field", edgecolor="#D55E00", linewidth=1.6)
        axes.set_xlim(-0.5, columns - 0.5)
        axes.set_ylim(rows - 0.5, -0.5)
        axes.grid(False)
        axes.set_xlabel("input column (pixels)" if rows > 1 else "input index")
        axes.set_ylabel("input row (pixels)" if rows > 1 else "")
        if rows == 1:
            axes.set_yticks([])
            axes.set_aspect("auto")
        figure.suptitle(f"{heat.name}: effective field of {heat.layer}", x=0.02, ha="left",
                        fontweight="bold")  # fmt: skip
        figure.legend(loc="outside lower left", ncols=2, columnspacing=1.0, handlelength=1.6)


def _square(
    axes: Any, middle: tuple[float, float], side: int, rows: int, line: str, label: str
) -> None:
    row, column = middle
    half = (side - 1) / 2
    top, bottom = (row - half, row + half) if rows > 1 else (0, 0)
    _box(axes, top, column - half, bottom, column + half, label, edgecolor="white", linestyle=line)


def _box(
    axes: Any, top: float, left: float, bottom: float, right: float, label: str, **style: Any
) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    # A dark rim keeps a line visible on bright and on dark pixels.
    rim = [withStroke(linewidth=3, foreground="black")]
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, right - left + 1, bottom - top + 1, fill=False, label=label,
                             path_effects=rim, **style))  # fmt: skip
