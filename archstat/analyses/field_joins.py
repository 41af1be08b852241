"""Layouts and links of values that an op joins position by position."""

from __future__ import annotations

from collections.abc import Sequence

from archstat.analyses.field_layouts import LOST, Digit, Layout, relation_of
from archstat.analyses.field_relations import BROADCAST, IDENTITY, Relation
from archstat.analyses.field_states import Link


def fitted(layout: Layout, shape: tuple[int, ...], out: tuple[int, ...]) -> Layout:
    """The layout under the dimensions of a larger shape; what is broadcast holds no digit."""
    if shape == out:
        return layout
    padded = (None,) * (len(out) - len(shape)) + layout
    sizes = (1,) * (len(out) - len(shape)) + shape
    return tuple(
        None if size != full else digits
        for digits, size, full in zip(padded, sizes, out, strict=True)
    )


def common_layout(layouts: Sequence[Layout]) -> Layout | None:
    """The dimensions of all layouts together; None where they contradict each other."""
    first = layouts[0]
    if all(other == first for other in layouts):
        return first
    common: list[tuple[Digit, ...] | None] = list(sorted(layouts, key=_held)[-1])
    for layout in layouts:
        for dim, digits in enumerate(layout):
            mine = common[dim]
            if digits is None:
                continue
            if mine is None:
                # An axis may come from another value as a whole, but not in parts.
                held = {axis for entry in common for axis, _, _ in entry or ()}
                if any(axis in held for axis, _, _ in digits if axis >= 0):
                    return None
                common[dim] = digits
            elif LOST in (mine[0][0], digits[0][0]):
                common[dim] = mine if mine[0][0] == LOST else digits
            elif [(axis, size) for axis, _, size in mine] != [(k, size) for k, _, size in digits]:
                return None
    return tuple(common)


def _held(layout: Layout) -> int:
    return sum(len(digits) for digits in layout if digits is not None)


def lifted(layout: Layout, own: Layout, axis: int, size: int) -> Relation:
    """How indices of an axis under `layout` read those under a value's own layout."""
    matched = []
    for dim, digits in enumerate(own):
        for place, (k, multiplier, count) in enumerate(digits or ()):
            if k == axis:
                held = layout[dim]
                assert held is not None
                matched.append((held[place][1], count, multiplier))
    if not matched:
        return IDENTITY if size == 1 else BROADCAST
    return relation_of(size, tuple(matched))


def gated(links: Sequence[Link], axes: int) -> list[Link]:
    """The links of a product, those that see everything marked as gates of those that do not."""
    seen = [tuple(link.state.maps[axis] is None for axis in range(axes)) for link in links]
    local = [any(not row[axis] for row in seen) for axis in range(axes)]
    return [
        link._replace(gates=tuple(row[k] and local[k] for k in range(axes)))
        if any(row[k] and local[k] for k in range(axes))
        else link
        for link, row in zip(links, seen, strict=True)
    ]
