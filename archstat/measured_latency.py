"""`measure`: models interleaved in rounds, over several fresh processes that take turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archstat.latency.conditions import Conditions
from archstat.latency.measurement import LatencyRun, Progress


def measure(
    specs: Sequence[str],
    conditions: Conditions,
    *,
    budget_s: float = 30.0,
    input: Sequence[str] = (),
    reference: int = 0,
    processes: int = 3,
    noise_target: float = 0.02,
    progress: Callable[[Progress], None] | None = None,
) -> LatencyRun:
    """The latency of models at one condition, and their ratios to a reference.

    Args:
        specs: the models; a spec may name its own input and batch.
        conditions: of all of them.
        budget_s: of everything, start-up included; a minimum of samples is taken in any case.
        input: shapes without the batch, for models whose spec names none.
        reference: the number, among `specs`, of the model that ratios are taken to.
        processes: fresh processes, at least 2; intervals are over these.
        noise_target: the run ends when every interval is this narrow (half of it, as a part).
        progress: is told between turns how far the run is.

    Raises:
        LatencyError, DeviceError: the conditions cannot be met here, or a process died.
        ArchstatError: a model does not build or run.
        KeyboardInterrupt: interrupted before there was anything to tell.
    """
    raise NotImplementedError
