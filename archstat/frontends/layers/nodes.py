"""The nodes of a layer list, and its errors, which show the place that they speak of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from archstat.errors import LayerListError

LayerKind = Literal["conv", "max", "avg", "transposed", "up", "id"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as written: sizes of one number stand for every axis.

    `padding` None means same, `groups` 0 depthwise, `channels` None as many as enter. `start` and
    `end` are its place in the text.
    """

    kind: LayerKind
    start: int
    end: int
    kernel: tuple[int, ...] = (1,)
    stride: tuple[int, ...] = (1,)
    padding: tuple[int, ...] | None = None
    dilation: tuple[int, ...] = (1,)
    groups: int = 1
    channels: int | None = None

    count = 1

    @property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """Everything about it that may differ from axis to axis."""
        return (self.kernel, self.stride, self.padding or (0,), self.dilation)


@dataclass(frozen=True, slots=True)
class Group:
    """Branches that are added up (a single one is just a sequence), `times` in a row."""

    branches: tuple[tuple[Node, ...], ...]
    times: int
    start: int
    end: int

    @property
    def count(self) -> int:
        """The layers after repetition, each join of branches among them."""
        inside = sum(node.count for branch in self.branches for node in branch)
        return self.times * (inside + (len(self.branches) > 1))


Node = Layer | Group


@dataclass(frozen=True, slots=True)
class LayerList:
    """A parsed list: its text, its nodes and the number of its spatial axes."""

    text: str
    nodes: tuple[Node, ...]
    axes: int

    def wrong(self, node: Layer | Group, message: str) -> LayerListError:
        """The error for one node, which it points at."""
        return wrong(self.text, node.start, message, node.end)

    def layers(self) -> Iterator[Layer]:
        """Every layer as written, once."""
        pending = list(reversed(self.nodes))
        while pending:
            node = pending.pop()
            if isinstance(node, Layer):
                yield node
            else:
                pending += [n for branch in reversed(node.branches) for n in reversed(branch)]


def wrong(text: str, at: int, message: str, end: int | None = None) -> LayerListError:
    """The error for one place of a layer list, with the list and carets below the place."""
    from unicodedata import combining, east_asian_width

    def shown(part: str) -> str:
        return "".join(c if c.isprintable() else "?" for c in part)

    def width(part: str) -> int:
        return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in part)

    before, marked, after = text[:at], text[at : end or at + 1], text[end or at + 1 :]
    before = before if len(before) <= 50 else "..." + before[-40:]
    marked, after = marked[:60], after if len(after) <= 30 else after[:25] + "..."
    line = "".join(map(shown, (before, marked, after)))
    carets = " " * width(shown(before)) + "^" * max(1, width(shown(marked)))
    return LayerListError(f"layer list, character {at + 1}: {message}\n    {line}\n    {carets}")
