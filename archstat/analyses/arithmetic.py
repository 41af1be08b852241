"""Integers that remember how they were computed, by name and by number.

A count made of `Term` dimensions is the count itself, and its own explanation: whatever function
adds and multiplies them, what it did can be written out afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Operator = Literal["", "+", "-", "*", "//", "neg", "ceil"]

_STRENGTH: Mapping[Operator, int] = {"+": 1, "-": 1, "*": 2, "//": 2, "neg": 3, "ceil": 4, "": 4}


class Term(int):
    """An integer with the operator and the parts that made it, or the name of a dimension.

    It is equal to the plain integer, and behaves as one; sums, differences, products and quotients
    rounded down are Terms again, all else (a product with a fraction) is a plain number.
    """

    name: str
    operator: Operator
    parts: tuple[Term, ...]

    def __new__(
        cls, value: int, name: str = "", operator: Operator = "", parts: tuple[Term, ...] = ()
    ) -> Term:
        """A dimension of a size and a name, or what an operator made of other Terms."""
        term = super().__new__(cls, value)
        term.name, term.operator, term.parts = name, operator, parts
        return term

    def __add__(self, other: int) -> Term:
        return _made("+", self, other)

    def __radd__(self, other: int) -> Term:
        return _made("+", other, self)

    def __sub__(self, other: int) -> Term:
        return _made("-", self, other)

    def __rsub__(self, other: int) -> Term:
        return _made("-", other, self)

    def __mul__(self, other: int) -> Term:
        # As int's own: a float takes over with its own product.
        return _made("*", self, other) if isinstance(other, int) else NotImplemented

    def __rmul__(self, other: int) -> Term:
        return _made("*", other, self)

    def __floordiv__(self, other: int) -> Term:
        return _made("//", self, other)

    def __rfloordiv__(self, other: int) -> Term:
        return _made("//", other, self)

    def __neg__(self) -> Term:
        quotient = self.operator == "//" and self.parts[0].operator == "neg"
        if quotient:  # -(-a // b) rounds up
            return Term(-int(self), "", "ceil", (self.parts[0].parts[0], self.parts[1]))
        return Term(-int(self), "", "neg", (self,))


def _made(operator: Operator, left: int, right: int) -> Term:
    a, b = (side if isinstance(side, Term) else Term(side) for side in (left, right))
    # What a loop starts from is no part of a formula: 0 + x, 1 * x.
    if (operator == "+" and _is_literal(a, 0)) or (operator == "*" and _is_literal(a, 1)):
        return b
    if _is_literal(b, 0 if operator in ("+", "-") else 1):
        return a
    if operator == "*" and (_is_literal(a, 0) or _is_literal(b, 0)):
        return Term(0)
    value = {
        "+": int.__add__, "-": int.__sub__, "*": int.__mul__, "//": int.__floordiv__,
    }[operator](a, b)  # fmt: skip
    return Term(value, "", operator, (a, b))


def _is_literal(term: Term, number: int) -> bool:
    return not term.name and not term.operator and int(term) == number


def written(number: float, *, names: bool, known: Mapping[int, str] | None = None) -> str:
    """A number as it was computed: by the names of its dimensions, or by their sizes.

    Args:
        number: a Term, or a plain number, which is written as it is.
        names: whether dimensions go by name.
        known: parts that are not written out again, by `id`, with the name each goes by.
    """
    if not isinstance(number, Term):
        return str(number)
    if known and id(number) in known:
        return known[id(number)] if names else str(int(number))
    if not number.operator:
        return number.name if names and number.name else str(int(number))
    parts = [written(part, names=names, known=known) for part in number.parts]
    if number.operator == "ceil":
        over, under = map(_within, number.parts, parts, (3, 3))
        return f"ceil({over} / {under})"
    if number.operator == "neg":
        return f"-{_within(number.parts[0], parts[0], 3)}"
    strength = _STRENGTH[number.operator]
    a, b = number.parts
    left, right = _within(a, parts[0], strength), _within(b, parts[1], strength + 1)
    if number.operator == "*":
        # A product of products is written in groups: N * H*W * C_out*C_in.
        left = f"({parts[0]})" if a.operator == "//" else left
        right = parts[1] if b.operator == "*" else right
        return f"{left}*{right}" if not b.operator and _is_chain(a) else f"{left} * {right}"
    return f"{left} {number.operator} {right}"


def _is_chain(term: Term) -> bool:
    """Whether it is one dimension, or a product that dimensions were added to one by one."""
    if not term.operator:
        return True
    return term.operator == "*" and not term.parts[1].operator and _is_chain(term.parts[0])


def _within(term: Term, text: str, strength: int) -> str:
    return f"({text})" if _STRENGTH[term.operator] < strength else text
