"""The table of predictions, and files of measurements."""

from __future__ import annotations

import pytest

from archstat.analyses.device_files import built_in
from archstat.analyses.kernels import KINDS
from archstat.analyses.prediction import fit_for
from archstat.errors import ColumnError
from archstat.models.pipeline import graph_of_spec
from archstat.tables.predict import adapted, predict_table, predicted

FIT = fit_for(built_in()["i9-10940x"])


def test_throughput_is_one_over_the_time_and_lies_in_its_interval():
    one = predicted("lenet5", graph_of_spec("lenet5"), FIT)
    (row,) = predict_table([one], FIT).records()
    assert row["predicted_throughput"] == pytest.approx(1000 / row["predicted_ms"])
    assert row["predicted_throughput_low"] < row["predicted_throughput"]
    assert row["predicted_throughput"] < row["predicted_throughput_high"]
    assert sum(row[f"{kind}_time_share"] for kind in (*KINDS, "launch")) == pytest.approx(1)
    assert (row["device"], row["batch"]) == ("i9-10940x", 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model,latency_ms\nlenet5,1\nalexnet,2\n", "2 measured networks"),
        ("model,latency_ms\nlenet5,1\nalexnet,-2\nvgg11,1\n", "line 3"),
        ("model,latency_ms\nlenet5,1\nalexnet\n", "line 3"),
        ("model,speed\nlenet5,1\n", "latency_ms"),
        ("", "latency_ms"),
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
