"""`archstat predict`: rows, notes, and what is refused."""

from __future__ import annotations

import csv
import io

import pytest


def test_row_a_model_with_device_and_table(archstat):
    done = archstat("predict", "lenet5", "alexnet", "--device", "i9-10940x", "-f", "csv")
    assert done.code == 0
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["model"] for row in rows] == ["lenet5", "alexnet"]
    assert {row["engine"] for row in rows} == {"compile"}
    assert "timm" in rows[0]["table"]


def test_screen_says_that_nothing_was_measured(archstat):
    done = archstat("predict", "alexnet", "--device", "rtx-4090")
    assert done.code == 0
    assert "Predicted, not measured" in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "predict needs a device, such as --device rtx-4090"),
        (("--device", "board"), "--calibrate"),
        (("--device", "rtx-4091"), "rtx-4090"),
        (("--device", "rtx-4090", "--dtype", "int8"), "amp"),
        (("--device", "i9-10940x", "--dtype", "amp"), "i9-10940x cannot be predicted with amp"),
        (("--device", "rtx-4090", "--batch", "1"), "batch of 1"),
        (("--device", "rtx-4090", "--calibrate", "none.csv"), "none.csv"),
    ],
)
def test_request_that_cannot_be_carried_out_is_refused(archstat, options, said):
    done = archstat("predict", "alexnet", *options)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


def test_compare_shows_forecasts_and_csv_their_intervals(archstat):
    done = archstat("compare", "lenet5", "alexnet", "--predict", "i9-10940x,rtx-4090", "-f", "csv")
    assert done.code == 0
    row = next(csv.DictReader(io.StringIO(done.out)))
    low, middle, high = (float(row[f"rtx_4090_throughput{end}"]) for end in ("_low", "", "_high"))
    assert low < middle < high
    shown = archstat("compare", "lenet5", "--predict", "i9-10940x")
    assert "i9_10940x_throughput" in shown.out
    assert "i9_10940x_throughput_low" not in shown.out


def test_forecast_of_an_unknown_device_is_refused(archstat):
    done = archstat("compare", "lenet5", "--predict", "rtx-4090", "--predict=rtx-4091")
    assert done.code == 2
    assert "rtx-4090" in done.err


def test_forecast_is_of_one_sample_whatever_the_batch_of_the_counts(archstat):
    def forecasts(command, *words):
        done = archstat(*command, *words, "-f", "csv")
        assert done.code == 0, done.err
        rows = list(csv.DictReader(io.StringIO(done.out)))
        return [row.get("rtx_4090_throughput") or row["predicted_throughput"] for row in rows]

    compare, sweep = ("compare", "--predict", "rtx-4090"), ("sweep", "--predict", "rtx-4090")
    (usual,) = forecasts(compare, "alexnet")
    assert forecasts(compare, "alexnet", "--batch", "4") == [usual]
    assert forecasts(compare, "alexnet,batch=4") == [usual]
    assert forecasts(("predict", "--device", "rtx-4090"), "alexnet,batch=4") == [usual]
    assert forecasts(sweep, "alexnet,batch=1|4", "--jobs", "1") == [usual] * 2
    assert forecasts(sweep, "alexnet", "--batch", "4", "--jobs", "1") == [usual]
