"""`check`: budgets held against models, as tables: raw for csv and json, in words for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from archstat.analyses import CONVENTION
from archstat.budgets.gate import Judged, Outcome
from archstat.budgets.rules import LATENCY
from archstat.budgets.verdicts import State, Verdict, exact, percent, times_over
from archstat.errors import Option, SpecError
from archstat.result import Cell, Column, Mark, Table, Tone
from archstat.tables.check_reasons import explanation, place
from archstat.tables.compare import Models, named

RAW_COLUMNS = (
    Column("budget", "text", "name of the budget"),
    Column("model", "text", "the spec as its file has it"),
    Column("input", "text", "shape of each input, batch first"),
    Column("column", "text", "key of the column that the rule is about"),
    Column("rule", "text", "the rule as its file has it"),
    Column("value", "number", "what the model has, raw"),
    Column("lower_bound", "text", "yes if operations are unknown, so that the value may be more"),
    Column("limit", "number", "what the rule allows, raw"),
    Column("margin", "number", "room left before the rule breaks; negative if it is broken"),
    Column("verdict", "text", "kept, broken, can't tell, informational, incomplete or failed"),
    Column("locked", "number", "what the lock file has, raw"),
    Column("file", "text", "file of the budget"),
    Column("line", "number", "line of the rule in it"),
    Column("message", "text", "why, and what to do"),
)
_SHOWN = (
    Column("budget", "text", "name of the budget"),
    Column("rule", "text", "key of the column that the rule is about"),
    Column("value", "figure", "what the model has"),
    Column("change", "figure", "by how much it changed since the lock file"),
    Column("limit", "figure", "what the rule allows"),
    Column("margin", "figure", "room left before the rule breaks"),
    Column("verdict", "text", "kept, broken, can't tell, informational, incomplete or failed"),
)

_CHECK = ("budget", "rule", "value", "limit", "margin", "verdict")
_TONES: Mapping[State, Tone] = {
    "kept": "good", "broken": "bad", "failed": "bad", "informational": "open",
    "incomplete": "open", "can't tell": "open",
}  # fmt: skip


def raw_table(outcome: Outcome) -> Table:
    """One row a rule with exact numbers; an axis that sees everything is None."""
    rows: list[tuple[Cell, ...]] = []
    for judged in outcome.judged:
        budget = judged.budget
        for verdict in judged.verdicts:
            locked = judged.locked.totals.get(verdict.rule.key) if judged.locked else None
            said = explanation(outcome.config, judged, verdict)
            rows.append(
                (budget.name, budget.model, judged.entry.input if judged.entry else None,
                 verdict.rule.key, verdict.rule.name, verdict.cell,
                 "yes" if verdict.lower_bound else "", verdict.limit, verdict.margin,
                 verdict.state, locked, place(outcome.config), verdict.rule.line, said)
            )  # fmt: skip
    return _table(outcome, RAW_COLUMNS, rows)


def shown_table(outcome: Outcome) -> Table:
    """One row a rule with rounded numbers, exact ones where rounding would hide a difference."""
    rows: list[tuple[Cell, ...]] = []
    for judged in outcome.judged:
        for verdict in judged.verdicts:
            rows.append(
                (judged.budget.name, _rule(verdict), _value(verdict), since_lock(judged, verdict),
                 _limit(verdict), _margin(verdict), Mark(verdict.state, _TONES[verdict.state]))
            )  # fmt: skip
    table = replace(_table(outcome, _SHOWN, rows), needed=("budget", "rule", "verdict"))
    if outcome.lock is not None:
        return table
    return table.select([column.key for column in _SHOWN if column.key != "change"])


def since_lock(judged: Judged, verdict: Verdict) -> str:
    """How a figure changed since the lock file: ``+1.2%``, ``same``, ``new``."""
    key = verdict.rule.key
    if verdict.state == "failed":
        return "-"
    if key == LATENCY:
        return "-"
    if judged.locked is None or key not in judged.locked.totals:
        return "new"
    before, after = judged.locked.totals[key], verdict.cell
    if before == after:
        return "same"
    if not isinstance(before, (int, float)) or not isinstance(after, (int, float)) or not before:
        return "changed"
    sign = "+" if after > before else "-"
    return f"{sign}{percent(after - before, before)}"


def _table(outcome: Outcome, columns: tuple[Column, ...], rows: list[tuple[Cell, ...]]) -> Table:
    torch = next((judged.torch_version for judged in outcome.judged if judged.torch_version), "")
    return Table(columns, tuple(rows), convention=CONVENTION, torch_version=torch)


def _hidden_by_rounding(verdict: Verdict) -> bool:
    column, value, limit = verdict.rule.column, verdict.value, verdict.limit
    if value is None or limit is None or inf in (value, limit) or value == limit:
        return False
    return column.format(value) == column.format(limit)


def _value(verdict: Verdict) -> str:
    rule = verdict.rule
    if verdict.value is None:
        return "-"
    if verdict.value == inf:
        return "everything"
    if isinstance(verdict.cell, tuple):
        return rule.column.format(verdict.cell)
    if rule.operator == "==" or _hidden_by_rounding(verdict):
        text = exact(rule.column, verdict.value)
        return f">= {text}" if verdict.lower_bound else text
    return rule.column.format(verdict.value, verdict.lower_bound)


def _rule(verdict: Verdict) -> str:
    rule = verdict.rule
    if not rule.relative:
        return rule.key
    return f"{rule.key}, {f'at most {rule.text}' if rule.limit else 'not'} above lock"


def _limit(verdict: Verdict) -> str:
    rule, limit = verdict.rule, verdict.limit
    if rule.operator == "==" or _hidden_by_rounding(verdict):
        return f"{rule.operator} {exact(rule.column, limit or 0)}"
    if not rule.relative and rule.column.unit != "ms":
        return rule.text
    return "-" if limit is None else f"{rule.operator} {rule.column.format(limit)}"


def _margin(verdict: Verdict) -> str:
    rule, margin, limit = verdict.rule, verdict.margin, verdict.limit
    if margin is None or limit is None:
        return "-"
    if margin == 0 and rule.operator in ("<", ">"):
        return "at limit"
    if margin == 0:
        return "exact" if rule.operator == "==" else "none left"
    side = "left" if margin > 0 else "over" if (verdict.value or 0) > limit else "short"
    countable = rule.column.unit in ("pixels", "number")
    if rule.operator == "==" or not limit or countable or _hidden_by_rounding(verdict):
        return f"{exact(rule.column, abs(margin))} {side}"
    if times := times_over(margin, limit):
        return f"{times} {side}"
    return f"{percent(margin, limit)} {side}"


def check(
    *given: Models | Path,
    config: str | Path | None = None,
    update: bool = False,
    input: Any = None,
    batch: int | None = None,
    layout: str | None = None,
    example: Any = None,
    **rules: Any,
) -> Table:
    """Budgets held against their models: a row a rule, with its `verdict`.

    ``check("vgg16", "macs<=16G")``, ``check(net, params="<= 5M", input=(3, 32, 32))``; ``check()``
    takes those of archstat.toml or pyproject.toml here or above.

    Args:
        given: models as `compare` takes them, and rules, each for every model; or one file.
        config: a file of budgets.
        update: write the file's lock file with the models' present figures.
        input, batch, layout, example: of the models, as `analyze` takes them.
        rules: further rules, and settings of a budget such as ``fits="24GiB"``.

    Raises:
        SpecError: a rule that cannot be, none, or a rule for a file; see also `analyze`.
        ConfigError, LockFileError: no budgets, or mistakes in a file.
    """
    demands = {**rules, "input": input, "batch": batch, "layout": layout, "example": example}
    asked = any(value is not None for value in demands.values())
    file = given[0] if len(given) == 1 and _is_file(given[0]) else config
    if (given and file is config) or asked:
        if file is not None or update:
            raise SpecError("a file has its own rules: give models and rules, or a file alone.")
        outcome = _held(given, demands)
    else:
        outcome = _of_file(file, update)
    table = raw_table(outcome)
    rows = tuple(tuple(None if cell == inf else cell for cell in row) for row in table.rows)
    return replace(table, rows=rows, shown=_CHECK)


def _is_file(given: Any) -> bool:
    return isinstance(given, Path) or (isinstance(given, str) and given.endswith(".toml"))


def _of_file(file: Any, update: bool) -> Outcome:
    from archstat.budgets import gate
    from archstat.budgets.lock import read_lock, write_lock
    from archstat.budgets.reading import find_config, load

    budgets = load(file if file is not None else find_config(Path.cwd()))
    lock = read_lock(budgets.lock_path)
    outcome = gate.check(budgets, lock, update=update)
    new = outcome.new_lock() if update else None
    if new is not None:
        write_lock(budgets.lock_path, new, lock)
    return outcome


def _held(given: Sequence[Any], demands: Mapping[str, Any]) -> Outcome:
    from archstat.budgets.in_python import held, mistakes
    from archstat.budgets.rules import Config
    from archstat.budgets.without_file import sorted_words

    words, content = sorted_words(one for one in given if isinstance(one, str))
    twice = sorted(key for key in content if demands.get(key) is not None)
    if twice:
        raise SpecError(f"{twice[0]} is given twice: as a word and as {Option(twice[0])}.")
    content |= {key: value for key, value in demands.items() if value is not None}
    found = list(mistakes(content))
    models = [pair for one in (*words, *(g for g in given if not isinstance(g, str)))
              for pair in named(one)]  # fmt: skip
    if not models:
        found.insert(0, "there is no model; give one, such as 'mobilenet_v2'.")
    if found:
        raise SpecError("\n".join(found))
    judged = tuple(held(model, content, name)[1] for name, model in models)
    return Outcome(Config(tuple(one.budget for one in judged), Path("archstat.check")), judged)
