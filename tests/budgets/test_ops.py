"""[[op]] in a file of budgets: what operators of a library of the user's cost."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archstat.budgets import gate
from archstat.budgets.reading import parse_config
from archstat.errors import CaptureError, ConfigError, SpecError
from archstat.frontends.registered import formula_of, has_formula, registering

NETS = """
import torch
from torch import nn

library = torch.library.Library("tests_ops", "DEF")
library.define("mix(Tensor x, Tensor weight, int times=2, int[] sizes=[3, 4]) -> Tensor")
library.impl("mix", lambda x, weight, times=2, sizes=(3, 4): x.clone(), "Meta")
library.impl("mix", lambda x, weight, times=2, sizes=(3, 4): x.clone(), "CPU")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(5, 8))

    def forward(self, x):
        return torch.ops.tests_ops.mix(x, self.weight)
"""
BUDGET = '[[budget]]\nmodel = "ops_nets.py:Net"\ninput = "8"\nmacs = "== 40"\n'
OP = '[[op]]\nname = "tests_ops::mix"\n'


def judged(tmp_path, op):
    (tmp_path / "ops_nets.py").write_text(NETS, encoding="utf-8")
    config = parse_config(op + BUDGET, tmp_path / "archstat.toml")
    return gate.check(config, None).judged[0].verdicts[0]


def test_formula_counts_by_the_names_of_the_schema(tmp_path):
    verdict = judged(tmp_path, OP + 'macs = "numel(x) * weight[0]"\n')
    assert (verdict.state, verdict.value) == ("kept", 1 * 8 * 5)
    assert not has_formula("tests_ops.mix")


def test_operator_without_a_formula_leaves_the_count_incomplete(tmp_path):
    assert judged(tmp_path, "").state != "kept"


def test_formula_that_fails_is_the_budgets_failure(tmp_path):
    verdict = judged(tmp_path, OP + 'macs = "numel(x) // (times - 2)"\n')
    assert verdict.state == "failed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", 7), ("times * sizes[1]", 2 * 4), ("len(sizes) + max(x[0], weight[-1])", 2 + 8),
     ("numel(weight) % 7 - 1", 5 * 8 % 7 - 1)],
)  # fmt: skip
def test_small_arithmetic(text, expected, tmp_path):
    judged(tmp_path, OP + 'free = "a view"\n')
    library = torch.library.Library("tests_ops_here", "DEF")
    library.define("mix(Tensor x, Tensor weight, int times=2, int[] sizes=[3, 4]) -> Tensor")
    formula = formula_of("tests_ops_here::mix", text)
    assert formula(torch.zeros(1, 8), torch.zeros(5, 8)) == expected


@given(st.text("x0123+-*/%()[]., abcnumel_", max_size=30))
def test_text_is_a_formula_or_a_spec_error(text):
    try:
        formula_of("mine::mix", text)
    except SpecError:
        return


@pytest.mark.parametrize(
    "text",
    ["9 ** 9 ** 9", "x.shape[0]", "__import__('os')", "lambda: 1", "1.5", "'a' * 9", "1 << 9",
     "(" * 400, "-" * 400 + "1", "1 +", "numel()", "open(x)", "x" * 501, "[1]", "x if x else 1"],
)  # fmt: skip
def test_anything_but_arithmetic_is_refused(text):
    with pytest.raises(SpecError):
        formula_of("mine::mix", text)


@pytest.mark.parametrize(
    "op",
    ["[[op]]\nmacs = '1'\n", "[[op]]\nname = 3\n", "op = 3\n", "[[op]]\nname = 'aten::relu'\n"
     "free = 'x'\n", OP, OP + "macs = '1'\nfree = 'why'\n", OP + "cost = '1'\n"],
)  # fmt: skip
def test_mistake_in_an_op_has_its_line(tmp_path, op):
    with pytest.raises(ConfigError) as refused:
        parse_config(op + BUDGET, tmp_path / "archstat.toml")
    assert [mistake.line for mistake in refused.value.mistakes] == [1]


def test_registrations_end_with_the_block():
    op = {"name": "mine::mix", "free": "a view"}
    with pytest.raises(CaptureError), registering([op]):
        assert has_formula("mine.mix")
        raise CaptureError("ended")
    assert not has_formula("mine.mix")
