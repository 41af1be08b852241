"""Checks that every family makes of its options before it builds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from archstat.errors import OptionError


def positive(name: str, value: int) -> None:
    """Refuse a count (of classes, channels, groups) that is not a whole number from 1 up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(
            f"{name}={value!r} is impossible: expected a whole number of at least 1; "
            f"give one, or leave {name} out for its default."
        )


def positive_factor(name: str, value: float) -> None:
    """Refuse a multiplier that is not a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise OptionError(
            f"{name}={value!r} is impossible: expected a finite number above 0; "
            f"give one, or leave {name} out for its default."
        )


def one_of(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a value that is none of the choices; 1, 1.0 and True are three values."""
    if (type(value), value) not in [(type(choice), choice) for choice in choices]:
        expected = " or ".join(repr(choice) for choice in choices)
        raise OptionError(
            f"{name}={value!r} is unknown: expected {expected}; "
            f"give one of these, or leave {name} out for its default."
        )


def odd(name: str, value: int) -> None:
    """Refuse the side of a window that has no centre."""
    positive(name, value)
    if value % 2 == 0:
        raise OptionError(
            f"{name}={value} is impossible: an even window has no centre, and would shift the "
            f"map; give {name}={value + 1} or {name}={value - 1}."
        )


def divides(name: str, value: int, whole: int, what: str) -> None:
    """Refuse a count that does not divide `whole` (`what`: a plural, such as input channels)."""
    positive(name, value)
    if whole % value:
        raise OptionError(
            f"{name}={value} does not divide the {whole} {what}: "
            f"give a divisor of {whole}, or leave {name} out for its default."
        )
