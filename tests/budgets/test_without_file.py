"""Budgets without a file: those of a command line, and a first file of them."""

from __future__ import annotations

import tomllib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.budgets import gate
from archstat.budgets.rules import OPERATORS, Setup
from archstat.budgets.without_file import ROOM, first_budgets, rounded_up
from archstat.budgets.without_file import config_of as typed
from archstat.errors import IncompleteCountError, SpecError
from archstat.models.cache import Graphs
from archstat.units import parse_count

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
    config = typed(words, None, None)
    models = [word for word in words if word in (WORDS[0], WORDS[3])]
    assert [budget.model for budget in config.budgets] == models
    for budget in config.budgets:
        assert {(r.key, r.operator, r.limit) for r in budget.rules} == {
            ("params", "<=", 139 * 10**6), ("macs", "<=", 16 * 10**9),
        }  # fmt: skip
        assert (budget.input, budget.setup, budget.line) == (("3x64x64",), Setup(batch=2), 0)


@given(st.sampled_from(OPERATORS), st.integers(0, 10**9), st.sampled_from(["", " ", "  "]))
def test_rule_is_read_as_in_a_file(operator, limit, blank):
    (budget,) = typed(["lenet5", f"params{blank}{operator}{blank}{limit}"], None, None).budgets
    assert [(rule.operator, rule.limit) for rule in budget.rules] == [(operator, limit)]


@given(st.lists(st.text(max_size=12), max_size=3))
def test_no_line_gives_a_model_without_a_rule(words):
    try:
        config = typed(["lenet5", *words], None, None)
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
        (["lenet5", "params<=1", "params<=2"], "one limit, or one from below and one from above"),
        (["lenet5", "params<=1", "params==1"], "one limit, or one from below and one from above"),
        (["lenet5", "params<=2", "params>=0", "params<1"], "one limit, or one from below"),
        (["lenet5", "params<=1", "name<=2"], "name is a key of budgets, not a column"),
        (["lenet5", "params<=1", "batch<=2"], "batch is a key of budgets, not a column"),
        (["lenet5", "params<=1", "model==2"], "model is a key of budgets, not a column"),
        (["bad.toml"], "`archstat check --config bad.toml` reads a file"),
        (["params<=5M", "sub/a.toml"], "`archstat check --config sub/a.toml` reads a file"),
        (["lenet5", "params<=1", "max_increase=1%"], "only a file of budgets takes"),
        (["lenet5", "params<=1", "batch=0"], "whole number from 1"),
        (["none", "params<=1"], "no network 'none'"),
    ],
)
def test_mistake_is_named(words, said):
    with pytest.raises(SpecError, match=said):
        typed(words, None, None)


def test_limits_from_both_sides_are_two_rules():
    (budget,) = typed(["lenet5", "params<=5M", "macs<1M", "params>=1k"], None, None).budgets
    assert [rule.name for rule in budget.rules] == [
        "params <= 5M", "params >= 1k", "macs < 1M",
    ]  # fmt: skip


def test_option_and_setting_of_one_name_are_one_too_many():
    with pytest.raises(SpecError, match="batch has a value already"):
        typed(["lenet5", "params<=1M", "batch=2"], None, 3)


# -- a first file ----------------------------------------------------------------------------------


@given(st.fractions(0, 10**15))
def test_figure_is_round_and_the_next_one_up(number):
    text = rounded_up(number)
    limit = parse_count(text)
    assert number <= limit <= max(number * Fraction(11, 10), number + 1)
    digits = str(limit).rstrip("0")
    assert len(digits) <= 2 or (len(digits) == 3 and digits[0] == "1" and digits[2] == "5")
    assert len(text.rstrip("kMGT")) <= 4


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (105, "105"), (3_680_116, "3.7M"), (145_300_000, "150M")]
)
def test_figures_that_a_person_would_write(number, text):
    assert rounded_up(number) == text


def test_file_is_kept_today_and_has_room(config_of):
    text = first_budgets(["lenet5", "resnet20_cifar10"], Graphs(None), batch=2)
    config = config_of(text)
    outcome = gate.check(config, None)
    assert outcome.exit_code() == 0
    assert [budget.model for budget in config.budgets] == ["lenet5", "resnet20_cifar10"]
    for judged in outcome.judged:
        assert judged.budget.setup.batch == 2
        for verdict in judged.verdicts:
            assert verdict.limit >= verdict.value * (1 + ROOM)


def test_input_is_written_as_it_was_given(config_of):
    text = first_budgets(["resnet20_cifar10"], Graphs(None), ["3x16x16"])
    assert tomllib.loads(text)["budget"][0]["input"] == "3x16x16"
    assert config_of(text).budgets[0].input == ("3x16x16",)


def test_model_with_an_incomplete_count_gets_no_budget(tmp_path):
    source = """
import torch
library = torch.library.Library("tests_first", "DEF")
library.define("swirl(Tensor x) -> Tensor")
library.impl("swirl", torch.empty_like, "Meta")
class Swirl(torch.nn.Module):
    def forward(self, x):
        return torch.ops.tests_first.swirl(x)
"""
    (tmp_path / "first_nets.py").write_text(source)
    spec = f"{tmp_path}/first_nets.py:Swirl,input=3x8x8"
    with pytest.raises(IncompleteCountError):
        first_budgets([spec], Graphs(None))
