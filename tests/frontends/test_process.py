"""What a forward changes of torch, Python and the system is as before."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from contextvars import ContextVar

import pytest
import torch

from archstat.errors import CaptureError
from archstat.frontends import recorder
from archstat.frontends.module import capture

X = torch.rand(2, 4)
VARIABLE = ContextVar("variable", default=0)
NAMED = logging.getLogger("archstat_tests.of_a_user")
HELD = []


def new_path():
    sys.path = ["/nowhere", *sys.path]


def module_hook():
    torch.nn.modules.module.register_module_forward_hook(lambda *given: None)


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
    "another path": new_path,
    "arguments": lambda: sys.argv.append("--more"),
    "finders": lambda: sys.meta_path.append(object()),
    "signal": lambda: signal.signal(signal.SIGTERM, lambda *given: None),
    "interrupt": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    "alarm": lambda: (signal.signal(signal.SIGALRM, print), signal.alarm(1000)),
    "hook of errors": lambda: setattr(sys, "excepthook", print),
    "hook of threads": lambda: setattr(threading, "excepthook", print),
    "hook of what is lost": lambda: setattr(sys, "unraisablehook", print),
    "hook of warnings": lambda: setattr(warnings, "showwarning", print),
    "capture of warnings": lambda: logging.captureWarnings(True),
    "logging off": lambda: logging.disable(logging.CRITICAL),
    "handler of a logger": lambda: NAMED.addHandler(logging.NullHandler()),
    "collection off": gc.disable,
    "thresholds of collection": lambda: gc.set_threshold(5, 5, 5),
    "callback of collection": lambda: gc.callbacks.append(lambda *given: None),
    "context variable": lambda: VARIABLE.set(1),
    "cudnn": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "how tensors are printed": lambda: torch.set_printoptions(precision=2),
    "hook of all modules": module_hook,
}


def state():
    return (
        torch.get_default_dtype(), str(torch.get_default_device()), torch.get_num_threads(),
        torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled(),
        torch.is_anomaly_enabled(), torch.is_grad_enabled(), torch.initial_seed(),
        random.getstate(), dict(os.environ), os.getcwd(), list(sys.path), sys.getrecursionlimit(),
        list(warnings.filters), list(logging.root.handlers), logging.root.level, sys.stdout,
        sys.argv[:], sys.meta_path[:], list(map(signal.getsignal, (2, 14, 15))),
        signal.getitimer(signal.ITIMER_REAL)[0], sys.excepthook, threading.excepthook,
        sys.unraisablehook, warnings.showwarning, logging.root.manager.disable, NAMED.handlers[:],
        gc.isenabled(), gc.get_threshold(), gc.callbacks[:], VARIABLE.get(),
        torch.backends.cudnn.benchmark, torch._tensor_str.PRINT_OPTS.precision,
        len(torch.nn.modules.module._global_forward_hooks),
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


def opened():
    return open(__file__, encoding="utf-8")


def sleeping():
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


REMAINS = {
    "a file or socket open (": [opened, socket.socket, os.pipe],
    "processes that are not over (": [sleeping],
    "registered functions to call when the process ends": [lambda: atexit.register(HELD.clear)],
}


@pytest.mark.parametrize(
    ("said", "leave"), [(said, leave) for said, ways in REMAINS.items() for leave in ways]
)
def test_what_forward_leaves_and_cannot_be_undone_is_told(said, leave, as_module):
    left = []

    def forward(x, keep=left.append):
        keep(leave())
        return x + 1

    try:
        graph = capture(as_module(forward), X)
        assert any(said in note for note in graph.notes)
        assert all(note.startswith("forward ") for note in graph.notes)
    finally:
        atexit.unregister(HELD.clear)
        for one in left:
            ends_with(one)


def ends_with(one):
    if isinstance(one, subprocess.Popen):
        one.communicate()
    elif isinstance(one, tuple):
        list(map(os.close, one))
    elif hasattr(one, "close"):
        one.close()


@pytest.mark.parametrize(
    "leave",
    [
        lambda: opened().close(),
        lambda: HELD.append(opened()),  # closed where it is taken back
        lambda: subprocess.run([sys.executable, "-c", ""], check=True),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_is_over_when_forward_is_over_is_not_told(leave, as_module):
    def forward(x):
        leave()
        return x + 1

    assert capture(as_module(forward), X).notes == ()


def test_what_was_open_before_is_not_told(as_module):
    with opened(), sleeping() as child:
        assert capture(as_module(lambda x: x + 1), X).notes == ()
        child.communicate()


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
