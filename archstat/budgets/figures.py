"""The figures of a budget that no Report holds: of some modules, of training, of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from archstat.budgets.rules import LARGEST_BATCH, LATENCY, TRAINING, Budget
from archstat.errors import ArchstatError, SpecError
from archstat.measure.latency.conditions import Conditions
from archstat.result import Analysis, Cell, Number, Report
from archstat.units import parse_bytes, parse_seconds

if TYPE_CHECKING:
    from archstat.measure.latency.measurement import LatencyRun, Progress

# Given the models and how many runs there are, gives for each run who is told of its progress.
Bar = Callable[[list[str], int], AbstractContextManager[Callable[[int], Any]]]
_MOST_NAMED = 5


def of_modules(report: Report, pattern: str) -> Report:
    """The Report of the modules whose path is like a pattern, and of all that is below them.

    It has the figures that add up over modules, and no others.

    Raises:
        SpecError: no module has such a path.
    """
    rows = list(report.layers.records())
    inside = [row for row in rows if any(fnmatchcase(p, pattern) for p in _upwards(row["module"]))]
    if not inside:
        paths = [str(row["module"]) for row in rows if row["module"]]
        more = ", ..." if len(paths) > _MOST_NAMED else ""
        raise SpecError(
            f"no module of {report.model} is like {pattern!r}; it has "
            f"{', '.join(paths[:_MOST_NAMED]) or 'none'}{more}."
        )
    keys = report.layers.keys()[2:]
    figures = {str(row["module"]): {key: _number(row[key]) for key in keys} for row in inside}
    totals = {key: sum(own[key] for own in figures.values()) for key in keys}
    own = Analysis(
        totals,
        per_module=figures,
        lower_bounds=report.lower_bounds.intersection(totals),
        unknown=report.unknown.intersection(totals),
    )
    columns = tuple(column for column in report.columns if column.key in totals)
    model = f"{report.model} [{pattern}]"
    return replace(report, model=model, columns=columns, analyses=(own,))


def _upwards(path: Cell) -> Iterator[str]:
    """A module's path and those of its parents, but for the root's."""
    parts = str(path).split(".")
    yield from (".".join(parts[: n + 1]) for n in range(len(parts)) if path)


def _number(cell: Cell) -> Number:
    assert isinstance(cell, (int, float))  # figures that add up
    return cell


def trained(report: Report, budget: Budget) -> tuple[Report, Mapping[str, ArchstatError]]:
    """The Report with the figures of training that a budget limits, and why one has none."""
    found: dict[str, Cell] = {}
    bounds: set[str] = set()
    errors: dict[str, ArchstatError] = {}
    for key in dict.fromkeys(rule.key for rule in budget.rules):
        if key in (TRAINING, LARGEST_BATCH):
            try:
                found[key], bounded = _of_training(key, budget)
                bounds |= {key} if bounded else set()
            except ArchstatError as error:
                found[key], errors[key] = None, error
    # Fewer samples fit where more memory is taken than counted: nobody knows how many.
    own = Analysis(found, lower_bounds=frozenset(bounds & {TRAINING}),
                   unknown=frozenset(bounds & {LARGEST_BATCH}))  # fmt: skip
    return replace(report, analyses=(*report.analyses, own)), errors


def _of_training(key: str, budget: Budget) -> tuple[int, bool]:
    """The figure, and whether operations are unknown that may take more memory."""
    from archstat.measure.training.rows import Plan, memory_row

    setup, inputs = budget.setup, list(budget.input) or None
    settings = Plan(setup.optimizer, setup.dtype, setup.amp, setup.kernels,
                    setup.checkpoint).settings()  # fmt: skip
    if key == TRAINING:
        row = memory_row(budget.model, settings, inputs, setup.batch)
        return row.step.training_memory_bytes, TRAINING in row.lower_bounds
    row = memory_row(budget.model, settings, inputs, budget=parse_bytes(setup.fits))
    assert row.fit is not None  # it was asked for
    return row.fit.batch, TRAINING in row.lower_bounds


def no_bar(models: Sequence[str], runs: int) -> AbstractContextManager[Callable[[int], Any]]:
    """A bar that nobody sees."""
    return nullcontext(lambda run: None)


def timed(budget: Budget, bar: Bar = no_bar) -> LatencyRun | ArchstatError | None:
    """The measured latency of a budget's model, or why it has none; None where no rule asks."""
    if all(rule.key != LATENCY for rule in budget.rules):
        return None
    from archstat.measure.latency.runs import measure

    setup = budget.setup
    conditions = Conditions(setup.device, setup.dtype or "fp32", setup.batch, threads=setup.threads)
    try:
        with bar([budget.model], 1) as teller:
            tell: Callable[[Progress], None] | None = teller(0)
            return measure([budget.model], conditions, budget_s=parse_seconds(setup.measure_for),
                           input=budget.input, progress=tell)  # fmt: skip
    except ArchstatError as error:
        return error
