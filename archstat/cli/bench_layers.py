"""``archstat bench --per-layer`` and ``--by-kind``: where the time of one model goes."""

from __future__ import annotations

from archstat.cli.bench_request import Request
from archstat.cli.output import Destination
from archstat.cli.screen import chosen_columns, fitted, sort_key
from archstat.errors import SpecError
from archstat.tables.bench_layers import KIND_COLUMNS, LAYER_COLUMNS

# The most needed first.
_LAYER_NEEDS = ("layer", "time_ms", "time_share", "floor_share", "macs", "memory_access_bytes",
                "bound", "arithmetic_intensity", "time_floor_ms", "peak_share", "dispatch_ms",
                "type")  # fmt: skip
_KIND_NEEDS = ("kind", "ops", *_LAYER_NEEDS[1:-1])


def view_layers(request: Request, destination: Destination, per_layer: bool, by_kind: bool) -> None:
    """Write a row a layer or a row a kind of operation.

    Raises:
        ArchstatError: whatever cannot be carried out.
    """
    option = "--by-kind" if by_kind else "--per-layer"
    _refuse_what_clashes(request, option, per_layer and by_kind)
    (conditions,) = request.grid()
    known = KIND_COLUMNS if by_kind else LAYER_COLUMNS
    chosen = chosen_columns(request.columns, known, known[0].key)
    order = sort_key(request.sort, known)
    from archstat.tables.bench_layers import layer_table

    table = layer_table(request.models[0], conditions, request.input, by_kind)
    if order is not None:
        table = table.sort(*order)
    if chosen is not None:
        table = table.select(chosen)
    elif not destination.is_raw:
        table = fitted(table, _KIND_NEEDS if by_kind else _LAYER_NEEDS, destination)
    destination.write(table)


def _refuse_what_clashes(request: Request, option: str, both: bool) -> None:
    if both:
        raise SpecError("--per-layer and --by-kind are two tables: leave one out.")
    if len(request.models) != 1:
        raise SpecError(f"{option} is of one model, and {len(request.models)} are given.")
    given = {"--budget": request.budget, "--reference": request.reference,
             "--no-store": request.no_store}  # fmt: skip
    for other, value in given.items():
        if value:
            raise SpecError(f"{other} is of whole models, not of {option}: leave it out.")
    if len(request.grid()) > 1:
        raise SpecError(f"{option} is of one condition: give one batch and one number of threads.")
