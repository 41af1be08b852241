"""`bench --history`: the newest day against the month before it, a row a model and condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archstat.measure.latency.history import MONTH, Change, Side
from archstat.measure.latency.measurement import Machine
from archstat.result import IDENTITY, Cell, Column, Table, notes_of
from archstat.tables.bench import CIRCUMSTANCES, circumstances

_LATENCY = Column("latency_ms", "ms", "median of a call on the newest day", "lower")
_FIGURES = (
    Column("day", "text", "the newest day with a run, in UTC"),
    Column("runs", "number", "runs on that day"),
    _LATENCY,
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
    *_FIGURES,
    *(CIRCUMSTANCES[number] for number in _KEPT),
)


def history_table(found: Sequence[Change], machine: Machine) -> Table:
    """The changes on a machine, of which there is at least one."""
    return Table(
        columns=HISTORY_COLUMNS,
        rows=tuple(_cells(change) for change in found),
        notes=notes_of(_notes(found, machine)),
        convention={"latency_ms": "geometric mean of the medians of a day's or a month's runs"},
        torch_version=found[-1].newest.machine.torch,
        inputs=tuple(dict.fromkeys(change.newest.input for change in found)),
    )


def _cells(change: Change) -> tuple[Cell, ...]:
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


def _notes(found: Sequence[Change], machine: Machine) -> Iterator[str]:
    yield (
        f"{machine.device_name}, {machine.cores} cores (machine {machine.identity}): the newest "
        f"day against the {MONTH.days} days before it, on this machine alone."
    )
    if any(change.before is None for change in found):
        yield "Without an earlier run in those days there is nothing to compare with."
    if any(change.before and change.before.torch != change.today.torch for change in found):
        yield "torch has another version than before in some rows: see torch and torch_before."
