"""A first file of budgets: it can be read, it is kept, and its figures are round."""

from __future__ import annotations

import tomllib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.budgets import gate
from archstat.budgets.first import ROOM, first_budgets, rounded_up
from archstat.errors import IncompleteCountError
from archstat.models.cache import Graphs
from archstat.units import parse_count


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
