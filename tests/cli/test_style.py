"""--digits, --unit, --caption and --label, and every command's LaTeX set by pdflatex."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from archstat.cli import main
from archstat.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]
# An article of two columns as wide together as those of the narrowest common style.
DOCUMENT = r"""\documentclass[10pt,twocolumn]{article}
\usepackage[textwidth=496pt,columnsep=24pt,textheight=680pt]{geometry}
\usepackage{array,booktabs}
\begin{document}
\input{table}
\end{document}
"""
MOST_PT = 5.0  # which nobody sees, and of which the widths of a font are not known here
LINES = [
    "compare vgg16 mobilenet_v1 resnet50 --caption x --label tab:x",
    "compare vgg16 mobilenet_v1,width=0.5,resolution=160 --variants",
    "compare vgg16 --fully-convolutional --resolution 384",
    "compare vgg16 --columns params,params,macs,flops,receptive_field,effective_stride,"
    "effective_padding,global_from,arithmetic_intensity,peak_memory_bytes,ideal_peak_bytes",
    "sweep mobilenet_v1,width=0.5|1.0,resolution=128|224",
    "sweep mobilenet_v1,width=0.5|1.0,resolution=128|224 --summary",
    "scale mobilenet_v1 --by width",
    "summary mobilenet_v1 --depth 1",
    "summary resnet50 --top 10",
    "crosscheck lenet5",
    "explain lenet5",
    "reconcile lenet5 --params 60k",
    "audit examples/table.csv",
    "rf vgg16",
    "rf resnet18",
    "rf vgg16 resnet50 alexnet",
    "rf vgg16 --at features.10",
    "rf vgg16 --advise",
    "rf --layers (3x3,3x3|id)*2,3x3d2 --input 3x64x64",
    "rf lenet5 --check",
    "rf lenet5 --effective",
    "guidelines shufflenet_v1",
    "guidelines vgg16 mobilenet_v1",
    "memory lenet5 --fits 1GiB",
    "roofline mobilenet_v1 --device a100-40gb --top 20",
    "roofline mobilenet_v1 vgg16 --device a100-40gb",
    "roofline --list-devices",
    "predict mobilenet_v1 vgg16 --device rtx-4090",
    "diff squeezenet1_0 squeezenet1_1 --top 5",
    "check",
    "list vgg*",
    "cache info",
    "columns compare",
    "bench lenet5 lenet5_modern --budget 1s --no-store",
]


def run(monkeypatch, line: str) -> int:
    monkeypatch.setattr(sys, "argv", ["archstat", *line.split()])
    try:
        return main()
    except SystemExit as stop:
        return int(stop.code or 0)


def test_every_command_that_writes_tables_is_set_by_pdflatex_below():
    set_there = {line.partition(" ")[0] for line in LINES}
    writers = {entry.name for entries in COMMANDS.values() for entry in entries
               if "output" in inspect.signature(entry.run).parameters}  # fmt: skip
    slow_to_measure = {"experiment"}
    assert writers - slow_to_measure <= set_there


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES)
def test_latex_is_set_and_no_wider_than_a_page_unless_it_says_so(
    line, tmp_path, monkeypatch, capsys
):
    if shutil.which("pdflatex") is None or not has_booktabs():
        pytest.skip("needs pdflatex with booktabs")
    monkeypatch.chdir(ROOT)
    # The table that is audited has a row that cannot be.
    expected = 1 if line.startswith("audit") else 0
    assert run(monkeypatch, f"{line} -o {tmp_path}/table.tex") == expected
    (tmp_path / "document.tex").write_text(DOCUMENT)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "document.log").read_text(errors="replace")
    wider = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    said = "wider than a two-column page" in capsys.readouterr().err
    assert said or max(wider, default=0) < MOST_PT


def has_booktabs() -> bool:
    found = subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False)
    return found.returncode == 0


def test_digits_and_unit_are_those_of_markdown_too(monkeypatch, capsys):
    assert run(monkeypatch, "list vgg16 --columns params -f markdown --unit k --digits 4") == 0
    assert "| vgg16 | 138358 k |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("list vgg16 --digits 3", "--digits is for markdown or latex; the format here is console"),
        ("list vgg16 -f markdown --caption x", "--caption is for latex"),
        ("list vgg16 -f csv --unit M", "--unit is for markdown or latex"),
        ("list vgg16 -f latex --unit X", "unit 'X' is not one of k"),
        ("list vgg16 -f latex --columns params --unit MiB", "has no column of bytes"),
        ("list vgg16 -f latex --columns paper --digits 3", "has no numbers to round"),
    ],
)
def test_option_that_means_nothing_is_refused(line, said, monkeypatch, capsys):
    assert run(monkeypatch, line) == 2
    streams = capsys.readouterr()
    assert said in streams.err
    assert streams.out == ""


@pytest.mark.parametrize(("width", "points"), [("3.3", 3.3 * 72), ("127mm", 5 * 72)])
def test_width_is_that_of_the_figure(width, points, tmp_path, monkeypatch):
    assert run(monkeypatch, f"summary lenet5 --plot {tmp_path}/strip.svg --width {width}") == 0
    found = re.search(r'<svg[^>]* width="([\d.]+)pt"', (tmp_path / "strip.svg").read_text())
    assert found is not None
    assert float(found[1]) == pytest.approx(points, abs=0.01)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("summary lenet5 --width 3.3", "--width needs --plot."),
        ("summary lenet5 --plot a.svg --width wide", "--width wide: write inches, such as 3.3"),
        ("summary lenet5 --plot a.svg --width 0.1", "a picture is 1in to 40in wide"),
        ("summary lenet5 --plot a.svg:3in --width 4", "a.svg:3in says its width"),
    ],
)
def test_width_that_no_figure_can_have_is_refused(line, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, line) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_table_too_large_for_a_page_is_told_on_standard_error(monkeypatch, capsys):
    assert run(monkeypatch, "list -f latex") == 0
    streams = capsys.readouterr()
    for text in (streams.out, streams.err):
        assert "wider than a two-column page" in text
        assert "longer than a page" in text
