"""`compare`: rows as asked for, raw ratios to any row, and the documents made of them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

import archstat
from archstat.analyses import COLUMNS
from archstat.analyses.conventions.printed import parse_printed
from archstat.analyses.conventions.tools import tools_named
from archstat.errors import ArchstatError, SpecError, UnknownModelError
from archstat.models.pipeline import analyze, graph_of_spec
from archstat.reporters.to_console import to_console
from archstat.reporters.to_csv import to_csv
from archstat.reporters.to_json import to_json
from archstat.tables.compare import (
    COMPARISON_COLUMNS,
    compare,
    reports_of,
    table_of,
    table_of_groups,
    with_tools,
)

KEYS = [column.key for column in COLUMNS]
# Texts and numbers an axis have no ratio, nor has what a count of unknown operations is to another.
WITHOUT_RATIO = {c.key for c in COLUMNS if c.unit in ("text", "pixels")} | {"unknown_ops"}


@pytest.fixture(scope="module")
def main_job():
    """The table that the README begins with."""
    return compare(["vgg16", "mobilenet_v1"])


def cell(table, row, key):
    return table.rows[row][table.index(key)]


# -- the main job ----------------------------------------------------------------------------------


def test_published_figures_of_the_main_job(main_job):
    assert main_job.column("params") == (138_357_544, 4_231_976)
    assert main_job.column("macs") == (15_470_264_320, 568_740_352)
    assert main_job.column("input") == ("1x3x224x224", "1x3x224x224")


def test_mobilenet_has_27_times_fewer_macs_on_the_screen(main_job):
    assert "27.2x less" in to_console(main_job)
    assert cell(main_job, 1, "macs_ratio") == 568_740_352 / 15_470_264_320


# -- rows ------------------------------------------------------------------------------------------


def test_rows_stand_in_the_order_asked_for_and_are_not_merged():
    asked = ["mobilenet_v1", "alexnet", "mobilenet_v1", "mobilenet_v1,width=1.0"]
    table = compare(asked)
    assert list(table.column("model")) == asked
    assert table.rows[0] == table.rows[2]


def test_first_column_is_the_model_and_then_come_the_input_the_keys_and_their_ratios():
    ratios = [f"{key}_ratio" for key in KEYS if key not in WITHOUT_RATIO]
    assert [column.key for column in COMPARISON_COLUMNS] == ["model", "input", *KEYS, *ratios]
    assert compare([nn.ReLU()], "4").keys() == tuple(c.key for c in COMPARISON_COLUMNS)


def test_one_model_is_its_own_reference():
    table = compare(["mobilenet_v1"])
    assert len(table) == 1
    assert cell(table, 0, "macs_ratio") == 1.0


def test_specs_modules_and_graphs_stand_in_one_table():
    graph = archstat.capture(nn.Linear(6, 2), torch.zeros(1, 6))
    table = compare(["mobilenet_v1,input=3x64x64", nn.Linear(6, 3), graph], "6")
    assert table.column("model") == ("mobilenet_v1,input=3x64x64", "Linear", "Linear #2")
    assert table.column("macs")[1:] == (6 * 3, 6 * 2)


def test_input_and_batch_are_for_the_models_that_bring_none():
    table = compare(["mobilenet_v1,input=3x64x64,batch=1", "mobilenet_v1"], "3x32x32", 2)
    assert table.column("input") == ("1x3x64x64", "2x3x32x32")


def test_every_cell_is_the_total_of_its_model():
    table = compare(["alexnet", "mobilenet_v1"])
    for row, name in enumerate(["alexnet", "mobilenet_v1"]):
        totals = analyze(name).totals
        assert {key: cell(table, row, key) for key in totals} == totals


# -- ratios ----------------------------------------------------------------------------------------


def test_ratio_is_the_row_over_the_reference_unrounded(main_job):
    for key in KEYS:
        mine, theirs = cell(main_job, 1, key), cell(main_job, 0, key)
        if key not in WITHOUT_RATIO and theirs:
            assert cell(main_job, 1, f"{key}_ratio") == mine / theirs


def test_ratio_to_nothing_is_left_empty(main_job):
    assert main_job.column("buffers") == (0, 2 * 10_944 + 27)
    assert main_job.column("buffers_ratio") == (None, None)


@pytest.mark.parametrize("reference", [1, -1, "alexnet"])
def test_reference_is_any_row_by_number_or_by_name(reference):
    table = compare(["mobilenet_v1", "alexnet"], reference=reference)
    assert table.reference == 1
    assert cell(table, 1, "params_ratio") == 1.0
    assert cell(table, 0, "params_ratio") == 4_231_976 / 60_965_224


def test_reference_of_two_rows_of_one_name_is_the_first():
    assert (
        compare(["alexnet", "mobilenet_v1", "mobilenet_v1"], reference="mobilenet_v1").reference
        == 1
    )


def test_module_is_the_reference_under_the_name_of_its_row():
    class Named(nn.Module):
        name = "backbone"

        def forward(self, x):
            return x + 1

    table = compare([nn.ReLU(), Named()], "4", reference="Named")
    assert table.column("model")[table.reference] == "Named"


@pytest.mark.parametrize("reference", [2, -3, "resnet50", "mobilenet"])
def test_unknown_reference_is_refused_before_any_model_is_built(reference, monkeypatch):
    monkeypatch.setattr(
        "archstat.models.pipeline.graph_of_spec", lambda *_: pytest.fail("was built")
    )
    with pytest.raises(SpecError, match="reference"):
        compare(["vgg16", "mobilenet_v1"], reference=reference)


def test_nothing_to_compare_is_refused():
    with pytest.raises(SpecError, match="at least one model"):
        compare([])


def test_one_model_that_fails_fails_the_table():
    with pytest.raises(UnknownModelError, match="vgg17"):
        compare(["mobilenet_v1", "vgg17"])


def test_ratio_to_a_lower_bound_is_not_put_in_words():
    library = torch.library.Library("tests_comparison", "DEF")
    library.define("swirl(Tensor x) -> Tensor")
    library.impl("swirl", torch.empty_like, "Meta")

    class Swirl(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 2)

        def forward(self, x):
            return self.fc(torch.ops.tests_comparison.swirl(x))

    table = compare([Swirl(), nn.Linear(6, 4)], "6")
    library._destroy()
    counted = ("macs", "flops", "activations", "memory_access", "memory_access_bytes")
    held = ("peak_memory_bytes", "ideal_peak_bytes")
    assert table.bounds == {(0, key) for key in (*counted, *held)}
    assert len(table.notes) == 1
    text = to_console(table.select(["model", "params", "params_ratio", "macs", "macs_ratio"]))
    assert ">= 12" in text
    assert text.count("more") + text.count("less") == 1


def test_notes_are_said_once():
    class Looking(nn.Module):
        def forward(self, x):
            assert x.sum() >= 0
            return x

    table = compare([Looking(), Looking()], "6")
    assert len(table.notes) == 1
    assert "ran for real on cpu" in table.notes[0].text


# -- documents -------------------------------------------------------------------------------------


def test_json_document_is_the_agreed_one(main_job):
    document = json.loads(to_json(main_job))
    assert document["schema_version"] == 1
    assert document["archstat"] == archstat.__version__
    assert document["torch"] == torch.__version__
    assert set(document["convention"]) >= {"macs", "flops"}
    assert [list(row)[:2] for row in document["rows"]] == [["model", "input"]] * 2
    first, second = document["rows"]
    assert (first["model"], first["input"]) == ("vgg16", "1x3x224x224")
    assert (first["params"], second["macs"]) == (138_357_544, 568_740_352)
    assert second["macs_ratio"] == 568_740_352 / 15_470_264_320
    assert set(KEYS) < set(first)


def test_csv_has_the_same_rows_and_keys_as_json(main_job):
    records = list(csv.DictReader(io.StringIO(to_csv(main_job))))
    rows = json.loads(to_json(main_job))["rows"]
    assert [list(record) for record in records] == [list(row) for row in rows]
    for record, row in zip(records, rows, strict=True):
        assert record == {key: cell_of_csv(cell) for key, cell in row.items()}


def cell_of_csv(cell):
    if isinstance(cell, list):
        return "x".join(map(str, cell))
    return "" if cell is None else str(cell)


def test_dataframe_holds_the_raw_cells(main_job):
    frame = main_job.to_dataframe()
    assert list(frame.columns) == list(main_job.keys())
    assert frame["params"].tolist() == [138_357_544, 4_231_976]


@pytest.mark.parametrize("render", [to_json, to_csv, to_console])
def test_same_models_give_the_same_bytes(main_job, render):
    assert render(compare(["vgg16", "mobilenet_v1"])) == render(main_job)


def test_finished_reports_make_the_same_table(main_job):
    reports = [analyze("vgg16"), analyze("mobilenet_v1")]
    assert replace(table_of(reports, 0), shown=main_job.shown) == main_job


def test_every_error_of_a_comparison_is_one_of_ours():
    for models in (["zzz"], ["vgg16,x=1"], ["a/b.py:C"], ["vgg16,batch=0"]):
        with pytest.raises(ArchstatError):
            compare(models)


class ShiftedSum(nn.Module):
    """Adds values of strides 1 and 2, whose fields fit nowhere."""

    def __init__(self):
        super().__init__()
        self.halved = nn.Conv2d(3, 3, 3, stride=2, padding=1)

    def forward(self, x):
        return self.halved(x) + x[..., :4, :4]


def test_note_on_a_column_goes_with_that_column():
    table = compare([ShiftedSum()], input="3x8x8")
    (note,) = [n for n in table.notes if n.topic == "receptive_field"]
    assert note in table.select(["model", "receptive_field"]).notes
    assert note not in table.select(["model", "params"]).notes


def test_tools_columns_hold_what_they_would_print():
    groups = [reports_of("resnet18", None, None, False, "none", graph_of_spec)]
    table = with_tools(table_of_groups(groups, 0), groups, tools_named("thop,torchinfo"))
    norm, pooled = groups[0][0].totals["activations"] - 1000, 512
    macs = groups[0][0].totals["macs"]
    assert table.column("as_thop") == (macs + 4 * norm + (7 * 7 + 1) * pooled,)
    assert [note.text[:8] for note in table.notes] == ["as_thop:", "as_torch"]


@pytest.mark.parametrize(
    ("spec", "figure"),
    # ultralytics/yolov5@5081342f0, README.md: FLOPs@224 (B) of the classification table
    [
        ("resnet18", "3.7G"),
        ("resnet34", "7.4G"),
        ("resnet101", "15.9G"),
        ("efficientnet_b0", "1.0G"),
    ],
)
def test_figures_of_ultralytics_are_scaled_from_a_square_of_32(spec, figure):
    groups = [reports_of(spec, None, None, False, "none", graph_of_spec)]
    table = with_tools(table_of_groups(groups, 0), groups, tools_named("ultralytics"))
    assert parse_printed(figure).shows(table.column("as_ultralytics")[0]) == "rounded"


def test_tool_that_is_not_known_is_refused_with_the_nearest():
    with pytest.raises(SpecError, match="Did you mean fvcore"):
        tools_named("thop,fvcor")
