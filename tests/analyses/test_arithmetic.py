"""Integers that remember how they were computed: equal to plain ones, and written as they are."""

from __future__ import annotations

from math import ceil, prod

from hypothesis import given
from hypothesis import strategies as st

from archstat.analyses.arithmetic import Term, written

LEAVES = st.builds(Term, st.integers(1, 9), st.sampled_from("abcd")) | st.integers(0, 9)


def joined(parts):
    left, operator, right = parts
    if operator == "//" and right == 0:
        return left
    if operator == "ceil":
        return -(-left // right) if right and isinstance(left, Term) and left.name else left
    return {"+": left + right, "-": left - right, "*": left * right, "//": left // (right or 1)}[
        operator]  # fmt: skip


OPERATORS = st.sampled_from(["+", "-", "*", "//", "ceil"])
TERMS = st.recursive(
    LEAVES,
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "ceil"]), inner).map(
        joined
    ),
    max_leaves=12,
)


@given(TERMS)
def test_what_is_written_evaluates_to_the_number(term):
    assert eval(written(term, names=False), {"ceil": ceil}) == term


@given(TERMS)
def test_names_stand_where_numbers_do(term):
    formula = written(term, names=True)
    assert not isinstance(term, Term) or len(formula.split()) == len(
        written(term, names=False).split())  # fmt: skip


def test_start_values_of_loops_are_no_part_of_the_formula():
    sides = Term(3, "H"), Term(4, "W")
    assert written(prod(sides), names=True) == "H*W"
    assert written(sum(sides), names=True) == "H + W"


def test_products_are_written_in_groups():
    n, h, w, c = (Term(k, name) for k, name in ((1, "N"), (5, "H"), (6, "W"), (3, "C")))
    assert written(n * prod((h, w)) * prod((c, c)), names=True) == "N * H*W * C*C"
    assert written(2 * (n + h) - (w - c), names=False) == "2 * (1 + 5) - (6 - 3)"


def test_double_negative_quotient_rounds_up():
    size, out = Term(7, "H"), Term(2, "H_out")
    assert written(-(-size // out), names=True) == "ceil(H / H_out)"
    assert -(-size // out) == 4


def test_known_part_goes_by_its_name():
    macs = Term(6, "N") * Term(7, "C")
    assert written(2 * macs + 1, names=True, known={id(macs): "macs"}) == "2 * macs + 1"
    assert written(2 * macs + 1, names=False, known={id(macs): "macs"}) == "2 * 42 + 1"


def test_fraction_makes_a_plain_number():
    assert type(Term(3, "N") * 0.5) is float
