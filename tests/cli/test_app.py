"""What --version -v says."""

from __future__ import annotations

import platform

import torch

from archstat.cli.app import facts


def test_versions_and_devices_are_named():
    lines = facts()
    assert lines[0].startswith(f"python {platform.python_version()}, ")
    assert f"torch {torch.__version__}" in lines
    assert any(line.startswith("devices cpu") for line in lines)
