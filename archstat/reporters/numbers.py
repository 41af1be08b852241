"""Numbers for papers: a unit for a whole column, and enough digits for its smallest cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10

from archstat.errors import OutputError
from archstat.result import Cell, Column
from archstat.units import BYTE_UNITS, COUNT_UNITS

_CHOICES: Mapping[str, tuple[tuple[str, int], ...]] = {
    "count": (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)),
    "bytes": (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)),
}
_BASE = {"bytes": ("B", 1.0), "share": ("%", 0.01), "ms": ("ms", 1.0)}
_DIGITS, _DECIMALS = 3, 2
_MOST_DIGITS, _MOST_DECIMALS = 15, 6


@dataclass(frozen=True, slots=True)
class Style:
    """How a table for a paper is written; what is None is left to the format.

    `digits` is the least number of significant digits in a cell. `units` are those of whole
    columns: one of k, M, G, T for counts, one such as MB or MiB for bytes.

    Raises:
        OutputError: digits below 1 or above 15, a unit that nothing is counted in, or a label with
            signs that LaTeX reads as its own.
    """

    digits: int | None = None
    units: tuple[str, ...] = ()
    caption: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.digits is not None and self.digits not in range(1, _MOST_DIGITS + 1):
            raise OutputError(f"digits {self.digits!r}: give a number from 1 to {_MOST_DIGITS}.")
        known = [*filter(None, COUNT_UNITS), *BYTE_UNITS]
        for unit in self.units:
            if unit not in known:
                raise OutputError(f"unit {unit!r} is not one of {', '.join(known)}.")
        if self.label is not None and not {*"{}\\%#~^&$"}.isdisjoint(self.label):
            raise OutputError(
                f"label {self.label!r}: LaTeX takes letters, digits and - : _ . in it."
            )

    def check(self, columns: Sequence[Column]) -> None:
        """Refuse a style that would change nothing.

        Raises:
            OutputError: digits without numbers, or a unit that no column is counted in.
        """
        kinds = {column.unit for column in columns}
        if self.digits is not None and kinds <= {"text", "figure", "pixels"}:
            raise OutputError("digits: this table has no numbers to round.")
        for unit in self.units:
            kind = "count" if unit in COUNT_UNITS else "bytes"
            if kind not in kinds:
                what = "counts" if kind == "count" else "bytes"
                raise OutputError(f"unit {unit}: this table has no column of {what}.")

    def unit_of(self, column: Column) -> tuple[str, int] | None:
        """The unit that was asked for in such a column, and what it stands for."""
        known = {"count": COUNT_UNITS, "bytes": BYTE_UNITS}.get(column.unit, {})
        return next(((unit, known[unit]) for unit in self.units if unit in known), None)


PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Scale:
    """How the numbers of a column are written: over `factor`, on so many decimals."""

    unit: str
    factor: float
    decimals: int

    def text(self, number: float) -> str:
        """The number without its unit; one that would round to zero is told from zero."""
        text = f"{number / self.factor:.{self.decimals}f}"
        if float(text):
            return text
        return f"<{10**-self.decimals:.{self.decimals}f}" if number else "0"


def scale_of(column: Column, cells: Iterable[Cell], style: Style = PLAIN) -> Scale:
    """The scale on which the smallest number that is not zero keeps its digits.

    Its unit is the largest that leaves this number no more than one zero behind the point.
    """
    numbers = [cell for cell in cells if isinstance(cell, (int, float)) and isfinite(cell)]
    sizes = [abs(number) for number in numbers if number]
    unit, factor = style.unit_of(column) or _fitting(column, sizes)
    if factor == 1 and all(isinstance(number, int) for number in numbers):
        return Scale(unit, 1, 0)
    digits = style.digits or _DIGITS
    least = 0 if style.digits else 1 if column.unit == "share" else _DECIMALS
    most = max(_DECIMALS, digits - 1) if column.unit == "share" else max(_MOST_DECIMALS, digits)
    wanted = digits - 1 - floor(log10(min(sizes) / factor)) if sizes else 0
    return Scale(unit, factor, min(max(least, wanted), most))


def _fitting(column: Column, sizes: list[float]) -> tuple[str, float]:
    for unit, factor in _CHOICES.get(column.unit, ()):
        if sizes and max(sizes) >= factor and min(sizes) >= factor / 10:
            return unit, factor
    return _BASE.get(column.unit, ("", 1.0))
