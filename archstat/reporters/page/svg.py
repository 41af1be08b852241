"""Elements of SVG and HTML as text, what is not markup escaped; and the ticks of axes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from math import ceil, floor, log10

_SHAPES = frozenset({"rect", "line", "path", "circle"})


def text(content: object) -> str:
    """What a reader is to see, as markup; a name may hold anything."""
    return escape(str(content), quote=True)


def broken(content: str) -> str:
    """A long name of HTML, with a new line behind commas where there is no room."""
    return text(content).replace(",", ",<wbr>")


def tag(name: str, /, *content: str, **attributes: object) -> str:
    """An element around content that is markup already; ``class_`` and ``data_n`` as HTML has them.

    An attribute of None is left out, one of True has no value.
    """
    written = "".join(map(_attribute, attributes, attributes.values()))
    if name in _SHAPES and not content:
        return f"<{name}{written}/>"
    return f"<{name}{written}>{''.join(content)}</{name}>"


def _attribute(name: str, value: object) -> str:
    name = _spelt(name)
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    if isinstance(value, (int, float)):
        shown = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
        return f' {name}="{shown}"'
    return f' {name}="{text(value)}"'


@cache
def _spelt(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def picture(title: str, width: float, height: float, *content: str, **attributes: object) -> str:
    """A drawing that grows with the page; its title is what a screen reader says."""
    box = f"0 0 {width:g} {height:g}"
    return tag("svg", *content, viewBox=box, role="img", aria_label=title, **attributes)


def label(x: float, y: float, content: str, **attributes: object) -> str:
    """A line of text at a place."""
    return tag("text", text(content), x=float(x), y=float(y), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """A straight line."""
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def fitted(content: str, width: float, per_letter: float = 7.4) -> str:
    """As much of a text as has room, "" where that is nothing."""
    room = int(width / per_letter)
    if len(content) <= room:
        return content
    return content[: room - 1] + "…" if room > 3 else ""


def ticks(most: float, binary: bool = False, about: int = 4) -> list[float]:
    """Round numbers from 0 to at most `most`, about so many; of bytes, powers of two fit better."""
    if most <= 0:
        return [0.0]
    unit = 1024.0 ** floor(max(0.0, _log(most, 1024))) if binary else 1.0
    step = most / unit / about
    size = 10.0 ** floor(log10(step))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= step * 0.999)
    return [n * step * unit for n in range(floor(most / unit / step + 1e-9) + 1)]


def log_ticks(least: float, most: float) -> list[float]:
    """Powers of ten between two numbers; where there are few, with those that 2 and 5 make.

    Between numbers so close that there is none, equal steps.
    """
    powers = range(floor(log10(least)), ceil(log10(most)) + 1)
    inside = [10.0**n for n in powers if least <= 10.0**n <= most]
    if len(inside) < 3:
        inside = [f * 10.0**n for n in powers for f in (1, 2, 5) if least <= f * 10.0**n <= most]
    if len(inside) < 2 and most > least:
        step = ticks(most - least)[1]
        steps = (n * step for n in range(ceil(least / step), floor(most / step) + 1))
        inside = [tick for tick in steps if least <= tick <= most]
    stride = max(1, ceil(len(inside) / 7))
    return inside[::stride]


def path(points: Sequence[tuple[float, float]], steps: bool = False) -> str:
    """The data of a path through points; with `steps` each height holds until the next point."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"] if points else []
    for x, y in points[1:]:
        parts.append(f"H{x:.1f}V{y:.1f}" if steps else f"L{x:.1f} {y:.1f}")
    return "".join(parts)


def _log(number: float, base: float) -> float:
    return log10(number) / log10(base)
