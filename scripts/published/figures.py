"""The published figures and the spec of the network that each is of, read from reports/."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

REPORTS = Path(__file__).parents[2] / "reports"


class Figure(NamedTuple):
    """One published figure: of what, where it is printed, and at which input."""

    model: str
    variant: str
    source: str
    reference: str
    quantity: str
    value: str
    unit: str
    input: str
    zoo_key: str

    @property
    def id(self) -> str:
        """What a person calls this row."""
        return f"{self.source}: {self.model}: {self.quantity} {self.value} {self.unit}"


class Mapped(NamedTuple):
    """A line of the table from zoo_key to spec; an empty source or model stands for any.

    `model` is the source's model or variant.
    """

    zoo_key: str
    source: str
    model: str
    spec: str
    reason: str


class Excepted(NamedTuple):
    """Figures that do not fit, and why; `rows` is how many rows it names."""

    source: str
    model: str
    variant: str
    quantity: str
    value: str
    unit: str
    rows: str
    reason: str

    def names(self, figure: Figure) -> bool:
        """Whether a figure is one of those that this line excepts."""
        mine = (figure.source, figure.model, figure.variant)
        printed = (figure.quantity, figure.value, figure.unit)
        return self[:3] == mine and self[3:6] == printed


@cache
def figures() -> tuple[Figure, ...]:
    """Every published figure, in the order of the file."""
    return tuple(Figure(**row) for row in _rows("published_figures.csv"))


@cache
def mapped() -> tuple[Mapped, ...]:
    """The table from zoo_key to spec."""
    return tuple(Mapped(**row) for row in _rows("published_specs.csv"))


@cache
def exceptions() -> tuple[Excepted, ...]:
    """The figures that do not fit, with the reasons."""
    return tuple(Excepted(**row) for row in _rows("published_exceptions.csv"))


@cache
def _by_place() -> dict[tuple[str, str, str], Mapped]:
    return {(line.zoo_key, line.source, line.model): line for line in mapped()}


def network_of(figure: Figure) -> Mapped:
    """The most particular line of the table for one figure.

    Raises:
        KeyError: the table has no line for this zoo_key, nor for this model of this source.
    """
    source = figure.source
    places = ((source, figure.model), (source, figure.variant), (source, ""), ("", ""))
    for source, model in places:
        line = _by_place().get((figure.zoo_key, source, model))
        if line is not None:
            return line
    raise KeyError(figure.id)


def exception_of(figure: Figure) -> Excepted | None:
    """The line of the table of exceptions that names a figure."""
    return next((line for line in exceptions() if line.names(figure)), None)


def _rows(name: str) -> list[dict[str, str]]:
    with (REPORTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
