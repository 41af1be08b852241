"""The pictures of receptive fields: by depth, on the input, and as a map of densities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archstat.analyses.field import FieldRow, Fields
from archstat.analyses.field.steps import row_label

if TYPE_CHECKING:
    from archstat.measure.field.effective import EffectiveField


def draw_by_depth(networks: Sequence[tuple[str, Fields, bool]], path: str | Path) -> None:
    """Draw field and stride by depth: a title, the fields, whether the input size was given."""
    from archstat.reporters.plots import plot_field_by_depth
    from archstat.tables.rf import field_series

    plot_field_by_depth([field_series(*network) for network in networks], path)


def draw_on_input(
    title: str, fields: Fields, row: FieldRow, position: Sequence[int] | None, path: str | Path
) -> None:
    """Draw the rectangle of the input that one position sees, by default the centre."""
    from archstat.errors import InputError
    from archstat.reporters.plots import FieldRectangle, plot_field_on_input

    place = tuple(size // 2 for size in row.size) if position is None else tuple(position)
    seen = [pair for pair in row.interval(place) if pair is not None]
    if len(seen) < fields.axes:
        raise InputError(f"{row_label(row)} at {place} sees nothing of the input: no picture.")
    first, last = (tuple(pair[end] for pair in seen) for end in (0, 1))
    rectangle = FieldRectangle(
        title, row_label(row), fields.input_sizes, place, first, last, _unclipped(row, place)
    )
    plot_field_on_input(rectangle, path)


def draw_effective(found: EffectiveField, path: str | Path) -> None:
    """Draw the map of an effective field with the theoretical one around it."""
    from archstat.reporters.plots import HeatMap, plot_effective_field

    # One axis is a single row of pixels, and of three the first is summed away.
    middle = (0.0, *found.middle)[-2:]
    (top, bottom), (left, right) = ((0, 0), *found.intervals)[-2:]
    box = (top, left, bottom, right)
    heat = HeatMap(found.model, found.at, found.density, (middle[0], middle[1]), box, found.sides)
    plot_effective_field(heat, path)


def _unclipped(
    row: FieldRow, place: Sequence[int]
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """First and last index as if the input had no border; None where there is no single field."""
    if row.smallest != row.receptive_field:
        return None
    first, last = [], []
    axes = (place, row.receptive_field, row.effective_stride, row.effective_padding)
    for index, side, step, padding in zip(*axes, strict=True):
        if side is None or step is None or padding is None:
            return None
        first.append(index * step - padding)
        last.append(index * step - padding + side - 1)
    return tuple(first), tuple(last)
