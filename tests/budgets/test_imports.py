"""What budgets must not import: mistakes are found before torch is."""

from __future__ import annotations

import subprocess
import sys

_MISTAKEN = """
import sys
from archstat.cli import main
sys.argv = ["archstat", "check"]
assert main() == 2
heavy = sorted({"torch", "numpy", "pandas", "fvcore"} & sys.modules.keys())
assert not heavy, heavy
"""


def test_mistakes_are_reported_without_importing_torch(tmp_path):
    (tmp_path / "archstat.toml").write_text('[[budget]]\nmodel = "resnet*"\nparams = "5M"\n')
    done = subprocess.run(
        [sys.executable, "-c", _MISTAKEN], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "archstat.toml:3: params" in done.stderr
