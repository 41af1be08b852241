"""A drawing of the page as a picture for paper: the same shapes, in colours that print."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from archstat.reporters.page.strip import told_kinds
from archstat.reporters.plots.figures import drawing, sized

# Tints of the page's colours that differ in grey, too: colour, and how much of it.
_TINTS = {
    "recurrent": ("#d55e00", 0.85), "embedding": ("#d55e00", 0.85), "conv": ("#0072b2", 0.65),
    "attention": ("#b8548c", 0.6), "matmul": ("#b8548c", 0.6), "depthwise": ("#3a9fd6", 0.45),
    "linear": ("#e69f00", 0.45), "pool": ("#009e73", 0.22), "other": ("#57606a", 0.1),
}  # fmt: skip
_INK, _DIM, _RULE = "#1b1f24", "#57606a", "#b8c0c8"
_LINES = {
    "flow": {"color": _DIM, "linewidth": 1.0},
    "branch": {"color": "white", "linewidth": 0.8},
    "shortcut": {"edgecolor": _INK, "linewidth": 0.7},
    "jump": {"edgecolor": _DIM, "linewidth": 0.7, "linestyle": (0, (4, 3))},
}
WIDTH = 6.9  # inches, the width of a page's text in two columns
UNITS = 108.0  # of a drawing in an inch: its letters, 12 units high, are those of 8 points
_LEGEND = 0.3  # inches
_TOKEN = re.compile(r"[MLCHVZ]|-?[\d.]+")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plot_from_page(drawn: Callable[[float], str], path: str | Path) -> None:
    """Draw what the page shows into a .pdf, .svg or .png file.

    Args:
        drawn: gives the SVG for a width in its units.
        path: the file; see `sized`.

    Raises:
        OutputError, MissingExtraError: see `check_plot_path`.
    """
    inches = sized(path)[1] or WIDTH
    root = ElementTree.fromstring(_NO_XML.sub("\ufffd", drawn(inches * UNITS)))
    _, _, across, down = (float(number) for number in root.attrib["viewBox"].split())
    height = inches * down / across
    with drawing(path, inches, height + _LEGEND) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, _LEGEND / (height + _LEGEND), 1, height / (height + _LEGEND)))
        axes.set(xlim=(0, across), ylim=(down, 0))
        axes.set_axis_off()
        letters = 72 * inches / across
        for order, element in enumerate(root.iter()):
            for artist in _artists(element, axes, letters):
                artist.set_zorder(2 + order / 1e6)
        _legend(figure, root)


def _classes(element: Element) -> list[str]:
    return element.get("class", "").split()


def _artists(element: Element, axes: Any, letters: float) -> Iterator[Any]:
    """An element as what matplotlib draws; `letters` are the points of a unit."""
    from matplotlib.patches import PathPatch

    names = _classes(element)
    style: dict[str, Any] = next((_LINES[name] for name in names if name in _LINES), {})
    if element.tag == "rect":
        yield axes.add_patch(_box(element, names))
    elif element.tag == "line":
        x1, y1, x2, y2 = (float(element.attrib[key]) for key in ("x1", "y1", "x2", "y2"))
        yield axes.plot([x1, x2], [y1, y2], **style)[0]
    elif element.tag == "path":
        yield axes.add_patch(PathPatch(_outline(element.attrib["d"]), facecolor="none", **style))
    elif element.tag == "text":
        yield _text(element, names, axes, letters)


def _colours(kind: str) -> tuple[str, str]:
    """The edge and the tint of a kind of layer."""
    from matplotlib.colors import to_hex, to_rgb

    colour, part = _TINTS.get(kind, _TINTS["other"])
    red, green, blue = (1 - part * (1 - channel) for channel in to_rgb(colour))
    return colour, to_hex((red, green, blue))


def _box(element: Element, names: list[str]) -> Any:
    from matplotlib.patches import Rectangle

    x, y, width, height = (float(element.attrib[key]) for key in ("x", "y", "width", "height"))
    if "group" in names:
        return Rectangle((x, y), width, height, fill=False, edgecolor=_RULE, linewidth=0.5)
    colour, tint = _colours(names[-1])
    return Rectangle((x, y), width, height, facecolor=tint, edgecolor=colour, linewidth=0.5)


def _text(element: Element, names: list[str], axes: Any, letters: float) -> Any:
    side = "right" if "end" in names else "center" if {"mid", "times"} & {*names} else "left"
    turned = "rotate" in element.get("transform", "")
    return axes.text(
        float(element.attrib["x"]), float(element.attrib["y"]), element.text or "",
        ha="left" if turned else side, va="top" if turned else "baseline", parse_math=False,
        rotation=-90 if turned else 0, fontsize=(11 if "dim" in names else 12) * letters,
        color=_DIM if "dim" in names and turned else _INK,
        fontweight="bold" if {"head", "times"} & {*names} else "normal",
    )  # fmt: skip


def _outline(data: str) -> Any:
    """A path of absolute moves, lines, curves and ends."""
    from matplotlib.path import Path as Outline

    tokens, corners, codes = iter(_TOKEN.findall(data)), [(0.0, 0.0)], [Outline.MOVETO]
    for command in tokens:
        x, y = corners[-1]
        if command == "H":
            x = float(next(tokens))
        elif command == "V":
            y = float(next(tokens))
        elif command == "Z":
            codes.append(Outline.CLOSEPOLY)
            corners.append(corners[0])
            continue
        for _ in range({"M": 1, "L": 1, "C": 3}.get(command, 0)):
            corners.append((float(next(tokens)), float(next(tokens))))
            codes.append({"M": Outline.MOVETO, "L": Outline.LINETO, "C": Outline.CURVE4}[command])
        if command in "HV":
            corners.append((x, y))
            codes.append(Outline.LINETO)
    return Outline(corners[1:], codes[1:])


def _legend(figure: Any, root: Element) -> None:
    from matplotlib.patches import Patch

    kinds = [_classes(one)[-1] for one in root.iter("rect") if "k" in _classes(one)]
    patches = []
    for kind, told in told_kinds(kinds):
        colour, tint = _colours(kind)
        patches.append(Patch(facecolor=tint, edgecolor=colour, linewidth=0.5, label=told))
    figure.legend(handles=patches, loc="lower left", ncols=max(1, len(patches)), fontsize=7,
                  handlelength=1.2, columnspacing=1.2)  # fmt: skip
