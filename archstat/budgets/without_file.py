"""Budgets where there is no file: typed in one line, or written as a first file.

In ``net.py:Net params<=5M`` every rule is for every model; a first file holds what models are today
and a little more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from archstat.budgets.entries import BUDGET_KEYS, INPUT_KEYS, RULE_KEYS, EntryReader
from archstat.budgets.rules import Budget, Config, rule_column
from archstat.budgets.setup import NUMBERS, SETUP_KEYS, SWITCHES
from archstat.errors import IncompleteCountError, Option, SpecError
from archstat.models.asked import asked_of
from archstat.models.pipeline import GraphOf, report
from archstat.result import Report
from archstat.units import COUNT_UNITS

_RULE = re.compile(r"\s*(\w*)\s*([<>=]=|[<>]|=[<>])\s*(.*)", re.DOTALL)
_SETTING = re.compile(r"(\w+)=(.*)", re.DOTALL)
# What stands in the place of the file in tables and messages.
NAME = "command line"


def config_of(words: Sequence[str], input: Sequence[str] | None, batch: int | None) -> Config:
    """The budgets of a command line: every rule, for every model.

    Args:
        words: models, rules such as ``params<=5M``, and settings such as ``optimizer=adam``, in
            any order.
        input, batch: the options of these names.

    Raises:
        SpecError: a word that is none of these, or no model or rule among them.
    """
    models, content = sorted_words(words)
    asked = asked_of(list(input or ()))
    told = {"input": asked.shapes, "layout": asked.layout, "example": asked.example, "batch": batch}
    for key, value in told.items():
        if value:
            _put(content, key, value, str(Option(key)))
    if not models:
        raise SpecError(f"{' '.join(words)}: name the model, too, such as mobilenet_v2.")
    # a rule of a column that does not exist is one, too, and refused with the entry
    if not set(content) - set(BUDGET_KEYS):
        raise SpecError(
            f"{models[0]} has no rule: write one in quotation marks, such as 'params<=5M', or let "
            f"`archstat check --init {' '.join(models)}` write a file of budgets."
        )
    return Config(tuple(_budgets(dict.fromkeys(models), content)), Path(NAME))


def sorted_words(words: Iterable[str]) -> tuple[list[str], dict[str, Any]]:
    """The models among words, and the rules and settings as a file of budgets would hold them.

    Raises:
        SpecError: a rule or setting that is none, or that is there twice.
    """
    models: list[str] = []
    content: dict[str, Any] = {}
    for word in words:
        rule, setting = _RULE.fullmatch(word), _SETTING.fullmatch(word)
        if rule is not None and rule[1] in BUDGET_KEYS:
            raise SpecError(f"{word!r} is not a rule: {rule[1]} is a key of budgets, not a column.")
        if rule is not None:
            # One from below and one from above; more of one column are refused with the entry.
            limit = f"{_operator(word, rule)} {rule[3]}"
            if isinstance(content.get(rule[1]), list):
                content[rule[1]].append(limit)
            else:
                _put(content, rule[1], [limit], word)
        elif setting is not None and setting[1] in (*SETUP_KEYS, *INPUT_KEYS):
            _put(content, setting[1], _value(setting[1], setting[2]), word)
        elif setting is not None and setting[1] in RULE_KEYS:
            limit = f"{setting[1]}<={setting[2]}' or '{setting[1]}=={setting[2]}"
            raise SpecError(f"{word!r} is not a rule: write '{limit}'.")
        elif setting is not None and setting[1] in BUDGET_KEYS:
            raise SpecError(f"{word!r}: {setting[1]} is a key that only a file of budgets takes.")
        elif word.endswith(".toml") and not {":", ","} & set(word):
            raise SpecError(
                f"{word} is not a model; `archstat check --config {word}` reads a file."
            )
        else:
            models.append(word)
    return models, content


def _put(content: dict[str, Any], key: str, value: Any, word: str) -> None:
    if not key:
        raise SpecError(f"{word!r} has no column before it: write 'params<=5M' as one word.")
    if key in content:
        raise SpecError(f"{word!r}: {key} has a value already; a budget has one of each.")
    content[key] = value


def _operator(word: str, rule: re.Match[str]) -> str:
    if rule[2].startswith("=") and rule[2] != "==":
        raise SpecError(f"{word!r}: there is no {rule[2]}; write {rule[2][::-1]}.")
    return rule[2]


def _value(key: str, text: str) -> Any:
    """A setting as a file of budgets would hold it; what does not fit is refused there."""
    if key in NUMBERS and text.isdecimal() and len(text) < 10:
        return int(text)
    return {"true": True, "false": False}.get(text, text) if key in SWITCHES else text


def _budgets(models: Iterable[str], content: dict[str, Any]) -> list[Budget]:
    mistakes: dict[str, None] = {}
    budgets = []
    for model in models:
        entry = EntryReader({"model": model, **content}, Path.cwd(), 0, lambda *place: 0,
                            lambda line, text: mistakes.update({text: None}))  # fmt: skip
        budgets += entry.budgets()
    if mistakes:
        raise SpecError("\n".join(mistakes))
    return list({budget.name: budget for budget in budgets}.values())


ROOM = Fraction(5, 100)
_FIRST_KEYS = ("params", "macs")
_HEAD = """\
# Today's figures plus about 5 %, rounded up: `archstat check` holds the models to them.
# Set the limits you need; archstat's docs/ci.md lists what else can be limited.
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
        _first_budget(report(graph_of(model, shapes or None, batch), model), shapes, batch)
        for model in watch(list(dict.fromkeys(models)))
    ]
    return "\n".join([_HEAD, *budgets])


def _first_budget(found: Report, input: list[str], batch: int | None) -> str:
    lines = ["[[budget]]", f"model = {json.dumps(found.model, ensure_ascii=False)}"]
    asked = asked_of(input)
    shapes = asked.shapes[0] if len(asked.shapes or ()) == 1 else asked.shapes
    told = {"input": shapes, "layout": asked.layout, "example": asked.example}
    lines += [f"{key} = {json.dumps(value)}" for key, value in told.items() if value]
    if batch is not None:
        lines.append(f"batch = {batch}")
    for key in _FIRST_KEYS:
        if key in found.lower_bounds | found.unknown:
            raise IncompleteCountError(
                f"{found.model}: {key} cannot be counted completely, so no limit would hold: "
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
