"""LaTeX tables: units in the header, escaped text, a footnote with the convention."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

import archstat
from archstat.diff.difference import differences
from archstat.diff.snapshots import snapshot_of
from archstat.reporters.to_latex import escaped, to_latex
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


def test_unit_of_a_column_is_its_largest_number_s_and_stands_in_the_header():
    text = to_latex(TABLE)
    assert r"model & {params (M)} & {param bytes (MiB)} & {macs share (\%)} \\" in text
    assert "138.36 & 527.79 & 50.0" in text


def test_column_format_fits_the_widest_number():
    assert "{l S[table-format=3.2] S[table-format=3.2] S[table-format=2.1]}" in to_latex(TABLE)


def test_lower_bounds_and_missing_cells_are_protected_from_siunitx():
    assert r"{$\geq$ 4.23} & 16.14 & {--}" in to_latex(TABLE)


def test_text_is_escaped():
    text = to_latex(TABLE)
    assert r"a\_b\&c\%" in text
    assert r"d\textasciitilde{}e\textasciicircum{}f\textbackslash{}g" in text


def test_footnote_has_convention_input_and_version():
    text = to_latex(archstat.compare(["vgg11"]).select(["model", "macs"]))
    assert "macs: multiply-accumulates of conv, linear, matmul and attention, without bias" in text
    assert "input (batch first) 1x3x224x224" in text
    assert f"Counted by archstat {archstat.__version__}." in text


@given(st.text())
def test_no_text_leaves_a_bare_special_character(text):
    plain = escaped(text)
    for command in (r"\textasciitilde{}", r"\textasciicircum{}", r"\textbackslash{}",
                    r"\textless{}", r"\textgreater{}", r"\textbar{}"):  # fmt: skip
        plain = plain.replace(command, "")
    for sign in "&%$#_{}":
        plain = plain.replace(f"\\{sign}", "")
    assert not set(plain) & set("&%$#_{}~^\\<>|")


def of_differences() -> str:
    before, after = (snapshot_of(archstat.analyze(name)) for name in ("squeezenet1_0", "resnet18"))
    return "\n".join(map(to_latex, views(differences([before], [after]), top=9)))


def test_long_text_is_broken_into_lines():
    _, layers = of_differences().split(r"\end{table}")[:2]
    assert r"\begin{tabular}{l l l p{0.3\linewidth} " in layers


@pytest.mark.slow
@pytest.mark.parametrize("body", [lambda: to_latex(TABLE), of_differences], ids=["table", "diff"])
def test_table_compiles(tmp_path, body):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex with booktabs and siunitx")
    (tmp_path / "table.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,siunitx}"
        f"\\begin{{document}}\n{body()}\\end{{document}}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


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
