"""The run on a GPU: every part of it on the cpu, and the page of what was measured."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("machine", "said", "tests", "local", "rates", "fp32", "half", "memory", "g4",
         "channels_last", "layers", "compile", "compared")  # fmt: skip


@pytest.fixture
def benchmark():
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "benchmarks" / "gpu.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_gpu(*arguments):
    command = ["bash", str(ROOT / "scripts" / "on_gpu.sh"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def column(path, name):
    with path.open(encoding="utf-8", newline="") as file:
        return {row["part"]: row[name] for row in csv.DictReader(file)}


@pytest.mark.slow
def test_dry_run_goes_through_every_part(tmp_path):
    done = on_gpu(tmp_path, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert column(tmp_path / "parts.csv", "exit_code") == dict.fromkeys(PARTS, "0"), done.stdout
    compared = {"fp32", "half", "channels_last", "compile", "memory", "g4", "local", "rates"}
    assert compared <= set(column(tmp_path / "compared.csv", "model"))


def test_parts_without_time_are_told_and_do_not_stop_the_others(tmp_path):
    seconds_kept_for_the_comparison = 15
    done = on_gpu(tmp_path, "--dry-run", seconds_kept_for_the_comparison)
    assert done.returncode == 0, done.stderr
    codes = {**dict.fromkeys(PARTS, "124"), "compared": "0"}
    assert column(tmp_path / "parts.csv", "exit_code") == codes, done.stdout


def test_unknown_mode_is_refused(tmp_path):
    done = on_gpu(tmp_path, "--fast")
    assert done.returncode == 2
    assert "--fast" in done.stderr


def test_page_shows_what_was_measured(benchmark):
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert benchmark.page(ROOT / "reports") in page


def test_difference_is_in_percent_of_what_was_said(benchmark):
    row = benchmark.beside("memory", "net", "training_bytes", 200.0, 206.0)
    assert row[-1] == pytest.approx(100 * (206 - 200) / 200)


def test_table_that_was_never_written_has_no_rows(benchmark, tmp_path):
    assert benchmark.table(tmp_path, "fp32") == []
    assert list(benchmark.compared(tmp_path)) == []
