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


def test_forecast_of_a_batch_or_an_unknown_device_is_refused(archstat):
    for more, said in (("--batch=4", "--batch"), ("--predict=rtx-4091", "rtx-4090")):
        done = archstat("compare", "lenet5", "--predict", "rtx-4090", more)
        assert done.code == 2
        assert said in done.err
