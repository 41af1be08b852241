"""The table of predictions, and files of measurements."""

from __future__ import annotations

from dataclasses import replace

import pytest

import archstat
from archstat.analyses.boards import BOARD
from archstat.analyses.device_files import built_in
from archstat.analyses.kernels import KINDS, kernels
from archstat.analyses.prediction import fit_for
from archstat.errors import ColumnError, DeviceError
from archstat.models.pipeline import analyze, graph_of_spec
from archstat.tables.compare import table_of
from archstat.tables.predict import (
    ON_SCREEN,
    adapted,
    fit_named,
    forecasts,
    predict_table,
    predicted,
    with_forecasts,
)

FIT = fit_for(built_in()["i9-10940x"])


def test_throughput_is_one_over_the_time_and_lies_in_its_interval():
    one = predicted("lenet5", graph_of_spec("lenet5"), FIT)
    (row,) = predict_table([one], FIT).records()
    assert row["predicted_throughput"] == pytest.approx(1000 / row["predicted_ms"])
    assert row["predicted_throughput_low"] < row["predicted_throughput"]
    assert row["predicted_throughput"] < row["predicted_throughput_high"]
    assert sum(row[f"{kind}_time_share"] for kind in (*KINDS, "launch")) == pytest.approx(1)
    assert (row["device"], row["batch"]) == ("i9-10940x", 1)


@pytest.mark.parametrize("engine", ["eager", "compile", "ncnn"])
@pytest.mark.parametrize("model", ["lenet5", "convnext_tiny", "vit_b_16"])
def test_kernels_of_a_batch_are_those_of_one_sample(model, engine):
    one, eight = (kernels(graph_of_spec(model, "3x32x32" if model == "convnext_tiny" else None, n),
                          engine) for n in (1, 8))  # fmt: skip
    assert eight == one


@pytest.mark.parametrize("is_told", [True, False])
def test_prediction_is_of_one_sample_in_whatever_batch_the_graph_was_captured(is_told):
    graphs = [graph_of_spec(spec) for spec in ("lenet5", "lenet5,batch=16")]
    if not is_told:
        graphs = [replace(graph, batch=None) for graph in graphs]
    one, many = (predicted("lenet5", graph, FIT).prediction for graph in graphs)
    assert many == one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model,latency_ms\nlenet5,1\nalexnet,2\n", "2 measured networks"),
        ("model,latency_ms\nlenet5,1\nalexnet,-2\nvgg11,1\n", "line 3"),
        ("model,latency_ms\nlenet5,1\nalexnet\n", "line 3"),
        ("model,latency_ms\nlenet5,1\nlenet6,2\nvgg11,1\n", "line 3: .*lenet5"),
        ("model,latency_ms,batch\nlenet5,1,0\n", "line 2"),
        ("model,latency_ms\nlenet5,1\n", "1 measured network:"),
        ("model,speed\nlenet5,1\n", "the columns model, speed: .*latency_ms"),
        ("", "is empty: .*latency_ms"),
    ],
)
def test_file_that_is_no_file_of_measurements_is_refused(text, said, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ColumnError, match=said):
        adapted(str(path), FIT, graph_of_spec)


def test_measurements_twice_as_long_double_the_prediction(tmp_path):
    models = ("lenet5", "alexnet", "squeezenet1_1")
    before = {model: predicted(model, graph_of_spec(model), FIT) for model in models}
    lines = [f"{model},{2000 * one.prediction.seconds}" for model, one in before.items()]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["model,ms", *lines]), encoding="utf-8")
    fit, errors = adapted(str(path), FIT, graph_of_spec)
    after = predicted("alexnet", graph_of_spec("alexnet"), fit)
    assert after.prediction.seconds == pytest.approx(2 * before["alexnet"].prediction.seconds, 0.01)
    assert errors == pytest.approx([1, 1, 1], rel=0.02)


def test_row_of_bench_is_predicted_at_its_own_input(tmp_path):
    shapes = []

    def graphs(model, shape, batch):
        shapes.append((model, shape, batch))
        return graph_of_spec(model, shape, batch)

    path = tmp_path / "bench.csv"
    lines = ["model,input,latency_ms,batch,failed", "lenet5,4x1x32x32,1,4,", "alexnet,,2,1,",
             "vgg11,,,1,out of memory", "squeezenet1_1,1x3x64x64,3,1,"]  # fmt: skip
    path.write_text("\n".join(lines), encoding="utf-8")
    fit, _ = adapted(str(path), FIT, graphs)
    assert shapes == [
        ("lenet5", "1x32x32", 4),
        ("alexnet", None, 1),
        ("squeezenet1_1", "3x64x64", 1),
    ]
    assert fit.batches == (1, 4, 4)


def test_board_needs_measurements_and_its_own_engine():
    with pytest.raises(DeviceError, match="calibrate"):
        fit_named(BOARD)
    with pytest.raises(DeviceError, match="ncnn"):
        fit_named(BOARD, engine="eager", calibrate="mine.csv")
    assert fit_named(BOARD, calibrate="mine.csv").engine == "ncnn"


def test_forecasts_stand_beside_a_comparison():
    fits = forecasts("i9-10940x, rtx-4090, i9-10940x")
    reports = [analyze("lenet5"), analyze("alexnet")]
    table = with_forecasts(table_of(reports, 0), reports, fits)
    assert [fit.device for fit in fits] == ["i9-10940x", "rtx-4090"]
    alone = predicted("alexnet", reports[1].graph, fits[0]).prediction.seconds
    assert list(table.records())[1]["i9_10940x_throughput"] == pytest.approx(1 / alone)


def test_function_gives_the_rows_of_the_command():
    table = archstat.predict(["lenet5", "alexnet"], "i9-10940x")
    assert table.column("model") == ("lenet5", "alexnet")
    assert table.shown == ON_SCREEN
