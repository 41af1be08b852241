"""Rules: a column, an operator and a limit, such as ``params = "<= 5.3M"``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Literal, get_args

from archstat.analyses import COLUMNS
from archstat.errors import SpecError
from archstat.hints import did_you_mean
from archstat.result import Cell, Column, Number
from archstat.units import BYTE_UNITS, COUNT_UNITS, parse_bytes, parse_count

Operator = Literal["<=", "<", ">=", ">", "=="]
OPERATORS: tuple[Operator, ...] = get_args(Operator)

TRAINING, LARGEST_BATCH, LATENCY = "training_memory_bytes", "largest_batch", "latency_ms"
# What no Report holds: the model has to be trained, or timed, for it.
FURTHER_COLUMNS = (
    Column(TRAINING, "bytes", "peak of a training step", "lower", of="model"),
    Column(LARGEST_BATCH, "number", "largest batch whose training step fits in `fits`", "higher",
           of="model"),
    Column(LATENCY, "ms", "median time of a call, measured, with its interval", "lower",
           of="model"),
)  # fmt: skip
RULE_COLUMNS: tuple[Column, ...] = (*(c for c in COLUMNS if c.unit != "text"), *FURTHER_COLUMNS)
GROWING_KEYS: tuple[str, ...] = tuple(
    c.key for c in RULE_COLUMNS if c.better == "lower" and c.key != LATENCY
)

_RULE = re.compile(r"\s*(<=|>=|==|<|>)\s*(.*?)\s*")
_NUMBER = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_QUANTITY = re.compile(rf"{_NUMBER}\s*([A-Za-z]*)")
_PERCENT = re.compile(rf"\s*{_NUMBER}\s*%\s*")
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Rule:
    """What a column must keep: in elements, operations, bytes or pixels, as the column counts.

    A `relative` rule's limit is the share by which the column may exceed its locked value.
    `line` is where it stands in its file, 0 where it stands in none.
    """

    key: str
    operator: Operator
    limit: int | Fraction
    text: str
    line: int = 0
    relative: bool = False

    @property
    def column(self) -> Column:
        """The column that the rule is about."""
        return rule_column(self.key)

    @property
    def name(self) -> str:
        """The rule as its file says it: ``params <= 5.3M``, ``params max_increase 1%``."""
        return (
            f"{self.key} max_increase {self.text}" if self.relative else f"{self.key} {self.text}"
        )

    def measured(self, cell: Cell) -> Number | None:
        """The number that counts: of several axes the one that keeps the rule least.

        An axis that sees everything is infinite. None where there is nothing to measure.
        """
        if isinstance(cell, tuple):
            sizes = [inf if size is None else size for size in cell]
            failing = [size for size in sizes if not self.allows(size, self.limit)]
            if self.operator in ("<=", "<"):
                return max(sizes, default=None)
            return min(failing or sizes, default=None)
        return None if isinstance(cell, str) else cell

    def allows(self, number: Number, limit: int | Fraction) -> bool:
        """Whether a number keeps the rule at a limit; exact, whatever the sizes."""
        if self.operator == "==":
            return number == limit
        if self.operator in ("<=", "<"):
            return number < limit or (self.operator == "<=" and number == limit)
        return number > limit or (self.operator == ">=" and number == limit)


def rule_column(key: str) -> Column:
    """The column of a key that a rule may be about.

    Raises:
        SpecError: no such column, or one that holds no number.
    """
    for column in RULE_COLUMNS:
        if column.key == key:
            return column
    names = [column.key for column in RULE_COLUMNS]
    if any(column.key == key for column in COLUMNS):
        raise SpecError(f"{key} is text, which no rule can limit; columns: {', '.join(names)}.")
    hint = did_you_mean(key, names) or f" Columns: {', '.join(names)}."
    raise SpecError(f"There is no column {key!r}.{hint}")


def parse_rule(key: str, text: str, line: int = 0) -> Rule:
    """The rule that a column's text states: ``parse_rule("params", "<= 5.3M")``.

    Raises:
        SpecError: no such column, no operator, or a limit that is not in the column's unit.
    """
    column = rule_column(key)
    match = _RULE.fullmatch(text)
    if match is None:
        raise SpecError(f"{_shown(text)} is not a rule; write {_example(column)}.")
    operator = next(known for known in OPERATORS if known == match[1])
    if key == LATENCY and operator == "==":
        raise SpecError(f"no two measurements are equal; write {_example(column)}.")
    return Rule(key, operator, _limit(column, match[2]), f"{match[1]} {match[2]}", line)


def parse_increase(key: str, text: str, line: int = 0) -> Rule:
    """The rule that a column may exceed its locked value by a share: ``"1%"``, ``"0%"``.

    Raises:
        SpecError: not a percentage, or a column of which less is not better.
    """
    column = rule_column(key)
    if key == LATENCY:
        raise SpecError(
            f"{key} has no max_increase: a time depends on the machine and is not locked."
        )
    if column.better != "lower":
        raise SpecError(
            f"{key} has no max_increase, since a larger value is not worse; columns: "
            f"{', '.join(GROWING_KEYS)}."
        )
    match = _PERCENT.fullmatch(text)
    if match is None or not text.isascii() or len(text) > _LONGEST:
        raise SpecError(f'{_shown(text)} is not a percentage; write "1%", or "0%" for no increase.')
    return Rule(key, "<=", Fraction(match[1]) / 100, f"{match[1]}%", line, relative=True)


def units_of(column: Column) -> dict[str, int]:
    """The units that a limit of a column may have, an empty one among them for none."""
    if column.unit == "bytes":
        return BYTE_UNITS
    if column.unit == "ms":
        return {"": 1, "ms": 1, "s": 1000}
    return COUNT_UNITS if column.unit == "count" else {"": 1}


def _limit(column: Column, text: str) -> int | Fraction:
    if len(text) > _LONGEST:
        raise SpecError(f"{_shown(text)} is too long for a limit; write {_example(column)}.")
    units, match = units_of(column), _QUANTITY.fullmatch(text.strip())
    if column.unit != "ms" or match is None:
        parse_bytes(text) if column.unit == "bytes" else parse_count(text)
    assert match is not None  # or the parser of units had refused it
    if match[2] not in units:
        raise SpecError(
            f"{text!r}: {column.key} is a plain number; write it in full, {_example(column)}."
        )
    limit = Fraction(match[1]) * units[match[2]]
    if limit.denominator == 1:
        return int(limit)
    if column.unit in ("count", "bytes"):
        raise SpecError(f"{text!r} is not a whole number: {column.key} is a whole count.")
    return limit


def _example(column: Column) -> str:
    examples = {
        "bytes": '"<= 20MiB"',
        "pixels": '">= 224"',
        "number": '">= 32"' if column.better == "higher" else '"<= 50"',
        "ms": '"<= 20" or "<= 1.5s"',
        "count": '"<= 5.3M" or "== 5288548"',
    }
    return f"{column.key} = {examples.get(column.unit, examples['count'])}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


@dataclass(frozen=True, slots=True)
class Setup:
    """How the model of a budget is run, in the words of `archstat memory` and `archstat bench`.

    `module` is a wildcard: rules are about the modules that match it, and what is below them.
    `largest_batch` is the largest that trains within `fits`; `latency_ms` is measured for
    `measure_for`.
    """

    batch: int | None = None
    module: str = ""
    optimizer: str = "sgd"
    dtype: str | None = None
    amp: bool = False
    kernels: str = "cpu"
    checkpoint: str = ""
    fits: str = ""
    device: str = "cpu"
    threads: int | None = None
    measure_for: str = "10s"


@dataclass(frozen=True, slots=True)
class Budget:
    """The rules of one model; `line` is where it begins in its file.

    `input` holds shapes without the batch and is empty for the model's own. `max_increase` is the
    text of it; `rules` holds what it demands, too, as relative rules.
    """

    name: str
    model: str
    input: tuple[str, ...]
    rules: tuple[Rule, ...]
    max_increase: str | None = None
    informational: bool = False
    message: str = ""
    line: int = 0
    setup: Setup = Setup()


@dataclass(frozen=True, slots=True)
class Config:
    """The budgets of a file, wildcards already turned into a budget a model.

    `silent` are the files and modules that a wildcard reaches without a name that it stands for,
    `ops` what its tables of operators say, see `frontends.registered.registering`.
    """

    budgets: tuple[Budget, ...]
    path: Path
    silent: tuple[str, ...] = ()
    ops: tuple[Mapping[str, str], ...] = ()

    @property
    def lock_path(self) -> Path:
        """Where its lock file stands: beside it, ``archstat.lock`` for the two usual names."""
        usual = self.path.name in ("archstat.toml", "pyproject.toml")
        return self.path.parent / ("archstat.lock" if usual else f"{self.path.stem}.lock")
