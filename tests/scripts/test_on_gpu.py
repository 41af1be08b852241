"""The run on a GPU: every part of it on the cpu, and the page of what was measured."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark():
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "benchmarks" / "gpu.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_dry_run_goes_through_every_part(tmp_path):
    command = ["bash", str(ROOT / "scripts" / "on_gpu.sh"), str(tmp_path), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "parts.csv").open(encoding="utf-8") as file:
        codes = {row["part"]: row["exit_code"] for row in csv.DictReader(file)}
    assert len(codes) == 13
    assert {part for part, code in codes.items() if code != "0"} == set()
    with (tmp_path / "compared.csv").open(encoding="utf-8") as file:
        compared = {row["part"] for row in csv.DictReader(file)}
    assert {
        "fp32",
        "half",
        "channels_last",
        "compile",
        "memory",
        "g1",
        "g2",
        "g3",
        "g4",
    } <= compared


def test_page_shows_what_was_measured(benchmark):
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert benchmark.page(ROOT / "reports") in page


def test_difference_is_in_percent_of_what_was_said(benchmark):
    row = benchmark.beside("memory", "net", "training_bytes", 200.0, 206.0)
    assert row[-1] == pytest.approx(100 * (206 - 200) / 200)


def test_table_that_was_never_written_has_no_rows(benchmark, tmp_path):
    assert benchmark.table(tmp_path, "fp32") == []
    assert list(benchmark.compared(tmp_path)) == []
