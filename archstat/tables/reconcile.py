"""`reconcile`: which network, input and way of counting give a figure that somebody printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from archstat.analyses.conventions.sources import WRITTEN_IN
from archstat.analyses.field.steps import some
from archstat.errors import Option
from archstat.result import Column, Table, notes_of
from archstat.tables.ways import Asked, Found, Way

COLUMNS = (
    Column("figure", "text", "the figure as printed"),
    Column("quantity", "text", "what the way counts"),
    Column("exact", "text", "yes if it gives every printed digit"),
    Column("convention", "text", "the way of counting"),
    Column("source", "text", "who counts and prints this way"),
    Column("input", "text", "shape of each input, batch first"),
    Column("form", "text", "the part of the network that is counted"),
    Column("value", "figure", "what the way gives"),
    Column("difference_percent", "number", "value over figure, in percent"),
    Column("arithmetic", "text", "how the value is computed, and how it prints"),
)
_NAMED, _MOST_SHARED = 3, 6


def reconcile_table(found: Found, most: int | None = None) -> Table:
    """A row a way, those with the fewest assumptions first, then the nearest misses.

    With `most`, ways to one value are one row with the first of their sources, and so many are
    shown.
    """
    ways = [(way, way.measure.sources) for way in found.ways]
    if most is not None:
        ways = _of_one_value(found.ways)
    left = 0 if most is None else max(0, len(ways) - most)
    shown = [*ways[:most], *((miss, miss.measure.sources) for miss in found.misses)]
    rows = tuple(
        (way.asked.printed.text, way.measure.quantity, "yes" if way.is_exact else "no",
         way.measure.name, some([*sources], most and _NAMED), way.input,
         way.form or "as trained",
         int(way.value) if way.value.denominator == 1 else float(way.value),
         round(way.off, 4), way.arithmetic)
        for way, sources in shown
    )  # fmt: skip
    every = Option("columns", "all")
    more = (f"{left} more ways: {every} or csv show them.",) if left else ()
    named = dict.fromkeys(one for way, sources in shown if way.is_exact for one in sources)
    code = [f"{one}: {WRITTEN_IN[one]}".replace("`", "") for one in named if one in WRITTEN_IN]
    where = ("Where they count: " + "; ".join(code[: most and _NAMED]) + ".",) if code else ()
    return Table(COLUMNS, rows, notes=notes_of((*_said(found), *where, *more)))


def _of_one_value(ways: Iterable[Way]) -> list[tuple[Way, tuple[str, ...]]]:
    first: dict[tuple[Asked, Fraction, str], Way] = {}
    sources: dict[tuple[Asked, Fraction, str], dict[str, None]] = {}
    for way in ways:
        key = (way.asked, way.value, way.input)
        first.setdefault(key, way)
        sources.setdefault(key, {}).update(dict.fromkeys(way.measure.sources))
    return [(way, tuple(sources[key])) for key, way in first.items()]


def _said(found: Found) -> Iterator[str]:
    if found.shared:
        yield f"Explains all figures at once: {some(sorted(found.shared), _MOST_SHARED)}."
    missed = dict.fromkeys(way.asked.printed.text for way in found.misses)
    for text in missed:
        yield f"Nothing that was tried gives {text}; the nearest are above."
    if not found.is_explained and not missed:
        yield "No single source explains all figures."
    if found.refused:
        yield f"Not tried, since the network does not run there: {', '.join(found.refused)}."
