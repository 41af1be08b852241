"""`archstat explain`: text for a reader, rows for a program, and layers of a layer list."""

from __future__ import annotations

import json

import pytest


def test_module_is_written_out_with_numbers_filled_in(archstat):
    ran = archstat("explain", "lenet5", "c1")
    assert (ran.code, ran.err) == (0, "")
    lines = [line.strip() for line in ran.out.splitlines()]
    assert lines[0] == "c1  Conv2d  1x1x32x32 -> 1x6x28x28  5x5"
    at = next(n for n, line in enumerate(lines) if line.startswith("macs"))
    assert lines[at].split(maxsplit=1)[1] == "N * H_out*W_out * C_out*C_in*K_h*K_w"
    assert lines[at + 1].startswith("= 1 * 28*28 * 6*1*5*5 = 117,600 multiply-accumulates, 36.1%")


def test_rows_for_programs_hold_formula_value_and_source(archstat):
    rows = json.loads(archstat("explain", "lenet5", "c1", "-f", "json").out)["rows"]
    macs = next(row for row in rows if row["figure"] == "macs")
    assert macs["value"] == 28 * 28 * 6 * 25
    assert macs["unit"] == "multiply-accumulates"
    assert {"formula", "arithmetic", "convention", "source"} <= set(macs)


def test_figures_are_taken_as_columns(archstat):
    out = archstat("explain", "lenet5_modern", "c1", "--columns", "macs,output").out
    shown = [line.split()[0] for line in out.split("\n")[2:] if line[:1].strip()]
    assert shown[:4] == ["output_height", "output_width", "output", "macs"]
    rows = archstat("explain", "vgg16", "features.2", "--columns", "macs,value", "-f", "csv").out
    assert rows.splitlines() == ["figure,value", f"macs,{224 * 224 * 64 * 3 * 3 * 64}"]


def test_legend_holds_the_letters_of_the_figures_shown(archstat):
    line = ("explain", "vgg16", "features.2", "--columns", "params")
    assert archstat(*line).out.splitlines()[-1] == "C channels, K window."
    assert "S stride" in archstat(*line[:3]).out


def test_figure_that_a_module_lacks_is_refused_with_those_it_has(archstat):
    ran = archstat("explain", "vgg16", "features.2", "--columns", "depth")
    assert (ran.code, ran.out) == (2, "")
    assert "features.2 has no depth; it has params" in ran.err


@pytest.mark.parametrize("format", ["csv", "markdown", "latex"])
def test_other_formats_go_out(archstat, format):
    ran = archstat("explain", "lenet5", "c1", "-f", format)
    assert ran.code == 0
    assert "28*28" in ran.out.replace("\\*", "*")


def test_layer_of_a_list_shows_its_field_without_a_size(archstat):
    out = archstat("explain", "--layers", "3x3,3x3/2", "2").out
    assert "= 3 + (3 - 1) * 1 = 5 pixels" in out
    assert "macs" not in out
    assert "->" not in out


def test_layer_of_a_list_shows_costs_with_size_and_channels(archstat):
    sizes = ("--input", "224", "--channels", "64")
    out = archstat("explain", "--layers", "3x3,3x3/2", "2", *sizes).out
    assert "= (224 + 2*1 - 3) // 2 + 1 = 112 positions" in out
    assert "= 1 * 112*112 * 64*64*3*3 = 462,422,016" in out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "explain needs a MODEL"),
        (["lenet5", "squash"], "Did you mean squash1"),
        (["--layers", "3x3"], "need --input and --channels"),
        (["--layers", "3x3", "5"], "has no such module. It has 1."),
        (["--layers", "3x3", "1", "2"], "one layer list"),
        (["lenet5", "c1", "--channels", "3"], "--channels needs --layers"),
    ],
)
def test_what_cannot_be_explained_is_refused(archstat, given, told):
    ran = archstat("explain", *given)
    assert ran.code == 2
    assert told in ran.err


def test_lower_bound_has_one_sign(archstat, unknown):
    out = archstat("explain", unknown).out
    macs = 6 * 6 * 4 * 3 * 3 * 3
    assert f">= {macs:,} multiply-accumulates" in out
    assert "= >=" not in out
