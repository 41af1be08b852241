"""What a forward changes of torch, Python and the system is as before."""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
import warnings

import pytest
import torch

from archstat.errors import CaptureError
from archstat.frontends import recorder
from archstat.frontends.module import capture

X = torch.rand(2, 4)
CHANGES = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "threads of torch": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "precision": lambda: torch.set_float32_matmul_precision("medium"),
    "determinism": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "grad mode": lambda: torch.set_grad_enabled(True),
    "seed": lambda: torch.manual_seed(7),
    "seed of Python": lambda: random.seed(7),
    "environment": lambda: os.environ.update(ARCHSTAT_SECRET="1", PATH=""),
    "variable gone": lambda: os.environ.pop("PATH", None),
    "folder": lambda: os.chdir("/"),
    "path": lambda: sys.path.insert(0, "/nowhere"),
    "recursion limit": lambda: sys.setrecursionlimit(5000),
    "filters of warnings": lambda: warnings.simplefilter("ignore"),
    "handlers of logging": lambda: logging.root.addHandler(logging.NullHandler()),
    "level of logging": lambda: logging.root.setLevel(1),
    "output": lambda: setattr(sys, "stdout", sys.stderr),
}


def state():
    return (
        torch.get_default_dtype(), str(torch.get_default_device()), torch.get_num_threads(),
        torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled(),
        torch.is_anomaly_enabled(), torch.is_grad_enabled(), torch.initial_seed(),
        random.getstate(), dict(os.environ), os.getcwd(), list(sys.path), sys.getrecursionlimit(),
        list(warnings.filters), list(logging.root.handlers), logging.root.level, sys.stdout,
    )  # fmt: skip


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_setting_that_forward_changes_is_as_before(change, raises, as_module):
    def forward(x):
        change()
        if raises:
            raise RuntimeError("no")
        return x + 1

    before = state()
    if raises:
        with pytest.raises(CaptureError):
            capture(as_module(forward), X)
    else:
        assert len(capture(as_module(forward), X).ops) == 1
    assert state() == before


def test_threads_that_forward_leaves_are_told(as_module):
    stop = threading.Event()

    def forward(x):
        threading.Thread(target=stop.wait, name="waits", daemon=True).start()
        return x + 1

    try:
        assert capture(as_module(forward), X).notes == (
            "forward started threads that still run (waits)",
        )
    finally:
        stop.set()


def test_thread_that_has_ended_is_not_told(as_module):
    def forward(x):
        thread = threading.Thread(target=time.time)
        thread.start()
        thread.join()
        return x + 1

    assert capture(as_module(forward), X).notes == ()


def grow(x):
    while True:
        x = x + 1


def wait(x):
    while float(x.sum()) >= 0:
        x = x * 1
    return x


@pytest.mark.parametrize("forward", [grow, wait])
def test_loop_that_never_ends_is_refused(forward, as_module, monkeypatch):
    monkeypatch.setattr(recorder, "MOST_OPS", 500)
    with pytest.raises(CaptureError, match=r"more than 500 operations, .* number of rounds"):
        capture(as_module(forward), X)


def test_loop_until_a_value_says_stop_is_counted_as_it_ran(as_module):
    layer = torch.nn.Linear(4, 4)

    def forward(x, layer=layer):
        rows = x[:1]
        while float(rows.sum()) < 1e9 and len(rows) < 5:
            rows = torch.cat([rows, layer(rows[-1:])])
        return rows

    graph = capture(as_module(forward, layer=layer), X)
    assert graph.values[graph.outputs[0]].shape == (5, 4)
    assert sum(op.kind == "linear" for op in graph.ops) == 4
    assert any("counts hold for this input" in note for note in graph.notes)
