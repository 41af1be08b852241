"""What the tests of the cache share: stores, hand-built Graphs, and the command line by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from archstat.graph import Graph, Module, ModuleCall, Op, Storage, Value
from archstat.models.cache.store import Store

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store, whose folder does not exist yet."""
    return Store(tmp_path / "kept")


@pytest.fixture
def graph() -> Graph:
    """A Graph of three operations with something in every field."""
    image = Value((1, 3, 8, 8), "float32", "input", 0, "image")
    weight = Value((4, 3, 3, 3), "float32", "parameter", 1, "0.weight", ("1.weight",), True)
    made = Value((1, 4, 8, 8), "float32", "activation", 2)
    view = Value((1, 256), "float32", "activation", 2)
    settings = {"stride": (1, 1), "padding": "same", "scale": 0.1, "bias": None, "ceil": False}
    return Graph(
        name="small",
        ops=(
            Op("conv", "aten.convolution.default", "0", "Conv2d", (0, 1), (2,), settings),
            Op("activation", "aten.relu_.default", "", "Net", (2,), (2,), {}),
            Op("reshape", "aten.view.default", "", "Net", (2,), (3,), {"size": (1, -1)}),
        ),
        values=(image, weight, made, view),
        storages=(Storage(768), Storage(432), Storage(1024, 0)),
        calls=(
            ModuleCall("", "Net", 0, 3, None, (0,), (3,)),
            ModuleCall("0", "Conv2d", 0, 1, 0, (0,), (2,)),
        ),
        modules=(Module("", "Net"), Module("0", "Conv2d", ("1",))),
        inputs=(0,),
        outputs=(3,),
        torch_version="2.13.0",
        notes=("a note", "büro"),
    )


@pytest.fixture
def fresh_process(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command line in a separate process with a cache of this test's.

    `package` is where archstat is imported from, by default the one that is tested.
    """

    def run(
        *arguments: str, folder: Path = tmp_path, package: Path = ROOT, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(package),
            "ARCHSTAT_CACHE": str(tmp_path / "kept"),
            **variables,
        }
        command = [sys.executable, "-P", "-m", "archstat", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run
