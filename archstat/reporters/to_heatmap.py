"""A map of densities on the screen: shades, or plain ASCII where the terminal has no others."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Sequence
from itertools import groupby

_ASCII = " .:-=+*#%@"
_SHADES = " ░▒▓█"
# Cividis at nine points: the same order of brightness for every colour vision.
_COLOURS = ("#00204D", "#05366E", "#3F4C6B", "#5F636E", "#7C7B78", "#9B9476", "#BCAE6C", "#E0CB5E",
            "#FFEA46")  # fmt: skip
_WIDEST = 72
# A character is about twice as high as wide.
_ASPECT = 2


def to_heatmap(
    density: Sequence[Sequence[float]],
    width: int | None = None,
    colour: bool | None = None,
    ascii: bool | None = None,
) -> str:
    """The map as lines of text; by default as standard output allows.

    Args:
        density: rows of numbers from 0 to 1.
        width: most characters a line.
        colour: whether to colour the cells; never with ``NO_COLOR``, and not into a file.
        ascii: whether to keep to ASCII; where the encoding of standard output has no shades.
    """
    terminal = sys.stdout.isatty()
    if colour is None:
        colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    if ascii is None:
        ascii = not _can_encode(_SHADES)
    if width is None:
        width = min(_WIDEST, shutil.get_terminal_size().columns if terminal else _WIDEST)
    cells = _pooled(density, max(1, width))
    marks = _ASCII if ascii else _SHADES
    if colour:
        return _coloured(cells, marks)
    lines = ("".join(marks[_level(cell, len(marks))] for cell in row).rstrip() for row in cells)
    return "\n".join(lines) + "\n"


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _pooled(density: Sequence[Sequence[float]], width: int) -> list[list[float]]:
    """The largest density under each character."""
    rows, columns = len(density), len(density[0])
    across = min(width, columns * _ASPECT)
    step = columns / across
    down = max(1, round(rows / (step * _ASPECT)))
    return [
        [
            max(max(row[left:right]) for row in density[top:bottom])
            for left, right in _spans(columns, across)
        ]
        for top, bottom in _spans(rows, down)
    ]


def _spans(size: int, parts: int) -> list[tuple[int, int]]:
    """Parts of an axis, each of at least one index."""
    return [
        (part * size // parts, max(part * size // parts + 1, (part + 1) * size // parts))
        for part in range(parts)
    ]


def _level(density: float, levels: int) -> int:
    """A level from 0 to levels - 1; the root shows the tails, which a straight scale would not."""
    return min(levels - 1, int(density**0.5 * levels))


def _coloured(cells: Sequence[Sequence[float]], marks: str) -> str:
    from rich.console import Console
    from rich.text import Text

    text = io.StringIO()
    console = Console(file=text, width=10_000, force_terminal=True, color_system="truecolor",
                      highlight=False, legacy_windows=False)  # fmt: skip
    for row in cells:
        line = Text()
        for level, alike in groupby(_level(cell, len(_COLOURS)) for cell in row):
            shade = _COLOURS[level]
            mark = marks[level * len(marks) // len(_COLOURS)]
            line.append(mark * len(list(alike)), style=f"{shade} on {shade}")
        console.print(line)
    return text.getvalue()
