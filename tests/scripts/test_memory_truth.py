"""The batch at which networks train: the search on a grid, and rows of the report once more."""

from __future__ import annotations

import csv
import importlib.util
import random
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GRID = (64, 32, 16, 8)


@pytest.fixture(scope="module")
def benchmark():
    path = ROOT / "benchmarks" / "memory_truth.py"
    spec = importlib.util.spec_from_file_location("memory_truth", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("limit", [0, 7, 8, 16, 31, 63, 64, 100])
@pytest.mark.parametrize("near", range(4))
def test_first_step_that_fits_is_the_same_from_wherever_it_is_looked_for(benchmark, limit, near):
    said = benchmark.first_that_fits(GRID, near, lambda batch: batch <= limit)
    assert said == max((batch for batch in GRID if batch <= limit), default=0)


@pytest.mark.slow
def test_rows_of_the_report_come_out_again(benchmark, torchvision):
    timm = pytest.importorskip("timm")
    with (ROOT / "reports" / "training_batches.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    batches = ("largest_that_ran", "smallest_that_failed", "step_said")
    grid = sorted({int(row[key]) for row in rows for key in batches} - {0}, reverse=True)
    chosen = random.Random(21).sample(rows, 3)
    written_out = timm.layers.use_fused_attn()
    timm.layers.set_fused_attn(False)
    try:
        found = benchmark.all_beside(chosen, grid, 1e9, None)
    finally:
        timm.layers.set_fused_attn(written_out)
    assert [dict(zip(row._fields, map(str, row), strict=True)) for row in found] == chosen
