"""Columns, notes, and what one analysis says of a Graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from archstat.graph import Graph
from archstat.units import format_bytes, format_cell

Number = int | float
PerAxis = tuple[Number | None, ...]
Cell = Number | str | PerAxis | None
Tone = Literal["good", "bad", "open"]
Unit = Literal["count", "bytes", "ratio", "share", "text", "number", "pixels", "ms", "figure"]

# What draws a table into a .pdf, .svg or .png file.
Picture = Callable[[str | Path], None]

RATIO_SUFFIX = "_ratio"
# The last part of the path of what a module with children runs itself.
FUNCTIONAL = "(functional)"


class Mark(str):
    """A verdict as a cell: its text, and whether that is good news, bad news or neither."""

    __slots__ = ("tone",)
    tone: Tone

    def __new__(cls, text: str, tone: Tone) -> Mark:
        """The text with its tone."""
        mark = super().__new__(cls, text)
        mark.tone = tone
        return mark


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key (one word everywhere), its unit, which way is better, what it means.

    `of` says what it is a figure of: ``"all"`` adds up over modules, ``"model"`` is of the whole
    model only, ``"place"`` holds at a module's last output. `quotient` names the two columns that
    a ratio of totals is made of.
    """

    key: str
    unit: Unit
    meaning: str
    better: Literal["lower", "higher", ""] = ""
    of: Literal["all", "model", "place"] = "all"
    quotient: tuple[str, str] | None = None

    def format(self, cell: Cell, lower_bound: bool = False) -> str:
        """A cell for a screen: rounded, with its unit, ``>=`` before a lower bound."""
        if isinstance(cell, tuple) and not any(number is not None for number in cell):
            # what sees everything has no size and no stride
            return "global" if self.key == "receptive_field" else "-"
        if self.key == "weight_dtypes" and isinstance(cell, str):
            parts = (part.partition("=") for part in cell.split())
            return ", ".join(f"{dtype} {format_bytes(int(size))}" for dtype, _, size in parts)
        text = format_cell(cell, self.unit)
        return f">= {text}" if lower_bound and isinstance(cell, Number) else text

    def ratio(self) -> Column:
        """The column of this one over its reference."""
        return Column(self.key + RATIO_SUFFIX, "ratio", f"{self.key} over the reference's")


# What a note is about; some go with a few columns alone.
Topic = Literal["note", "legend", "unknown_ops", "packed_weights", "failed", "receptive_field",
                "latency_ms"]  # fmt: skip
COLUMNS_OF_TOPIC: Mapping[Topic, frozenset[str]] = {
    "packed_weights": frozenset({"params", "trainable_params", "param_bytes", "weight_dtypes"}),
    "receptive_field": frozenset({"receptive_field", "effective_stride", "effective_padding",
                                  "global_from"}),
    "latency_ms": frozenset({"latency_ms"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader must be told: what it is about, the module it concerns, one sentence."""

    topic: Topic
    module: str
    text: str

    def __str__(self) -> str:
        return self.text


def notes_of(texts: Iterable[str], topic: Topic = "note") -> tuple[Note, ...]:
    """The notes that say these sentences of no module in particular."""
    return tuple(Note(topic, "", text) for text in texts)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one analysis says of a Graph.

    `totals` is the model's; `per_op` is aligned with the Graph's ops and `per_module` maps a
    module path to its own figures, for keys that add up; `at_module` maps it to what holds at its
    last output. Keys in `lower_bounds` may be too small, and of those in `unknown` nobody can tell
    a figure, for want of a rule; `conventions` says what was chosen in counting a key.
    """

    totals: Mapping[str, Cell]
    per_op: Mapping[str, Sequence[Number]] = field(default_factory=dict)
    per_module: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)
    lower_bounds: frozenset[str] = frozenset()
    findings: tuple[Note, ...] = ()
    at_module: Mapping[str, Mapping[str, Cell]] = field(default_factory=dict)
    conventions: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Analyzer:
    """An analysis with its name and the columns it fills."""

    name: str
    columns: tuple[Column, ...]
    run: Callable[[Graph], Analysis]
