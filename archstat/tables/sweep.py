"""`sweep`: a row a candidate of a design space, from several processes or a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from archstat.analyses import COLUMNS, CONVENTION
from archstat.analyses.memory_access import checked_fusion
from archstat.budgets.workers import Cluster, Ended, each_alone
from archstat.errors import ArchstatError, FailedModelsError, SpecError
from archstat.frontends.garbage import collection_paused
from archstat.models.asked import with_words
from archstat.models.pipeline import graph_of_spec, report
from archstat.models.sources import find
from archstat.models.spaces import Candidates, candidates, spaces_of
from archstat.models.specs import parse_spec
from archstat.result import IDENTITY, Cell, Column, Table, notes_of
from archstat.tables.compare import ON_SCREEN
from archstat.tables.predict import COLUMNS as OF_PREDICT
from archstat.tables.predict import fit_named, predict_table, predicted

if TYPE_CHECKING:
    from archstat.analyses.prediction import Fit

FAILED = Column("failed", "text", "why a candidate has no figures")
SWEEP_COLUMNS: tuple[Column, ...] = (*IDENTITY, *COLUMNS, FAILED)
PREDICTED = tuple(c for c in OF_PREDICT if c.key.startswith("predicted") or
                  c.key in ("inside_fit", "device"))  # fmt: skip
# What a process is given at once: a fork is then a small part of it, and so is what it may lose.
_AT_ONCE = 100


class Candidate(NamedTuple):
    """Figures by key, the keys among them that are lower bounds, and the torch they come from."""

    cells: Mapping[str, Cell]
    bounds: frozenset[str] = frozenset()
    torch_version: str = ""

    @property
    def failed(self) -> bool:
        """Whether there are no figures."""
        return self.cells.get("failed") is not None


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for every candidate of a sweep.

    Args:
        input, batch, fusion: see `analyze`.
        jobs: processes at work; by default one a core.
        keys: the columns wanted, where not all are.
        fit: also what is predicted by it.
        scheduler: the address of a Dask cluster that works in place of processes; ``local`` is
            one on this machine.
    """

    input: Any = None
    batch: int | None = None
    fusion: str = "none"
    jobs: int | None = None
    keys: frozenset[str] | None = None
    fit: Fit | None = None
    scheduler: str | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """What a candidate may have."""
        return SWEEP_COLUMNS if self.fit is None else (*SWEEP_COLUMNS[:-1], *PREDICTED, FAILED)

    @property
    def workers(self) -> int:
        """How many processes work at once."""
        return self.jobs or len(os.sched_getaffinity(0)) if hasattr(
            os, "sched_getaffinity") else os.cpu_count() or 1  # fmt: skip


def sweep(
    specs: str | Sequence[str],
    input: Any = None,
    batch: int | None = None,
    *,
    sample: int | None = None,
    seed: int = 0,
    jobs: int | None = None,
    fusion: str = "none",
    predict: str | None = None,
    scheduler: str | None = None,
    yes: bool = False,
    layout: str | None = None,
    example: Any = None,
) -> Table:
    """A row a candidate of design spaces, those that fail with their reason in `failed`.

    Args:
        specs: specs whose options may be ranges and lists, such as
            ``"mobilenet_v1,width=0.25..1.0:0.05,resolution=128|160"``, TOML files, JSON schemas.
        input, batch, fusion, layout, example: as `analyze` takes them.
        sample: so many candidates drawn at random with `seed`, not all.
        jobs: processes at work; by default one a core.
        predict: a device, whose predicted times are columns.
        scheduler: the address of a Dask cluster that does the work, or ``"local"``.
        yes: sweep more than ten million, too.

    Raises:
        SpecError: no such space, or one too large.
        FailedModelsError: every candidate failed.
        DeviceError, MissingExtraError, SchedulerError: no such device, no Dask, nobody there.
    """
    texts = [specs] if isinstance(specs, str) else list(specs)
    chosen = chosen_candidates(texts, sample, seed, any_number=yes)
    fit = None if predict is None else fit_named(predict)
    asked = with_words(input, layout, example)
    settings = Settings(asked, batch, checked_fusion(fusion), jobs, None, fit, scheduler)
    found = list(measured(chosen, settings))
    refuse_all_failed(found)
    return table_of(found, settings.columns)


def chosen_candidates(
    texts: Sequence[str], sample: int | None, seed: int, *, any_number: bool = False
) -> Candidates:
    """The specs to sweep; a single space's model and options are looked up before the work.

    Raises:
        ArchstatError: see `spaces_of`, `candidates` and, of a single space, `find`.
    """
    spaces = spaces_of(texts)
    found = candidates(spaces, sample, seed, any_number=any_number)
    if not found:
        raise SpecError("There is nothing to sweep; give a spec with ranges or lists.")
    if len(spaces) == 1:
        find(parse_spec(found[0]))
    return found


# From so many specs at once to a result for each group, in order; the work begins with the call.
_Run = Callable[[Sequence[str], int, int], Iterator[list[Candidate] | Ended]]


def measured(specs: Sequence[str], settings: Settings) -> Iterator[Candidate]:
    """The candidates in order, from processes that start now; one that dies takes none with it."""
    if settings.scheduler is not None:
        return _on_cluster(specs, settings, Cluster(settings.scheduler, settings.workers))
    run: _Run = partial(_in_processes, settings=settings)
    size = _group_size(specs, settings.workers)
    return _received(specs, size, run(specs, size, settings.workers), run)


def _group_size(specs: Sequence[str], workers: int) -> int:
    return max(1, min(_AT_ONCE, len(specs) // (4 * workers)))


def _on_cluster(specs: Sequence[str], settings: Settings, cluster: Cluster) -> Iterator[Candidate]:
    run: _Run = partial(cluster.run, work=partial(analyzed, settings=settings))
    size = _group_size(specs, len(cluster))
    try:
        yield from _received(specs, size, run(specs, size, len(cluster)), run)
    finally:
        cluster.close()


def _in_processes(
    specs: Sequence[str], size: int, workers: int, settings: Settings
) -> Iterator[list[Candidate] | Ended]:
    import archstat.frontends.module  # noqa: F401 - once for all processes, which are forked

    work = partial(_analyzed_from, specs=specs, size=size, settings=settings)
    return each_alone(work, range(0, len(specs), size), workers)


def _received(
    specs: Sequence[str], size: int, results: Iterator[list[Candidate] | Ended], run: _Run | None
) -> Iterator[Candidate]:
    """The candidates; those of a process that died are tried once more, one by one."""
    for start, result in zip(range(0, len(specs), size), results, strict=True):
        if not isinstance(result, Ended):
            yield from result
        elif run is not None:
            again = specs[start : start + size]
            yield from _received(again, 1, run(again, 1, 1), None)
        else:
            yield _failure(specs[start], f"{specs[start]} {result.how}")


def _analyzed_from(
    start: int, specs: Sequence[str], size: int, settings: Settings
) -> list[Candidate]:
    return analyzed(specs[start : start + size], settings)


def analyzed(specs: Sequence[str], settings: Settings) -> list[Candidate]:
    """What one process does: candidates one after the other, on one thread."""
    import torch

    torch.set_num_threads(1)  # the other cores have candidates of their own
    return [_candidate(spec, settings) for spec in specs]


def _candidate(spec: str, settings: Settings) -> Candidate:
    try:
        with collection_paused():
            graph = graph_of_spec(spec, settings.input, settings.batch)
            found = report(graph, spec, checked_fusion(settings.fusion), settings.keys)
            cells = {"model": spec, "input": found.input, **found.totals}
            bounds = found.lower_bounds
            if settings.fit is not None:
                table = predict_table([predicted(spec, graph, settings.fit)], settings.fit)
                cells |= {c.key: table.column(c.key)[0] for c in PREDICTED}
                bounds |= {key for _, key in table.bounds}
    except ArchstatError as error:
        return _failure(spec, str(error))
    return Candidate(cells, bounds, graph.torch_version)


def _failure(spec: str, reason: str) -> Candidate:
    return Candidate({"model": spec, "failed": " ".join(reason.split())})


def table_of(found: Sequence[Candidate], columns: tuple[Column, ...] = SWEEP_COLUMNS) -> Table:
    """The rows as a table."""
    keys = [column.key for column in columns]
    bounds = frozenset((row, key) for row, one in enumerate(found) for key in one.bounds)
    version = max((one.torch_version for one in found), default="")
    rows = tuple(tuple(one.cells.get(key) for key in keys) for one in found)
    return told(Table(columns, rows, bounds, torch_version=version))


def told(table: Table) -> Table:
    """The candidates with what must be said of them: failures, and counts that are incomplete."""
    columns = table.keys()
    reasons = [cell for cell in table.column("failed") if cell] if "failed" in columns else []
    unknown = sum(map(bool, table.column("unknown_ops"))) if "unknown_ops" in columns else 0
    notes = []
    if reasons:
        notes.append(f"{len(reasons)} of {len(table)} candidates failed; the first: {reasons[0]}")
    if unknown:
        notes.append(f"{unknown} of {len(table)} candidates have unknown operations: their counts "
                     "are lower bounds.")  # fmt: skip
    if "predicted_ms" in columns:
        notes.append("Times are predicted, not measured; four of five lie in their interval.")
    usual = (*ON_SCREEN, *(key for key in ("predicted_ms",) if key in columns))
    shown = tuple(key for key in usual if key in columns)
    return replace(table, notes=notes_of(notes), convention=CONVENTION, shown=shown)


def refuse_all_failed(found: Sequence[Candidate], count: int | None = None) -> None:
    """Raise where there are candidates (so many, of which these are some) and each of them failed.

    Raises:
        FailedModelsError: the reason of the first is in it.
    """
    if found and all(one.failed for one in found):
        reason = found[0].cells["failed"]
        raise FailedModelsError(f"all {count or len(found)} candidates failed; the first: {reason}")


def front(table: Table, x: tuple[str, bool], y: tuple[str, bool]) -> Table:
    """The Pareto front: the rows that no other beats in one column without losing in the other.

    Args:
        x, y: a key, and whether more is better. The rows are in the order of x, the best first.
    """
    kept: list[tuple[float, float, int]] = []
    signs = [-1 if better_is_more else 1 for _, better_is_more in (x, y)]
    pairs = enumerate(_pairs(table, x[0], y[0]))
    ordered = sorted((signs[0] * a, signs[1] * b, row) for row, (a, b) in pairs
                     if a is not None and b is not None)  # fmt: skip
    for point in ordered:
        if not kept or point[1] < kept[-1][1] or point[:2] == kept[-1][:2]:
            kept.append(point)
    return table.take([row for _, _, row in kept])


def points(table: Table, x: str, y: str) -> tuple[tuple[float, float], ...]:
    """The rows that have both columns, as points."""
    return tuple((a, b) for a, b in _pairs(table, x, y) if a is not None and b is not None)


def _pairs(table: Table, x: str, y: str) -> Iterator[tuple[float | None, float | None]]:
    return zip(*(map(plain, table.column(key)) for key in (x, y)), strict=True)


def plain(cell: Cell) -> float | None:
    """A cell as one number: of several axes the smallest; None where there is none."""
    if isinstance(cell, tuple):
        sizes = [size for size in cell if size is not None]
        return min(sizes) if len(sizes) == len(cell) > 0 else None
    return cell if isinstance(cell, (int, float)) else None
