"""``archstat list [PATTERN]``: the networks of the zoo, without torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import typer

from archstat import zoo
from archstat.cli import options
from archstat.cli.completion import complete_category
from archstat.cli.output import Destination
from archstat.cli.screen import View, show
from archstat.errors import SpecError, UnknownModelError
from archstat.hints import as_known, did_you_mean, like, natural
from archstat.models.specs import PACKAGES
from archstat.result import Cell, Column, Table
from archstat.units import format_exactly, parse_count

LIST_COLUMNS = (
    Column("model", "text", "name of the network"),
    Column("family", "text", "title of its family"),
    Column("year", "number", "year of the paper"),
    Column("category", "text", "what the family is known for"),
    Column("paper", "text", "arXiv id or venue"),
    Column("input", "text", "default input, without the batch"),
    Column("params", "count", "parameter elements"),
    Column("published_params", "count", "parameters as printed"),
    Column("macs", "count", "multiply-accumulates at the default input"),
    Column("published_macs", "count", "multiply-accumulates as printed"),
    Column("options", "text", "what KEY=VALUE may set"),
)
# what a narrow screen keeps, the most needed first
_NEEDED = ("model", "params", "macs", "year", "paper", "category", "published_params",
           "published_macs", "family", "input")  # fmt: skip

_BLOCK = "block"
_YEARS = re.compile(r"([0-9]{4})(?:-([0-9]{4}))?")

Pattern = Annotated[
    str | None,
    typer.Argument(
        metavar="PATTERN", help="Part of a name, or a glob such as vgg*_bn or timm:mobilenet*."
    ),
]
Family = Annotated[
    str | None, typer.Option(metavar="TITLE", help="Only families whose title contains this.")
]
Category = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Such as lightweight, width or block.",
        autocompletion=complete_category,
    ),
]
Year = Annotated[
    str | None, typer.Option(metavar="YEAR[-YEAR]", help="Year of the paper, or first and last.")
]
MaxParams = Annotated[str | None, typer.Option(metavar="COUNT", help="At most, such as 5M.")]
MaxMacs = Annotated[str | None, typer.Option(metavar="COUNT", help="At most, such as 600M.")]


def list_networks(
    pattern: Pattern = None,
    family: Family = None,
    category: Category = None,
    year: Year = None,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    columns: options.Columns = None,
    sort: options.Sort = None,
    format: options.FormatName = None,
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """List the networks of the zoo by year, with measured and published parameters and macs.

    Blocks, which are models as well, come last. csv and json hold every column.
    """
    view = View(Destination(format, output), LIST_COLUMNS, columns, sort)
    filters = Filters(pattern, family, category, year, max_params, max_macs)
    scheme, colon, glob = (pattern or "").partition(":")
    if colon and scheme in PACKAGES:
        show(
            _of_package("timm" if scheme == "timm" else "torchvision", glob, filters),
            view,
            ["model"],
        )
        return
    table, view.order = _blocks_last(networks(filters), view.order), None
    if view.destination.format.name in ("console", "markdown"):
        table = _as_printed(table)
    show(table, view, [column.key for column in LIST_COLUMNS[:-1]], _NEEDED)


def _of_package(package: Literal["timm", "torchvision"], glob: str, filters: Filters) -> Table:
    """The names that timm or torchvision has; their figures take a capture each.

    Raises:
        SpecError: a filter, which takes figures.
        UnknownModelError: no such name.
        MissingExtraError: the package is absent or does not import.
    """
    from archstat.models.sources import names_of

    if filters != Filters(filters.pattern):
        raise SpecError(
            f"{filters.pattern}: only networks of the zoo are filtered; give no option."
        )
    known = names_of(package)
    names = sorted(like(_glob(glob), known), key=natural)
    if not names:
        hint = did_you_mean(glob, known)
        raise UnknownModelError(f"{package} has no model like {glob!r}.{hint}")
    empty: tuple[Cell, ...] = (None,) * (len(LIST_COLUMNS) - 1)
    return Table(LIST_COLUMNS, tuple((f"{package}:{name}", *empty) for name in names))


def _blocks_last(table: Table, order: tuple[str, bool] | None) -> Table:
    """The table in an order of networks, blocks behind them in the same."""
    ordered = table if order is None else table.sort(*order)
    place = table.index("category")
    return replace(ordered, rows=tuple(sorted(ordered.rows, key=lambda row: row[place] == _BLOCK)))


def _as_printed(table: Table) -> Table:
    """The table with published figures on the digits that were printed, such as ``4.2 M``."""
    places = [number for number, key in enumerate(table.keys()) if key.startswith("published_")]
    rows = tuple(
        tuple(
            format_exactly(cell) if number in places and isinstance(cell, int) else cell
            for number, cell in enumerate(row)
        )
        for row in table.rows
    )
    return replace(table, rows=rows)


def networks(filters: Filters) -> Table:
    """The catalogue's entries that the filters leave.

    Raises:
        SpecError: a filter that cannot be, or that leaves none.
    """

    rows = tuple(
        (e.name, e.family, e.year, e.category, e.paper, e.input, e.params, e.published_params,
         e.macs, e.published_macs, " ".join(e.options))
        for e in filters.left()
    )  # fmt: skip
    return Table(LIST_COLUMNS, rows)


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters as typed; what is None lets everything through."""

    pattern: str | None = None
    family: str | None = None
    category: str | None = None
    year: str | None = None
    max_params: str | None = None
    max_macs: str | None = None

    def left(self) -> list[zoo.Entry]:
        """The entries of the catalogue that pass every filter, in its order.

        Raises:
            SpecError: a filter that cannot be.
            UnknownModelError: no entry is left.
        """
        entries = list(zoo.catalogue().values())
        titles = _titles(self.family, {entry.family for entry in entries})
        category = _category(self.category, {entry.category for entry in entries})
        first, last = _years(self.year)
        most_params = _count("--max-params", self.max_params)
        most_macs = _count("--max-macs", self.max_macs)
        names = set(like(_glob(self.pattern), (entry.name for entry in entries)))
        left = [
            entry
            for entry in entries
            if entry.name in names
            and entry.family in titles
            and category in (None, entry.category)
            and first <= entry.year <= last
            and (most_params is None or entry.params <= most_params)
            and (most_macs is None or entry.macs <= most_macs)
        ]
        if not left:
            raise UnknownModelError(self._nothing_left())
        return left

    def _nothing_left(self) -> str:
        given = (
            ("--family", self.family),
            ("--category", self.category),
            ("--year", self.year),
            ("--max-params", self.max_params),
            ("--max-macs", self.max_macs),
        )
        said = [f"{name} {value}" for name, value in given if value is not None]
        hint = did_you_mean(self.pattern, zoo.catalogue()) if self.pattern and not said else ""
        named = [repr(self.pattern)] if self.pattern else []
        remedy = " Leave one out." if said else " `archstat list` shows them all."
        return f"No network of the zoo matches {' with '.join([*named, *said])}.{hint or remedy}"


def _glob(pattern: str | None) -> str:
    wanted = pattern or "*"
    return wanted if any(sign in wanted for sign in "*?[") else f"*{wanted}*"


def _titles(wanted: str | None, titles: set[str]) -> set[str]:
    """The titles that are what is wanted, up to a bracket; else those that contain it."""
    if wanted is None:
        return titles
    part = wanted.casefold()
    same = {title for title in titles if part in (title.casefold(), _unbracketed(title))}
    found = same or {title for title in titles if part in title.casefold()}
    if not found or not wanted:
        hint = did_you_mean(wanted, titles) or f" Known families: {_joined(titles)}."
        raise SpecError(f"--family {wanted!r}: there is no such family.{hint}")
    return found


def _unbracketed(title: str) -> str:
    return title.partition(" (")[0].casefold()


def _category(wanted: str | None, categories: set[str]) -> str | None:
    wanted = wanted and as_known(wanted, categories)
    if wanted is not None and wanted not in categories:
        raise SpecError(
            f"--category {wanted!r}: there is no such category; known: {_joined(categories)}."
        )
    return wanted


def _years(text: str | None) -> tuple[int, int]:
    match = _YEARS.fullmatch(text or "0000-9999")
    if match is None or int(match[1]) > int(match[2] or match[1]):
        raise SpecError(
            f"--year {text!r} is not a year: write 2017, or first and last as 2015-2018."
        )
    return int(match[1]), int(match[2] or match[1])


def _count(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_count(text)
    except SpecError as error:
        raise SpecError(f"{option}: {error}") from None


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
