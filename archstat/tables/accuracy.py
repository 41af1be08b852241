"""`--accuracy timm`: top-1 of published weights, beside what their network costs."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources

from archstat.errors import ArchstatError, ColumnError, Option, SpecError
from archstat.models.specs import parse_spec
from archstat.result import Cell, Column, Note, Table

SOURCES = ("timm",)
ACCURACY_COLUMNS = (
    Column("top1", "number", "top-1 in % on ImageNet-1k's validation set, as timm publishes it for "
           "these weights", "higher"),
    Column("top1_weights", "text", "timm's name of the weights behind top1"),
    Column("top1_resolution", "number", "side of the images that top1 was measured on"),
)  # fmt: skip
_FILE = "imagenet_top1.csv"
_SOURCE = "ImageNet-1k, from timm's results-imagenet.csv (Apache-2.0)"
_MOST_NAMED = 8


def checked_accuracy(name: str | None, models: Sequence[str]) -> str:
    """What is to be said of models without published weights, "" where all have some.

    Args:
        name: who published the results, one of `SOURCES`; None asks for none.
        models: their specs.

    Raises:
        SpecError: another name.
        ColumnError: no model has any.
    """
    if name is None:
        return ""
    option = Option("accuracy", name)
    if name not in SOURCES:
        raise SpecError(f"{option}: the only source is {', '.join(SOURCES)}; {Option('join')} "
                        "takes a file of your own.")  # fmt: skip
    absent = [model for model in dict.fromkeys(models) if not _results(model)]
    if len(absent) == len(set(models)):
        raise ColumnError(f"{option} covers timm: models and zoo networks with the same weights "
                          "and default options; it has no results for "
                          f"{', '.join(absent)}.")  # fmt: skip
    return f"{option} has no results for {', '.join(absent)}." if absent else ""


def with_accuracy(table: Table) -> Table:
    """The comparison with top-1 behind its columns, its weights and resolution in a note.

    Of weights that were tested at several resolutions, the one nearest to the model's input holds.
    """
    models = table.column("model")
    cells = list(map(_cells, map(str, models), map(str, table.column("input"))))
    rows = tuple((*row, *more) for row, more in zip(table.rows, cells, strict=True))
    told = list(dict.fromkeys(
        f"{model} with {weights} at {side}"
        for model, (_, weights, side) in zip(models, cells, strict=True) if weights
    ))  # fmt: skip
    more = len(told) - _MOST_NAMED
    rest = f"; {more} more in top1_weights" if more > 0 else ""
    note = Note("note", "", f"top1: {_SOURCE}: {'; '.join(told[:_MOST_NAMED])}{rest}.")
    columns = (*table.columns, *ACCURACY_COLUMNS)
    return replace(table, columns=columns, rows=rows, notes=(*table.notes, note))


def _cells(model: str, shape: str) -> tuple[Cell, Cell, Cell]:
    side = shape.rpartition("x")[2]
    wanted = int(side) if side.isdecimal() else 0
    found = min(_results(model), key=lambda one: abs(one[1] - wanted), default=None)
    return (None, None, None) if found is None else (found[2], *found[:2])


def _results(model: str) -> tuple[tuple[str, int, float], ...]:
    """Weights, resolution and top-1 of what a spec names, if it changes nothing of it."""
    try:
        spec = parse_spec(model)
    except ArchstatError:
        return ()
    if spec.options or spec.scheme not in ("timm", "zoo"):
        return ()
    return tuple(_by_name().get(spec.target if spec.scheme == "zoo" else f"timm:{spec.target}", ()))


@cache
def _by_name() -> dict[str, list[tuple[str, int, float]]]:
    """The results by model: weights under their own name, and what they are the default of."""
    found: dict[str, list[tuple[str, int, float]]] = {}
    for row in _rows():
        result = (row["weights"], int(row["resolution"]), float(row["top1"]))
        for name in (f"timm:{row['weights']}", *row["models"].split()):
            found.setdefault(name, []).append(result)
    return found


def _rows() -> Iterator[dict[str, str]]:
    text = resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    yield from csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
