"""``archstat list [PATTERN]``: the networks of the zoo, without torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated

import typer

from archstat import zoo
from archstat.cli import options
from archstat.cli.output import Destination
from archstat.cli.screen import View, show
from archstat.errors import SpecError, UnknownModelError
from archstat.hints import did_you_mean
from archstat.result import Column, Table
from archstat.units import parse_count

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

_YEARS = re.compile(r"([0-9]{4})(?:-([0-9]{4}))?")

Pattern = Annotated[
    str | None,
    typer.Argument(metavar="PATTERN", help="Part of a name, or a glob such as vgg*_bn."),
]
Family = Annotated[
    str | None, typer.Option(metavar="TITLE", help="Only families whose title contains this.")
]
Category = Annotated[
    str | None, typer.Option(metavar="NAME", help="Such as lightweight, width or block.")
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
    table = networks(Filters(pattern, family, category, year, max_params, max_macs))
    show(table, view, [column.key for column in LIST_COLUMNS[:-1]], _NEEDED)


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
        glob = _glob(self.pattern)
        left = [
            entry
            for entry in entries
            if fnmatchcase(entry.name, glob)
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
    wanted = (pattern or "*").lower()
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
