"""`bench` and `compare --latency`: measured models as rows, and the sentences below them.

At the end `bench --history`: the newest day against the month before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.history import MONTH, Change, Side
from archstat.measure.latency.measurement import (
    Interval,
    LatencyRun,
    Machine,
    Measurement,
    Ratio,
    Timing,
    Verdict,
)
from archstat.result import IDENTITY, Cell, Column, Table, notes_of

_LATENCY = Column("latency_ms", "ms", "median time of a call (p50)", "lower")
FIGURES = (
    _LATENCY,
    Column("latency_ms_low", "ms", "lower 95 % limit of the median, over processes", "lower"),
    Column("latency_ms_high", "ms", "upper 95 % limit of the median, over processes", "lower"),
    Column("latency_ms_p5", "ms", "5th percentile of the samples", "lower"),
    Column("latency_ms_p95", "ms", "95th percentile of the samples", "lower"),
    Column("latency_ms_iqr", "ms", "distance of the quartiles of the samples", "lower"),
    Column("throughput", "count", "samples a second, at the median", "higher"),
    Column("samples", "number", "timed blocks of calls behind the figures"),
    Column("processes", "number", "fresh processes that they come from"),
    _LATENCY.ratio(),
    Column("latency_ms_ratio_low", "number", "lower 95 % limit of the ratio"),
    Column("latency_ms_ratio_high", "number", "upper 95 % limit of the ratio"),
    Column("verdict", "text", "faster or slower than the reference, or can't tell"),
    Column("noise_low", "number", "the reference over itself, lower 95 % limit"),
    Column("noise_high", "number", "the reference over itself, upper 95 % limit"),
    Column("first_call_ms", "ms", "the first call of a process, before the warm-up", "lower"),
    Column("wall_ms", "ms", "on cuda: median by the wall clock, synchronised", "lower"),
    Column("dispatch_ms", "ms", "on cuda: median until the call returned", "lower"),
    Column("cuda_graph_ms", "ms", "median of the replay of a captured graph", "lower"),
)
CIRCUMSTANCES = (
    Column("device", "text", "cpu, or cuda with its number"),
    Column("device_name", "text", "name of the cpu or the GPU"),
    Column("driver", "text", "version of the GPU's driver"),
    Column("torch", "text", "version of torch"),
    Column("python", "text", "version of Python"),
    Column("platform", "text", "operating system and processor architecture"),
    Column("cores", "number", "cpu cores that the processes may use"),
    Column("machine", "text", "the same for the same machine and device"),
    Column("threads", "number", "threads of torch on the cpu"),
    Column("dtype", "text", "fp32, fp16, bf16 or amp"),
    Column("layout", "text", "contiguous or channels_last"),
    Column("mode", "text", "inference or training"),
    Column("execution", "text", "eager or compiled"),
    Column("cache", "text", "hot, or cold: flushed before each call"),
    Column("batch", "number", "the batch that ran"),
    Column("asked_batch", "number", "the batch before memory ran out"),
    Column("resolution", "text", "spatial size of the first input that has one"),
    Column("method", "text", "how samples were taken"),
    Column("rule", "text", "what ended the run"),
    Column("settings", "text", "settings of torch that affect its speed"),
    Column("date", "text", "when the run ended, in UTC"),
)
PHASE = Column("phase", "text", "of training: forward, backward, optimizer, or step for all of it")
LATENCY_COLUMNS: tuple[Column, ...] = (*IDENTITY, PHASE, *FIGURES, *CIRCUMSTANCES)
_SHAPE = re.compile(r"\d+(?:x\d+)+")
_TRAINING = ("forward", "backward", "optimizer", "step")


def phases_shown(one: Measurement) -> tuple[Timing, ...]:
    """The timings that have a row of their own: those of training, else the main one."""
    if not one.conditions.backward:
        return (one.main,)
    return tuple(timing for timing in one.timings if timing.phase in _TRAINING)


def figures(run: LatencyRun, number: int, phase: Timing) -> tuple[Cell, ...]:
    """The cells under `FIGURES` of one phase of the model at `number`."""
    one = run.measurements[number]
    is_main = phase.phase == one.main.phase
    interval = phase.interval_ms
    others = (_median(one, name) for name in ("wall", "dispatch", "cuda_graph"))
    return (
        *(phase.p50_ms, interval.low, interval.high, phase.p5_ms, phase.p95_ms, phase.iqr_ms),
        *(one.throughput if is_main else None, phase.samples, phase.processes),
        *_against_reference(run, number, is_main),
        one.first_call_ms,
        *(others if is_main else (None,) * 3),
    )


def circumstances(one: Measurement) -> tuple[Cell, ...]:
    """The cells under `CIRCUMSTANCES`."""
    asked, machine = one.conditions, one.machine
    return (
        *(asked.device, machine.device_name, machine.driver, machine.torch, machine.python),
        *(machine.platform, machine.cores, machine.identity, one.threads, asked.dtype),
        *(one.layout, "training" if asked.backward else "inference"),
        *("compiled" if asked.compile else "eager", "cold" if asked.cold else "hot"),
        *(asked.batch, one.asked_batch, resolution_of(one.input), one.method, one.rule),
        *(", ".join(f"{key}={value}" for key, value in one.settings.items()), one.date),
    )


def resolution_of(shapes: str) -> str | None:
    """The sizes behind batch and channels of the first input that has any."""
    shape: str
    for shape in _SHAPE.findall(shapes):
        _, _, *sizes = shape.split("x")
        if sizes:
            return "x".join(sizes)
    return None


def _against_reference(run: LatencyRun, number: int, is_main: bool) -> tuple[Cell, ...]:
    if not is_main:
        return (None,) * 6
    noise = (run.noise.low, run.noise.high)
    if len(run.measurements) < 2:
        return (None, None, None, None, *noise)
    if number == run.reference:
        return (1.0, None, None, None, *noise)
    ratio = run.ratios[number - (number > run.reference)]
    interval = ratio.interval
    return (interval.middle, interval.low, interval.high, ratio.verdict, *noise)


def _median(one: Measurement, phase: str) -> float | None:
    timing = one.timing(phase)
    return None if timing is None else timing.p50_ms


COMPARED = (*FIGURES, *CIRCUMSTANCES)
_CONVENTION = {
    "latency_ms": "median of a call; low and high are its 95 % limits over fresh processes, the "
    "ratio's come from rounds in which both models ran",
    "throughput": "batch / latency_ms",
}


def latency_table(runs: Sequence[LatencyRun]) -> Table:
    """A row a model and condition, and of training a row a phase, one run below the other.

    Args:
        runs: of the same models, but for those that failed, each at a condition of its own; at
            least one.
    """
    rows: list[tuple[Cell, ...]] = []
    inputs: dict[str, None] = {}
    position = None
    for run in runs:
        for number, one in enumerate(run.measurements):
            inputs[one.input] = None
            for phase in phases_shown(one):
                if position is None and number == run.reference and phase is one.main:
                    position = len(rows)
                cells = figures(run, number, phase)
                rows.append((one.model, one.input, phase.phase, *cells, *circumstances(one)))
    return Table(
        columns=LATENCY_COLUMNS,
        rows=tuple(rows),
        reference=position,
        notes=notes_of(_notes(runs), "latency_ms"),
        convention=_CONVENTION,
        torch_version=runs[0].measurements[0].machine.torch,
        inputs=tuple(inputs),
    )


def with_latency(table: Table, run: LatencyRun) -> Table:
    """A comparison with the columns of a run of the same models, in the same order."""
    further = [
        (*figures(run, number, one.main), *circumstances(one))
        for number, one in enumerate(run.measurements)
    ]
    rows = tuple((*row, *cells) for row, cells in zip(table.rows, further, strict=True))
    return replace(
        table,
        columns=(*table.columns, *COMPARED),
        rows=rows,
        notes=(*table.notes, *notes_of(_notes([run]), "latency_ms")),
        convention={**table.convention, **_CONVENTION},
    )


def varying(table: Table, keys: Sequence[str]) -> list[str]:
    """The keys among these whose cells are not the same in every row."""
    return [key for key in keys if len(set(table.column(key))) > 1]


def _notes(runs: Sequence[LatencyRun]) -> Iterator[str]:
    """Where and how it was measured, what ended it, the noise, and what the run itself remarks."""
    said: dict[str, None] = {}
    first = runs[0].measurements[0]
    said[_machine(first)] = None
    for run in runs:
        place = f"{_condition(run.measurements[0])}: " if len(runs) > 1 else ""
        said[f"{place}{_how(run)}"] = None
        said[f"{place}{_noise(run)}"] = None
        said.update(dict.fromkeys(f"{place}{remark}" for remark in run.remarks))
    yield from said
    for run in runs:
        place = f"{_condition(run.measurements[0])}: " if len(runs) > 1 else ""
        yield from (f"{place}{closing(ratio)}" for ratio in run.ratios)


def _machine(one: Measurement) -> str:
    machine, asked = one.machine, one.conditions
    driver = f", driver {machine.driver}" if machine.driver else ""
    return (
        f"{machine.device_name}{driver}, {machine.cores} cores, torch {machine.torch}, "
        f"Python {machine.python}: {asked.dtype}, {one.layout}, {_ways(asked)}."
    )


def _ways(asked: Conditions) -> str:
    words = ("training step" if asked.backward else "inference", "compiled" if asked.compile else
             "eager", "cold cache" if asked.cold else "hot cache")  # fmt: skip
    return ", ".join(words)


def _condition(one: Measurement) -> str:
    return f"batch {one.conditions.batch}, {_threads(one.threads)}"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _how(run: LatencyRun) -> str:
    first = run.measurements[0]
    methods = [one.method.split(", ") for one in run.measurements]
    # Fast models are called several times a sample; the column `method` says so of each.
    common = [part for part in methods[0] if all(part in method for method in methods)]
    return (
        f"{_threads(first.threads)}; {', '.join(common)}; intervals of 95 % over "
        f"{first.main.processes} processes; ended by: {first.rule}."
    )


def _noise(run: LatencyRun) -> str:
    model = run.measurements[run.reference].model
    return f"noise floor in this run, {model} against itself: {span(run.noise)}."


def closing(ratio: Ratio) -> str:
    """What a ratio means, in a sentence: ``a is 3.0 ± 0.1 times faster than b.``"""
    low, middle, high = ratio.interval.low, ratio.interval.middle, ratio.interval.high
    if ratio.verdict == Verdict.OPEN:
        return f"{ratio.model} and {ratio.reference}: can't tell which is faster."
    if ratio.verdict == Verdict.FASTER:
        low, middle, high = 1 / high, 1 / middle, 1 / low
    reach = max(high - middle, middle - low)
    digits = 1 if reach >= 0.1 or middle >= 2 else 2
    times = f"{middle:.{digits}f} ± {reach:.{digits}f}"
    return f"{ratio.model} is {times} times {ratio.verdict} than {ratio.reference}."


_TOO_WIDE = 10.0


def span(ratio: Interval) -> str:
    """The limits of a ratio: ``"0.981x to 1.024x"``; of one that tells nothing, how wide it is."""
    if max(ratio.high, 1 / ratio.low) > _TOO_WIDE:
        return f"more than {_TOO_WIDE:.0f}x either way, so this run tells nothing of small ratios"
    return f"{ratio.low:.3f}x to {ratio.high:.3f}x"


_NEWEST = Column("latency_ms", "ms", "median of a call on the newest day", "lower")
_HISTORY = (
    Column("day", "text", "the newest day with a run, in UTC"),
    Column("runs", "number", "runs on that day"),
    _NEWEST,
    Column("latency_ms_low", "ms", "lower 95 % limit, the lowest of that day's runs", "lower"),
    Column("latency_ms_high", "ms", "upper 95 % limit, the highest of that day's runs", "lower"),
    Column("latency_ms_before", "ms", "median of a call in the month before that day", "lower"),
    Column("runs_before", "number", "runs in that month"),
    Column("first_day_before", "text", "day of the first of them"),
    Column("last_day_before", "text", "day of the last of them"),
    Column("torch_before", "text", "versions of torch in them"),
    Column("latency_ms_ratio", "ratio", "latency_ms over latency_ms_before"),
    Column("latency_ms_ratio_low", "number", "lower 95 % limit of the ratio"),
    Column("latency_ms_ratio_high", "number", "upper 95 % limit of the ratio"),
    Column("verdict", "text", "faster or slower than in the month before, or can't tell"),
)
# What a newest run shares with all of its group, or says of that day.
_KEPT = tuple(n for n, column in enumerate(CIRCUMSTANCES) if column.key not in ("rule", "date"))
HISTORY_COLUMNS: tuple[Column, ...] = (
    *IDENTITY,
    *_HISTORY,
    *(CIRCUMSTANCES[number] for number in _KEPT),
)


def history_table(found: Sequence[Change], machine: Machine) -> Table:
    """The changes on a machine, of which there is at least one."""
    return Table(
        columns=HISTORY_COLUMNS,
        rows=tuple(_change_cells(change) for change in found),
        notes=notes_of(_history_notes(found, machine)),
        convention={"latency_ms": "geometric mean of the medians of a day's or a month's runs"},
        torch_version=found[-1].newest.machine.torch,
        inputs=tuple(dict.fromkeys(change.newest.input for change in found)),
    )


def _change_cells(change: Change) -> tuple[Cell, ...]:
    newest, interval = change.newest, change.today.interval_ms
    around = circumstances(newest)
    return (
        *(newest.model, newest.input, change.today.last.isoformat(), change.today.runs),
        *(interval.middle, interval.low, interval.high),
        *_before(change.before),
        *_ratio(change),
        *(around[number] for number in _KEPT),
    )


def _before(side: Side | None) -> tuple[Cell, ...]:
    if side is None:
        return (None, 0, None, None, None)
    days = (side.first.isoformat(), side.last.isoformat())
    return (side.interval_ms.middle, side.runs, *days, ", ".join(side.torch))


def _ratio(change: Change) -> tuple[Cell, ...]:
    if change.ratio is None:
        return (None, None, None, None)
    return (change.ratio.middle, change.ratio.low, change.ratio.high, change.verdict)


def _history_notes(found: Sequence[Change], machine: Machine) -> Iterator[str]:
    yield (
        f"{machine.device_name}, {machine.cores} cores (machine {machine.identity}): the newest "
        f"day against the {MONTH.days} days before it, on this machine alone."
    )
    if any(change.before is None for change in found):
        yield "Without an earlier run in those days there is nothing to compare with."
    if any(change.before and change.before.torch != change.today.torch for change in found):
        yield "Some rows compare two versions of torch: see torch and torch_before."
