"""The screen: rounded numbers with units, ratios below them, and as many columns as it is wide."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from archstat.errors import Option
from archstat.result import RATIO_SUFFIX, Cell, Column, Note, Table, Tone

_GAP = 2
_NARROWEST_TEXT = 12
# What stands above a column whose key is wider than its figures.
HEADINGS: Mapping[str, str] = {
    "activations": "activ.", "receptive_field": "rf", "smallest_receptive_field": "least rf",
    "effective_stride": "rf stride", "effective_padding": "rf pad", "padding": "pad",
    "dilation": "dil.", "memory_access": "mem access", "memory_access_bytes": "mem access",
    "arithmetic_intensity": "int.", "peak_memory_bytes": "peak", "ideal_peak_bytes": "ideal peak",
    "training_memory_bytes": "training", "gradient_bytes": "gradients",
    "optimizer_bytes": "optimizer", "saved_activation_bytes": "saved",
    "measured_training_bytes": "measured", "measured_peak_bytes": "measured peak",
    "allocated_bytes": "allocated", "reserved_bytes": "reserved", "left_bytes": "left",
    "live_bytes": "alive", "live_param_bytes": "parameters", "live_gathered_bytes": "gathered",
    "live_gradient_bytes": "gradients", "live_optimizer_bytes": "optimizer",
    "live_saved_bytes": "saved", "live_input_bytes": "input", "live_buffer_bytes": "buffers",
    "live_workspace_bytes": "workspace", "live_other_bytes": "other",
    "gathered_bytes": "gathered",
    "inference_reserved_bytes": "inference reserved", "context_bytes": "context",
    "predicted_throughput": "samples/s", "predicted_throughput_low": "at least",
    "predicted_throughput_high": "at most", "predicted_ms": "time/sample",
    "param_bytes": "param bytes", "time_floor_ms": "least time", "time_share": "share",
    "compute_bound_share": "compute-bound", "attainable_flops": "flops/s",
    "archstat_macs": "archstat", "fvcore_macs": "fvcore", "flop_counter_macs": "FlopCounter",
    "batches_per_second": "batches/s", "relative_speed": "speed",
    "relative_speed_gtx1080ti": "on GTX 1080 Ti", "relative_speed_arm": "on ARM",
    "exponent_low": "at least", "exponent_high": "at most", "difference_percent": "off by %",
}  # fmt: skip
_SIGNS: Mapping[Tone, tuple[str, str]] = {
    "good": ("✓", "green"), "bad": ("✗", "red"), "open": ("~", "magenta")
}  # fmt: skip


def to_console(table: Table, width: int | None = None, colour: bool | None = None) -> str:
    """The table as text; by default as wide, and as colourful, as standard output allows.

    The columns that a screen has no room for are named below; the first column is always there.
    """
    from rich.console import Console

    terminal = sys.stdout.isatty()
    if width is None and terminal:
        width = shutil.get_terminal_size().columns
    if colour is None:
        colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    columns = _shown(table)
    cells = {column.key: _lines(table, column) for column in columns}
    room = _room(columns, cells, table.needed, width)
    text = io.StringIO()
    console = Console(
        file=text,
        # A name and the most needed figure are shown on any screen.
        width=max(width, sum(room.values()) + _GAP * (len(room) - 1)) if width else 100_000,
        force_terminal=colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(_rich_table([c for c in columns if c.key in room], cells, room))
    hidden = [column.key for column in columns if column.key not in room]
    choose = f"widen the terminal or use {Option('columns')}"
    said = f"Hidden for width: {', '.join(hidden)} ({choose})."
    notes = (*table.notes, *([Note("note", "", said)] if hidden else ()))
    if notes and notes[0].text:
        console.print()
    for note in notes:
        console.print(note.text, style="dim" if note.topic in ("note", "legend") else "")
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def heading(column: Column) -> str:
    """What stands above a column."""
    return HEADINGS.get(column.key, column.key)


def _shown(table: Table) -> list[Column]:
    """The columns without those ratios that stand below the value they belong to."""
    keys = set(table.keys())
    return [c for c in table.columns if c.key.removesuffix(RATIO_SUFFIX) not in keys - {c.key}]


class _Lines(NamedTuple):
    """A cell with its style, and the ratio below it with its own."""

    value: str
    style: str = ""
    below: str = ""
    style_below: str = ""


_APART = 1.005  # less has no colour


def _lines(table: Table, column: Column) -> list[_Lines]:
    """Each row's cell, and the ratio to print below it."""
    cells = table.column(column.key)
    values = [column.format(cell, (row, column.key) in table.bounds)
              for row, cell in enumerate(cells)]  # fmt: skip
    if column.key == _INPUT and all(map(_ONE_IMAGE.fullmatch, values)):
        values = [value.removeprefix("1x") for value in values]
    lines = [_marked(cell, value) for cell, value in zip(cells, values, strict=True)]
    key = column.key + RATIO_SUFFIX
    if key not in table.keys():  # noqa: SIM118
        return lines
    ratio = table.columns[table.index(key)]
    silent = {row for row, bounded in table.bounds if bounded == column.key}
    if table.reference in silent:
        silent = set(range(len(table)))
    elif table.reference is not None:
        silent.add(table.reference)
    return [
        # What is only a lower bound has no ratio to speak of.
        line
        if cell is None or row in silent
        else line._replace(
            below=ratio.format(cell), style_below="green" if _is_better(column, cell) else ""
        )
        for row, (line, cell) in enumerate(zip(lines, table.column(key), strict=True))
    ]


_INPUT = "input"
_ONE_IMAGE = re.compile("1x[0-9]+(x[0-9]+){2,}")


def _marked(cell: Cell, text: str) -> _Lines:
    tone: Tone | None = getattr(cell, "tone", None)
    if tone is None:
        return _Lines(text)
    sign, style = _SIGNS[tone]
    return _Lines(f"{sign} {text}", style)


def _is_better(column: Column, ratio: Cell) -> bool:
    if not isinstance(ratio, (int, float)):
        return False
    return ratio * _APART <= 1 if column.better == "lower" else (
        column.better == "higher" and ratio >= _APART)  # fmt: skip


def _room(
    columns: Sequence[Column], cells: dict[str, list[_Lines]], needed: Sequence[str],
    width: int | None,
) -> dict[str, int]:  # fmt: skip
    """How wide each column is that has room, by key: the first, and then the most needed.

    A text may be folded to a third of the screen.
    """
    natural = {column.key: _width(column, cells) for column in columns}
    heading_of = {column.key: heading(column) for column in columns}
    if width is None or sum(natural.values()) + _GAP * (len(columns) - 1) <= width:
        return natural
    texts = {column.key for column in columns if column.unit == "text"}
    most = max(_NARROWEST_TEXT, width // 3)
    least = {k: min(size, most) if k in texts else size for k, size in natural.items()}
    room: dict[str, int] = {}
    left = width + _GAP
    order = dict.fromkeys([columns[0].key, *(key for key in needed if key in natural), *natural])
    units = _units(order)
    for unit in units:
        needs = sum(least[key] + _GAP for key in unit)
        if len(room) + len(unit) <= 2 or needs <= left:
            room.update({key: least[key] for key in unit})
            left -= needs
    for unit in units:
        figures = {key: max(len(heading_of[key]), *(len(one.value) for one in cells[key]))
                   for key in unit if key not in room}  # fmt: skip
        needs = sum(figures.values()) + _GAP * len(figures)
        if figures and needs <= left:
            # Better a figure without its ratios than none.
            cells.update({k: [one._replace(below="") for one in cells[k]] for k in figures})
            room.update(figures)
            left -= needs
    for key in room:
        more = max(0, min(natural[key] - room[key], left))
        room[key] += more
        left -= more
    return room


def _units(order: Collection[str]) -> list[tuple[str, ...]]:
    """The keys in their order, the limits of an interval together: one alone tells nothing."""
    units: list[tuple[str, ...]] = []
    taken: set[str] = set()
    for key in (one for one in order if one not in taken):
        other = f"{key.removesuffix('low')}high" if key.endswith("_low") else key
        unit = (key, other) if other in order and other != key else (key,)
        units.append(unit)
        taken.update(unit)
    return units


def _width(column: Column, cells: dict[str, list[_Lines]]) -> int:
    lines = cells[column.key]
    return max([len(heading(column)), *(max(len(one.value), len(one.below)) for one in lines)])


def _broken(text: str, width: int) -> str:
    """A name too long for its column, broken after commas, and where need be after points."""
    if len(text) <= width or " " in text:
        return text
    lines = [""]
    for piece in re.split("(?<=,)", text):
        parts = [piece] if len(piece) <= width else re.split("(?<=[._:/])", piece)
        for part in parts:
            if lines[-1] and len(lines[-1]) + len(part) > width:
                lines.append("")
            lines[-1] += part
    return "\n".join(lines)


def _rich_table(
    columns: Sequence[Column], cells: dict[str, list[_Lines]], room: Mapping[str, int]
) -> object:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    # The box draws one column of the gap itself.
    padding = (0, _GAP - 1, 0, 0)
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=padding)
    for column in columns:
        is_text = column.unit == "text"
        grid.add_column(
            heading(column),
            justify="left" if is_text else "right",
            overflow="fold",
            no_wrap=not is_text,
            max_width=room[column.key],
            header_style="bold",
        )
    for line in zip(*(cells[column.key] for column in columns), strict=True):
        texts = []
        for column, cell in zip(columns, line, strict=True):
            value = _broken(cell.value, room[column.key]) if column.unit == "text" else cell.value
            text = Text(value, style="bold" if column is columns[0] else cell.style)
            if cell.below:
                text.append(f"\n{cell.below}", style=cell.style_below)
            texts.append(text)
        grid.add_row(*texts)
    return grid
