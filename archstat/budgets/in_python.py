"""Budgets in Python: rules and settings as arguments, held against a module, a spec or a Graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archstat.budgets.entries import INPUT_KEYS, RULE_KEYS
from archstat.budgets.figures import timed
from archstat.budgets.gate import Judged, judged
from archstat.budgets.rules import FURTHER_COLUMNS, Budget, Rule, Setup, parse_rule
from archstat.budgets.setup import SETUP_KEYS, setup_of
from archstat.errors import ArchstatError, SpecError
from archstat.frontends.inputs import input_specs
from archstat.graph import Graph
from archstat.hints import did_you_mean
from archstat.models import pipeline
from archstat.models.asked import asked_of, with_words
from archstat.result import Report

if TYPE_CHECKING:
    from torch import nn

_KEYS = (*INPUT_KEYS, *SETUP_KEYS, *RULE_KEYS)


def mistakes(demands: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with rules and settings, each on a line.

    Args:
        demands: ``{"params": "<= 5M", "batch": 8, "input": (3, 224, 224)}``.
    """
    rules, settings = _split(demands)
    for key, text in rules.items():
        hint = did_you_mean(key, _KEYS)
        if key not in RULE_KEYS and hint:
            yield f"there is no {key}=.{hint}"
        elif key in RULE_KEYS and not all(isinstance(one, str) for one in _several(text)):
            yield f'{key}: {text!r} is not text; write {key}="<= 5.3M" or {key}="== 5288548".'
        else:
            try:
                _parsed(key, text)
            except ArchstatError as error:
                yield f"{key}: {error}"
    found: list[str] = []
    setup_of(settings, rules, lambda key, text: found.append(text))
    yield from found
    if not rules:
        yield 'there is no rule; write one, such as params="<= 5M".'


def held(
    model: nn.Module | Graph | str, demands: Mapping[str, Any], name: str = ""
) -> tuple[Report, Judged]:
    """A model held against demands that hold no mistakes: its Report and the verdicts.

    Raises:
        SpecError: a figure that cannot be had of a module, or of this model; see also `analyze`.
    """
    rules, settings = _split(demands)
    further = [column.key for column in FURTHER_COLUMNS if column.key in rules]
    if further and not isinstance(model, str):
        raise SpecError(f"{further[0]} needs a spec such as 'nets.py:Net', not a module.")
    setup, input = Setup(**settings), with_words(*(demands.get(key) for key in INPUT_KEYS))
    inputs = asked_of(input)
    shapes = () if inputs.shapes is None else tuple(map(str, input_specs(inputs.shapes)))
    shapes = (*shapes, *inputs.words())
    asked = tuple(rule for key, text in rules.items() for rule in _parsed(key, text))
    budget = Budget(name, model if isinstance(model, str) else name, shapes, asked, setup=setup)
    graph = pipeline.graph_of(model, input, setup.batch, guesses=False)
    report = pipeline.report(graph, model if isinstance(model, str) else graph.name)
    found = judged(budget, report, time=timed(budget))
    for verdict in found.verdicts:
        if verdict.state == "failed":
            raise SpecError(verdict.message)
    return report, found


def _several(text: Any) -> Sequence[Any]:
    """A rule, or one from below and one from above."""
    return text if isinstance(text, (list, tuple)) else [text]


def _parsed(key: str, text: Any) -> list[Rule]:
    return [parse_rule(key, str(one)) for one in _several(text)]


def _split(demands: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rules, and the settings but for the input; None is as good as nothing."""
    settings = {k: demands[k] for k in SETUP_KEYS if demands.get(k) is not None}
    known = (*INPUT_KEYS, *SETUP_KEYS)
    return {key: text for key, text in demands.items() if key not in known}, settings
