"""What scripts generate from the zoo is up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow  # scripts/reports says so, too
@pytest.mark.parametrize(
    "script",
    [
        "make_families_table.py",
        "make_ops.py",
        "make_receptive_field.py",
        "measure_latency.py",
        "make_catalogue.py",
    ],
)
def test_generated_file_is_fresh(script):
    command = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "fresh\n")
