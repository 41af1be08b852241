"""`bench` and `compare --latency`: measured models as rows, and the sentences below them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from archstat.latency.conditions import Conditions
from archstat.latency.measurement import Interval, LatencyRun, Measurement
from archstat.latency_columns import (
    CIRCUMSTANCES,
    FIGURES,
    LATENCY_COLUMNS,
    circumstances,
    figures,
    phases_shown,
)
from archstat.result import Cell, Table
from archstat.version import __version__

COMPARED = (*FIGURES, *CIRCUMSTANCES)
_CONVENTION = {
    "latency_ms": "median of a call; low and high are its 95 % limits over fresh processes, "
    "the ratio's are made of rounds in which both models ran",
    "throughput": "batch / latency_ms",
}


def latency_table(runs: Sequence[LatencyRun], reference: int) -> Table:
    """A row a model and condition, and of training a row a phase, one run below the other.

    Args:
        runs: of the same models, each at a condition of its own; at least one.
        reference: the number of the model that ratios are to.
    """
    rows: list[tuple[Cell, ...]] = []
    inputs: dict[str, None] = {}
    position = None
    for run in runs:
        for number, one in enumerate(run.measurements):
            inputs[one.input] = None
            for phase in phases_shown(one):
                if position is None and number == reference and phase is one.main:
                    position = len(rows)
                cells = figures(run, number, reference, phase)
                rows.append((one.model, one.input, phase.phase, *cells, *circumstances(one)))
    return Table(
        columns=LATENCY_COLUMNS,
        rows=tuple(rows),
        reference=position,
        notes=tuple(_notes(runs, reference)),
        convention=_CONVENTION,
        torch_version=runs[0].measurements[0].machine.torch,
        archstat_version=__version__,
        inputs=tuple(inputs),
    )


def with_latency(table: Table, run: LatencyRun, reference: int) -> Table:
    """A comparison with the columns of a run of the same models, in the same order."""
    further = [
        (*figures(run, number, reference, one.main), *circumstances(one))
        for number, one in enumerate(run.measurements)
    ]
    rows = tuple((*row, *cells) for row, cells in zip(table.rows, further, strict=True))
    notes = tuple(_notes([run], reference))
    return replace(
        table,
        columns=(*table.columns, *COMPARED),
        rows=rows,
        notes=(*table.notes, *notes),
        column_notes={**table.column_notes, **dict.fromkeys(notes, "latency_ms")},
        convention={**table.convention, **_CONVENTION},
    )


def varying(table: Table, keys: Sequence[str]) -> list[str]:
    """The keys among these whose cells are not the same in every row."""
    return [key for key in keys if len(set(table.column(key))) > 1]


def _notes(runs: Sequence[LatencyRun], reference: int) -> Iterator[str]:
    """Where and how it was measured, what ended it, the noise, and what the run itself remarks."""
    said: dict[str, None] = {}
    first = runs[0].measurements[0]
    said[_machine(first)] = None
    for run in runs:
        place = f"{_condition(run.measurements[0])}: " if len(runs) > 1 else ""
        said[f"{place}{_how(run)}"] = None
        said[f"{place}{_noise(run, reference)}"] = None
        said.update(dict.fromkeys(f"{place}{remark}" for remark in run.remarks))
    yield from said


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


def _noise(run: LatencyRun, reference: int) -> str:
    model = run.measurements[reference].model
    return f"noise floor here and now, {model} against itself: {span(run.noise)}."


def span(ratio: Interval) -> str:
    """The limits of a ratio: ``"0.981x to 1.024x"``."""
    return f"{ratio.low:.3f}x to {ratio.high:.3f}x"
