"""Many models at once: forked processes, which share the parent's import of torch."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_MOST = 8
_WORTH_A_PROCESS = 4


def useful_workers(tasks: int) -> int:
    """How many processes are worth their start: 1 where there are few tasks or no safe fork."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return max(1, min(len(os.sched_getaffinity(0)), tasks // _WORTH_A_PROCESS, _MOST))


def in_order(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[_Result]:
    """The result of each task, in the order of the tasks; what a process lost is done here.

    The processes start at once, before the first result is asked for: a progress bar, which has a
    thread of its own, must not be there when this process is forked.
    """
    return _results(work, tasks, _started(work, tasks, workers) if workers > 1 else None)


def _started(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> tuple[ProcessPoolExecutor, list[Future[_Result]]]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts)
    return pool, [pool.submit(work, task) for task in tasks]


def _results(
    work: Callable[[_Task], _Result],
    tasks: Sequence[_Task],
    started: tuple[ProcessPoolExecutor, list[Future[_Result]]] | None,
) -> Iterator[_Result]:
    done = 0
    if started is not None:
        for result in _of_living(*started):
            yield result
            done += 1
    for task in tasks[done:]:
        yield work(task)


def _of_living(pool: ProcessPoolExecutor, futures: Sequence[Future[_Result]]) -> Iterator[_Result]:
    """Results as long as all processes live; a model may well take its own with it."""
    from concurrent.futures.process import BrokenProcessPool

    try:
        for future in futures:
            yield future.result()
    except BrokenProcessPool:
        return
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and stops them
