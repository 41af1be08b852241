"""What the tests of the command line share: a run in this process, and files with models."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from archstat.cli import main

if TYPE_CHECKING:
    from archstat.measure.latency.conditions import Conditions
    from archstat.measure.latency.measurement import Measurement

NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width: int = 4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, bias=False)

    def forward(self, x):
        return self.conv(x)

class Pair(Net):
    def forward(self, left, right):
        return self.conv(left) + self.conv(right)

class Looking(Net):
    def forward(self, x):
        assert x.sum() >= 0
        return self.conv(x)

class Chatty(Net):
    def __init__(self):
        print("building")
        super().__init__()

    def forward(self, x):
        print("running")
        return self.conv(x)

def raising():
    raise RuntimeError("no such table")

def leaving():
    raise SystemExit(3)
"""

UNKNOWN = """
import torch
from torch import nn

library = torch.library.Library("tests_cli", "DEF")
library.define("swirl(Tensor x) -> Tensor")
library.impl("swirl", torch.empty_like, "Meta")

class Swirl(nn.Module):
    def forward(self, x):
        return torch.ops.tests_cli.swirl(x)

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3, bias=False), Swirl())
"""


class Ran(NamedTuple):
    """A finished command."""

    code: int
    out: str
    err: str


@pytest.fixture
def archstat(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Run a command line in this process, as the program itself would."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["archstat", *arguments])
        try:
            code = main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with nets.py the working directory."""
    (tmp_path / "nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Name a model with one unknown operation, its input included."""
    path = tmp_path_factory.mktemp("unknown") / "unknown_nets.py"
    path.write_text(UNKNOWN, encoding="utf-8")
    return f"{path}:Net,input=3x8x8"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the store of latencies a place of its own."""
    path = tmp_path / "store" / "latency.sqlite"
    monkeypatch.setenv("ARCHSTAT_STORE", str(path))
    return path


class Asked(NamedTuple):
    """What `measure` was called with."""

    models: tuple[str, ...]
    conditions: Conditions
    budget_s: float
    input: tuple[str, ...]
    reference: int


@pytest.fixture
def asked(
    measurement: Callable[..., Measurement], store: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Asked]:
    """Put a stand-in at the place of measuring, a model taking 10 ms a letter of its name.

    It lists what it was asked for. Of a model called `raising` it tells an error, of one called
    `failing` also whose it is. At a batch of 7 it is interrupted with some samples finished, at one
    of 9 before.
    """
    from archstat.errors import CaptureError, LatencyError
    from archstat.measure.latency.measurement import Interval, LatencyRun, Progress, Ratio

    calls: list[Asked] = []

    def measure(models, conditions, *, budget_s, input, reference, progress):
        calls.append(Asked(tuple(models), conditions, budget_s, tuple(input), reference))
        if conditions.batch == 9:
            raise KeyboardInterrupt
        if "raising" in models:
            raise LatencyError("a measuring process died: raising.")
        if "failing" in models:
            error = CaptureError("failing does not run on cpu.")
            error.model = models.index("failing")
            raise error
        if progress is not None:
            progress(Progress("measuring", budget_s / 2, budget_s, (Interval(9.0, 10.0, 11.0),)))
        named = asdict(conditions)
        rule = "interrupted" if conditions.batch == 7 else "budget of 30 s used"
        found = tuple(measurement(m, 10.0 * len(m), rule=rule, **named) for m in models)
        base = found[reference].main.p50_ms
        ratios = tuple(
            Ratio(one.model, models[reference], Interval(*(one.main.p50_ms / base,) * 3), "slower")
            for number, one in enumerate(found)
            if number != reference
        )
        return LatencyRun(found, ratios, Interval(0.98, 1.0, 1.02), ("a remark.",), reference)

    monkeypatch.setattr("archstat.measure.latency.runs.measure", measure)
    monkeypatch.setattr("archstat.cli.bench_grid.check_model", lambda *given, **options: None)
    monkeypatch.setattr("archstat.measure.latency.subject.check_here", lambda conditions: None)
    return calls
