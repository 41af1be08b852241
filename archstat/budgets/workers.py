"""Models in other processes: several at once, and users' code where it can end only itself.

Forked processes share the parent's import of torch. A model of the zoo may run in any of them. A
user's code may end its process, so it gets one of its own, and how that ends is reported. A Dask
cluster has its processes elsewhere.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from archstat.errors import MissingExtraError, SchedulerError
from archstat.hints import shortened

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor
    from multiprocessing.connection import Connection

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_MOST = 8
_WORTH_A_PROCESS = 4


def useful_workers(tasks: int) -> int:
    """How many processes pay for their start: 1 where there are few tasks or no safe fork."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return max(1, min(len(os.sched_getaffinity(0)), tasks // _WORTH_A_PROCESS, _MOST))


def in_order(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[_Result]:
    """The result of each task, in the order of the tasks; what a process lost is done here.

    The processes start before the first result is asked for: a progress bar has a thread of its
    own, and must not exist yet when this process is forked.
    """
    return _results(work, tasks, _started(work, tasks, workers) if workers > 1 else None)


def _started(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> tuple[ProcessPoolExecutor, list[Future[_Result]]]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context: Any = multiprocessing.get_context("fork")
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


@dataclass(frozen=True, slots=True)
class Ended:
    """A process gave no result; `how` it ended completes a sentence about its model."""

    how: str


def each_alone(
    work: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int
) -> Iterator[_Result | Ended]:
    """The result of each task, in the order of the tasks, each from a process of its own.

    One process starts at once, see `in_order`, and makes the others; it runs none of the work.
    """
    if not tasks:
        return iter(())
    return _received(*_spawned(_serve, work, tasks, workers), len(tasks))


def _received(process: Any, results: Connection, count: int) -> Iterator[Any]:
    try:
        for _ in range(count):
            yield _result(process, results)
    finally:
        process.terminate()  # those that it made see that nobody listens, and are ended by it
        process.join()


def _serve(
    results: Connection, work: Callable[[Any], Any], tasks: Sequence[Any], workers: int
) -> None:
    import torch  # noqa: F401 - once for all processes that are made here

    running: deque[tuple[Any, Connection]] = deque()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        for task in tasks:
            if len(running) == max(1, workers):
                results.send(_last_words(*running[0]))
                running.popleft()
            running.append(_spawned(_alone, work, task))
        while running:
            results.send(_last_words(*running[0]))
            running.popleft()
    finally:
        for process, _ in running:
            process.kill()


def _alone(result: Connection, work: Callable[[Any], Any], task: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        found = work(task)
    except BaseException as error:  # SystemExit, KeyboardInterrupt: whatever the user's code raises
        found = Ended(f"raised {shortened(error)}")
    with suppress(OSError):  # the user's code may have closed what was not its own
        result.send(found)


def _last_words(process: Any, result: Connection) -> Any:
    found = _result(process, result)
    process.kill()  # it has nothing more to say, whatever threads it still has
    process.join()
    return found


def _result(process: Any, result: Connection) -> Any:
    """What a process sends, or how it ended without a word."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    # One that it leaves behind may hold the other end of the pipe open.
    while not result.poll(1) and process.is_alive():
        if parent is not None and not parent.is_alive():
            sys.exit(1)  # killed with its group, of which this process is none
    with suppress(EOFError):
        if result.poll():
            return result.recv()
    process.join()
    code = process.exitcode
    return Ended(f"ended its process {f'by signal {-code}' if code < 0 else f'with code {code}'}")


def _spawned(target: Callable[..., None], *arguments: Any) -> tuple[Any, Connection]:
    import multiprocessing

    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_quietly, args=(target, sending, *arguments))
    process.start()
    sending.close()
    return process, receiving


def _quietly(target: Callable[..., None], *arguments: Any) -> None:
    _leave_interrupts()
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # a signal that the user's code sends to its group is not for the parent
    os.dup2(2, 1)  # standard output is for verdicts, not for what a model prints
    target(*arguments)


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and stops them


# -- a Dask cluster ------------------------------------------------------------------------------

LOCAL = "local"
_PATIENCE_S = 10
_AHEAD = 3  # tasks a worker: it never waits for the client, and few results wait for their turn


class Cluster:
    """A running cluster at an address, or one of so many processes on this machine.

    Raises:
        MissingExtraError: dask or distributed is not installed.
        SchedulerError: nobody answers, or the cluster has no worker.
    """

    def __init__(self, address: str, workers: int) -> None:
        try:
            import dask
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise MissingExtraError("A scheduler needs dask and distributed: python -m pip install "
                                    "'archstat[sweep]', or leave it out.") from error  # fmt: skip
        # One death is enough: candidates are tried once more by themselves.
        dask.config.set({"distributed.scheduler.allowed-failures": 0})
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self._own: Any = None
        try:
            if address == LOCAL:
                self._own = LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=":0",
                    silence_logs=logging.CRITICAL,
                )  # fmt: skip
            self.client: Any = Client(self._own or address, timeout=_PATIENCE_S)
            self.client.wait_for_workers(1, timeout=_PATIENCE_S)
        except (OSError, ValueError, TimeoutError) as error:
            raise SchedulerError(
                f"No cluster with workers answers at {address!r}; start one with `dask scheduler` "
                f"and `dask worker`, and give its address, or {LOCAL!r}."
            ) from error

    def __len__(self) -> int:
        return sum(self.client.nthreads().values())

    def run(
        self,
        tasks: Sequence[str],
        size: int,
        workers: int,
        work: Callable[[Sequence[str]], _Result],
    ) -> Iterator[_Result | Ended]:
        """What `work` makes of each group of so many tasks, in order; the first ones begin now."""
        groups = (list(tasks[start : start + size]) for start in range(0, len(tasks), size))
        # One that dies takes those that wait with it, so single ones are given one by one.
        ahead = 1 if size == 1 else _AHEAD * workers
        window = deque(self._submit(work, group) for group in islice(groups, ahead))
        return self._results(work, groups, window)

    def close(self) -> None:
        """Leave a running cluster; end one of this machine."""
        self.client.close()
        if self._own is not None:
            self._own.close()

    def _submit(self, work: Callable[[Sequence[str]], _Result], group: Sequence[str]) -> Any:
        return self.client.submit(work, group, pure=False)

    def _results(
        self,
        work: Callable[[Sequence[str]], _Result],
        groups: Iterator[list[str]],
        window: deque[Any],
    ) -> Iterator[_Result | Ended]:
        from distributed import KilledWorker

        try:
            while window:
                try:
                    result = window.popleft().result()
                except KilledWorker:
                    result = Ended("ended its process")
                window.extend(self._submit(work, group) for group in islice(groups, 1))
                yield result
        except OSError as error:
            raise SchedulerError(f"The cluster is gone: {error}.") from error
        finally:
            self.client.cancel(list(window))
