"""Measurements as rows: figures, circumstances, ratios, training, and the sentences below."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archstat.measure.latency.measurement import Interval, LatencyRun, Ratio, Verdict
from archstat.tables.bench import (
    LATENCY_COLUMNS,
    closing,
    latency_table,
    resolution_of,
    varying,
    with_latency,
)
from archstat.tables.compare import compare

NOISE = Interval(0.98, 1.001, 1.02)


@pytest.fixture
def run(measurement):
    """Make a run of two models, of which the second takes half the time."""

    def make(reference: int = 0, **more: object) -> LatencyRun:
        pair = (measurement("resnet18", 20.0, **more), measurement("vgg16", 10.0, **more))
        ratio = (0.5, 2.0)[reference]
        interval = Interval(ratio * 0.9, ratio, ratio * 1.1)
        verdict = ("faster", "slower")[reference]
        ratios = (Ratio(pair[1 - reference].model, pair[reference].model, interval, verdict),)
        return LatencyRun(pair, ratios, NOISE, ("3 processes runnable on 2 cores",), reference)

    return make


def test_every_recorded_thing_is_a_cell_of_every_row(run):
    table = latency_table([run()])
    first, second = table.records()
    assert set(first) == {column.key for column in LATENCY_COLUMNS}
    assert first | {
        "model": "resnet18", "input": "1x3x224x224", "phase": "forward", "latency_ms": 20.0,
        "latency_ms_p5": 18.0, "latency_ms_p95": 24.0, "latency_ms_iqr": 2.0, "samples": 60,
        "processes": 3, "latency_ms_ratio": 1.0, "verdict": None, "first_call_ms": 50.0,
        "noise_low": 0.98, "noise_high": 1.02, "device": "cpu", "device_name": "Some CPU",
        "driver": None, "torch": "2.8.0", "python": "3.12.1", "cores": 2, "machine": "m1",
        "threads": 2, "dtype": "fp32", "layout": "contiguous", "mode": "inference",
        "execution": "eager", "cache": "hot", "batch": 1, "asked_batch": 1,
        "resolution": "224x224", "rule": "budget of 30 s used",
        "settings": "tf32_matmul=False, cudnn_benchmark=False",
        "date": "2026-11-22T10:00:00+00:00", "wall_ms": None,
    } == first  # fmt: skip
    assert second["latency_ms_ratio"] == 0.5
    assert second["latency_ms_ratio_low"] == pytest.approx(0.45)
    assert second["verdict"] == "faster"
    assert second["throughput"] == pytest.approx(100)


def test_throughput_counts_the_samples_of_the_batch(run):
    table = latency_table([run(batch=8)])
    assert table.column("throughput") == pytest.approx((8 / 0.020, 8 / 0.010))


def test_ratios_refer_to_the_reference_wherever_it_stands(run):
    table = latency_table([run(reference=1)])
    assert table.reference == 1
    assert table.column("latency_ms_ratio") == (2.0, 1.0)
    assert table.column("verdict") == ("slower", None)
    assert any("vgg16 against itself: 0.980x to 1.020x" in note.text for note in table.notes)


def test_single_model_has_no_ratio(measurement):
    table = latency_table([LatencyRun((measurement(),), (), NOISE)])
    assert table.column("latency_ms_ratio") == (None,)
    assert table.column("noise_high") == (1.02,)


def test_training_has_a_row_a_phase_and_its_ratio_at_the_step(run):
    table = latency_table([run(backward=True)])
    phases = ("forward", "backward", "optimizer", "step")
    assert table.column("phase") == phases * 2
    assert table.column("latency_ms")[:4] == pytest.approx((6.0, 12.0, 2.0, 20.0))
    assert table.column("latency_ms_ratio") == (None, None, None, 1.0, None, None, None, 0.5)
    assert table.column("throughput")[:4] == (None, None, None, pytest.approx(50))
    assert table.reference == 3
    assert set(table.column("mode")) == {"training"}


def test_gpu_has_wall_clock_dispatch_and_graph_beside_its_time(run):
    table = latency_table([run(device="cuda", cuda_graph=True, cold=True)])
    assert len(table) == 2
    shown = [table.column(key)[0] for key in ("latency_ms", "wall_ms", "dispatch_ms",
                                              "cuda_graph_ms")]  # fmt: skip
    assert shown == pytest.approx([20.0, 22.0, 16.0, 14.0])
    assert set(table.column("cache")) == {"cold"}


def test_sweep_has_its_rows_one_run_below_the_other_and_says_which_is_meant(run):
    table = latency_table([run(batch=1), run(batch=8)])
    assert table.column("batch") == (1, 1, 8, 8)
    assert table.column("latency_ms_ratio") == (1.0, 0.5, 1.0, 0.5)
    assert varying(table, ["threads", "batch", "dtype"]) == ["batch"]
    assert [note.text.partition(":")[0] for note in table.notes[1:]] == [
        *["batch 1, 2 threads"] * 3, *["batch 8, 2 threads"] * 3,
        "batch 1, 2 threads", "batch 8, 2 threads"]  # fmt: skip


def test_notes_say_machine_rule_noise_and_what_the_run_remarks(run):
    where, how, noise, remark, _ = map(str, latency_table([run()]).notes)
    assert where == (
        "Some CPU, 2 cores, torch 2.8.0, Python 3.12.1: fp32, contiguous, inference, eager, "
        "hot cache."
    )
    assert "over 3 processes; ended by: budget of 30 s used." in how
    assert noise == "noise floor in this run, resnet18 against itself: 0.980x to 1.020x."
    assert remark == "3 processes runnable on 2 cores"


@pytest.mark.parametrize(
    ("limits", "verdict", "said"),
    [
        ((0.323, 1 / 3, 0.345), "faster", "a is 3.0 ± 0.1 times faster than b."),
        ((1.9, 2.1, 2.4), "slower", "a is 2.1 ± 0.3 times slower than b."),
        ((1.04, 1.05, 1.07), "slower", "a is 1.05 ± 0.02 times slower than b."),
        ((0.9, 1.0, 1.1), "can't tell", "a and b: can't tell which is faster."),
        ((0.5, 0.5, 0.5), "faster", "a is 2.0 ± 0.0 times faster than b."),
    ],
)
def test_closing_sentence_says_which_is_faster_and_how_sure_that_is(limits, verdict, said):
    assert closing(Ratio("a", "b", Interval(*limits), Verdict(verdict))) == said


def test_batch_that_memory_halved_stands_beside_the_one_asked_for(run):
    table = latency_table([run(batch=4, asked_batch=16)])
    assert (table.column("batch")[0], table.column("asked_batch")[0]) == (4, 16)


def test_comparison_gets_the_columns_of_the_run(run):
    counted = compare(["resnet18", "vgg16"])
    both = with_latency(counted, run())
    assert both.column("macs") == counted.column("macs")
    assert both.column("latency_ms") == (20.0, 10.0)
    assert both.column("device_name") == ("Some CPU",) * 2
    assert len(set(both.keys())) == len(both.keys())


def test_notes_of_the_run_go_with_its_columns(run):
    both = with_latency(compare(["resnet18", "vgg16"]), run())
    assert any("noise floor" in note.text for note in both.select(["model", "latency_ms"]).notes)
    assert not any("noise floor" in note.text for note in both.select(["model", "macs"]).notes)


def test_run_of_other_models_is_not_put_beside_a_comparison(run):
    short = replace(run(), measurements=run().measurements[:1])
    with pytest.raises(ValueError, match="shorter"):
        with_latency(compare(["resnet18", "vgg16"]), short)


@pytest.mark.parametrize(
    ("shapes", "resolution"),
    [("1x3x224x160", "224x160"), ("8x1x16000", "16000"), ("1x128:int64", None), ("scalar", None),
     ("tokens=1x128:int64, image=1x3x64x64", "64x64"), ("", None)],
)  # fmt: skip
def test_resolution_is_what_stands_behind_batch_and_channels(shapes, resolution):
    assert resolution_of(shapes) == resolution


def test_every_column_has_a_meaning_and_no_key_is_there_twice():
    keys = [column.key for column in LATENCY_COLUMNS]
    assert len(set(keys)) == len(keys)
    assert all(column.meaning for column in LATENCY_COLUMNS)
