"""Budgets of one line: models, rules and settings in any order, and what is none of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.budgets.line import config_of
from archstat.budgets.rules import OPERATORS, Setup
from archstat.errors import SpecError

WORDS = [
    "vgg16",
    "params<=139M",
    "macs <= 16G",
    "mobilenet_v1,width=0.5",
    "batch=2",
    "input=3x64x64",
]


@given(st.permutations(WORDS))
def test_every_rule_is_for_every_model_in_any_order(words):
    config = config_of(words, None, None)
    models = [word for word in words if word in (WORDS[0], WORDS[3])]
    assert [budget.model for budget in config.budgets] == models
    for budget in config.budgets:
        assert {(r.key, r.operator, r.limit) for r in budget.rules} == {
            ("params", "<=", 139 * 10**6), ("macs", "<=", 16 * 10**9),
        }  # fmt: skip
        assert (budget.input, budget.setup, budget.line) == (("3x64x64",), Setup(batch=2), 0)


@given(st.sampled_from(OPERATORS), st.integers(0, 10**9), st.sampled_from(["", " ", "  "]))
def test_rule_is_read_as_in_a_file(operator, limit, blank):
    (budget,) = config_of(["lenet5", f"params{blank}{operator}{blank}{limit}"], None, None).budgets
    assert [(rule.operator, rule.limit) for rule in budget.rules] == [(operator, limit)]


@given(st.lists(st.text(max_size=12), max_size=3))
def test_no_line_gives_a_model_without_a_rule(words):
    try:
        config = config_of(["lenet5", *words], None, None)
    except SpecError:
        return
    assert all(budget.rules for budget in config.budgets)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lenet5"], "has no rule"),
        (["params<=5M"], "name the model"),
        (["lenet5", "params=5M"], "'params<=5M' or 'params==5M'"),
        (["lenet5", "params=<5M"], "write <="),
        (["lenet5", "<=5M"], "no column before it"),
        (["lenet5", "parms<=5M"], "Did you mean params"),
        (["lenet5", "params<=5MiB"], "known units"),
        (["lenet5", "params<=1", "params>=1"], "params has a value already"),
        (["lenet5", "params<=1", "max_increase=1%"], "in a file alone"),
        (["lenet5", "params<=1", "batch=0"], "whole number from 1"),
        (["none", "params<=1"], "no network 'none'"),
    ],
)
def test_mistake_is_named(words, said):
    with pytest.raises(SpecError, match=said):
        config_of(words, None, None)


def test_option_and_setting_of_one_name_are_one_too_many():
    with pytest.raises(SpecError, match="batch has a value already"):
        config_of(["lenet5", "params<=1M", "batch=2"], None, 3)
