"""Where a model's time goes, from a pass under the profiler, layer by layer or kind by kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

from archstat.devices import Device
from archstat.errors import CaptureError, LatencyError
from archstat.graph import Graph
from archstat.latency.attribution import attributed
from archstat.latency.clock import Clock, WallClock
from archstat.latency.conditions import Conditions
from archstat.latency.machine import cores, others_runnable
from archstat.latency.profiling import PASSES, Profile, profiled
from archstat.latency.sampling import timed_ns
from archstat.layer_time_tables import kind_time_table, layer_time_table
from archstat.local_device import local_device
from archstat.lookup import shortened
from archstat.result import Table
from archstat.rooflines import roofline
from archstat.timed_layers import LayerTimes

_WARM_UP, _LEAST_PASSES = 3, 3
_LONGEST_NS = 5_000_000_000  # of all passes, without the profiler and again under it


def layer_table(
    spec: str, conditions: Conditions, input: Sequence[str] = (), by_kind: bool = False
) -> Table:
    """Where the time of a forward pass goes: a row a layer or, with `by_kind`, a kind.

    Raises:
        LatencyError, DeviceError, ArchstatError: see `measured_layers`.
    """
    timed = measured_layers(spec, conditions, input)
    return kind_time_table(timed) if by_kind else layer_time_table(timed)


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

    from archstat.latency.settings import prepared
    from archstat.latency.subject import check_here
    from archstat.pipeline import graph_of_spec

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
        "--compile": conditions.compile,
        "--backward": conditions.backward,
        "--cuda-graph": conditions.cuda_graph,
        "--cold": conditions.cold,
    }
    for option, given in refused.items():
        if given:
            raise LatencyError(
                f"times of layers and kinds are of an eager forward pass with warm caches; "
                f"leave {option} out."
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
        f"{others} other processes or threads were runnable beside it, on {cores()} cores: times "
        "are those of a busy machine.",
    )


def _profile(
    spec: str, graph: Graph, conditions: Conditions, clock: Clock, passes: int | None
) -> Profile:
    import torch

    from archstat.frontends.paths import module_paths
    from archstat.latency.subject import Inference, moved, tensors_moved
    from archstat.real_runs import real_module
    from archstat.timed_models import random_inputs

    module = moved(real_module(spec), conditions)
    given = tensors_moved(random_inputs(graph), conditions)
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
