"""How others count: one record a convention, with what it counts and what it prints to.

`sources` says which tool, page or paper goes by which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from archstat.result import Report

# The only source that prints bytes divides them by 1024 twice, and writes MB.
SCALES = {"count": 1, "px": 1, "K": 10**3, "M": 10**6, "G": 10**9, "MB": 2**20}


@dataclass(frozen=True, slots=True)
class Convention:
    """How a source counts (`measure`) and prints.

    `decimals` is what the source prints to where it drops trailing zeros. With a `ceiling` the
    figure may lie anywhere from the measure to there: the source counts more than archstat's
    macs, and how much more is its own affair.
    """

    meaning: str
    measure: Callable[[Report], int]
    printed: Literal["rounded", "truncated"] = "rounded"
    decimals: int | None = None
    ceiling: Callable[[Report], int] | None = None

    def agrees(self, report: Report, value: str, unit: str) -> bool:
        """Whether a figure as printed is what this convention gives for a network."""
        figure, step = Fraction(value) * SCALES[unit], self._step(value, unit)
        measured = self.measure(report)
        if self.ceiling is not None:
            return measured - step / 2 <= figure <= self.ceiling(report) + step / 2
        if self.printed == "truncated":
            return figure <= measured < figure + step
        return abs(measured - figure) <= step / 2

    def _step(self, value: str, unit: str) -> Fraction:
        """One of the last digit that is printed."""
        decimals = len(value.partition(".")[2]) if self.decimals is None else self.decimals
        return SCALES[unit] * Fraction(10) ** -decimals
