"""GPUs: events on the stream, one synchronisation at the end, cold caches, captured graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.machine import number
from archstat.measure.latency.rounds import Samples
from archstat.measure.latency.sampling import MILLISECOND, Clock
from archstat.measure.latency.subject import Inference, Training, by_phase

# Streams, events and graphs of torch.cuda have no annotations.
_cuda: Any = torch.cuda
_GRAPH_WARM_UP = 3
_LEAST_FLUSHED = 64 * 2**20  # bytes, where torch does not tell the size of the cache


class _Flush:
    """Fills the GPU's cache with something else, outside the timed part of the stream."""

    def __init__(self, device: str) -> None:
        properties: Any = torch.cuda.get_device_properties(number(device))
        cache = int(getattr(properties, "L2_cache_size", 0))
        self._buffer = torch.empty(max(4 * cache, _LEAST_FLUSHED), dtype=torch.int8, device=device)

    def __call__(self) -> None:
        self._buffer.zero_()


class CudaInference:
    """A forward pass on a GPU: its time on the stream, on the wall, and until the call returns."""

    def __init__(self, inference: Inference, conditions: Conditions) -> None:
        self._inference = inference
        self._conditions = conditions
        self._flush = _Flush(conditions.device) if conditions.cold else None
        self._graph: Any = None
        self._called = False

    def call(self) -> None:
        """Run once, to the end; the second call, which belongs to the warm-up, captures a graph."""
        self._inference.call()
        torch.cuda.synchronize()
        if self._called and self._conditions.cuda_graph and self._graph is None:
            self.capture()
        self._called = True

    def capture(self) -> None:
        """Record a CUDA graph of the call, after some calls on a side stream, as torch asks."""
        side = _cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_GRAPH_WARM_UP):
                self._inference.call()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = _cuda.CUDAGraph()
        with _cuda.graph(self._graph):
            self._inference.call()

    def sample(self, clock: Clock, calls: int, blocks: int) -> Samples:
        """Calls one by one; events are read after one synchronisation at the end.

        The wall clock and dispatch time are of further calls, each of which is waited for.
        """
        count = calls * blocks
        samples = {"forward": self._on_stream(self._inference.call, count)}
        samples["wall"], samples["dispatch"] = self._on_wall(clock, count)
        if self._conditions.cuda_graph:
            if self._graph is None:
                self.capture()
            samples["cuda_graph"] = self._on_stream(self._graph.replay, count)
        return {phase: _averaged(times, calls) for phase, times in samples.items()}

    def _on_stream(self, run: Callable[[], None], count: int) -> list[float]:
        pairs = [(_event(), _event()) for _ in range(count)]
        for begin, end in pairs:
            if self._flush is not None:
                self._flush()
            begin.record()
            run()
            end.record()
        torch.cuda.synchronize()
        return [begin.elapsed_time(end) for begin, end in pairs]

    def _on_wall(self, clock: Clock, count: int) -> tuple[list[float], list[float]]:
        wall, dispatch = [], []
        for _ in range(count):
            if self._flush is not None:
                self._flush()
            torch.cuda.synchronize()
            start = clock.now_ns()
            self._inference.call()
            returned = clock.now_ns()
            torch.cuda.synchronize()
            wall.append((clock.now_ns() - start) / MILLISECOND)
            dispatch.append((returned - start) / MILLISECOND)
        return wall, dispatch


class CudaTraining:
    """A training step on a GPU, its parts between events on the stream."""

    def __init__(self, training: Training, conditions: Conditions) -> None:
        self._training = training
        self._flush = _Flush(conditions.device) if conditions.cold else None

    def call(self) -> None:
        """One step, to the end."""
        self._training.call()
        torch.cuda.synchronize()

    def sample(self, clock: Clock, calls: int, blocks: int) -> Samples:
        """Every step by its parts; one synchronisation at the end."""
        marks = [[_event() for _ in range(4)] for _ in range(calls * blocks)]
        for start, forward, backward, end in marks:
            if self._flush is not None:
                self._flush()
            start.record()
            loss = self._training.forward()
            forward.record()
            self._training.backward(loss)
            backward.record()
            del loss
            self._training.optimize()
            end.record()
        torch.cuda.synchronize()
        return by_phase([[mark[0].elapsed_time(m) for m in mark] for mark in marks], calls)


def _event() -> Any:
    return _cuda.Event(enable_timing=True)


def _averaged(times: Sequence[float], calls: int) -> list[float]:
    return [sum(times[at : at + calls]) / calls for at in range(0, len(times), calls)]
