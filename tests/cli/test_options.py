"""Options that several commands share: --layout and --example beside --input."""

from __future__ import annotations

import pytest

EXAMPLE = """
import torch


def make():
    return torch.zeros(2, 3, 9, 9)
"""


def test_layout_says_what_the_axes_of_an_input_are(archstat, nets):
    ran = archstat("summary", "lenet5", "--layout", "nchw", "--input", "1x32x32", "--batch", "3")
    assert ran.code == 0
    assert "3x1x32x32" in ran.out


def test_example_is_what_a_function_of_the_users_returns(archstat, nets):
    (nets / "given.py").write_text(EXAMPLE, encoding="utf-8")
    ran = archstat("compare", "nets.py:Net", "--example", "given.py:make", "--format", "csv")
    assert ran.code == 0
    assert f",{2 * 4 * 7 * 7 * 3 * 3 * 3}," in ran.out


def test_budgets_take_both(archstat, nets):
    (nets / "given.py").write_text(EXAMPLE, encoding="utf-8")
    (nets / "archstat.toml").write_text(
        f"""[[budget]]
model = "nets.py:Net"
example = "given.py:make"
layout = "NCHW"
macs = "== {2 * 4 * 7 * 7 * 3 * 3 * 3}"
""",
        encoding="utf-8",
    )
    assert archstat("check").code == 0
    assert archstat("check", "nets.py:Net", "params<=1k", "example=given.py:make").code == 0


def test_first_budgets_say_the_layout(archstat, nets):
    ran = archstat("check", "--init", "nets.py:Net", "--layout", "NCHW", "--input", "3x9x9")
    assert ran.code == 0
    assert 'layout = "NCHW"' in (nets / "archstat.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ["--layout", "Q"],
        ["--layout", ""],
        ["--layout", "BTF"],
        ["--example", "lenet5"],
        ["--example", ""],
        ["--example", "nowhere.py:f"],
        ["--example", "nets.py:raising"],
        ["--example", "nets.py:Net", "--resolution", "32"],
    ],
)
def test_nonsense_ends_with_one_message(archstat, nets, words):
    ran = archstat("compare", "lenet5", *words)
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
