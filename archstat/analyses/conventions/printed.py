"""A figure as somebody printed it: its digits, its unit, and what could have been printed so."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from archstat.errors import SpecError

_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_FIGURE = re.compile(
    r"(?P<digits>[0-9]{1,3}(?:[, ][0-9]{3})+|[0-9]+)(?:\.(?P<decimals>[0-9]+))?"
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

    @property
    def digits(self) -> str:
        """Its significant digits, without the zeros before them."""
        return str(int(self.value / self.step))

    def times(self, scale: int) -> Printed:
        """The same digits in a unit so many times as large."""
        return replace(self, value=self.value * scale, step=self.step * scale)

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
    whole = re.sub("[, ]", "", match["digits"])
    step = Fraction(scale, 10 ** len(decimals))
    return Printed(text.strip(), Fraction(int(whole + decimals)) * step, step)


# What stands before or behind a figure without being part of it.
_ASIDE = re.compile(r"^[~≈=≤≥<>±\s]+|(?:\[[0-9]+\]|[*†‡§¶^\s])+$")
_NOTHING = re.compile(r"(?:n/?a|nan|none|null|tbd|unknown|[-\u2013\u2014?./\s])*", re.IGNORECASE)
_MOST_DIGITS = 6
# 2180000 is 2.18 M written out, 11689512 is a count.
_ROUNDED_ZEROS, _LEAST_DIGITS = 4, 2
_DECIMAL_COMMA = re.compile(r"0,[0-9]|[0-9]+(?:\.[0-9]{3})*,(?:[0-9]{1,2}|[0-9]{4,})(?![0-9])")


def tidied(text: str) -> str:
    """A cell without markup, footnote signs and odd blanks; empty where it holds nothing."""
    plain = unicodedata.normalize("NFKC", re.sub("<[^>]*>|[*_`]{2}|`", " ", text))
    plain = _ASIDE.sub("", plain.strip()).strip()
    return "" if _NOTHING.fullmatch(plain) else plain


def has_decimal_comma(text: str) -> bool:
    """Whether a tidied cell can only be read with a comma for a point."""
    return _DECIMAL_COMMA.match(text) is not None


def parse_cell(text: str, unit: str = "", comma: bool = False) -> Printed:
    """What a tidied cell prints; `unit` is its column's, for a number that has none of its own.

    Seven digits and more are a full count, whatever the column says; zeros at its end are rounding.

    Raises:
        SpecError: it is no figure.
    """
    plain = text.replace(".", "").replace(",", ".") if comma else text
    bare = re.fullmatch(r"[0-9., ]+", plain) is not None
    whole = re.sub(r"[, ]|\..*", "", plain)
    full = len(whole) > _MOST_DIGITS
    printed = replace(parse_printed(plain + unit if bare and not full else plain), text=text)
    zeros = min(len(whole) - len(whole.rstrip("0")), len(whole) - _LEAST_DIGITS)
    is_rounded = full and bare and "." not in plain and zeros >= _ROUNDED_ZEROS
    return replace(printed, step=Fraction(10**zeros)) if is_rounded else printed
