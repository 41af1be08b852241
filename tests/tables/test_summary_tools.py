"""A tool's figures in the tree: they add up, and each difference to macs names its layers."""

from __future__ import annotations

import pytest

import archstat
from archstat.analyses.conventions.bits import bit_operations
from archstat.analyses.conventions.tools import TOOLS, tool_named
from archstat.tables.summary import summary
from archstat.tables.summary_tools import with_difference, with_tool

NORM = 2 * (64 * 112 * 112 + 4 * 64 * 56 * 56 + 5 * (128 * 28 * 28 + 256 * 14 * 14 + 512 * 7 * 7))


def table_of(spec, tool, **shown):
    report = with_tool(archstat.analyze(spec), tool)
    return with_difference(summary(report, **shown), report, tool)


@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS])
def test_figures_of_children_and_own_add_up_to_the_tools_total(tool):
    counted = tool_named(tool)
    report = with_tool(archstat.analyze("cbam_resnet18"), counted)
    key = counted.column.key
    rows = list(summary(report).records())
    assert rows[0][key] == counted.total(report.graph)
    for row in rows:
        if row["module"]:
            continue
        below = [r for r in rows if r["module"] and "." not in r["module"]]
        assert row[key] == row[f"own_{key}"] + sum(child[key] for child in below)


def test_difference_of_fvcore_is_norms_and_the_pooling():
    root, *rest = table_of("resnet18", tool_named("fvcore"), depth=1).records()
    assert root["difference"] == NORM + 512 * 7 * 7
    assert root["why"] == "BatchNorm2d, AdaptiveAvgPool2d"
    conv = next(row for row in rest if row["module"] == "conv1")
    assert (conv["difference"], conv["why"]) == (0, "")


def test_difference_below_zero_is_what_a_tool_misses():
    (root, *_) = table_of("vit_b_16", tool_named("fvcore")).records()
    attention = 12 * 2 * 197 * 197 * 768
    norms = 25 * 5 * 197 * 768
    assert root["difference"] == norms - attention
    assert root["why"] == "SelfAttention, LayerNorm"


def test_own_figure_of_functions_stands_in_their_row():
    rows = {row["module"]: row for row in table_of("vit_b_16", tool_named("deepspeed")).records()}
    path = "encoder.layers.0.attention.attend"
    functional = rows[f"{path}.(functional)"]
    assert functional["as_deepspeed"] == functional["macs"] == 2 * 197 * 197 * 768


def test_bops_are_a_column_that_adds_up():
    report = with_tool(archstat.analyze("resnet18"), bit_operations("8"))
    root, *_ = summary(report).records()
    assert root["bops"] == 64 * root["macs"]
