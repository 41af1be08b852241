"""From the turns of a run to its measurements, ratios and remarks."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.intervals import FastMode
from archstat.measure.latency.measurement import LatencyRun, Measurement, Ratio, Verdict
from archstat.measure.latency.messages import Built, Request, Warmed
from archstat.measure.latency.rounds import Tally, verdict
from archstat.measure.latency.sampling import Plan
from archstat.units import format_milliseconds, format_share

INTERRUPTED = "interrupted"


def figures(
    request: Request,
    tally: Tally,
    built: Built,
    warmed: Sequence[Sequence[Warmed]],
    plans: Sequence[Plan],
    rule: str,
    others: Sequence[int],
    date: str,
) -> LatencyRun:
    """What a run found.

    Args:
        request: what was asked for.
        tally: every turn, at least one.
        built: what the first process told of the machine and the batches asked for.
        warmed: what each process told of each model.
        plans: how each model was sampled.
        rule: what ended the run.
        others: how many other processes were runnable, at each look.
        date: of the run, UTC, in ISO 8601.
    """
    measurements = tuple(
        _measurement(request, tally, built, [told[model] for told in warmed], model,
                     plans[model], rule, date)
        for model in range(len(request.specs))
    )  # fmt: skip
    noise = tally.noise()
    reference = tally.reference
    modes = {model: mode for model in range(len(measurements)) if (mode := tally.fast_mode(model))}
    # With others about, the slow mode may be theirs.
    doubted = set(modes) if _typical(others) else set()
    ratios = tuple(
        Ratio(spec, request.specs[reference], interval,
              Verdict.OPEN if {model, reference} & doubted else verdict(interval, noise))
        for model, spec in enumerate(request.specs)
        if model != reference
        for interval in [tally.ratio(model)]
    )  # fmt: skip
    said = (
        *_batches(measurements),
        *(_two_modes(measurements[model], mode) for model, mode in modes.items()),
        *_crowd(built, request.conditions, others),
    )
    if rule == INTERRUPTED:
        said = ("Interrupted: the figures cover what was finished.", *said)
    return LatencyRun(measurements, ratios, noise, said, reference)


def _measurement(
    request: Request,
    tally: Tally,
    built: Built,
    warmed: Sequence[Warmed],
    model: int,
    plan: Plan,
    rule: str,
    date: str,
) -> Measurement:
    conditions = replace(request.conditions, batch=warmed[0].batch)
    return Measurement(
        model=request.specs[model],
        input=warmed[0].input,
        conditions=conditions,
        asked_batch=built.asked_batches[model],
        threads=built.threads,
        layout=conditions.layout,
        method=method(conditions, plan),
        rule=rule,
        first_call_ms=statistics.median(told.first_call_ms for told in warmed),
        timings=tuple(tally.timing(model, phase) for phase in conditions.phases),
        machine=built.machine,
        date=date,
        settings=built.switches,
        per_process=tally.per_process(model),
    )


def method(conditions: Conditions, plan: Plan) -> str:
    """How samples were taken, in a few words."""
    clock = "CUDA events" if conditions.on_cuda else "perf_counter_ns"
    block = f", {plan.calls} calls a sample" if plan.calls > 1 else ""
    cold = ", cache flushed" if conditions.cold else ""
    return f"{clock}{block}{cold}, interleaved rounds in fresh processes"


def _batches(measurements: Sequence[Measurement]) -> list[str]:
    less = [m for m in measurements if m.conditions.batch != m.asked_batch]
    said = [
        f"{m.model} ran at a batch of {m.conditions.batch}: memory was too small for "
        f"{m.asked_batch}."
        for m in less
    ]
    if len({m.conditions.batch for m in measurements}) > 1:
        said.append("The batches differ: a ratio compares the times of whole batches.")
    return said


def _two_modes(one: Measurement, fast: FastMode) -> str:
    return (
        f"{one.model}: two modes, {format_share(fast.share)} of the samples at "
        f"{format_milliseconds(fast.middle_ms)}, the others at about "
        f"{format_milliseconds(one.main.p50_ms)}; its interval holds both."
    )


def _typical(others: Sequence[int]) -> int:
    """How many other processes were runnable, typically."""
    return round(statistics.median(others)) if others else 0


def _crowd(built: Built, conditions: Conditions, others: Sequence[int]) -> list[str]:
    """A word where more processes were runnable than there are cores."""
    own = 1 if conditions.on_cuda else built.threads
    typical = _typical(others)
    if typical + own <= built.machine.cores:
        return []
    beside = f"{own} thread{'s' * (own > 1)} of the model"
    if not typical:
        return [f"{beside} shared {_cores(built.machine.cores)}: give fewer threads."]
    return [
        f"Busy machine: {typical} other process{'es' * (typical > 1)} competed with {beside} for "
        f"{_cores(built.machine.cores)}, so times may be inflated."
    ]


def _cores(cores: int) -> str:
    return f"{cores} core{'s' * (cores > 1)}"
