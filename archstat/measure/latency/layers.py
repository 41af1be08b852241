"""Where a model's time goes, from a pass under the profiler, layer by layer or kind by kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

from archstat.analyses.devices import Device
from archstat.analyses.roofline import NOTHING, Roofline, Work, roofline
from archstat.errors import CaptureError, LatencyError, Option
from archstat.graph import Graph
from archstat.hints import shortened
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.kinds import KINDS, kinds_of
from archstat.measure.latency.local_device import local_device
from archstat.measure.latency.machine import cores, others_runnable
from archstat.measure.latency.profiling import PASSES, Profile, Share, attributed, profiled
from archstat.measure.latency.sampling import Clock, WallClock, timed_ns

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class TimedPart:
    """A layer, a kind or a model: the time measured, the work done, the least time of that work.

    `time_ms` is of GPU kernels or, on a cpu, of calls; `dispatch_ms` is of the calls on a GPU,
    None on a cpu. `ops` counts the Graph's operations.
    """

    name: str
    type: str
    ops: int
    time_ms: float
    dispatch_ms: float | None
    work: Work
    floor_ms: float
    bound: str

    @property
    def floor_share(self) -> float | None:
        """The least time over the time: 1 on the roofline; None where nothing ran."""
        return self.floor_ms / self.time_ms if self.time_ms else None

    @property
    def rate(self) -> float | None:
        """Flops a second."""
        return self.work.flops / (self.time_ms / 1e3) if self.time_ms else None


@dataclass(frozen=True)
class LayerTimes:
    """A model on a device: the time of everything that ran in it, and its roofline there.

    `wall_ms` and `dispatch_ms` are of a pass without the profiler, `watched_ms` under it;
    `dispatch_ms` is None on a cpu.
    """

    roofline: Roofline
    shares: tuple[Share, ...]
    wall_ms: float
    dispatch_ms: float | None
    watched_ms: float
    remarks: tuple[str, ...] = ()

    @cached_property
    def total(self) -> TimedPart:
        """Everything."""
        every = range(len(self.roofline.graph.ops))
        return self._part(self.roofline.model, "", every, self.shares)

    @cached_property
    def layers(self) -> tuple[TimedPart, ...]:
        """The modules that run operations themselves, in order of execution."""
        ops = self.roofline.graph.ops
        types = {module.path: module.type for module in self.roofline.graph.modules}
        types |= {op.module: op.module_type for op in ops}
        members = _grouped(range(len(ops)), [op.module for op in ops])
        shares = _grouped(self.shares, [share.module for share in self.shares])
        names = dict.fromkeys((*members, *shares))
        return tuple(
            self._part(name, types.get(name, ""), members.get(name, ()), shares.get(name, ()))
            for name in names
        )

    @cached_property
    def kinds(self) -> tuple[TimedPart, ...]:
        """The kinds of `archstat.measure.latency.kinds` that occur."""
        kinds = kinds_of(self.roofline.graph)
        members = _grouped(range(len(kinds)), kinds)
        shares = _grouped(self.shares, [share.kind for share in self.shares])
        return tuple(
            self._part(kind, "", members.get(kind, ()), shares.get(kind, ()))
            for kind in KINDS
            if kind in members or kind in shares
        )

    def _part(
        self, name: str, kind: str, members: Sequence[int], shares: Iterable[Share]
    ) -> TimedPart:
        found = tuple(shares)
        work = NOTHING
        for index in members:
            work = work + self.roofline.work[index]
        floors = [self.roofline.floors[index] for index in members]
        seconds = sum(floor.seconds for floor in floors)
        compute = sum(floor.seconds for floor in floors if floor.bound == "compute")
        bound = ("compute" if compute > seconds / 2 else "memory") if seconds else ""
        time = sum(share.time_ms for share in found)
        calls = None
        if self.dispatch_ms is not None:
            calls = sum(share.dispatch_ms or 0.0 for share in found)
        return TimedPart(name, kind, len(members), time, calls, work, 1e3 * seconds, bound)


def _grouped(items: Sequence[_Item], keys: Sequence[str]) -> Mapping[str, list[_Item]]:
    found: dict[str, list[_Item]] = {}
    for item, key in zip(items, keys, strict=True):
        found.setdefault(key, []).append(item)
    return found


_WARM_UP, _LEAST_PASSES = 3, 3
_LONGEST_NS = 5_000_000_000  # of all passes, without the profiler and again under it


def measured_layers(
    spec: str,
    conditions: Conditions,
    input: Sequence[str] = (),
    *,
    device: Device | None = None,
    clock: Clock | None = None,
    passes: int | None = None,
) -> LayerTimes:
    """The time of everything that runs in a model, beside its work and the least time of that.

    Args:
        input: shapes without the batch, where the spec names none.
        device: whose peaks the roofline has; this machine's by default, measured once and kept.
        passes: with and without the profiler; by default up to 20, within some seconds.

    Raises:
        LatencyError: a condition that a profile cannot be of, or that this machine lacks.
        ArchstatError: the model does not build or run.
    """
    import torch

    from archstat.measure.latency.machine import prepared
    from archstat.measure.latency.subject import check_here
    from archstat.models.pipeline import graph_of_spec

    asked = _eager_inference(conditions.checked())
    check_here(asked)
    graph = graph_of_spec(spec, list(input) or None, asked.batch)
    with prepared(asked):
        here = device or local_device("cuda" if asked.on_cuda else "cpu")
        found = _profile(spec, graph, asked, clock or WallClock(), passes)
        threads = torch.get_num_threads()
    dtype, remarks = _dtype(asked)
    return LayerTimes(
        roofline(graph, spec, here, dtype),
        tuple(attributed(graph, found)),
        found.wall_ms,
        found.dispatch_ms,
        found.watched_ms,
        (*remarks, *_crowd(asked, threads)),
    )


def _eager_inference(conditions: Conditions) -> Conditions:
    """The conditions, if ops of modules run under them one by one.

    Raises:
        LatencyError: they do not.
    """
    refused = {
        "compile": conditions.compile,
        "backward": conditions.backward,
        "cuda_graph": conditions.cuda_graph,
        "cold": conditions.cold,
    }
    for option, given in refused.items():
        if given:
            raise LatencyError(
                f"times of layers and kinds come from an eager forward pass with warm caches; "
                f"leave {Option(option)} out."
            )
    return conditions


def _dtype(conditions: Conditions) -> tuple[str, tuple[str, ...]]:
    """What the roofline counts in, and a remark where not everything runs in it."""
    if conditions.dtype != "amp":
        return conditions.dtype, ()
    half = "fp16" if conditions.on_cuda else "bf16"
    return half, (f"amp: the roofline counts everything in {half}, also what runs in fp32.",)


def _crowd(conditions: Conditions, threads: int) -> tuple[str, ...]:
    """A remark where more could run, just now, than there are cores."""
    others = others_runnable() or 0
    if others + (1 if conditions.on_cuda else threads) <= cores():
        return ()
    return (
        f"Busy machine: {others} other processes or threads competed for {cores()} cores, so times "
        "may be inflated.",
    )


def _profile(
    spec: str, graph: Graph, conditions: Conditions, clock: Clock, passes: int | None
) -> Profile:
    import torch

    from archstat.frontends.trees import module_paths
    from archstat.measure.latency.models import random_inputs, timed_module
    from archstat.measure.latency.subject import Inference, moved, tensors_moved

    module = moved(timed_module(spec), conditions)
    given = tensors_moved(random_inputs(graph, module), conditions)
    call = Inference(module, given, conditions).call
    own = {op.module for op in graph.ops}
    modules = [(names[0], one) for one, names in module_paths(module) if names[0] in own]
    wait = partial(torch.cuda.synchronize, conditions.device) if conditions.on_cuda else None
    on_gpu = torch.cuda.device(conditions.device) if conditions.on_cuda else nullcontext()
    with _told(spec), on_gpu:
        took = [timed_ns(clock, call) for _ in range(_WARM_UP)]
        passes = passes or max(_LEAST_PASSES, min(PASSES, int(_LONGEST_NS // max(1, min(took)))))
        return profiled(call, modules, clock.now_ns, synchronise=wait, passes=passes)


@contextmanager
def _told(spec: str) -> Iterator[None]:
    """What forward raises, as one sentence."""
    try:
        yield
    except Exception as error:
        raise CaptureError(f"the forward pass of {spec} raised {shortened(error)}") from error
