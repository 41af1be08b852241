"""``--where 'params<5M'``: the rows of a table whose figures fulfil a condition.

``macs = 380M..420M`` is between both; of figures with a number an axis every axis must fulfil it,
and an axis that sees everything is beyond any number.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from archstat.cli.screen import known_key
from archstat.errors import SpecError
from archstat.result import Cell, Column, Table
from archstat.units import parse_bytes, parse_count

_CONDITION = re.compile(r"\s*([A-Za-z][\w. -]*?)\s*(<=|>=|!=|==|=|<|>)\s*(\S.*)")
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    **{"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    **{"=": operator.eq, "==": operator.eq, "!=": operator.ne},
}
_EXAMPLE = "such as 'params<5M', 'macs = 380M..420M' or 'macs<=600M and depth>18'"


@dataclass(frozen=True, slots=True)
class Condition:
    """A column, how it must stand to a value, and the value."""

    key: str
    holds: Callable[[Any, Any], bool]
    value: Any

    def is_met(self, cell: Cell) -> bool:
        """Whether a cell fulfils it; an empty one does not."""
        if cell is None:
            return False
        if isinstance(cell, tuple):
            return all(self.holds(inf if size is None else size, self.value) for size in cell)
        return self.holds(cell.casefold() if isinstance(cell, str) else cell, self.value)


def conditions(texts: Sequence[str], known: Sequence[Column]) -> list[Condition]:
    """The conditions that texts hold, several in one joined by ``and``.

    Raises:
        SpecError: not ``KEY<VALUE`` with a sign and a value of the column's unit.
        ColumnError: there is no such column.
    """
    return [_condition(part, known) for text in texts for part in re.split(r"\band\b", text)]


def _condition(text: str, known: Sequence[Column]) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise SpecError(f"--where {text.strip()!r} is not a condition; write one {_EXAMPLE}.")
    key, sign, value = known_key(match[1], known), match[2], match[3].strip()
    column = next(column for column in known if column.key == key)
    if column.unit == "text":
        if sign not in ("=", "==", "!="):
            raise SpecError(f"--where: {key} holds text; compare it with = or !=.")
        return Condition(key, _SIGNS[sign], value.casefold())
    try:
        if ".." in value:
            ends = [_value(end.strip(), column.unit) for end in value.split("..", 1)]
            return _between(text, key, sign, ends)
        return Condition(key, _SIGNS[sign], _value(value, column.unit))
    except ValueError:
        raise SpecError(f"--where {text.strip()!r}: {value!r} is not a number.") from None


def _between(text: str, key: str, sign: str, ends: Sequence[float]) -> Condition:
    low, high = ends
    if sign not in ("=", "=="):
        raise SpecError(f"--where {text.strip()!r}: write an interval as {key} = LOW..HIGH.")
    if low > high:
        raise SpecError(
            f"--where {text.strip()!r}: no number lies in it; write the lower end first."
        )
    return Condition(key, lambda cell, ends: bool(ends[0] <= cell <= ends[1]), (low, high))


def _value(text: str, unit: str) -> float:
    if unit == "count":
        return parse_count(text)
    if unit == "bytes":
        return parse_bytes(text)
    return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)


def kept(table: Table, conditions: Sequence[Condition]) -> Table:
    """The rows that fulfil every condition.

    Raises:
        SpecError: none does.
    """
    if not conditions:
        return table
    rows = [
        number
        for number, record in enumerate(table.records())
        if all(one.is_met(record[one.key]) for one in conditions)
    ]
    if not rows:
        raise SpecError("--where leaves no model; loosen a condition.")
    place = {old: new for new, old in enumerate(rows)}
    return replace(
        table,
        rows=tuple(table.rows[number] for number in rows),
        bounds=frozenset((place[row], key) for row, key in table.bounds if row in place),
        reference=place.get(-1 if table.reference is None else table.reference),
    )
