"""One model under torch's profiler: what ran in each module, and how long it took.

A range around every call of a module tells which module an op belongs to. The profiler slows what
it watches, by microseconds an op: its times are shares, and the wall clock is read without it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from archstat.graph import Graph
from archstat.measure.latency.kinds import kind_of_name, kinds_of

PASSES = 20
_MODULE = "archstat module:"
_PASS = "archstat pass"


@dataclass(frozen=True, slots=True)
class RanOp:
    """What a module itself called: its name and those of everything that ran inside.

    Names are aten's, without namespace and without the underscore of an in-place op. `cpu_ms` is
    the time until the call returned, `gpu_ms` that of the kernels it launched; None on a cpu.
    """

    module: str
    names: tuple[str, ...]
    cpu_ms: float
    gpu_ms: float | None = None

    @property
    def time_ms(self) -> float:
        """The time of the work: of the kernels, or on a cpu of the call."""
        return self.cpu_ms if self.gpu_ms is None else self.gpu_ms


@dataclass(frozen=True, slots=True)
class Profile:
    """Some passes: for each the ops in order, and the medians without the profiler, in ms.

    `wall_ms` is of a pass until its result is there, `dispatch_ms` until forward returned; on a
    cpu both are the same, and `dispatch_ms` is None. `watched_ms` is a pass under the profiler.
    """

    passes: tuple[tuple[RanOp, ...], ...]
    wall_ms: float
    dispatch_ms: float | None
    watched_ms: float


def profiled(
    call: Callable[[], object],
    modules: Sequence[tuple[str, Any]],
    now_ns: Callable[[], int],
    *,
    synchronise: Callable[[], object] | None = None,
    passes: int = PASSES,
) -> Profile:
    """Run `call` some times without, then under the profiler.

    Args:
        call: one forward pass; it ran before, so that nothing of a first pass is counted.
        modules: those whose calls are told apart, with their paths.
        synchronise: waits for the GPU; None on a cpu.
    """
    wall, dispatch = [], []
    for _ in range(passes):
        returned, done = _timed(call, now_ns, synchronise)
        dispatch.append(returned)
        wall.append(done)
    with ExitStack() as stack:
        for path, module in modules:
            stack.enter_context(_ranged(path, module))
        events, watched = _events(call, now_ns, synchronise, passes)
    on_gpu = synchronise is not None
    return Profile(
        passes_of(events, on_gpu),
        median(wall),
        median(dispatch) if on_gpu else None,
        median(watched),
    )


def _timed(
    call: Callable[[], object], now_ns: Callable[[], int], synchronise: Callable[[], object] | None
) -> tuple[float, float]:
    """The ms until `call` returned, and until its result was there."""
    start = now_ns()
    call()
    returned = now_ns()
    if synchronise is not None:
        synchronise()
    return (returned - start) / 1e6, (now_ns() - start) / 1e6


def _events(
    call: Callable[[], object],
    now_ns: Callable[[], int],
    synchronise: Callable[[], object] | None,
    passes: int,
) -> tuple[Sequence[Any], list[float]]:
    from torch.profiler import ProfilerActivity, profile, record_function

    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if synchronise else [])]
    profiler: Any = profile(activities=kinds, acc_events=True)
    watched = []
    with _quiet():
        profiler.start()
    try:
        for _ in range(passes):
            with record_function(_PASS):
                watched.append(_timed(call, now_ns, synchronise)[1])
    finally:
        with _quiet():
            profiler.stop()
    return profiler.events() or (), watched


@contextmanager
def _ranged(path: str, module: Any) -> Iterator[None]:
    """Have every call of a module stand in a range of its own, while the block runs."""
    from torch.profiler import record_function

    open_ranges: list[Any] = []

    def enter(*_: Any) -> None:
        one: Any = record_function(_MODULE + path)
        one.__enter__()
        open_ranges.append(one)

    def leave(*_: Any) -> None:
        open_ranges.pop().__exit__(None, None, None)

    handles = (
        module.register_forward_pre_hook(enter),
        module.register_forward_hook(leave, always_call=True),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def passes_of(events: Sequence[Any], on_gpu: bool) -> tuple[tuple[RanOp, ...], ...]:
    """The ops of every pass, from torch's events; on a GPU, ranges are told once more, as its own.

    Args:
        events: `torch.autograd.profiler_util.FunctionEvent`, in trees by `cpu_children`.
    """
    return tuple(
        tuple(_ran(event, on_gpu))
        for event in events
        if event.name == _PASS and event.device_type.name == "CPU"
    )


def _ran(event: Any, on_gpu: bool, module: str = "") -> Iterator[RanOp]:
    """The ops below a range, each with the module whose range stands nearest above it."""
    for child in sorted(event.cpu_children, key=lambda one: one.time_range.start):
        if child.name.startswith(_MODULE):
            yield from _ran(child, on_gpu, child.name.removeprefix(_MODULE))
        elif "::" not in child.name or any(_is_range(below) for below in child.cpu_children):
            # Somebody's own range, a function that calls modules, a call of CUDA's runtime.
            yield from _ran(child, on_gpu, module)
        else:
            gpu = child.device_time_total / 1e3 if on_gpu else None
            yield RanOp(module, tuple(_names(child)), child.cpu_time_total / 1e3, gpu)


def _is_range(event: Any) -> bool:
    return event.name.startswith(_MODULE) or any(map(_is_range, event.cpu_children))


def _names(event: Any) -> Iterator[str]:
    name = event.name.rpartition("::")[2]
    yield name if name.startswith("__") else name.rstrip("_")
    for child in event.cpu_children:
        yield from _names(child)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the lines off standard error that the profiler's library prints, past Python."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


# They do what the Graph has as several ops, of which some have the names of its parts.
_FUSED = ("attention", "_transformer", "lstm", "gru", "rnn")
_MINOR = ("reshape", "split")
# An op of the Graph or None, a module, a kind.
_Place = tuple[int | None, str, str]


@dataclass(frozen=True, slots=True)
class Share:
    """The time of some work in one pass, the median over passes.

    `op` is its index in the Graph, None for what ran there and is none of its ops. `time_ms` is
    of GPU kernels or, on a cpu, of the calls; `dispatch_ms` of the calls on a GPU, else None.
    """

    op: int | None
    module: str
    kind: str
    time_ms: float
    dispatch_ms: float | None


def attributed(graph: Graph, profile: Profile) -> list[Share]:
    """The time of every op of a Graph that ran by itself, and of everything else that ran."""
    kinds = kinds_of(graph)
    times: dict[_Place, list[float]] = {}
    calls: dict[_Place, list[float]] = {}
    for ran in profile.passes:
        sums: dict[_Place, tuple[float, float]] = {}
        for op, one in zip(matched(graph, ran), ran, strict=True):
            kind = kind_of_name(one.names[0]) if op is None else kinds[op]
            place = (op, one.module, kind)
            time, dispatch = sums.get(place, (0.0, 0.0))
            sums[place] = (time + one.time_ms, dispatch + one.cpu_ms)
        for place, (time, dispatch) in sums.items():
            times.setdefault(place, []).append(time)
            calls.setdefault(place, []).append(dispatch)
    on_gpu = profile.dispatch_ms is not None
    return [
        Share(*place, median(found), median(calls[place]) if on_gpu else None)
        for place, found in times.items()
    ]


def matched(graph: Graph, ran: Sequence[RanOp]) -> list[int | None]:
    """For everything that ran in one pass, the op of the Graph that it is, or None."""
    waiting: dict[str, list[int]] = {}
    for index, op in enumerate(graph.ops):
        waiting.setdefault(op.module, []).append(index)
    found = []
    for one in ran:
        mine = waiting.get(one.module, [])
        taken = [] if _is_fused(one.names[0]) else _taken(graph, mine, one.names)
        if taken:
            waiting[one.module] = mine[mine.index(taken[-1]) + 1 :]
        main = [index for index in taken if graph.ops[index].kind not in _MINOR]
        found.append(next(iter((*main, *taken)), None))
    return found


def _is_fused(name: str) -> bool:
    return any(part in name for part in _FUSED)


def _taken(graph: Graph, waiting: Sequence[int], names: Sequence[str]) -> list[int]:
    """The next ops that have one of the names, as many of a name as there are."""
    left = Counter(names)
    taken: list[int] = []
    for index in waiting:
        name = graph.ops[index].name
        if left[name]:
            left[name] -= 1
            taken.append(index)
        elif taken:
            break
    return taken
