"""Settings of the process that a forward may change, put back after it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_Pair = tuple[Callable[[], Any], Callable[[Any], Any]]


# As the system holds it, where Python tells: decoding all of it takes as long as a small capture.
_environment: Any = getattr(os.environ, "_data", os.environ)


def _set_environment(before: dict[Any, Any]) -> None:
    now = dict(_environment)
    for name in {**now, **before}:
        if now.get(name) == before.get(name):
            continue
        key, value = (one if one is None or isinstance(one, str) else os.fsdecode(one)
                      for one in (name, before.get(name)))  # fmt: skip
        if value is None:
            del os.environ[str(key)]
        else:
            os.environ[str(key)] = value


def _set_filters(before: list[Any]) -> None:
    warnings.filters[:] = before  # type: ignore[index]
    # What Python remembers of a warning holds for one state of the filters.
    getattr(warnings, "_filters_mutated", lambda: None)()


def _set_streams(before: tuple[Any, ...]) -> None:
    sys.stdout, sys.stderr, sys.stdin = before


def _set_deterministic(before: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _set_default_device(before: torch.device) -> None:
    # Without one, torch makes tensors on cpu and asks no mode.
    torch.set_default_device(None if before.type == "cpu" else before)


def _set_root_logger(before: tuple[int, list[logging.Handler]]) -> None:
    logging.root.setLevel(before[0])
    logging.root.handlers[:] = before[1]


def _cwd() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # the folder is gone
        return None


def _set_cwd(before: str | None) -> None:
    if before is not None:
        os.chdir(before)


# How to read a setting, and how to set it again.
_SETTINGS: tuple[_Pair, ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    # Asking for it by name takes five times as long.
    (lambda: torch.empty(0).device, _set_default_device),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (lambda: (torch.are_deterministic_algorithms_enabled(),
              torch.is_deterministic_algorithms_warn_only_enabled()), _set_deterministic),
    (lambda: dict(_environment), _set_environment),
    (_cwd, _set_cwd),
    (sys.path.copy, lambda before: sys.path.__setitem__(slice(None), before)),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (lambda: (sys.stdout, sys.stderr, sys.stdin), _set_streams),
    (lambda: list(warnings.filters), _set_filters),
    (lambda: (logging.root.level, logging.root.handlers.copy()), _set_root_logger),
)  # fmt: skip


@contextmanager
def process_kept() -> Iterator[None]:
    """Run the block, then put back what it changed of torch's, Python's and the system's.

    It has room for what a capture adds to the calls of nested modules.
    """
    before = [read() for read, _ in _SETTINGS]
    sys.setrecursionlimit(2 * sys.getrecursionlimit())
    try:
        yield
    finally:
        for (read, put_back), was in zip(_SETTINGS, before, strict=True):
            if read() != was:
                put_back(was)


@contextmanager
def threads_noticed() -> Iterator[list[str]]:
    """Names of threads that start to run while the block does: no mode sees their operations."""
    ran: list[str] = []

    def notice(*_: Any) -> None:
        ran.append(threading.current_thread().name)
        sys.settrace(None)

    before: Any = threading.gettrace()
    threading.settrace(notice)
    try:
        yield ran
    finally:
        threading.settrace(before)


def threads_since(before: set[threading.Thread]) -> tuple[str, ...]:
    """What to say of threads that a forward has left running."""
    left = [t.name for t in threading.enumerate() if t not in before]
    if not left:
        return ()
    return (f"forward started threads that still run ({', '.join(left[:3])})",)
