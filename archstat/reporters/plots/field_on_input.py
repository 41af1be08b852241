"""What one output position sees: a rectangle on the input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archstat.errors import OutputError
from archstat.reporters.plots.figures import COLOURS, drawing

_Box = tuple[float, float, float, float]  # top, left, bottom, right; pixels, both ends inside


@dataclass(frozen=True, slots=True)
class FieldRectangle:
    """The input indices `first` to `last`, both seen, of one output position.

    All tuples are (row, column), or have one entry for a network of one axis. `unclipped` holds
    the first and last index as if the input had no border, where that reaches into padding.
    """

    name: str
    layer: str
    input_sizes: tuple[int, ...]
    position: tuple[int, ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    unclipped: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def plot_field_on_input(rectangle: FieldRectangle, path: str | Path) -> None:
    """Draw the input and the rectangle into a .pdf, .svg or .png file.

    Raises:
        OutputError: another suffix, a file that cannot be written, or more than two axes.
        MissingExtraError: matplotlib is absent.
    """
    sizes = in_two_axes(rectangle.input_sizes, 1)
    seen = _box(rectangle.first, rectangle.last)
    boxes = [(0.0, 0.0, sizes[0] - 1, sizes[1] - 1), seen]
    if rectangle.unclipped is not None:
        boxes.append(_box(*rectangle.unclipped))
    bottom, right = max(box[2] for box in boxes), max(box[3] for box in boxes)
    top, left = min(box[0] for box in boxes), min(box[1] for box in boxes)
    tall = 4.2 * (bottom - top + 1) / (right - left + 1)
    with drawing(path, 5.6, min(9.0, max(0.6, tall)) + 1.7) as figure:
        axes = figure.subplots()
        count = " x ".join(map(str, rectangle.input_sizes))
        _draw(axes, boxes[0], f"input, {count}", facecolor="#EEEEEE", edgecolor="#555555")
        _draw(axes, seen, f"sees {_described(rectangle)}", facecolor=COLOURS[0] + "66",
              edgecolor=COLOURS[0])  # fmt: skip
        if rectangle.unclipped is not None:
            _draw(axes, boxes[2], "the whole field, padding included", fill=False,
                  edgecolor=COLOURS[1], linestyle="--")  # fmt: skip
        middle = ((seen[1] + seen[3]) / 2, (seen[0] + seen[2]) / 2)
        axes.plot(*middle, "+", color=COLOURS[0], markersize=9)
        margin = 0.02 * max(bottom - top, right - left) + 0.5
        axes.set_xlim(left - margin, right + margin)
        high = margin if len(rectangle.input_sizes) == 2 else 0.7
        axes.set_ylim(bottom + high, top - high)
        axes.set_aspect("equal" if len(rectangle.input_sizes) == 2 else "auto", anchor="W")
        axes.grid(False)
        _label(axes, len(rectangle.input_sizes))
        at = ", ".join(map(str, rectangle.position))
        figure.suptitle(f"{rectangle.name}: {rectangle.layer}, position ({at})", x=0.02, ha="left",
                        fontweight="bold")  # fmt: skip
        figure.legend(loc="outside lower left")


def in_two_axes(numbers: tuple[Any, ...], fill: Any) -> tuple[Any, Any]:
    """(row, column) of one or two numbers; one axis lies along the columns.

    Raises:
        OutputError: more than two.
    """
    if len(numbers) > 2:
        raise OutputError(f"{len(numbers)} spatial axes cannot be drawn; a picture has two.")
    first, second = (fill, *numbers)[-2:]
    return first, second


def _box(first: tuple[float, ...], last: tuple[float, ...]) -> _Box:
    return (*in_two_axes(first, 0), *in_two_axes(last, 0))


def _draw(axes: Any, box: _Box, label: str, **style: Any) -> None:
    from matplotlib.patches import Rectangle

    top, left, bottom, right = box
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, right - left + 1, bottom - top + 1, label=label, **style))


def _described(rectangle: FieldRectangle) -> str:
    words = ("rows", "columns") if len(rectangle.first) == 2 else ("indices",)
    spans = list(zip(words, rectangle.first, rectangle.last, strict=True))
    ranges = ", ".join(f"{word} {first} to {last}" for word, first, last in spans)
    return f"{ranges}: " + " x ".join(str(last - first + 1) for _, first, last in spans)


def _label(axes: Any, count: int) -> None:
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.get_major_locator().set_params(integer=True)
    if count == 1:
        axes.set_yticks([])
        axes.set_xlabel("input index")
    else:
        axes.set_xlabel("input column (pixels)")
        axes.set_ylabel("input row (pixels)")
