"""Rules: what a text states, in which unit, and what is no rule."""

from __future__ import annotations

from fractions import Fraction
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.analyses import COLUMNS
from archstat.budgets.rules import (
    FURTHER_COLUMNS,
    GROWING_KEYS,
    OPERATORS,
    RULE_COLUMNS,
    parse_increase,
    parse_rule,
)
from archstat.errors import SpecError


@pytest.mark.parametrize(
    ("key", "text", "operator", "limit"),
    [
        ("params", "<= 5.3M", "<=", 5_300_000),
        ("params", "== 5288548", "==", 5_288_548),
        ("params", "==5288548", "==", 5_288_548),
        ("macs", " <  400 M ", "<", 400 * 10**6),
        ("macs", "<= 1.23456789k", "<=", None),
        ("flops", "> 2G", ">", 2 * 10**9),
        ("param_bytes", "<= 20MiB", "<=", 20 * 2**20),
        ("param_bytes", "<= 20 MB", "<=", 20 * 10**6),
        ("param_bytes", "<= 0.5KiB", "<=", 512),
        ("receptive_field", ">= 224", ">=", 224),
        ("effective_stride", "<= 0.5", "<=", Fraction(1, 2)),
        ("depth", "<= 50", "<=", 50),
        ("unknown_ops", "== 0", "==", 0),
    ],
)
def test_rule_is_read_exactly(key, text, operator, limit):
    if limit is None:
        with pytest.raises(SpecError, match="not a whole number"):
            parse_rule(key, text)
        return
    rule = parse_rule(key, text, 7)
    assert (rule.key, rule.operator, rule.limit, rule.line) == (key, operator, limit, 7)
    assert type(rule.limit) is type(limit)


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("params", "5.3M", 'write params = "<= 5.3M"'),
        ("params", "=< 5M", "is not a rule"),
        ("params", "!= 5M", "is not a rule"),
        ("params", "<=", "is not a count"),
        ("params", "<= -5", "is not a count"),
        ("params", "<= 5 apples", "known units: k, K, M, G, T"),
        ("params", "<= 20MiB", "is not a count"),
        ("param_bytes", "<= 20M", "a byte unit"),
        ("param_bytes", "<= 20", "a byte unit"),
        ("receptive_field", ">= 224px", "is not a count"),
        *(("latency_ms", f"<= {text}", "is not a count") for text in (".", "5..", "1.2.3", ".ms")),
        ("params", "<= " + "9" * 100, "too long"),
        ("params", "<= 0.5", "not a whole number"),
        ("global_from", "== pool", "is text"),
        ("parms", "<= 5M", "Did you mean params"),
        ("qqq", "<= 5M", "Columns: params,"),
    ],
)
def test_what_is_no_rule_says_what_would_be(key, text, said):
    with pytest.raises(SpecError) as caught:
        parse_rule(key, text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "share"), [("1%", Fraction(1, 100)), ("0%", 0), (" 2.5 % ", Fraction(1, 40))]
)
def test_increase_is_a_share(text, share):
    rule = parse_increase("params", text)
    assert (rule.limit, rule.relative, rule.operator) == (share, True, "<=")


@pytest.mark.parametrize("text", ["1", "-1%", "1%%", "%", "", "\u0661%", "1e3%"])
def test_other_increases_are_refused(text):
    with pytest.raises(SpecError, match="is not a percentage"):
        parse_increase("params", text)


def test_increase_of_what_is_better_when_larger_is_refused():
    with pytest.raises(SpecError, match="receptive_field has no max_increase"):
        parse_increase("receptive_field", "1%")
    assert "receptive_field" not in GROWING_KEYS


def test_every_column_of_numbers_can_have_a_rule():
    counted = [c.key for c in COLUMNS if c.unit != "text"]
    assert [c.key for c in RULE_COLUMNS] == [*counted, *(c.key for c in FURTHER_COLUMNS)]
    for column in RULE_COLUMNS:
        unit = "B" if column.unit == "bytes" else ""
        assert parse_rule(column.key, f"<= 7{unit}").limit == 7


@pytest.mark.parametrize(
    ("operator", "cell", "value"),
    [
        (">=", (300, 200), 200),
        (">", (300, 200), 200),
        ("<=", (300, 200), 300),
        ("<", (300, 200), 300),
        (">=", (None, 200), 200),
        (">=", (None, None), inf),
        ("<=", (None, 200), inf),
        ("==", (224, 200), 200),
        ("==", (224, 224), 224),
        (">=", None, None),
        (">=", 7, 7),
    ],
)
def test_axis_that_keeps_a_rule_least_is_the_one_that_counts(operator, cell, value):
    assert parse_rule("receptive_field", f"{operator} 224").measured(cell) == value


@given(st.sampled_from([c.key for c in COLUMNS] + ["", "x"]), st.text(max_size=80))
def test_no_text_of_a_rule_gives_anything_but_an_own_error(key, text):
    for parse in (parse_rule, parse_increase):
        try:
            rule = parse(key, text)
        except SpecError as error:
            assert str(error)
        else:
            assert rule.operator in OPERATORS
            assert rule.limit >= 0


@given(
    st.sampled_from(OPERATORS),
    st.text("0123456789.", max_size=30),
    st.sampled_from(["", "k", "M", "KiB", "MB", "%", "Q"]),
    st.sampled_from(["params", "param_bytes", "effective_stride"]),
)
def test_texts_near_a_rule_are_read_exactly_or_refused(operator, number, unit, key):
    try:
        rule = parse_rule(key, f"{operator} {number}{unit}")
    except SpecError:
        return
    factor = {"": 1, "k": 1000, "M": 10**6, "KiB": 1024, "MB": 10**6}[unit]
    assert rule.limit == Fraction(number) * factor


@given(st.integers(0, 10**30), st.integers(0, 10**30))
def test_comparison_is_exact_whatever_the_size(number, limit):
    rules = {sign: parse_rule("macs", f"{sign} {limit}") for sign in OPERATORS}
    allowed = {sign: rule.allows(number, rule.limit) for sign, rule in rules.items()}
    assert allowed == {
        "<=": number <= limit,
        "<": number < limit,
        ">=": number >= limit,
        ">": number > limit,
        "==": number == limit,
    }


@pytest.mark.parametrize("unit", ["k", "K", "M", "G", "T"])
@pytest.mark.parametrize(
    "key", ["receptive_field", "effective_stride", "depth", "unknown_ops", "arithmetic_intensity"]
)
def test_plain_number_has_no_unit(key, unit):
    with pytest.raises(SpecError, match="is a plain number"):
        parse_rule(key, f"<= 5{unit}")
    assert parse_rule(key, "<= 5").limit == 5
