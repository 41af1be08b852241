"""The architecture strip: blocks from input to output, height resolution, width channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log2, sqrt

from archstat.reporters.page.svg import fitted, label, line, path, picture, tag, text
from archstat.units import format_shape

_KINDS = {"conv": "convolution", "depthwise": "depthwise convolution", "linear": "linear",
          "attention": "attention, matmul", "pool": "pooling", "recurrent": "recurrent, embedding",
          "other": "other"}  # fmt: skip
_LIKE = {"matmul": "attention", "embedding": "recurrent"}
_TALL, _LOW = 150.0, 16.0
_GAP, _MIDDLE, _LABELS, _LETTER = 9.0, 100.0, 190.0, 7.4
_NARROW, _LEAST_STRETCH = 20.0, 0.6  # a block with two lines of text below it


@dataclass(frozen=True, slots=True)
class Block:
    """`count` equal parts of a network: where it is, what it is, and the map that leaves it.

    `positions` are the sizes of that map and `channels` its channels; `shortcut` tells of a path
    around its layers, and `branches` how many run side by side.
    """

    name: str
    type: str
    kind: str
    positions: tuple[int, ...]
    channels: int
    count: int = 1
    shortcut: bool = False
    branches: int = 1

    @property
    def side(self) -> float:
        """The side of a square with as many positions."""
        number = 1
        for size in self.positions:
            number *= size
        return sqrt(number)

    @property
    def named(self) -> str:
        """Its type, and how often it comes in a row."""
        return f"{self.type} x{self.count}" if self.count > 1 else self.type

    @property
    def map(self) -> str:
        """Channels and positions of the map that leaves it."""
        sizes = f" @ {format_shape(self.positions)}" if self.side > 1 else ""
        return f"{self.channels}{sizes}"


def told_kinds(kinds: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The colours that these kinds of layers have, and what a legend calls each."""
    held = {_LIKE.get(kind, kind if kind in _KINDS else "other") for kind in kinds}
    return ((kind, told) for kind, told in _KINDS.items() if kind in held)


def strip(title: str, blocks: Sequence[Block], jumps: Sequence[tuple[int, int]], table: str,
          least: float = 1100.0) -> str:  # fmt: skip
    """The blocks in a row; `jumps` are pairs of blocks with a connection over those between.

    The drawing is `least` units wide, or as many as the blocks need.
    """
    widths, gaps = [_width(block) for block in blocks], _GAP * (len(blocks) + 1)
    stretch = max(_LEAST_STRETCH, (least - gaps) / sum(widths)) if widths else 1.0
    # No block of a short network fills the page.
    widths = [min(90.0, max(_NARROW, width * stretch)) for width in widths]
    total = max(least, sum(widths) + gaps)
    gap = (total - sum(widths)) / (len(blocks) + 1)
    places, x = [], gap
    for width in widths:
        places.append(x)
        x += width + gap
    tallest = max((block.side for block in blocks), default=1.0)
    middle = _MIDDLE + (34 if jumps else 0)
    drawn = [line(0, middle, total, middle, "flow")]
    centres = [place + width / 2 for place, width in zip(places, widths, strict=True)]
    heights = [_LOW + (_TALL - _LOW) * sqrt(block.side / tallest) for block in blocks]
    drawn += [_jump(centres, heights, middle, *jump) for jump in jumps]
    for n, block in enumerate(blocks):
        drawn += _block(block, n, places[n], widths[n], heights[n], middle)
    longest = max((len(told) for block in blocks for told in (block.named, block.map)), default=0)
    bottom = middle + _TALL / 2 + min(_LABELS, 20 + _LETTER * longest)
    return picture(title, total, bottom, tag("g", *drawn, data_t=table), class_="strip",
                   style=f"min-width:{max(900, total * 0.8):.0f}px")  # fmt: skip


def _width(block: Block) -> float:
    """By the logarithm of the channels: a thousand are not a thousand times as wide as one."""
    return 8.0 + 3.4 * log2(1 + block.channels)


def _block(
    block: Block, n: int, x: float, width: float, height: float, middle: float
) -> Iterator[str]:
    top = middle - height / 2
    common = {"class_": f"k {block.kind}", "data_n": n, "tabindex": 0}
    for behind in range(min(block.count, 3) - 1, 0, -1):
        yield tag("rect", class_=f"k back {block.kind}", x=x + 3 * behind, y=top - 3 * behind,
                  width=width, height=height, rx=2)  # fmt: skip
    yield tag("rect", tag("title", text(f"{block.name}: {block.named}, {block.map}")), x=x, y=top,
              width=width, height=height, rx=2, **common)  # fmt: skip
    for branch in range(1, block.branches):
        y = top + height * branch / block.branches
        yield line(x, y, x + width, y, "branch")
    if block.shortcut:
        high = top - 6
        yield tag("path", d=f"M{x + 2:.1f} {top:.1f}C{x + 2:.1f} {high - 9:.1f} "
                  f"{x + width - 2:.1f} {high - 9:.1f} {x + width - 2:.1f} {top:.1f}",
                  class_="shortcut")  # fmt: skip
    if block.count > 1 and width > 16 and height > 14:
        yield label(x + width / 2, middle + 4, f"x{block.count}", class_="times")
    foot = middle + _TALL / 2 + 10
    for said, turned, shade in ((block.named, 3, None), (block.map, -11, "dim")):
        centre = x + width / 2 + turned
        yield label(centre, foot, fitted(said, _LABELS - 20, _LETTER), class_=shade,
                    transform=f"rotate(90 {centre:.1f} {foot:.1f})")  # fmt: skip


def _jump(
    centres: Sequence[float], heights: Sequence[float], middle: float, start: int, end: int
) -> str:
    """An arc above all that lies between two blocks."""
    over = middle - max(heights[start : end + 1]) / 2 - 8
    first, last = (middle - heights[n] / 2 for n in (start, end))
    points = [(centres[start], first), (centres[start], over), (centres[end], over),
              (centres[end], last)]  # fmt: skip
    return tag("path", d=path(points), class_="jump")
