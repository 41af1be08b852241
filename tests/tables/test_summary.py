"""The tree of modules: totals that add up, functional rows, and what is said of parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archstat
from archstat.analyses import COLUMNS
from archstat.errors import SpecError
from archstat.graph import Graph, Module, Storage, Value
from archstat.tables.summary import summary
from archstat.tables.summary_groups import grouped


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.again = self.conv
        self.frozen = nn.Conv2d(4, 4, 1)
        self.frozen.requires_grad_(False)
        self.spare = nn.Linear(7, 5)

    def forward(self, x):
        return self.again(self.conv(x)).relu() + self.frozen(x)


@pytest.fixture(scope="module")
def report():
    return archstat.analyze(Residual(), input=(4, 8, 8))


@pytest.fixture(scope="module")
def records(report):
    return {record["module"]: record for record in summary(report).records()}


ADDITIVE = [column.key for column in COLUMNS if column.of == "all"]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v1,width=0.25", "alexnet"])
def test_children_and_own_add_up_to_the_parent(name):
    table = summary(archstat.analyze(name))
    rows = {str(record["module"]): record for record in table.records()}
    for path, row in rows.items():
        below = [
            other
            for child, other in rows.items()
            if child and child != path and child.rpartition(".")[0] == path
        ]
        for key in ADDITIVE:
            if f"own_{key}" in row:
                own = row[f"own_{key}"]
                assert row[key] == own + sum(child[key] for child in below), (path, key)


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn"])
def test_root_and_kinds_are_the_total(name):
    report = archstat.analyze(name)
    root = next(summary(report).records())
    for key in ("macs", "flops", "activations"):
        assert root[key] == report.totals[key]
        assert sum(kind.get(key, 0) for kind in report.by_kind.values()) == report.totals[key]
    assert root["params"] == report.totals["params"]
    assert root["macs_share"] == 1


def test_shares_of_the_leaves_make_the_whole(records):
    leaves = [row for path, row in records.items() if path]
    assert sum(row["macs_share"] for row in leaves) == pytest.approx(1)


def test_functional_ops_stand_under_the_module_that_runs_them(records):
    row = records["(functional)"]
    assert row["type"] == "relu, add"
    assert row["flops"] == 2 * 4 * 8 * 8
    assert row["macs"] == 0


def test_shared_module_shows_its_calls_and_paths_and_counts_once(records):
    row = records["conv"]
    assert (row["calls"], row["shared_with"]) == (2, "again")
    assert row["params"] == 4 * 4 * 3 * 3 + 4
    assert row["macs"] == 2 * (4 * 4 * 3 * 3) * 8 * 8


def test_output_shape_is_the_last_call_s(records):
    assert records["frozen"]["output"] == "1x4x8x8"
    assert records["spare"]["output"] == ""


def test_frozen_unused_shared_and_uncalled_are_named(report):
    notes = " ".join(map(str, summary(report).notes))
    assert f"frozen: {4 * 4 + 4} parameters (frozen.weight, frozen.bias)" in notes
    assert f"unused: {7 * 5 + 5} parameters (spare.weight, spare.bias)" in notes
    assert "shared: conv.weight is also again.weight" in notes
    assert "never called: spare" in notes


def test_depth_hides_rows_and_no_cost(report):
    table = summary(report, depth=0)
    assert len(table) == 1
    assert table.column("macs") == (report.totals["macs"],)


@pytest.mark.parametrize("table", [summary, lambda report: grouped(report, "type")])
def test_without_a_forward_pass_costs_are_unknown_and_not_zero(table):
    weight = Value((7, 5), "float32", "parameter", 0, "head.weight", (), True)
    modules = (Module("", "net"), Module("head", ""))
    graph = Graph("net", (), (weight,), (Storage(4 * 7 * 5),), modules=modules)
    for row in table(archstat.analyze(graph)).records():
        assert row["params"] == 7 * 5
        assert (row["macs"], row["macs_share"], row["unknown_ops"]) == (None, None, None)


def test_bytes_by_dtype_are_of_each_module_with_those_below_it(records):
    assert records["conv"]["weight_dtypes"] == f"float32={records['conv']['param_bytes']}"
    assert records[""]["weight_dtypes"] == f"float32={records['']['param_bytes']}"


def test_top_lists_the_largest_by_their_own_figures(report):
    table = summary(report, top=2, by="params")
    assert table.column("module") == ("conv", "spare")
    assert table.column("params") == (4 * 4 * 9 + 4, 7 * 5 + 5)


def test_top_by_a_column_that_does_not_add_up_is_refused(report):
    with pytest.raises(SpecError, match=r"'depth' does not add up over modules; .*: params"):
        summary(report, top=2, by="depth")


def test_tied_parameter_is_named_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(10, 4), nn.Linear(4, 10, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, tokens):
            return self.head(self.embed(tokens))

    graph = archstat.capture(Tied(), torch.zeros(1, 3, dtype=torch.int64))
    table = summary(archstat.analyze(graph))
    assert "shared: embed.weight is also head.weight, and counts once." in map(str, table.notes)
    assert next(table.records())["params"] == 10 * 4
