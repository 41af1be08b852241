"""The columns of measured latencies: figures, and everything they depend on."""

from __future__ import annotations

import re

from archstat.latency.measurement import LatencyRun, Measurement, Timing
from archstat.result import IDENTITY, Cell, Column

_LATENCY = Column("latency_ms", "ms", "median time of a call (p50)", "lower")
FIGURES = (
    _LATENCY,
    Column("latency_ms_low", "ms", "lower 95 % limit of the median, over processes", "lower"),
    Column("latency_ms_high", "ms", "upper 95 % limit of the median, over processes", "lower"),
    Column("latency_ms_p5", "ms", "5th percentile of the samples", "lower"),
    Column("latency_ms_p95", "ms", "95th percentile of the samples", "lower"),
    Column("latency_ms_iqr", "ms", "distance of the quartiles of the samples", "lower"),
    Column("throughput", "count", "samples of the batch a second, at the median", "higher"),
    Column("samples", "number", "timed blocks of calls that the figures are made of"),
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
    Column("device_name", "text", "what the cpu or the GPU calls itself"),
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
    Column("settings", "text", "switches of torch that speed depends on, as they stood"),
    Column("date", "text", "when the run ended, in UTC"),
)
PHASE = Column("phase", "text", "of training: forward, backward, optimizer or step, which is all")
LATENCY_COLUMNS: tuple[Column, ...] = (*IDENTITY, PHASE, *FIGURES, *CIRCUMSTANCES)
_SHAPE = re.compile(r"\d+(?:x\d+)+")
_TRAINING = ("forward", "backward", "optimizer", "step")


def phases_shown(one: Measurement) -> tuple[Timing, ...]:
    """The timings that have a row of their own: those of training, else the main one."""
    if not one.conditions.backward:
        return (one.main,)
    return tuple(timing for timing in one.timings if timing.phase in _TRAINING)


def figures(run: LatencyRun, number: int, reference: int, phase: Timing) -> tuple[Cell, ...]:
    """The cells under `FIGURES` of one phase of the model at `number`; ratios to `reference`."""
    one = run.measurements[number]
    is_main = phase.phase == one.main.phase
    interval = phase.interval_ms
    others = (_median(one, name) for name in ("wall", "dispatch", "cuda_graph"))
    return (
        *(phase.p50_ms, interval.low, interval.high, phase.p5_ms, phase.p95_ms, phase.iqr_ms),
        *(one.throughput if is_main else None, phase.samples, phase.processes),
        *_against_reference(run, number, reference, is_main),
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


def _against_reference(
    run: LatencyRun, number: int, reference: int, is_main: bool
) -> tuple[Cell, ...]:
    if not is_main:
        return (None,) * 6
    noise = (run.noise.low, run.noise.high)
    if len(run.measurements) < 2:
        return (None, None, None, None, *noise)
    if number == reference:
        return (1.0, None, None, None, *noise)
    ratio = run.ratios[number - (number > reference)]
    interval = ratio.interval
    return (interval.middle, interval.low, interval.high, ratio.verdict, *noise)


def _median(one: Measurement, phase: str) -> float | None:
    timing = one.timing(phase)
    return None if timing is None else timing.p50_ms
