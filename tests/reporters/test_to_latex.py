"""LaTeX tables: units in the header, escaped text, a footnote with the convention."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archstat
from archstat.differences.difference import differences
from archstat.differences.snapshots import snapshot_of
from archstat.reporters.numbers import Style
from archstat.reporters.to_latex import escaped, to_latex, too_large
from archstat.result import Column, Table
from archstat.tables.diff_shown import views

TABLE = Table(
    (
        Column("model", "text", ""),
        Column("params", "count", ""),
        Column("param_bytes", "bytes", ""),
        Column("macs_share", "share", ""),
    ),
    (("a_b&c%", 138_357_544, 553_430_176, 0.5), ("d~e^f\\g", 4_231_976, 16_927_904, None)),
    bounds=frozenset({(1, "params")}),
    convention={"mode": "inference"},
    archstat_version="1.2",
    inputs=("1x3x8x8",),
)


def test_unit_of_a_column_stands_below_its_name_in_the_head():
    text = to_latex(TABLE)
    assert r"& params & bytes & share \\" in text
    assert r"model & (M) & (MiB) & (\%) \\" in text
    assert "138.36 & 527.79 & 50.0" in text


def test_numbers_of_a_column_have_the_same_decimals_and_stand_to_the_right():
    assert r"\begin{tabular}{@{}l r r r@{}}" in to_latex(TABLE)


def test_lower_bounds_have_their_sign_and_missing_cells_a_dash():
    assert r"$\geq$ 4.23 & 16.14 & --" in to_latex(TABLE)


COUNTS = Table(
    (Column("model", "text", ""), Column("macs", "count", "")),
    (("a", 15_470_264_320), ("b", 568_740_352), ("c", 0)),
)


def test_smallest_number_keeps_three_digits():
    assert "a & 15.470 \\\\\n    b & 0.569 \\\\\n    c & 0 " in to_latex(COUNTS)


def test_style_gives_digits_unit_caption_and_label():
    text = to_latex(COUNTS, Style(digits=4, units=("M",), caption="50 % of A_b", label="tab:x"))
    assert "a & 15470.3 \\\\\n    b & 568.7 " in text
    assert r"model & (M) \\" in text
    assert r"\caption{50 \% of A\_b}" in text
    assert r"\label{tab:x}" in text


def test_what_would_round_to_zero_is_told_from_zero():
    text = to_latex(replace(COUNTS, rows=(("a", 10**12), ("b", 3))), Style(units=("T",)))
    assert r"b & \textless{}0.000001 \\" in text


WIDE = Table(
    tuple(Column(f"column_{'x' * n}", "text", "") for n in range(20)),
    (("some_text",) * 20,) * 60,
)


def test_table_that_fits_a_column_is_set_in_one_and_a_wider_one_over_both():
    assert r"\begin{table}" in to_latex(COUNTS)
    assert r"\begin{table*}" in to_latex(WIDE)


def test_columns_and_rows_that_no_page_holds_are_named_in_a_comment():
    wide, long = too_large(WIDE)
    assert f"column_{'x' * 19}" in wide and "column_," not in wide
    assert "60" in long
    assert to_latex(WIDE).splitlines()[1:3] == [f"% {wide}", f"% {long}"]
    assert list(too_large(COUNTS)) == []


@pytest.mark.parametrize(
    ("sign", "written"),
    [("\u00d7", r"$\times$"), ("\u00b2", r"\textsuperscript{2}"), ("\u00b7", r"$\cdot$"),
     ("\u00b1", r"$\pm$"), ("\u2713", r"$\surd$"), ("\u00e9", "\u00e9"), ("\u0159", "r"),
     ("\u6f22", "U+6F22"), ("--at", "-{}-at")],
)  # fmt: skip
def test_signs_that_pdflatex_does_not_know_are_spelled_out(sign, written):
    assert escaped(sign) == written


def test_text_is_escaped():
    text = to_latex(TABLE)
    assert r"a\_b\&c\%" in text
    assert r"d\textasciitilde{}e\textasciicircum{}f\textbackslash{}g" in text


def test_footnote_has_convention_input_and_version():
    text = to_latex(archstat.compare(["vgg11"]).select(["model", "macs"]))
    assert "macs: multiply-accumulates of conv, linear, matmul and attention, without bias" in text
    assert "input (batch first) 1x3x224x224" in text
    assert f"Counted by archstat {archstat.__version__}." in text


KNOWN = re.compile(
    r"\\[&%$#_{}]|\$\\[a-z]+\$|\$-\$|\$\^\{\\circ\}\$|\\[a-z]+(?:\{[23]?\})?|-\{\}(?=-)|(?<!\\)~"
)


@given(st.text())
def test_no_text_leaves_a_bare_special_character(text):
    plain = KNOWN.sub("", escaped(text))
    assert not set(plain) & set("&%$#_{}^\\<>|")


def of_differences() -> str:
    before, after = (snapshot_of(archstat.analyze(name)) for name in ("squeezenet1_0", "resnet18"))
    return "\n".join(map(to_latex, views(differences([before], [after]), top=9)))


def test_long_text_is_broken_into_lines():
    _, layers = of_differences().split(r"\begin{tabular}")[1:3]
    assert r"l l l >{\raggedright\arraybackslash}p{14.5em} " in layers


@pytest.mark.parametrize(
    ("tree", "written"),
    [
        ("├─ conv_1 Conv2d", r"\quad conv\_1 Conv2d"),
        ("│  └─ fc Linear", r"\quad \quad fc Linear"),
        ("   ├─ 0 ReLU", r"\quad \quad 0 ReLU"),
        ("net", "net"),
    ],
)
def test_branches_of_a_tree_become_an_indentation(tree, written):
    assert escaped(tree) == written
