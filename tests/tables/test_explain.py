"""A module's figures written out: sums over children and ops come to what the summary shows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archstat
from archstat.analyses.explained import OF_OPS, OF_PARAMETERS
from archstat.analyses.feature_maps import with_feature_maps
from archstat.errors import LookupFailedError
from archstat.tables.explain import explain
from archstat.tables.module_tree import module_tree, walk


def totals(table):
    """The lines of the module as a whole: those of its only op, or over several."""
    return {row["figure"]: row for row in table.records() if not row["op"]}


@pytest.mark.parametrize("name", ["lenet5", "resnet18", "mobilenet_v3_small"])
def test_every_module_comes_to_its_row_of_the_summary(name):
    report = archstat.analyze(name)
    keys = (*OF_PARAMETERS, *OF_OPS)
    for node, _ in walk(module_tree(with_feature_maps(report), keys), None):
        lines = totals(explain(report, node.path).table)
        for key in keys:
            shown = lines[key]["value"] if key in lines else 0
            assert shown == node.total[key], (node.path, key)
            if key in lines and lines[key]["arithmetic"]:
                assert eval(lines[key]["arithmetic"]) == shown


def test_model_is_explained_as_sums_with_its_peak():
    report = archstat.analyze("lenet5")
    lines = totals(explain(report).table)
    assert lines["macs"]["formula"] == "c1 + c3 + c5 + f6"
    assert lines["macs"]["arithmetic"] == f"{6 * 28 * 28 * 25} + 150000 + 48000 + {120 * 84}"
    assert eval(lines["peak_memory_bytes"]["arithmetic"]) == report.totals["peak_memory_bytes"]


def test_equal_neighbours_are_one_product():
    lines = totals(explain(archstat.analyze("lenet5"), "c3.maps").table)
    assert lines["params"]["arithmetic"] == "6 * 76 + 9 * 101 + 151"


def test_functional_ops_of_a_block_can_be_explained():
    table = explain(archstat.analyze("resnet18"), "conv2_x.0.(functional)").table
    lines = totals(table)
    assert lines["flops"]["formula"] == "N*C*H*W"
    assert lines["flops"]["value"] == 64 * 56 * 56


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 4)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.head.weight

    def forward(self, x):
        x = self.conv(self.conv(x))
        return self.tied(self.head(x.mean((2, 3))))


def test_module_called_twice_says_so_and_counts_its_parameters_once():
    report = archstat.analyze(archstat.capture(Twice(), torch.zeros(1, 4, 8, 8)))
    found = explain(report, "conv")
    lines = totals(found.table)
    assert lines["params"]["value"] == 4 * 4 + 4
    assert lines["macs"]["arithmetic"] == f"2 * {8 * 8 * 4 * 4}"
    assert "Called 2 times" in str(found.table.notes[0])


def test_shared_weight_says_where_it_counts():
    report = archstat.analyze(archstat.capture(Twice(), torch.zeros(1, 4, 8, 8)))
    notes = " ".join(map(str, explain(report, "tied").table.notes))
    assert "tied.weight is head.weight, and counts there." in notes


def test_unknown_op_leaves_a_lower_bound():
    class Net(nn.Module):
        def forward(self, x):
            return (x * 2).lgamma()

    found = explain(archstat.analyze(archstat.capture(Net(), torch.zeros(1, 3))))
    rows = [row for row in found.table.records() if row["figure"] == "flops"]
    assert rows[1]["formula"].startswith("unknown: aten.lgamma.default")
    assert rows[1]["value"] is None
    number = next(n for n, row in enumerate(found.table.records())
                  if row["figure"] == "flops" and not row["op"])  # fmt: skip
    assert found.table.formatted()[number][5] == ">= 3"


def test_wrong_name_gets_the_nearest():
    with pytest.raises(LookupFailedError, match=r"Did you mean features\."):
        explain(archstat.analyze("vgg11"), "feature.2")


def test_every_line_has_convention_and_source():
    for row in explain(archstat.analyze("vgg11"), "features.0").table.records():
        assert row["source"]
        assert row["convention"] or row["figure"].startswith(("output", "effective"))
