"""What the benchmark of noise concludes from invocations whose figures are known."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from archstat.measure.latency.measurement import Interval


@pytest.fixture
def noise(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "benchmarks"))
    yield importlib.import_module("latency_noise")
    for name in ("latency_noise", "catalogue"):
        sys.modules.pop(name, None)


def a_row(noise, what, middles, half, loop):
    intervals = tuple(Interval(m - half, m, m + half) for m in middles)
    return noise.Row(what, intervals, tuple(loop))


def test_intervals_that_hold_the_common_median_are_counted(noise):
    row = a_row(noise, "net", [9, 10, 11, 14], 1, [9, 10, 11, 14])
    assert row.held == 2  # the median is 10.5
    assert row.spreads[0] == row.spreads[1] == pytest.approx((13.55 - 9.15) / 10.5)


def test_limits_are_judged_one_by_one(noise):
    held = a_row(noise, "net", [10, 10.1] * 5, 1, [10, 20] * 5)
    calm = a_row(noise, "ratio", [0.5, 0.505] * 5, 0.1, [0.5, 0.6] * 5)
    assert noise.failures([held, calm], 0.001) == []
    lost = a_row(noise, "net", [10, 12] * 5, 0.5, [10, 20] * 5)
    wide = a_row(noise, "ratio", [0.5, 0.6] * 5, 0.1, [0.5, 0.6] * 5)
    first, second, third = noise.failures([lost, wide], 0.02)
    assert first == "net: 0 of 10 intervals hold the median"
    assert second == "the ratio's spread is 1.00x that of the loop"
    assert third == "timing adds 2.00 %"
    assert "MISSED" in noise.markdown([lost, wide], 0.02, "10s")
    assert "All limits are kept" in noise.markdown([held, calm], 0.001, "10s")


def test_figures_are_read_from_the_rows_of_bench(noise, monkeypatch):
    keys = ("latency_ms_low", "latency_ms", "latency_ms_high")
    ratio = ("latency_ms_ratio_low", "latency_ms_ratio", "latency_ms_ratio_high")
    rows = [
        dict(zip(keys, (1, 2, 3), strict=True)),
        dict(zip((*keys, *ratio), (4, 5, 6, 2.3, 2.5, 2.7), strict=True)),
    ]
    monkeypatch.setattr(noise, "output_of", lambda command: json.dumps({"rows": rows}))
    assert noise.by_bench("1s") == (Interval(1, 2, 3), Interval(4, 5, 6), Interval(2.3, 2.5, 2.7))
    monkeypatch.setattr(noise, "output_of", lambda command: "4.0\n10.0\n")
    assert noise.by_loop() == (4, 10, 2.5)
