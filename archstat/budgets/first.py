"""A first file of budgets: what models are today, and a little more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from archstat.budgets.rules import rule_column
from archstat.errors import IncompleteCountError
from archstat.models.pipeline import GraphOf, report
from archstat.result import Report
from archstat.units import COUNT_UNITS

ROOM = Fraction(5, 100)
_KEYS = ("params", "macs")
_HEAD = """\
# What the models are today, about 5 % more, rounded up: `archstat check` holds them to it.
# Make the limits what they must be; docs/ci.md has everything that can be limited.
"""


def first_budgets(
    models: Sequence[str],
    graph_of: GraphOf,
    input: Sequence[str] | None = None,
    batch: int | None = None,
    watch: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> str:
    """The text of an archstat.toml with a budget a model: its params and macs, and 5 % more.

    Args:
        graph_of: where Graphs come from.
        input, batch: shapes without the batch and the batch, where the models' own do not do.
        watch: is given the models, and gives them back one by one.

    Raises:
        IncompleteCountError: a model whose count is a lower bound, which no limit would hold.
        ArchstatError: what a capture raises.
    """
    shapes = list(input or ())
    budgets = [
        _budget(report(graph_of(model, shapes or None, batch), model), shapes, batch)
        for model in watch(list(dict.fromkeys(models)))
    ]
    return "\n".join([_HEAD, *budgets])


def _budget(found: Report, input: list[str], batch: int | None) -> str:
    lines = ["[[budget]]", f"model = {json.dumps(found.model, ensure_ascii=False)}"]
    if input:
        lines.append(f"input = {json.dumps(input if len(input) > 1 else input[0])}")
    if batch is not None:
        lines.append(f"batch = {batch}")
    for key in _KEYS:
        if key in found.lower_bounds | found.unknown:
            raise IncompleteCountError(
                f"{found.model}: {key} cannot be counted whole, so that no limit would hold: "
                f"{' '.join(note.text for note in found.findings)}"
            )
        now = found.totals[key]
        today = rule_column(key).format(now)
        lines.append(f'{key} = "<= {rounded_up(now * (1 + ROOM))}"  # today {today}')
    return "\n".join(lines) + "\n"


def rounded_up(number: int | Fraction) -> str:
    """The next figure that a person would write: ``3.7M`` for 3,680,116, ``150M`` for 145.3 M.

    It has two digits, and a third one, which is 5, where the first is 1.
    """
    step = Fraction(10) ** (len(str(int(number))) - 2)
    if number < 20 * step:
        step /= 2
    step = max(step, Fraction(1))
    limit = int(-(-number // step) * step)
    units = ((factor, unit) for unit, factor in COUNT_UNITS.items() if factor <= limit)
    factor, unit = max(units, default=(1, ""))
    return f"{limit / factor:.10g}{unit}"
