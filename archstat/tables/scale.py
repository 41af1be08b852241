"""`scale`: how figures grow with one another, as exponents; what `sweep --summary` says, too.

A figure that grows as a power of another lies on a line where both axes are logarithmic. Its slope
is the exponent, by least squares, and its interval is Student's, of 95 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import fmean
from typing import Any

from archstat.analyses.memory_access import checked_fusion
from archstat.errors import SpecError
from archstat.measure.latency.intervals import percentile, student
from archstat.models.asked import with_words
from archstat.models.options import guessed
from archstat.models.pipeline import analyze
from archstat.models.sources import default_of, find
from archstat.models.specs import parse_spec, spec_items
from archstat.result import Cell, Column, Table, notes_of
from archstat.tables.sweep import (
    Settings,
    chosen_candidates,
    measured,
    plain,
    points,
    refuse_all_failed,
    table_of,
)

_LEAST = 3  # of two points a line says nothing of how well it fits
_SAME = 1e-18  # variance of logarithms that is but rounding
_POINTS = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """``y = factor * x ** exponent`` through so many points, with 95 % limits of the exponent.

    `r2` is the share of the variance of log y that it explains; None where y is always the same.
    """

    exponent: float
    low: float
    high: float
    r2: float | None
    factor: float
    points: int

    def at(self, x: float) -> float:
        """What y is at this x, on the line."""
        return self.factor * float(x**self.exponent)


def power_law(pairs: Iterable[tuple[float, float]]) -> PowerLaw | None:
    """The power of x that y grows with; None where fewer than three points have both above 0.

    Neither is there one where x is the same throughout.
    """
    logs = [(log(x), log(y)) for x, y in pairs if x > 0 and y > 0]
    if len(logs) < _LEAST:
        return None
    middle_x, middle_y = (fmean(axis) for axis in zip(*logs, strict=True))
    spread = sum((x - middle_x) ** 2 for x, _ in logs)
    if spread < _SAME * len(logs):
        return None
    slope = sum((x - middle_x) * (y - middle_y) for x, y in logs) / spread
    start = middle_y - slope * middle_x
    left = sum((y - start - slope * x) ** 2 for x, y in logs)
    whole = sum((y - middle_y) ** 2 for _, y in logs)
    freedom = len(logs) - 2
    reach = student(freedom) * sqrt(left / freedom / spread)
    if whole < _SAME * len(logs):
        return PowerLaw(0.0, 0.0, 0.0, None, exp(middle_y), len(logs))
    return PowerLaw(slope, slope - reach, slope + reach, 1 - left / whole, exp(start), len(logs))


def law_between(table: Table, x: str, y: str) -> PowerLaw | None:
    """The power of a column that another grows with, over rows that have both."""
    return power_law(points(table, x, y))


SUMMARY_COLUMNS = (
    Column("column", "text", "key of a figure"),
    Column("candidates", "number", "how many have it"),
    Column("least", "figure", "the smallest; a figure with several axes counts by its smallest"),
    Column("p10", "figure", "a tenth of the candidates have less"),
    Column("median", "figure", "half of them have less"),
    Column("p90", "figure", "nine tenths have less"),
    Column("most", "figure", "the largest"),
    Column("exponent", "figure", "the power of macs, or another column, that it grows with"),
    Column("exponent_low", "figure", "lower 95 % limit of the exponent"),
    Column("exponent_high", "figure", "upper 95 % limit of the exponent"),
    Column("r2", "figure", "share of its variance that the power explains, both in logarithms"),
)
_SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)


def summary_table(table: Table, against: str, raw: bool = False) -> Table:
    """A row a figure: how it is distributed over candidates, and its exponent of `against`.

    Args:
        raw: numbers, not texts for a reader.
    """
    rows, told = [], []
    for column in table.columns:
        numbers = [plain(cell) for cell in table.column(column.key)]
        ordered = sorted(number for number in numbers if number is not None)
        if column.unit == "text" or not ordered:
            continue
        spread = [_whole(percentile(ordered, share)) for share in _SHARES]
        law = None if column.key == against else law_between(table, against, column.key)
        shown = spread if raw else [column.format(number) for number in spread]
        rows.append((column.key, len(ordered), *shown, *_law_cells(law, raw)))
        told += [sentence(column.key, against, law)] if law and column.key == "activations" else []
    return Table(SUMMARY_COLUMNS, tuple(rows), notes=notes_of(told))


def _whole(number: float) -> float:
    return int(number) if float(number).is_integer() else number


def sentence(key: str, against: str, law: PowerLaw) -> str:
    """What a law says: ``activations ~ macs^0.53, 0.52 to 0.55``."""
    return f"{key} ~ {against}^{law.exponent:.2f}, {law.low:.2f} to {law.high:.2f}"


def _law_cells(law: PowerLaw | None, raw: bool) -> tuple[Cell, ...]:
    if law is None:
        return (None,) * 4
    cells = (law.exponent, law.low, law.high, law.r2)
    return cells if raw else tuple(None if cell is None else f"{cell:.3f}" for cell in cells)


SCALE_COLUMNS = (
    Column("by", "text", "the options that change together"),
    Column("column", "text", "key of a figure"),
    Column("candidates", "number", "how many have it"),
    *SUMMARY_COLUMNS[-4:],
)
SCALED = ("params", "activations", "memory_access_bytes", "peak_memory_bytes")
# What an option does to macs: as its square (channels of both sides, height and width), or as it.
_LINEAR = ("depth", "depths", "layers", "num_layers", "blocks", "num_blocks")


@dataclass(frozen=True, slots=True)
class Curve:
    """A model with some of its options changed together: a row a size."""

    by: str
    table: Table

    def law(self, key: str, against: str) -> PowerLaw | None:
        """How a figure grows with another along the curve."""
        return law_between(self.table, against, key)


def scale(
    model: str,
    by: str | Sequence[str],
    input: Any = None,
    batch: int | None = None,
    *,
    against: str = "macs",
    jobs: int | None = None,
    fusion: str = "none",
    layout: str | None = None,
    example: Any = None,
) -> Table:
    """The powers of macs that the figures of a model grow with, as its options grow.

    Args:
        model: a spec.
        by: an option, or several, each by itself: ``"width"``, ``"width+depth"`` together, or with
            values, as ``"width=0.25..1.0:0.25"``.
        input, batch, fusion, layout, example, jobs: as `sweep` takes them.
        against: what the exponents refer to.

    Raises:
        SpecError: no such model or option, or fewer than three sizes.
        FailedModelsError: a model of no size runs.
    """
    asked = with_words(input, layout, example)
    settings = Settings(asked, batch, checked_fusion(fusion), jobs)
    names = [by] if isinstance(by, str) else list(by)
    return scale_table([curve(model, name, settings) for name in names], against, raw=True)


def scale_table(curves: Sequence[Curve], against: str = "macs", raw: bool = False) -> Table:
    """A row for each curve and figure: the exponent, with its interval.

    Raises:
        SpecError: no curve has three different sizes.
    """
    laws = [(c.by, key, c.law(key, against)) for c in curves for key in SCALED]
    if not any(law for _, _, law in laws):
        fixed = [
            c.by for c in curves if len(c.table) > 1 and len(set(c.table.column(against))) == 1
        ]
        if fixed:
            raise SpecError(f"{against} is the same at every value of {fixed[0]}: nothing scales.")
        raise SpecError("scaling needs at least three different sizes; give more values.")
    rows = [(by, key, law.points if law else None, *_law_cells(law, raw)) for by, key, law in laws]
    told = [f"{by}: {sentence(key, against, law)}" for by, key, law in laws
            if law is not None and key == "activations"]  # fmt: skip
    more = [f"{one.by}: {note}" for one in curves for note in one.table.notes]
    return Table(SCALE_COLUMNS, tuple(rows), notes=notes_of((*told, *more)),
                 convention=curves[0].table.convention)  # fmt: skip


def curve(spec: str, by: str, settings: Settings) -> Curve:
    """The candidates of one ``--by``: ``width``, ``width+depth`` or ``width=0.25..1.0:0.25``.

    Raises:
        SpecError: an option without a base to scale, or with values beside others.
        FailedModelsError: every candidate failed.
    """
    keys = by.split("+")
    if "=" in by:
        if len(keys) > 1:
            raise SpecError(
                f"{by}: only a single option takes values; name options that go together."
            )
        base = _without(spec, by.partition("=")[0])
        specs: Sequence[str] = chosen_candidates([f"{base},{by}"], None, 0)
    else:
        bases = {key: _base(spec, key, settings) for key in keys}
        specs = list(dict.fromkeys(_scaled_spec(spec, bases, size) for size in _POINTS))
    name = by.partition("=")[0]
    found = list(measured(specs, settings))
    refuse_all_failed(found)
    return Curve(name, table_of(found))


def _without(spec: str, *keys: str) -> str:
    head, *items = spec_items(spec)
    return ",".join([head, *(item for item in items if item.partition("=")[0].strip() not in keys)])


def _scaled_spec(spec: str, bases: Mapping[str, Any], size: float) -> str:
    """The spec with about `size` times the macs, each of the options giving its equal part."""
    part: float = size ** (1 / len(bases))
    factors = {key: part if key in _LINEAR else sqrt(part) for key in bases}
    values = (f",{key}={_scaled(base, factors[key])}" for key, base in bases.items())
    return _without(spec, *bases) + "".join(values)


def _base(spec: str, key: str, settings: Settings) -> Any:
    """What an option is in the spec, else by default."""
    if key == "resolution":
        side = analyze(spec, settings.input, settings.batch).input.rpartition("x")[2]
        value: Any = int(side) if side.isdigit() else None
    else:
        parsed = parse_spec(spec)
        typed = dict(parsed.options).get(key)
        value = default_of(parsed, key) if typed is None else guessed(typed)
        if value is None and typed is None:
            find(parse_spec(f"{spec},{key}=1"))  # which refuses what is no option, by its name
    if isinstance(value, bool) or not isinstance(value, (int, float, list, tuple)):
        raise SpecError(
            f"{key} of {spec} is not a number to scale; give values, such as {key}=1|2|4."
        )
    return value


def _scaled(value: Any, factor: float) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{','.join(_scaled(one, factor) for one in value)}]"
    return str(
        max(1, round(value * factor)) if isinstance(value, int) else round(value * factor, 4)
    )
