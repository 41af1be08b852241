"""Reports: totals, layers and kinds that add up, and what a terminal and a notebook show."""

from __future__ import annotations

import dataclasses

from archstat.analyses import ANALYSES, COLUMNS, QUOTIENTS
from archstat.graph import Graph, Module, Op, Storage, Value
from archstat.models.pipeline import report
from archstat.result import Note


def graph(target="aten.relu.default"):
    """A convolution in `stem` and an op of the root on its result."""
    return Graph(
        name="Net",
        ops=(
            Op("conv", "aten.convolution.default", "stem", "Conv2d", (0, 1), (2,),
               {"transposed": False, "kernel": (1, 1)}),
            Op("activation", target, "", "Net", (2,), (3,)),
        ),
        values=(
            Value((1, 3, 4, 4), "float32", "input", 0),
            Value((6, 3, 1, 1), "float32", "parameter", 1, "stem.weight", (), True),
            Value((1, 6, 4, 4), "float32", "activation", 2),
            Value((1, 6, 4, 4), "float32", "activation", 3),
        ),
        storages=(Storage(192), Storage(72), Storage(384, 0, 1), Storage(384, 1)),
        modules=(Module("", "Net"), Module("stem", "Conv2d"), Module("spare", "Linear")),
        inputs=(0,),
        outputs=(3,),
    )  # fmt: skip


FLOPS = 2 * 6 * 3 * 4 * 4 + 6 * 4 * 4
ACCESS = (3 + 6) * 4 * 4 + 3 * 6 + 2 * 6 * 4 * 4


def test_report_holds_the_totals_of_every_analysis():
    found = report(graph(), "net")
    expected = {
        "params": 6 * 3,
        "trainable_params": 6 * 3,
        "buffers": 0,
        "param_bytes": 4 * 6 * 3,
        "macs": 6 * 3 * 4 * 4,
        "flops": FLOPS,
        "activations": 6 * 4 * 4,
        "unknown_ops": 0,
        "depth": 1,
        "memory_access": ACCESS,
        "memory_access_bytes": 4 * ACCESS,
        "peak_memory_bytes": 192 + 72 + 384 + 384,
        "ideal_peak_bytes": 72 + 384 + 384,
        "arithmetic_intensity": FLOPS / (4 * ACCESS),
        "receptive_field": (1, 1),
        "effective_stride": (1, 1),
        "effective_padding": (0, 0),
        "global_from": None,
    }
    assert {key: found.totals[key] for key in expected} == expected
    assert set(found.totals) == {column.key for column in COLUMNS}
    assert (found.model, found.input) == ("net", "1x3x4x4")


def test_layers_of_a_report_have_their_own_figures_and_add_up_to_the_totals():
    found = report(graph(), "net")
    rows = {row["module"]: row for row in found.layers.records()}
    assert list(rows) == ["", "stem", "spare"]
    assert rows["stem"]["macs"] == 6 * 3 * 4 * 4
    assert rows["stem"]["type"] == "Conv2d"
    assert rows[""]["flops"] == 6 * 4 * 4
    assert rows["spare"]["params"] == rows["spare"]["macs"] == 0
    for key in found.layers.keys()[2:]:
        assert sum(found.layers.column(key)) == found.totals[key], key


def test_kinds_of_a_report_add_up_to_the_totals():
    found = report(graph(), "net")
    assert found.by_kind["conv"]["macs"] == found.totals["macs"]
    assert sum(kind.get("flops", 0) for kind in found.by_kind.values()) == FLOPS


def test_report_of_known_ops_has_no_bounds_and_no_findings():
    found = report(graph(), "net")
    assert found.lower_bounds == frozenset()
    assert found.findings == ()
    assert ">=" not in repr(found)


def test_report_with_an_unknown_op_marks_what_may_be_too_small():
    found = report(graph("mylib.fancy.default"), "net")
    accesses = {"memory_access", "memory_access_bytes"}
    assert found.lower_bounds == {"macs", "flops", "activations", *accesses}
    assert found.totals["arithmetic_intensity"] is None
    text = repr(found)
    assert ">= 288" in text
    assert "unknown: mylib.fancy.default in Net" in text
    assert [c for c in found.table().formatted()[0] if c.startswith(">= ")] == [
        ">= 288", ">= 576", ">= 96", ">= 354", ">= 1.38 KiB"
    ]  # fmt: skip


def test_notes_of_a_graph_are_findings_with_the_models_name():
    noted = dataclasses.replace(graph(), notes=("ran for real on cpu",))
    assert report(noted, "net").findings == (Note("note", "", "net: ran for real on cpu"),)


def test_text_of_a_report_has_a_line_a_column():
    lines = repr(report(graph(), "net")).splitlines()
    assert lines[0] == "net (1x3x4x4)"
    assert [line.split()[0] for line in lines[1:]] == [column.key for column in COLUMNS]
    assert ["macs", "288"] in [line.split() for line in lines]


def test_page_of_a_report_escapes_the_models_name():
    page = report(graph(), "<b>net</b>")._repr_html_()
    assert "&lt;b&gt;net&lt;/b&gt;" in page
    assert "<b>" not in page


def test_every_analysis_has_columns_of_its_own():
    keys = [column.key for analyzer in ANALYSES for column in analyzer.columns]
    assert len(keys) == len(set(keys))
    quotients = [column.key for column in QUOTIENTS]
    assert (*keys, *quotients) == tuple(column.key for column in COLUMNS)
    for analyzer in ANALYSES:
        assert set(analyzer.run(graph()).totals) == {column.key for column in analyzer.columns}
