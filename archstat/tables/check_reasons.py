"""Why rules are not kept, in sentences: for a reader, for an annotation, for an error message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from archstat.budgets.gate import Judged, Outcome
from archstat.budgets.rules import Config
from archstat.budgets.verdicts import CANT_TELL, State, Verdict, blame

_MOST_STALE = 3
_EDIT = "Change the model or edit the rule."
_ACCEPT = "Change the model, edit the rule, or accept it with `archstat check --update`."
_INCOMPLETE = "A rule on an incomplete count is never kept."
_OPEN = 'The limit lies within the interval: no failure. measure_for = "1min" narrows it.'
_ORDER: tuple[State, ...] = (
    "kept", "broken", CANT_TELL, "incomplete", "failed", "informational",
)  # fmt: skip


def place(config: Config, line: int = 0) -> str:
    """The file of the budgets, as short as it can be said from here, and the line."""
    path, here = config.path.resolve(), Path.cwd()
    text = path.relative_to(here).as_posix() if path.is_relative_to(here) else str(config.path)
    return f"{text}:{line}" if line else text


def summary_line(outcome: Outcome) -> str:
    """How many rules have which verdict: ``5 rules: 4 kept, 1 broken.``"""
    counts = outcome.counts()
    total = sum(counts.values())
    parts = [f"{counts[state]} {state}" for state in _ORDER if counts.get(state)]
    return f"{total} rule{'s'[: total != 1]}: {', '.join(parts)}."


def explanation(config: Config, judged: Judged, verdict: Verdict) -> str:
    """All that is to be said of one rule, in one paragraph; empty if it is kept.

    It names the budget, the rule with its file and line, the layers behind it and what to do.
    """
    if verdict.state == "kept":
        return ""
    budget, rule = judged.budget, verdict.rule
    said = [f"{budget.name}: {_reason(verdict)}", _layers(judged, verdict)]
    if verdict.state == "incomplete":
        said.extend(judged.notes)
    said += [budget.message, f"{_remedy(verdict)} The rule: {place(config, rule.line)}."]
    return " ".join(filter(None, said))


def remarks(outcome: Outcome) -> Iterator[tuple[int, Verdict, str]]:
    """For each rule that is not kept its line, its verdict and the explanation.

    A model that fails is said once, at the line of its budget.
    """
    for judged in outcome.judged:
        for verdict in judged.verdicts:
            if judged.entry is None:
                yield judged.budget.line, verdict, f"{judged.budget.name}: {_failure(verdict)}"
                break
            if text := explanation(outcome.config, judged, verdict):
                yield verdict.rule.line, verdict, text


def blocks(outcome: Outcome) -> Iterator[tuple[str, list[str]]]:
    """For each budget that is not kept its title, and lines that say nothing twice."""
    for judged in outcome.judged:
        if lines := list(_lines(outcome.config, judged)):
            budget = judged.budget
            named = (
                budget.name if budget.model in budget.name else f"{budget.name} ({budget.model})"
            )
            yield f"{named}:", lines


def _lines(config: Config, judged: Judged) -> Iterator[str]:
    said = [verdict for verdict in judged.verdicts if verdict.state != "kept"]
    if judged.entry is None:
        yield f"{place(config, judged.budget.line)}: {_failure(said[0])}"
        return
    for key in dict.fromkeys(verdict.rule.key for verdict in said):
        of_key = [verdict for verdict in said if verdict.rule.key == key]
        for verdict in of_key:
            yield f"{place(config, verdict.rule.line)}: {_reason(verdict)}"
        layers = dict.fromkeys(_layers(judged, verdict) for verdict in of_key)
        yield from (f"  {sentence}" for sentence in layers if sentence)
    if any(verdict.state == "incomplete" for verdict in said):
        yield from judged.notes
    if said:
        yield from filter(None, [judged.budget.message])
        remedies = dict.fromkeys(_remedy(verdict) for verdict in said)
        yield from (
            text for text in remedies if text and not (text == _EDIT and _ACCEPT in remedies)
        )


def lock_remark(outcome: Outcome) -> str:
    """What is stale in the lock file, in one sentence; empty without one, or if it is not."""
    stale = outcome.stale() if outcome.lock is not None else ()
    if not stale:
        return ""
    more = f"; and {len(stale) - _MOST_STALE} more" if len(stale) > _MOST_STALE else ""
    name = outcome.config.lock_path.name
    listed = "; ".join(stale[:_MOST_STALE])
    return f"{name} is stale, `archstat check --update` renews it: {listed}{more}."


def _reason(verdict: Verdict) -> str:
    if verdict.state != "failed":
        return verdict.message
    return f"{verdict.rule.name} cannot be judged: {verdict.message}"


def _layers(judged: Judged, verdict: Verdict) -> str:
    """The layers behind a rule that is broken, whatever its state is called."""
    if verdict.value is None or verdict.limit is None or (verdict.margin or 0) > 0:
        return ""
    if verdict.rule.allows(verdict.value, verdict.rule.limit) and not verdict.rule.relative:
        return ""
    if verdict.margin == 0 and verdict.rule.relative:
        return ""
    return blame(verdict.rule, judged.entry, judged.locked, verdict.value > verdict.limit)


def _failure(verdict: Verdict) -> str:
    return f"the model cannot be measured: {verdict.message}"


def _remedy(verdict: Verdict) -> str:
    if verdict.state == "broken":
        return _ACCEPT if verdict.rule.relative else _EDIT
    if verdict.state == "failed":
        return ""
    if verdict.state == CANT_TELL:
        return _OPEN
    informational = verdict.state == "informational"
    return "Informational: it does not fail the check." if informational else _INCOMPLETE
