"""`list`: the networks of the zoo by year, and the names that timm and torchvision have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from archstat import zoo
from archstat.errors import Option, SpecError, UnknownModelError
from archstat.hints import as_known, did_you_mean, like, natural
from archstat.models.specs import PACKAGES
from archstat.result import Cell, Column, Table
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

_BLOCK = "block"
_YEARS = re.compile(r"([0-9]{4})(?:-([0-9]{4}))?")


def list_networks(
    pattern: str | None = None,
    *,
    family: str | None = None,
    category: str | None = None,
    year: str | int | None = None,
    max_params: str | int | None = None,
    max_macs: str | int | None = None,
) -> Table:
    """The networks of the zoo by year, a row each; blocks, which are models as well, come last.

    Args:
        pattern: part of a name, or a glob such as ``"vgg*_bn"`` or ``"timm:mobilenet*"``.
        family: only families whose title contains this.
        category: such as ``"lightweight"``.
        year: of the paper, or first and last as ``"2015-2018"``.
        max_params, max_macs: at most so many, as ``"5M"`` or a number.

    Raises:
        SpecError: a filter that cannot be.
        UnknownModelError: no network is left.
        MissingExtraError: the package is absent or does not import.
    """
    texts = (None if one is None else str(one) for one in (year, max_params, max_macs))
    filters = Filters(pattern, family, category, *texts)
    scheme, colon, glob = (pattern or "").partition(":")
    if colon and scheme in PACKAGES:
        package: Literal["timm", "torchvision"] = "timm" if scheme == "timm" else "torchvision"
        table = _of_package(package, glob, filters)
        return replace(table, shown=("model",))
    shown = tuple(column.key for column in LIST_COLUMNS[:-1])
    return replace(blocks_last(networks(filters)), shown=shown)


def _of_package(package: Literal["timm", "torchvision"], glob: str, filters: Filters) -> Table:
    """The names that timm or torchvision has; their figures take a capture each.

    Raises:
        SpecError: a filter, which takes figures.
        UnknownModelError: no such name.
        MissingExtraError: the package is absent or does not import.
    """
    from archstat.models.sources import names_of

    if filters != Filters(filters.pattern):
        raise SpecError(f"{filters.pattern}: options filter zoo networks only; leave them out.")
    known = names_of(package)
    names = sorted(like(_glob(glob), known), key=natural)
    if not names:
        hint = did_you_mean(glob, known)
        raise UnknownModelError(f"{package} has no model like {glob!r}.{hint}")
    empty: tuple[Cell, ...] = (None,) * (len(LIST_COLUMNS) - 1)
    return Table(LIST_COLUMNS, tuple((f"{package}:{name}", *empty) for name in names))


def blocks_last(table: Table, order: tuple[str, bool] | None = None) -> Table:
    """The table in an order of networks, blocks behind them in the same."""
    ordered = table if order is None else table.sort(*order)
    place = table.index("category")
    return replace(ordered, rows=tuple(sorted(ordered.rows, key=lambda row: row[place] == _BLOCK)))


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
        most_params = _count("max_params", self.max_params)
        most_macs = _count("max_macs", self.max_macs)
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
            ("family", self.family),
            ("category", self.category),
            ("year", self.year),
            ("max_params", self.max_params),
            ("max_macs", self.max_macs),
        )
        said = [str(Option(name, value)) for name, value in given if value is not None]
        hint = did_you_mean(self.pattern, zoo.catalogue()) if self.pattern and not said else ""
        named = [repr(self.pattern)] if self.pattern else []
        remedy = " Leave one out." if said[1:] else " `archstat list` shows them all."
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
        raise SpecError(f"{Option('family', wanted)}: there is no such family.{hint}")
    return found


def _unbracketed(title: str) -> str:
    return title.partition(" (")[0].casefold()


def _category(wanted: str | None, categories: set[str]) -> str | None:
    wanted = wanted and as_known(wanted, categories)
    if wanted is not None and wanted not in categories:
        known = f"known: {_joined(categories)}"
        raise SpecError(f"{Option('category', wanted)}: there is no such category; {known}.")
    return wanted


def _years(text: str | None) -> tuple[int, int]:
    match = _YEARS.fullmatch(text or "0000-9999")
    if match is None or int(match[1]) > int(match[2] or match[1]):
        raise SpecError(
            f"{Option('year', text)} is not a year: write 2017, or first and last as 2015-2018."
        )
    return int(match[1]), int(match[2] or match[1])


def _count(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_count(text)
    except SpecError as error:
        raise SpecError(f"{Option(option, text)}: {error}") from None


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
