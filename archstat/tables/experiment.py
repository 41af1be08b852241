"""Experiments as tables: speeds beside the published ones, and whether the guideline held here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from archstat.analyses.memory_access import FUSIONS
from archstat.measure.latency.experiment_runs import ExperimentRun, Outcome
from archstat.measure.latency.experiments import Experiment
from archstat.measure.latency.measurement import Measurement, Verdict
from archstat.reporters.plots import SpeedBar, SpeedGroup, SpeedPicture, plot_experiment
from archstat.result import Cell, Column, Table, notes_of
from archstat.tables.bench import span
from archstat.units import format_share

COLUMNS = (
    Column("size", "text", "width multiplier, or channels and map"),
    Column("variant", "text", "what is varied"),
    Column("model", "text", "the spec, which `bench` takes as well"),
    Column("input", "text", "shape of each input, batch first"),
    Column("macs", "count", "multiply-accumulates of a batch", "lower"),
    Column("macs_ratio", "ratio", "macs over those of the first row of its size", "lower"),
    Column("memory_access", "count", "elements read and written, each operation by itself",
           "lower"),
    Column("memory_access_ratio", "ratio", "the same over the first row's", "lower"),
    Column("latency_ms", "ms", "median time of a batch", "lower"),
    Column("latency_ms_low", "ms", "lower 95 % limit, over processes", "lower"),
    Column("latency_ms_high", "ms", "upper 95 % limit, over processes", "lower"),
    Column("batches_per_second", "count", "at the median", "higher"),
    Column("latency_ms_ratio", "ratio", "time over that of the first row of its size", "lower"),
    Column("latency_ms_ratio_low", "number", "lower 95 % limit of the ratio"),
    Column("latency_ms_ratio_high", "number", "upper 95 % limit of the ratio"),
    Column("relative_speed", "share", "speed over that of the first row of its size, by turns",
           "higher"),
    Column("relative_speed_gtx1080ti", "share", "the same as published, on a GTX 1080 Ti"),
    Column("relative_speed_arm", "share", "the same as published, on an ARM, one thread"),
    Column("verdict", "text", "faster or slower than the first row of its size, or can't tell"),
    Column("speed_gtx1080ti", "number", "published, batches a second"),
    Column("speed_arm", "number", "published, images a second"),
)  # fmt: skip


def experiment_table(found: ExperimentRun) -> Table:
    """A row a network: sizes outer, variants inner; below, whether what is expected held here."""
    rows = [_row(one, outcomes[0]) for outcomes in found.sizes.values() for one in outcomes]
    first = found.run.measurements[0]
    return Table(
        COLUMNS,
        tuple(rows),
        notes=notes_of(_notes(found)),
        convention={
            "experiment": found.experiment.title,
            "memory_access": FUSIONS["none"],
            "latency_ms": "median of a batch; limits of 95 % over fresh processes",
        },
        torch_version=first.machine.torch,
        inputs=tuple(dict.fromkeys(one.input for one in found.run.measurements)),
        picture=partial(_draw, found),
    )


def _row(one: Outcome, first: Outcome) -> tuple[Cell, ...]:
    timing, ratio = one.measurement.main, one.ratio
    interval = timing.interval_ms
    compared = (1.0, None, None) if ratio is None else (ratio.middle, ratio.low, ratio.high)
    variant = one.variant
    return (
        *(variant.size, variant.name, variant.spec, one.measurement.input),
        *(one.macs, one.macs / first.macs),
        *(one.memory_access, one.memory_access / first.memory_access),
        *(timing.p50_ms, interval.low, interval.high, one.batches_per_second),
        *compared,
        1.0 if ratio is None else 1 / ratio.middle,
        _over(variant.gtx1080ti, first.variant.gtx1080ti),
        _over(variant.arm, first.variant.arm),
        one.verdict,
        variant.gtx1080ti,
        variant.arm,
    )


def _over(speed: float | None, reference: float | None) -> float | None:
    return None if speed is None or reference is None else speed / reference


def _notes(found: ExperimentRun) -> Iterator[str]:
    yield conclusion(found)
    if found.experiment.has_equal_macs:
        spread = max(
            max(one.macs for one in outcomes) / min(one.macs for one in outcomes) - 1
            for outcomes in found.sizes.values()
        )
        yield f"macs of the networks of a size: within {format_share(spread)} of each other."
    first = found.run.measurements[0]
    if found.experiment.cpu_remark and not first.conditions.on_cuda:
        yield found.experiment.cpu_remark
    yield _where(first)
    yield (
        "latency_ms_ratio and relative_speed come from rounds in which both networks ran; they may "
        "differ from the quotients of the times and speeds beside them."
    )
    yield f"noise floor in this run, {first.model} against itself: {span(found.run.noise)}."
    yield from found.run.remarks


def _where(one: Measurement) -> str:
    machine, asked = one.machine, one.conditions
    driver = f", driver {machine.driver}" if machine.driver else ""
    threads = "1 thread" if one.threads == 1 else f"{one.threads} threads"
    return (
        f"{machine.device_name}{driver}, torch {machine.torch}, {asked.dtype}, batch "
        f"{asked.batch}, {threads}; intervals of 95 % over {one.main.processes} processes; ended "
        f"by: {one.rule}."
    )


def conclusion(found: ExperimentRun) -> str:
    """A sentence that says whether what is expected held here."""
    told = [
        (one.verdict, one.ratio.middle)
        for one in found.outcomes
        if one.verdict is not None and one.ratio is not None
    ]
    pairs = [(outcomes[0], one) for outcomes in found.sizes.values() for one in outcomes[1:]]
    return judgement(found.experiment, told, [first.macs / one.macs for first, one in pairs])


def judgement(
    experiment: Experiment, told: Sequence[tuple[Verdict, float]], fewer: Sequence[float]
) -> str:
    """The same from the verdict and the time ratio of every network but the first of its size.

    Args:
        fewer: how many times fewer macs each of them has.
    """
    expected = experiment.expected
    agreeing = [ratio for verdict, ratio in told if verdict == expected]
    opposed = [ratio for verdict, ratio in told if verdict not in (expected, Verdict.OPEN)]
    open_ = len(told) - len(agreeing) - len(opposed)
    parts = [f"{len(agreeing)} of {len(told)} {expected}"]
    if agreeing:
        parts[0] += f", {_range(agreeing)}"
    if opposed:
        other = Verdict.SLOWER if expected is Verdict.FASTER else Verdict.FASTER
        parts.append(f"{len(opposed)} {other}, {_range(opposed)}")
    if open_:
        parts.append(f"{open_} {Verdict.OPEN}")
    subject, after = "The expectation", f" By their macs it would be {_range(fewer)}."
    if experiment.has_equal_macs:
        subject, after = experiment.title.partition(",")[0], ""
    claim = f"{subject} {_held(len(agreeing), len(opposed), open_)} ({experiment.claim})"
    return f"{claim}: {'; '.join(parts)}.{after}"


def _held(agreeing: int, opposed: int, open_: int) -> str:
    """One verdict of many; a guideline holds where nothing speaks against it, and most for it."""
    if agreeing and not opposed:
        return "held here" if agreeing > open_ else "held here where it can be told"
    if agreeing:
        return "held here in part"
    return "did not hold here" if opposed else "can't be judged here"


def _range(ratios: Sequence[float]) -> str:
    """How many times, from the least to the most, whichever way."""
    factors = [max(ratio, 1 / ratio) for ratio in ratios]
    low, high = f"{min(factors):.2f}x", f"{max(factors):.2f}x"
    return low if low == high else f"{low} to {high}"


def _draw(found: ExperimentRun, path: str | Path) -> None:
    first = found.run.measurements[0]
    groups = tuple(
        SpeedGroup(size, tuple(_bar(one, outcomes[0], found) for one in outcomes[1:]))
        for size, outcomes in found.sizes.items()
    )
    reference = next(iter(found.sizes.values()))[0].variant.name
    picture = SpeedPicture(
        found.experiment.title, f"{first.machine.device_name}, batch {first.conditions.batch}",
        conclusion(found), reference, groups,
    )  # fmt: skip
    plot_experiment(picture, path)


def _bar(one: Outcome, first: Outcome, found: ExperimentRun) -> SpeedBar:
    assert one.ratio is not None
    published = {
        name: mine / theirs
        for name, mine, theirs in (
            ("GTX 1080 Ti", one.variant.gtx1080ti, first.variant.gtx1080ti),
            ("ARM", one.variant.arm, first.variant.arm),
        )
        if mine is not None and theirs is not None
    }
    if not found.experiment.has_equal_macs:
        published = {"by their macs": first.macs / one.macs}
    ratio = one.ratio
    return SpeedBar(one.variant.name, 1 / ratio.middle, 1 / ratio.high, 1 / ratio.low, published)
