"""The analyses as a whole: one that fails leaves the others' figures alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archstat
from archstat.analyses import analyzed
from archstat.errors import ColumnError
from archstat.result import Analyzer, Column

COLUMNS = (Column("figure", "number", "a figure"),)


@pytest.fixture
def graph():
    return archstat.capture(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.rand(1, 4))


def test_an_analysis_that_fails_is_unknown_and_names_op_and_module(graph):
    def failing(graph):
        for op in graph.ops:
            if op.name == "relu":
                raise IndexError("list index out of range")

    found = analyzed(Analyzer("odd", COLUMNS, failing), graph)
    assert found.totals == {"figure": None}
    assert found.unknown == {"figure"}
    (finding,) = found.findings
    assert (finding.topic, finding.module) == ("failed", "1")
    assert "aten.relu.default in 1 (ReLU)" in finding.text


def test_the_innermost_op_is_named(graph):
    def inner(op):
        raise ZeroDivisionError

    def failing(graph):
        op = graph.ops[0]
        assert op.name == "t"
        inner(graph.ops[-1])

    (finding,) = analyzed(Analyzer("odd", COLUMNS, failing), graph).findings
    assert finding.module == "1"


def test_an_analysis_that_fails_outside_any_op_names_none(graph):
    def failing(graph):
        raise ValueError("nothing to see")

    (finding,) = analyzed(Analyzer("odd", COLUMNS, failing), graph).findings
    assert finding.module == ""


def test_an_error_of_archstats_own_comes_through(graph):
    def failing(graph):
        raise ColumnError("no such column")

    with pytest.raises(ColumnError):
        analyzed(Analyzer("odd", COLUMNS, failing), graph)


@pytest.mark.parametrize("join", [torch.cat, torch.stack])
def test_empty_tensors_joined_leave_every_figure_whole(join):
    class Boxes(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, x):
            y = self.conv(x)
            return join([y[y > 1e9], y[y < -1e9]])

    report = archstat.analyze(archstat.capture(Boxes(), torch.rand(1, 1, 8, 8)))
    assert report.totals["macs"] == 2 * 9 * 64
    assert not [note for note in report.findings if note.topic == "failed"]


def test_nested_tensors_are_refused_in_one_sentence():
    rows = torch.nested.nested_tensor([torch.rand(2, 4), torch.rand(5, 4)], layout=torch.jagged)
    with pytest.raises(archstat.errors.CaptureError, match="nested tensor"):
        archstat.capture(nn.Linear(4, 8), rows)
