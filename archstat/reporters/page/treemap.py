"""A treemap: nested rectangles whose areas are shares of a whole (squarified, Bruls 2000)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archstat.reporters.page.svg import fitted, label, picture, tag
from archstat.units import format_share

_SMALLEST = 330.0  # square units of an area that is still drawn
_GROUP = 1200.0  # and of a group whose parts are
_HEAD = 15.0  # height of the name of a group


@dataclass(frozen=True, slots=True)
class Area:
    """A module: its row in the table of modules, name, kind of layer, and figure by column."""

    row: int
    name: str
    kind: str
    figures: dict[str, float]
    parts: tuple[Area, ...] = ()


class Box(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


def treemap(title: str, root: Area, key: str, table: str, shape: tuple[float, float]) -> str:
    """The areas below the root by the figure `key`; `table` names the rows that they tell of."""
    width, height = shape
    whole = root.figures.get(key, 0)
    drawn: list[str] = []
    if whole:
        _draw(drawn, root, Box(0, 0, width, height), key, whole, top=True)
    shown = tag("g", *drawn, data_t=table)
    return picture(title, width, height, shown, class_="treemap")


def _draw(drawn: list[str], area: Area, box: Box, key: str, whole: float,
          *, top: bool = False) -> None:  # fmt: skip
    if not top and (box.width < 1 or box.height < 1 or box.width * box.height < _SMALLEST):
        return
    if not area.parts or (not top and box.width * box.height < _GROUP):
        drawn.append(_leaf(area, box, key, area.figures[key] / whole))
        return
    inside = box
    if not top:
        drawn.append(tag("rect", class_="group", data_n=area.row, **_sides(box)))
        inside = Box(box.x + 2, box.y + 2, box.width - 4, box.height - 4)
        name = fitted(area.name, inside.width - 4, 7.8)
        if name and inside.height > 2.5 * _HEAD:
            drawn.append(label(inside.x + 2, inside.y + 11, name, class_="head"))
            inside = Box(inside.x, inside.y + _HEAD, inside.width, inside.height - _HEAD)
    if inside.width < 1 or inside.height < 1:
        return
    parts = sorted((p for p in area.parts if p.figures.get(key)), key=lambda p: -p.figures[key])
    for part, place in zip(parts, squarified([p.figures[key] for p in parts], inside), strict=True):
        _draw(drawn, part, place, key, whole)


def _leaf(area: Area, box: Box, key: str, share: float) -> str:
    drawn = tag("rect", class_=f"k {_kind(area, key)}", data_n=area.row, **_sides(box))
    name = fitted(area.name, box.width - 6) if box.height > 14 else ""
    if name:
        drawn += label(box.x + 4, box.y + 13, name)
    if name and box.height > 30 and box.width > 40:
        drawn += label(box.x + 4, box.y + 26, format_share(share), class_="dim")
    return drawn


def _kind(area: Area, key: str) -> str:
    """The kind of its largest part."""
    while area.parts:
        area = max(area.parts, key=lambda part: part.figures.get(key, 0))
    return area.kind


def _sides(box: Box) -> dict[str, int]:
    """The box on whole units, so that neighbours share an edge, with a gap where there is room."""
    left, top = round(box.x), round(box.y)
    width, height = round(box.x + box.width) - left, round(box.y + box.height) - top
    gap = 1 if min(width, height) > 4 else 0
    return {"x": left, "y": top, "width": width - gap, "height": height - gap}


def squarified(sizes: Sequence[float], box: Box) -> list[Box]:
    """A rectangle a size, the largest first, as square as rows along the shorter side allow."""
    places: list[Box] = []
    left, rest = list(sizes), sum(sizes)
    while left:
        scale = box.width * box.height / rest
        count = _row(left, min(box.width, box.height), scale)
        row, left = left[:count], left[count:]
        filled = sum(row)
        depth = filled * scale / min(box.width, box.height)
        places += _beside(row, filled, box, depth)
        if box.width >= box.height:
            box = Box(box.x + depth, box.y, max(box.width - depth, 1e-9), box.height)
        else:
            box = Box(box.x, box.y + depth, box.width, max(box.height - depth, 1e-9))
        rest = max(rest - filled, 1e-12)
    return places


def _row(sizes: Sequence[float], side: float, scale: float) -> int:
    """How many of the first sizes a row takes before its worst rectangle gets longer."""
    total, worst = 0.0, float("inf")
    for count, size in enumerate(sizes):
        total += size
        depth = total * scale / side
        ratios = [max(depth * depth / (s * scale), s * scale / (depth * depth))
                  for s in (sizes[0], size)]  # fmt: skip
        if max(ratios) > worst:
            return count
        worst = max(ratios)
    return len(sizes)


def _beside(row: Sequence[float], filled: float, box: Box, depth: float) -> Iterator[Box]:
    """The rectangles of one row, which lies along the shorter side of the box."""
    along = 0.0
    for size in row:
        if box.width >= box.height:
            length = box.height * size / filled
            yield Box(box.x, box.y + along, depth, length)
        else:
            length = box.width * size / filled
            yield Box(box.x + along, box.y, length, depth)
        along += length
