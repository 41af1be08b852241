"""``--join FILE.csv``: columns of the user's own, accuracy say, beside archstat's."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from archstat.errors import ColumnError, Option
from archstat.hints import did_you_mean, spelled_alike
from archstat.result import Cell, Column, Table

_KEYS = ("model", "name")
_SUFFIX = "_joined"
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Joined:
    """The columns of a file, and its cells by model."""

    columns: tuple[Column, ...] = ()
    cells: dict[str, tuple[Cell, ...]] = field(default_factory=dict)

    def matches(self, model: str) -> list[str]:
        """The names in the file that may be this model.

        They are its spec, or its name without ``timm:`` or ``torchvision:`` in any spelling; else
        the same but for the tag behind the dot, in timm's names.
        """
        name = model.removeprefix("timm:").removeprefix("torchvision:")
        found = [model] if model in self.cells else spelled_alike(name, self.cells)
        if found or {":", "/", ","} & set(name):
            return found
        bare, _, tag = name.partition(".")
        # a model with a tag is no model with another one
        return [
            one for one in self.cells if one.partition(".")[0] == bare and not (tag and "." in one)
        ]

    def missing(self, models: Sequence[str]) -> str:
        """What is to be said of models that the file does not have, "" where it has all.

        Raises:
            ColumnError: it has none of them.
        """
        if not self.columns:
            return ""
        found = {model: self.matches(model) for model in dict.fromkeys(models)}
        absent = [model for model, names in found.items() if not names]
        unclear = [
            f"{model} may be {' or '.join(names[:_MOST_NAMED])}"
            for model, names in found.items()
            if len(names) > 1
        ]
        more = ", ..." if len(self.cells) > _MOST_NAMED else ""
        known = ", ".join(list(self.cells)[:_MOST_NAMED]) + more
        of_all = f"{len(found) - len(absent) - len(unclear)} of {len(found)} models found"
        said = [f"not there: {', '.join(absent)}"] if absent else []
        text = f"{Option('join')}: {'; '.join([of_all, *said, *unclear])}."
        if len(absent) + len(unclear) == len(found):
            raise ColumnError(f"{text} The file has {known or 'no rows'}.")
        return text if said or unclear else ""


def read_joined(path: str | Path | None, taken: Collection[str], on: str | None = None) -> Joined:
    """The columns of a CSV file; none without a file. A key that is taken gets a suffix.

    Args:
        on: the column that names the models; by default `model`, else `name`.

    Raises:
        ColumnError: unreadable, no such column, a model twice, or a key twice.
    """
    if path is None:
        return Joined()
    named = Option("join", path)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            head, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, UnicodeDecodeError):
            reason = "it is not text; tables are read as .csv only"
        raise ColumnError(f"{named} cannot be read: {reason}.") from error
    keys = [key.strip() for key in head]
    first = _first(named, keys, on)
    own = [key + _SUFFIX if key in taken else key for key in keys if key != first]
    clashes = [key for key in own if key in taken or own.count(key) > 1]
    if clashes:
        raise ColumnError(f"{named}: the column {clashes[0]!r} exists already; rename it.")
    cells: dict[str, tuple[Cell, ...]] = {}
    place = keys.index(first)
    for row in rows:
        if len(row) != len(keys):
            raise ColumnError(f"{named}: {','.join(row)!r} does not have {len(keys)} cells.")
        if row[place] in cells:
            raise ColumnError(f"{named} has the model {row[place]!r} twice.")
        cells[row[place]] = tuple(_read(text) for i, text in enumerate(row) if i != place)
    numeric = [all(not isinstance(row[i], str) for row in cells.values()) for i in range(len(own))]
    columns = [
        Column(key, "number" if number else "text", f"from {path}")
        for key, number in zip(own, numeric, strict=True)
    ]
    return Joined(tuple(columns), cells)


def _first(named: Option, keys: Sequence[str], on: str | None) -> str:
    """The column that names the models."""
    for key in _KEYS if on is None else (on,):
        if key in keys:
            return key
    wanted = " or ".join(f"`{key}`" for key in _KEYS) if on is None else f"`{on}`"
    if not keys:
        raise ColumnError(f"{named} is empty.")
    hint = did_you_mean(on or _KEYS[0], keys)
    raise ColumnError(
        f"{named} has no column {wanted}.{hint} It has {', '.join(keys)}: "
        f"{Option('join_on')} NAME says which names the models."
    )


def joined(table: Table, extra: Joined) -> Table:
    """The table with the file's columns behind its own; a model it does not name has none."""
    nothing: tuple[Cell, ...] = (None,) * len(extra.columns)
    found = [extra.matches(str(name)) for name in table.column("model")]
    rows = tuple(
        (*row, *(extra.cells[names[0]] if len(names) == 1 else nothing))
        for row, names in zip(table.rows, found, strict=True)
    )
    return replace(table, columns=(*table.columns, *extra.columns), rows=rows)


def _read(text: str) -> Cell:
    text = text.strip()
    if not text:
        return None
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
