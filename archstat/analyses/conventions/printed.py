"""A figure as somebody printed it: its digits, its unit, and what could have been printed so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from archstat.errors import SpecError

_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_FIGURE = re.compile(
    r"(?P<digits>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.(?P<decimals>[0-9]+))?"
    r"\s*(?P<unit>[kmgbt]?)i?\s*(?:[a-z-]*ops|flops|macs?|params?|parameters|acts?|activations)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Printed:
    """A printed figure; `step` is one of its last digit, both in elements or operations."""

    text: str
    value: Fraction
    step: Fraction

    def shows(self, exact: Fraction | int) -> Literal["", "rounded", "truncated"]:
        """How an exact number would be printed so, empty if it would not."""
        if abs(exact - self.value) <= self.step / 2:
            return "rounded"
        return "truncated" if self.value <= exact < self.value + self.step else ""

    def off_percent(self, exact: Fraction | int) -> float:
        """Per cent by which an exact number is above the figure."""
        return float(100 * (exact - self.value) / self.value) if self.value else 0.0


def parse_printed(text: str) -> Printed:
    """What ``"4.12G"``, ``"4.1 GFLOPs"``, ``"25.6 M"``, ``"8,216 M"`` or ``"61100840"`` prints.

    Raises:
        SpecError: no digits but zeros, or a unit that is none of k, M, G (or B) and T.
    """
    match = _FIGURE.fullmatch(text.strip())
    if match is None or len(text) > 60 or not re.search("[1-9]", text):
        raise SpecError(f"{text!r} is not a printed figure; write it as 4.12G, 25.6M or 61100840.")
    decimals = match["decimals"] or ""
    scale = _SCALES[match["unit"].lower()]
    whole = match["digits"].replace(",", "")
    step = Fraction(scale, 10 ** len(decimals))
    return Printed(text.strip(), Fraction(int(whole + decimals)) * step, step)
