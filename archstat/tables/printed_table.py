"""Somebody's table of models, read: which column says what, and what each of its cells prints."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from archstat.analyses.conventions import Printable
from archstat.analyses.conventions.printed import (
    Printed,
    has_decimal_comma,
    parse_cell,
    tidied,
)
from archstat.errors import ArchstatError, Option, SpecError
from archstat.files import read_regular
from archstat.hints import did_you_mean

# What a column may say, each with what its head looks like.
_HEADS: Mapping[str, str] = {
    "spec": r"spec",
    "source": r"source",
    "quantity": r"quantity|metric|label.*",
    "figure": r"figure|published|value.*",
    "unit": r"units?",
    "params": r".*(?:param|#\s*p\b).*",
    "activations": r".*\b_*(?:acts?|activations?)\b.*",
    "macs": r".*(?:macs?\b|m(?:ult)?-?adds?|multiply).*",
    "flops": r".*(?:flop|\b[kmgbt]?ops\b).*",
    "input": r"(?:input|resolution|image|img|crop|size)\b.*",
    "model": r".*\b(?:model|network|name|arch\w*|backbone|net|method|config|weight)s?\b.*",
}
_QUANTITIES: tuple[Printable, ...] = ("params", "activations", "macs", "flops")
_UNITS = {"thousand": "k", "million": "m", "billion": "g", "b": "g"}
_UNIT = re.compile(
    r"(?<![a-z])(k|m|g|b|t|thousand|million|billion)s?"
    r"(?=[)\]\s,_@]|$|_?(?:param|flop|macs?\b|ops|act))"
)
_POWERS = {"3": "k", "6": "m", "9": "g", "12": "t"}
_DELIMITERS = ";\t|,"
_MOST_HEADS = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """A figure of a row; `has_unit` tells whether the cell or its column names a unit."""

    column: str
    quantity: Printable
    printed: Printed
    has_unit: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A row of somebody's table: its line in the file, whose it is, its model and its figures."""

    line: int
    source: str
    model: str
    spec: str
    input: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """The rows that have a model, and the cells that are no figures, in words."""

    rows: tuple[Row, ...]
    unread: tuple[str, ...]


def text_of(origin: str) -> str:
    """The text of a file, of standard input where that is ``-``.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        content = sys.stdin.buffer.read() if origin == "-" else read_regular(Path(origin))
    except OSError as error:
        raise SpecError(f"{origin} cannot be read: {error.strerror or error}.") from error
    marks = (b"\xff\xfe", b"\xfe\xff")
    encodings = ("utf-16",) if content.startswith(marks) else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise SpecError(f"{origin} is not text: give a table in csv.")


def printed_table(text: str, named: Mapping[str, str] | None = None) -> PrintedTable:
    """Read a table in csv (comma, semicolon, tab) or markdown; `named` maps words to its heads.

    Raises:
        SpecError: it is empty, or has no column of models or of figures, or `named` a column that
            is not there.
    """
    lines = list(_cells(text.removeprefix("\ufeff").replace("\0", "")))
    if not lines:
        raise SpecError("the table is empty: give one with a header and a row per model.")
    start, heads, columns = _head(lines, named or {})
    body = [(line, cells) for line, cells in lines[start:] if len(cells) > columns["model"]]
    reader = _Reader(heads, columns, body)
    rows = [row for line, cells in body if (row := reader.row(line, cells)) is not None]
    if not any(row.entries for row in rows):
        raise SpecError("the table has no figure: no cell of its columns reads as a number.")
    return PrintedTable(tuple(rows), tuple(reader.unread))


def _cells(text: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that is not blank, with the line's number."""
    head = next((line for line in text.splitlines() if {*_DELIMITERS} & {*line}), "")
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if delimiter == "|" and cells and not cells[0]:
                cells = cells[1:]
            rule = all(re.fullmatch(r"[-:=\s]*", cell) for cell in cells)
            if not rule:
                yield reader.line_num, cells
    except csv.Error as error:
        raise SpecError(f"line {reader.line_num} of the table is not csv: {error}.") from error


# -- heads -----------------------------------------------------------------------------------------


def _head(
    lines: Sequence[tuple[int, list[str]]], named: Mapping[str, str]
) -> tuple[int, list[str], dict[str, int]]:
    """Where the body begins, the heads, and the number of the column of each word.

    A head may be of two lines, the second of which holds units or the columns under a group.
    """
    refused: SpecError | None = None
    for start in range(min(_MOST_HEADS, len(lines))):
        top = lines[start][1]
        below = lines[start + 1][1] if start + 1 < len(lines) else []
        for height, heads in ((1, top), (2, _merged(top, below))):
            try:
                columns = _columns(heads, named)
            except SpecError as error:
                refused = refused or error
                continue
            model = below[columns["model"]] if columns["model"] < len(below) else ""
            if height == 1 and any(below) and not model:
                continue  # units or single columns under the heads
            return start + height, heads, columns
    assert refused is not None
    raise refused


def _merged(top: Sequence[str], below: Sequence[str]) -> list[str]:
    """Two lines of heads as one: a group's head stands over all its columns."""
    width = max(len(top), len(below))
    above, group = [], ""
    for cell in (*top, *[""] * (width - len(top))):
        group = cell or group
        above.append(group)
    under = (*below, *[""] * (width - len(below)))
    return [f"{one} {two}".strip() for one, two in zip(above, under, strict=True)]


def _columns(heads: Sequence[str], named: Mapping[str, str]) -> dict[str, int]:
    for word in named:
        if word not in _HEADS:
            known = ", ".join(_HEADS)
            raise SpecError(f"{Option('map', word)}: no such word.{did_you_mean(word, _HEADS)} "
                            f"Known: {known}.")  # fmt: skip
    columns = {word: _column(heads, head) for word, head in named.items()}
    for word, looks in _HEADS.items():
        for number, head in enumerate(heads):
            plain = re.sub(r"[_\s]+", " ", tidied(head)).lower()
            taken = word in columns or number in columns.values()
            if not taken and re.fullmatch(looks, plain):
                columns[word] = number
    if {"quantity", "figure"} <= columns.keys():
        # A line a figure: other columns of figures are somebody's remarks.
        columns = {
            word: n for word, n in columns.items() if word in named or word not in _QUANTITIES
        }
    shown = ", ".join(repr(head) for head in heads if head) or "none"
    if "model" not in columns:
        if "spec" not in columns:
            raise SpecError(
                f"no column of models among {shown}: name it, {Option('map', 'model=NAME')}."
            )
        columns["model"] = columns["spec"]
    if not columns.keys() & {*get_args(Printable), "figure"}:
        raise SpecError(
            f"there is no column of figures among {shown}; name one: {Option('map', 'flops=NAME')}."
        )
    return columns


def _column(heads: Sequence[str], name: str) -> int:
    wanted = [n for n, head in enumerate(heads) if head.casefold() == name.strip().casefold()]
    if not wanted:
        raise SpecError(f"the table has no column {name!r}.{did_you_mean(name, heads)} "
                        f"It has: {', '.join(filter(None, heads))}.")  # fmt: skip
    return wanted[0]


def unit_in(head: str) -> str:
    """The unit that a head names: k, m, g or t, empty for none."""
    plain = tidied(head).lower()
    power = re.search(r"(?:10\^?|1e)(3|6|9|12)\b", plain)
    if power:
        return _POWERS[power[1]]
    found = _UNIT.search(plain.replace("_", " "))
    return _UNITS.get(found[1], found[1]) if found else ""


def quantity_in(head: str) -> Printable | None:
    """What a head calls its figures."""
    plain = re.sub(r"[_\s]+", " ", tidied(head)).lower()
    return next((q for q in _QUANTITIES if re.fullmatch(_HEADS[q], plain)), None)


# -- cells -----------------------------------------------------------------------------------------


class _Reader:
    """Reads rows; `unread` collects the cells that are no figures."""

    def __init__(
        self, heads: Sequence[str], columns: Mapping[str, int],
        body: Iterable[tuple[int, Sequence[str]]],
    ) -> None:  # fmt: skip
        self.heads, self.columns = heads, columns
        self.unread: list[str] = []
        self._figures = _figure_columns(heads, columns)
        self._commas = {
            number for _, cells in body for number, cell in enumerate(cells)
            if has_decimal_comma(tidied(cell))
        }  # fmt: skip

    def row(self, line: int, cells: Sequence[str]) -> Row | None:
        """A row, None where it names no model, as a line between groups does."""

        def cell(word: str) -> str:
            number = self.columns.get(word)
            return cells[number] if number is not None and number < len(cells) else ""

        model = tidied(re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", cell("model")))
        if not model:
            return None
        entries = tuple(self._entries(line, cells, cell("quantity"), cell("unit")))
        return Row(line, cell("source"), model, cell("spec"), _input(cell("input")), entries)

    def _entries(
        self, line: int, cells: Sequence[str], quantity: str, unit: str
    ) -> Iterator[Entry]:
        said = quantity_in(quantity)
        for number, quantity_said in self._figures.items():
            text = tidied(cells[number]) if number < len(cells) else ""
            counted = quantity_said or said
            if not text or counted is None:
                continue
            head = self.heads[number]
            own = unit_in(head) if quantity_said else unit_in(unit) or unit_in(quantity)
            try:
                printed = parse_cell(text, own, number in self._commas)
            except ArchstatError:
                self.unread.append(f"line {line}, {head}: {text!r}")
                continue
            named = bool(own) or re.search("[a-z]", text, re.IGNORECASE) is not None
            column = head if quantity_said else quantity
            yield Entry(column, counted, printed, named or unit == "count")


def _figure_columns(
    heads: Sequence[str], columns: Mapping[str, int]
) -> dict[int, Printable | None]:
    """The columns of figures and what they count; None where each line says so itself."""
    if {"quantity", "figure"} <= columns.keys():
        found: dict[int, Printable | None] = {columns["figure"]: None}
    else:
        free = [n for n in range(len(heads)) if n not in columns.values()]
        found = {n: quantity for n in free if (quantity := quantity_in(heads[n]))}
    return {**{columns[word]: word for word in _QUANTITIES if word in columns}, **found}


def _input(text: str) -> str:
    """A shape without the batch, as ``224``, ``224 x 224x3`` or ``1x3x224x224`` say it."""
    sizes = re.split(r"\s*[x\u00d7*,]\s*", tidied(text).lower())
    if not all(size.isdecimal() for size in sizes):
        return ""
    if len(sizes) == 1:
        sizes *= 2
    if len(sizes) == 2:
        sizes = ["3", *sizes]
    if len(sizes) == 3 and int(sizes[2]) < int(sizes[0]):
        sizes = [sizes[2], *sizes[:2]]  # channels last
    return "x".join(sizes[-3:])
