"""Conditions on rows: what they keep, and what is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.cli.where import conditions, kept
from archstat.errors import ArchstatError, SpecError
from archstat.result import Column, Table

COLUMNS = (
    Column("model", "text", ""),
    Column("params", "count", ""),
    Column("param_bytes", "bytes", ""),
    Column("params_share", "share", ""),
    Column("receptive_field", "pixels", ""),
)
ROWS = (
    ("a", 1_000, 4_000, 0.1, (3, 3)),
    ("b", 5_000_000, 2**20, 0.5, (5, 5)),
    ("c", None, None, None, None),
)
TABLE = Table(COLUMNS, ROWS, bounds=frozenset({(1, "params")}), reference=0)


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ([], "abc"),
        (["params<5M"], "a"),
        (["params<=5M"], "ab"),
        (["Params >= 1k"], "ab"),
        (["params=1000"], "a"),
        (["params == 1 k"], "a"),
        (["params!=1k"], "b"),
        (["param bytes > 1"], None),
        (["param_bytes>4kB"], "b"),
        (["params_share<20%"], "a"),
        (["params_share<0.2"], "a"),
        (["model=A"], "a"),
        (["model!=a"], "bc"),
        (["params>1", "params<2k"], "a"),
        (["params>1 and params<2k"], "a"),
        (["params>9M"], None),
        (["params = 1k..5M"], "ab"),
        (["params=1001..5M and param_bytes = 1 kB..2MB"], "b"),
        (["params_share=10%..0.2"], "a"),
        (["receptive_field>=4"], "b"),
        (["receptive_field = 3..5"], "ab"),
    ],
)
def test_rows_that_fulfil_every_condition_are_kept(texts, names):
    if names is None:
        with pytest.raises(SpecError):
            kept(TABLE, conditions(texts, COLUMNS))
    else:
        assert "".join(kept(TABLE, conditions(texts, COLUMNS)).column("model")) == names


def test_heading_is_taken_as_its_column():
    columns = (*COLUMNS, Column("activations", "count", ""))
    (condition,) = conditions(["activ.<5"], columns)
    assert condition.key == "activations"


def test_every_axis_must_fulfil_it_and_one_that_sees_everything_does():
    (condition,) = conditions(["receptive_field >= 5"], COLUMNS)
    assert [condition.is_met(cell) for cell in ((5, 7), (3, 7), (None,), (None, 3))] == [
        True, False, True, False,
    ]  # fmt: skip


def test_unknown_column_gets_the_nearest_and_the_command_that_lists_them(archstat):
    ran = archstat("compare", "lenet5", "--where", "parms<3")
    assert (ran.code, ran.out) == (2, "")
    assert "Did you mean params" in ran.err
    assert "`archstat columns compare`" in ran.err


def test_bounds_and_reference_move_with_their_rows():
    table = kept(TABLE, conditions(["params>1k"], COLUMNS))
    assert table.bounds == {(0, "params")}
    assert table.reference is None
    assert kept(TABLE, conditions(["params<2k"], COLUMNS)).reference == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a condition; write one such as 'params<5M'"),
        ("params", "is not a condition"),
        ("params<", "is not a condition"),
        ("params<5Q", "known units"),
        ("params<5M and", "is not a condition"),
        ("parms<5M", "Did you mean params"),
        ("params<five", "is not a count"),
        ("param_bytes<5", "byte unit"),
        ("params_share<much", "'much' is not a number"),
        ("model<b", "compare it with = or !="),
        ("params = 1k..", "is not a count"),
        ("params_share = ..20%", "is not a number"),
        ("params < 1k..5M", "write an interval as params = LOW..HIGH"),
        ("params = 5M..1k", "write the lower end first"),
    ],
)
def test_condition_that_is_none_is_refused(text, said):
    with pytest.raises(ArchstatError, match=re.escape(said)):
        conditions([text], COLUMNS)


@given(st.text() | st.text(alphabet="params<>=! 0159kM%and_model", max_size=20))
def test_any_text_is_a_condition_or_an_error_of_ours(text):
    try:
        found = conditions([text], COLUMNS)
    except ArchstatError as error:
        assert str(error)
    else:
        assert [one.is_met(None) for one in found] == [False] * len(found)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(["<", "<=", ">", ">=", "="]))
def test_numbers_compare_as_python_compares_them(one, other, sign):
    (condition,) = conditions([f"params{sign}{other}"], COLUMNS)
    assert condition.is_met(one) is eval(f"{one} {'==' if sign == '=' else sign} {other}")


def test_command_keeps_the_models_that_fulfil_it(archstat):
    ran = archstat("compare", "lenet5*", "vgg16", "--where", "params<1M", "-f", "csv", "--columns",
                   "params")  # fmt: skip
    assert ran.out.splitlines() == ["model,params", "lenet5,60000", "lenet5_modern,61706"]


def test_command_shows_no_ratios_without_their_reference(archstat):
    ran = archstat("compare", "vgg16", "lenet5", "lenet5", "--where", "params<1M")
    assert "less" not in ran.out + ran.err
    assert "same" not in ran.out


def test_ratios_can_be_left_out(archstat):
    ran = archstat("compare", "lenet5", "vgg16", "--no-ratios")
    assert "more" not in ran.out
    assert len(ran.out.splitlines()) == 4
    raw = archstat("compare", "lenet5", "vgg16", "--no-ratios", "-f", "csv")
    assert "_ratio" not in raw.out.splitlines()[0]


def test_ratios_stay_out_above_eight_models_but_in_files(archstat):
    nine = ["compare", *["lenet5"] * 8, "vgg16", "--columns", "params"]
    shown = archstat(*nine)
    assert " more" not in shown.out
    assert "No ratios above 8 models; --columns +params_ratio shows one." in shown.out
    assert "params_ratio" in archstat("compare", *["lenet5"] * 9, "-f", "csv").out
