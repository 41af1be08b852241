"""``archstat bench --history``: what this machine measured before."""

from __future__ import annotations

from collections.abc import Sequence

from archstat.cli.bench_request import Request
from archstat.cli.output import Destination
from archstat.cli.screen import (
    chosen_columns,
    on_screen_with_ratio,
    screen_width,
    sort_key,
    with_ratio,
)
from archstat.errors import LatencyStoreError, SpecError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.history import changes
from archstat.measure.latency.measurement import Machine
from archstat.measure.latency.store import LatencyStore, Stored, store_path, subject_of
from archstat.tables.bench import varying
from archstat.tables.bench_history import HISTORY_COLUMNS, history_table

# The most needed first.
_NEEDS = ("model", "latency_ms", "latency_ms_before", "verdict", "day", "runs_before",
          "latency_ms_ratio_low", "latency_ms_ratio_high", "runs", "input")  # fmt: skip
_CONDITIONS = ("batch", "threads", "dtype", "layout", "mode", "execution", "cache")


def view_history(request: Request, destination: Destination) -> None:
    """Write a row a model and condition that was measured on this machine.

    Raises:
        LatencyStoreError: nothing was, or the store cannot be read.
        ArchstatError: whatever else cannot be carried out.
    """
    _refuse_what_clashes(request)
    grid = request.grid()
    chosen = chosen_columns(request.columns, HISTORY_COLUMNS)
    order = sort_key(request.sort, HISTORY_COLUMNS)
    machine = _here(grid[0])
    store = LatencyStore(store_path())
    table = history_table(changes(_wanted(store, machine, request, grid)), machine)
    if order is not None:
        table = table.sort(*order)
    is_screen = destination.format.name == "console"
    if chosen is not None:
        table = table.select(with_ratio(chosen, table, is_screen))
    elif not destination.is_raw:
        needs = (_NEEDS[0], *varying(table, _CONDITIONS), *_NEEDS[1:])
        width = screen_width(destination.path)
        table = on_screen_with_ratio(table, needs, width, is_screen)
    destination.write(table)


def _refuse_what_clashes(request: Request) -> None:
    given = {"--budget": request.budget, "--reference": request.reference,
             "--no-store": request.no_store, "--input": request.input}  # fmt: skip
    for option, value in given.items():
        if value:
            raise SpecError(f"--history measures nothing: leave {option} out.")


def _here(conditions: Conditions) -> Machine:
    from archstat.measure.latency.machine import this_machine
    from archstat.measure.latency.subject import check_here

    if conditions.on_cuda:
        check_here(conditions)
    return this_machine(conditions)


def _wanted(
    store: LatencyStore, machine: Machine, request: Request, grid: Sequence[Conditions]
) -> list[Stored]:
    stored = store.of_machine(machine.identity)
    if not stored:
        raise LatencyStoreError(
            f"{store.path} holds nothing measured on this machine's {grid[0].device}: "
            "measure with `archstat bench MODEL` first."
        )
    subjects = {subject_of(model) for model in request.models}
    left = [
        one
        for one in stored
        if (not subjects or one.subject in subjects) and _passes(one, request, grid)
    ]
    if not left:
        known = dict.fromkeys(one.measurement.model for one in stored)
        raise LatencyStoreError(
            f"No run of {', '.join(request.models) or 'any model'} with these options is in "
            f"{store.path}; measured on this machine: {', '.join(known)}."
        )
    return left


def _passes(one: Stored, request: Request, grid: Sequence[Conditions]) -> bool:
    """Whether a run is under the conditions that the command line names; others do not count."""
    ran, run = one.measurement.conditions, one.measurement
    return (
        (request.dtype is None or ran.dtype == request.dtype)
        and (not request.batches or ran.batch in {asked.batch for asked in grid})
        and (not request.threads or run.threads in {asked.threads for asked in grid})
        and all(
            getattr(ran, name) or not getattr(request, name)
            for name in ("channels_last", "compile", "backward", "cuda_graph", "cold")
        )
    )
