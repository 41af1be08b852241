"""What a forward may change of its process: settings are put back after it, the rest is told."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from archstat.frontends.torch_private import EVERY_CALL, PRINT_OPTIONS

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


# What `signal.getsignal` makes an enum of, which takes twenty times as long.
_handler_of: Any = getattr(sys.modules.get("_signal"), "getsignal", signal.getsignal)
_SIGNALS = tuple(sorted(int(one) for one in signal.valid_signals() if one < 32))
_getitimer: Any = getattr(signal, "getitimer", None)


def _set_handlers(before: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, before, strict=True):
        # One that was not set from Python cannot be set again; other threads can set none.
        if handler is not None and _handler_of(number) != handler:
            with suppress(ValueError):
                signal.signal(number, handler)


def _timer_runs() -> bool:
    return _getitimer is not None and _getitimer(signal.ITIMER_REAL)[0] > 0


def _stop_timer(ran: bool) -> None:
    if not ran:
        signal.setitimer(signal.ITIMER_REAL, 0)


_HOOKS = ((sys, "excepthook"), (sys, "unraisablehook"), (sys, "displayhook"),
          (threading, "excepthook"), (warnings, "showwarning"))  # fmt: skip


def _set_hooks(before: tuple[Any, ...]) -> None:
    for (owner, name), hook in zip(_HOOKS, before, strict=True):
        setattr(owner, name, hook)


# Every handler that there is, as a weak reference, the newest last.
_all_handlers: list[Any] = getattr(logging, "_handlerList", [])


def _remove_handlers(before: int) -> None:
    """Take handlers that are new away from the loggers that have them."""
    new = [reference() for reference in _all_handlers[before:]]
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.handlers[:] = [one for one in logger.handlers if one not in new]


def _lists() -> list[tuple[list[Any], list[Any]]]:
    return [(own, own.copy()) for own in (sys.path, sys.argv, sys.meta_path, gc.callbacks)]


def _set_lists(before: list[tuple[list[Any], list[Any]]]) -> None:
    for own, content in before:
        own[:] = content
    sys.path, sys.argv, sys.meta_path = (own for own, _ in before[:3])


_MODULE_HOOKS = [table for table in EVERY_CALL if table is not None]


def _remove_module_hooks(before: list[int]) -> None:
    for table, count in zip(_MODULE_HOOKS, before, strict=True):
        while len(table) > count:
            table.popitem()


def _cudnn() -> tuple[bool, ...]:
    cudnn = torch.backends.cudnn
    return cudnn.enabled, cudnn.benchmark, cudnn.deterministic


def _set_cudnn(before: tuple[bool, ...]) -> None:
    cudnn: Any = torch.backends.cudnn
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = before


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
    (_lists, _set_lists),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (lambda: (sys.stdout, sys.stderr, sys.stdin), _set_streams),
    (lambda: list(warnings.filters), _set_filters),
    (lambda: (logging.root.level, logging.root.handlers.copy()), _set_root_logger),
)  # fmt: skip
# Those that no installed package's forward changes: to read them all takes longer than the others.
_FURTHER: tuple[_Pair, ...] = (
    (lambda: (sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook,
              warnings.showwarning), _set_hooks),
    (lambda: logging.root.manager.disable, logging.disable),
    (lambda: len(_all_handlers), _remove_handlers),
    (gc.get_threshold, lambda before: gc.set_threshold(*before)),
    (lambda: list(map(_handler_of, _SIGNALS)), _set_handlers),
    (_timer_runs, _stop_timer),
    (_cudnn, _set_cudnn),
    (PRINT_OPTIONS.copy, PRINT_OPTIONS.update),
    (lambda: list(map(len, _MODULE_HOOKS)), _remove_module_hooks),
)  # fmt: skip


@contextmanager
def process_kept(users_code: bool = True) -> Iterator[list[str]]:
    """Run the block, then put back what it changed of torch's, Python's and the system's.

    It has room for what a capture adds to the calls of nested modules. After it, the list that it
    gives says what the block leaves that cannot be undone; without `users_code` that is nothing.
    """
    told: list[str] = []
    settings = (*_SETTINGS, *_FURTHER) if users_code else _SETTINGS
    before = [read() for read, _ in settings]
    remains = Remains() if users_code else None
    sys.setrecursionlimit(2 * sys.getrecursionlimit())
    try:
        yield told
    finally:
        for (read, put_back), was in zip(settings, before, strict=True):
            if read() != was:
                put_back(was)
    if remains is not None:
        told += remains.told()


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


class Remains:
    """What outlives a block and cannot be undone: threads, processes, open files, exit functions.

    What the block wrote to disk or sent is not noticed.
    """

    __slots__ = ("_children", "_descriptor", "_functions", "_modules", "_threads")

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._children = _children()
        self._descriptor = _lowest_descriptor()
        self._functions, self._modules = _exit_functions(), len(sys.modules)

    def told(self) -> tuple[str, ...]:
        """A sentence for each kind that is there now and was not before."""
        said = []
        threads = [one.name for one in threading.enumerate() if one not in self._threads]
        if threads:
            said.append(f"forward started threads that still run ({_some(threads)})")
        children = _children() - self._children
        if children:
            named = _some(sorted(map(_name_of_process, children)))
            said.append(f"forward started processes that are not over ({named})")
        if _lowest_descriptor() > self._descriptor:
            named = _name_of_descriptor(self._descriptor)
            said.append(f"forward left a file or socket open ({named})")
        # Libraries register some when they are imported, once for all.
        if _exit_functions() > self._functions and len(sys.modules) == self._modules:
            said.append("forward registered functions to call when the process ends")
        return tuple(said)


# Private to Python; without it nobody can tell.
_exit_functions: Callable[[], int] = getattr(atexit, "_ncallbacks", lambda: 0)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3])


def _lowest_descriptor() -> int:
    """The lowest descriptor that is free: higher than before where one was opened and left."""
    try:
        descriptor = os.dup(0)
    except OSError:  # standard input is closed
        descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def _name_of_descriptor(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return f"descriptor {descriptor}"


def _children() -> set[int]:
    """The processes that this one started and that are not waited for; none where none tells."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except (AttributeError, ChildProcessError):  # Windows has no such call
        return set()
    lists = Path("/proc/self/task").glob("*/children")
    return {int(child) for one in lists for child in one.read_text(encoding="ascii").split()}


def _name_of_process(child: int) -> str:
    try:
        return Path(f"/proc/{child}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return str(child)
