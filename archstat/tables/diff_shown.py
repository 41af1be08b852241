"""Differences for a reader: a table of totals, and one of the layers that make the difference."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from archstat.analyses.alignment import Change, Layer
from archstat.differences.difference import Difference
from archstat.result import Cell, Column, Number, Table, notes_of
from archstat.tables.diff import chosen_columns, remarks, table_of_differences, with_texts

_ROOT = "(root)"
USUAL = ("params", "macs")
_SENTENCES = {"added": "is new", "removed": "is gone"}


TOTAL_COLUMNS = (
    Column("total", "text", "key of the column"),
    Column("before", "figure", "its total before"),
    Column("after", "figure", "its total after"),
    Column("change", "figure", "after less before"),
    Column("relative", "figure", "the change relative to the value before"),
)


def views(
    differences: Sequence[Difference], keys: Sequence[str] | None = None, top: int | None = None,
    texts: Sequence[str] = (),
) -> tuple[Table, ...]:  # fmt: skip
    """The table of totals, and that of layers where any layer differs.

    `keys` are the figures, and `texts` those of the other columns that are shown: all by default.
    """
    totals, layers = totals_table(differences, keys or None), layers_table(differences, keys, top)
    totals, layers = with_texts(totals, texts), with_texts(layers, texts)
    if layers.rows:
        return totals, layers
    known = any(d.before and d.after and d.before.layers and d.after.layers for d in differences)
    notes = (*notes_of(["No layer differs."] if known else []), *layers.notes)
    if totals.rows:
        return (replace(totals, notes=notes),)
    return (replace(totals, notes=(*notes_of(["No model differs."]), *layers.notes)),)


def totals_table(differences: Sequence[Difference], keys: Sequence[str] | None = None) -> Table:
    """A row a figure: before, after and the change; of several models those that differ."""
    several = len(differences) > 1
    shown = [d for d in differences if not several or d.status != "same"]
    rows: list[tuple[Cell, ...]] = []
    for difference in shown:
        for row in _total_lines(difference, keys, only_changed=several):
            rows.append((difference.some.name, *row) if several else row)
    columns = (
        *((Column("model", "text", "the model"),) if several else ()),
        *TOTAL_COLUMNS,
    )
    return table_of_differences(differences, columns, rows, ())


def layers_table(
    differences: Sequence[Difference], keys: Sequence[str] | None = None, top: int | None = None
) -> Table:
    """A row for each layer that differs, with its change and its share of the whole change.

    Layers that only moved with their parent stand in one row. `top` keeps the largest changes of
    each model.
    """
    several = len(differences) > 1
    figures = chosen_columns(USUAL if keys is None else [*keys])
    additive = frozenset[str]().union(*(difference.additive for difference in differences))
    figures = tuple(column for column in figures if column.key in additive)
    rows: list[tuple[Cell, ...]] = []
    said: list[str] = []
    for difference in differences:
        if several and difference.status in _SENTENCES:
            said.append(f"{difference.some.name} {_SENTENCES[difference.status]}.")
        lines = list(_layer_lines(difference, figures))
        if top is not None and len(lines) > top:
            said.append(f"{difference.some.name}: {len(lines) - top} smaller changes not shown.")
        for line in lines[:top]:
            rows.append((difference.some.name, *line) if several else line)
    columns = (
        *((Column("model", "text", "the model"),) if several else ()),
        Column("status", "text", "changed, added, removed or renamed"),
        Column("layer", "text", "path of the layer"),
        Column("type", "text", "class of the layer"),
        Column("structure", "text", "how its shapes differ"),
        *(part for column in figures for part in _change_and_share(column)),
    )
    notes = (*remarks(differences), *notes_of(said))
    table = table_of_differences(differences, columns, rows, notes)
    kept = ("model", "layer", "status", *(f"{one.key}_change" for one in figures), "structure")
    return replace(table, needed=kept)


def _change_and_share(column: Column) -> Iterator[Column]:
    yield Column(f"{column.key}_change", "figure", f"{column.key} after minus before")
    yield Column(f"{column.key}_share", "share", f"the layer's part of the change of {column.key}")


def _total_lines(
    difference: Difference, keys: Sequence[str] | None, only_changed: bool
) -> Iterator[tuple[Cell, ...]]:
    before, after = difference.before, difference.after
    if not only_changed:
        sides = (before, after)
        yield ("model", *(side.name if side else None for side in sides), None, None)
        inputs = [(side.input or None) if side else None for side in sides]
        same = "same" if all(inputs) and difference.input_is_same else None
        yield ("input", *inputs, same, None)
    for column in difference.columns:
        was, now = difference.was(column.key), difference.now(column.key)
        if (keys is not None and column.key not in keys) or (only_changed and was == now):
            continue
        shown = _pair(difference, column)
        yield (column.key, *shown, *_moved(column, difference, was))


def _pair(difference: Difference, column: Column) -> tuple[str, str]:
    """Both totals as text, in full where rounding would hide that they differ."""
    cells = (difference.was(column.key), difference.now(column.key))
    sides = (difference.before, difference.after)
    before, after = (
        column.format(cell, bool(side and column.key in side.bounds))
        for cell, side in zip(cells, sides, strict=True)
    )
    if before == after and cells[0] != cells[1]:
        return _in_full(cells[0]), _in_full(cells[1])
    return before, after


def _in_full(cell: Cell) -> str:
    return f"{cell:,}" if isinstance(cell, (int, float)) else str(cell)


def _moved(column: Column, difference: Difference, was: Cell) -> tuple[str | None, str | None]:
    change, now = difference.of(column.key), difference.now(column.key)
    if isinstance(was, tuple) and isinstance(now, tuple) and was != now:
        return _by_axis(was, now), None
    if change is None and (was != now or not isinstance(was, str | tuple)):
        return None, None
    if not change:
        return "same", None
    relative = f"{100 * change / was:+.1f}%" if was and isinstance(was, (int, float)) else None
    if relative in ("+0.0%", "-0.0%") and isinstance(was, (int, float)):
        relative = f"{100 * change / was:+.1g}%"
    return signed(column, change), relative


def _by_axis(was: Sequence[float | None], now: Sequence[float | None]) -> str | None:
    """The change along each axis: ``+464x+464``; None where an axis sees everything."""
    if len(was) != len(now) or None in (*was, *now):
        return None
    return "x".join(f"{after - before:+g}" for before, after in zip(was, now, strict=True)
                    if before is not None and after is not None)  # fmt: skip


def signed(column: Column, change: Number) -> str:
    """A change with its sign: ``+1.05 M``, ``-512 B``; ``0`` without one."""
    text = column.format(change)
    return f"+{text}" if change > 0 else text


def _layer_lines(difference: Difference, columns: Sequence[Column]) -> Iterator[tuple[Cell, ...]]:
    moves: dict[Hashable, list[tuple[str, str, Change]]] = {}
    for change in difference.changes:
        if change.status == "renamed" and change.before and change.after:
            old, new = _roots(change.before.path, change.after.path)
            moves.setdefault(_shift(old, new), []).append((old, new, change))
            continue
        figures: list[Cell] = []
        for column in columns:
            moved = difference.moved(change, column.key)
            text = None if moved is None else signed(column, moved)
            figures += [text, difference.share(change, column.key)]
        yield (change.status, _path(change), _type(change), _structure(change), *figures)
    for found in moves.values():
        olds, news = (list(dict.fromkeys(side)) for side in list(zip(*found, strict=True))[:2])
        kind = _type(found[0][2]) if len(found) == 1 else f"{len(found)} layers"
        yield ("renamed", f"{_span(olds)} -> {_span(news)}", kind, *[None] * (2 * len(columns) + 1))


def _shift(old: str, new: str) -> Hashable:
    """What layers that moved together have in common: their parents, or how far they moved."""
    parent, _, before = old.rpartition(".")
    after = new.rpartition(".")[2]
    if new.rpartition(".")[0] == parent and before.isdigit() and after.isdigit():
        return parent, int(after) - int(before)
    return old, new


def _span(paths: list[str]) -> str:
    """One path, or the first and the last of those that moved together."""
    first, last = paths[0] or _ROOT, paths[-1].rpartition(".")[2]
    return first if len(paths) == 1 else f"{first}..{last}"


def _roots(before: str, after: str) -> tuple[str, str]:
    """What differs of two paths: without the names that they end on alike."""
    old, new = before.split(".") if before else [], after.split(".") if after else []
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    return ".".join(old), ".".join(new)


def _path(change: Change) -> str:
    paths = [side.path or _ROOT for side in (change.before, change.after) if side]
    return " -> ".join(dict.fromkeys(paths))


def _type(change: Change) -> str:
    return " -> ".join(dict.fromkeys(s.type for s in (change.before, change.after) if s))


def _structure(change: Change) -> str | None:
    if change.before and change.after:
        return _changed_parts(change.before, change.after) or None
    layer = change.before or change.after
    return ", ".join(f"{name} {text}" for name, text in layer.parts) if layer else None


def _changed_parts(before: Layer, after: Layer) -> str:
    old, new = dict(before.parts), dict(after.parts)
    return ", ".join(
        f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )
