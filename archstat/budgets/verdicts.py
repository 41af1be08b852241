"""Verdicts: what a rule makes of a model, exactly, and how far it is from its limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, inf
from typing import Final, Literal

from archstat.analyses.alignment import Change, aligned
from archstat.analyses.alignment import Layer as AlignedLayer
from archstat.budgets.lock import Entry, Layer
from archstat.budgets.rules import Rule, rule_column
from archstat.errors import SpecError
from archstat.measure.latency.measurement import LatencyRun
from archstat.result import Cell, Column, Number, Report

State = Literal["kept", "broken", "can't tell", "informational", "incomplete", "failed"]
CANT_TELL: Final = "can't tell"


_MANY = 5  # times a limit, from which a percentage is hard to read


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule held against a model.

    `cell` is the column as reported and `value` the number of it that counts (infinite where an
    axis sees everything). `limit` is absolute, also for a relative rule. `margin` is the room left
    before the rule breaks, negative by how much it is broken. `informational` is a rule that is
    broken or incomplete but never fails anything; `failed` one that could not be asked. Of a
    measured figure nobody can tell where its interval holds the limit: that fails nothing either.
    """

    rule: Rule
    cell: Cell
    value: Number | None
    limit: Number | None
    margin: Number | None
    state: State
    message: str
    lower_bound: bool = False


def judge(
    rule: Rule, report: Report, locked: Entry | None = None, *, informational: bool = False
) -> Verdict:
    """The verdict on one rule.

    Args:
        locked: what the lock file records of the same budget; relative rules need it.
        informational: turns broken and incomplete into informational.

    Raises:
        SpecError: the model has no such figure, or a relative rule has nothing to refer to.
    """
    cell = report.totals[rule.key]
    value = rule.measured(cell)
    parts = {rule.key, *(rule.column.quotient or ())}
    is_unknown = not parts.isdisjoint(report.unknown)
    if value is None:  # of what is only a lower bound there is no quotient
        is_unknown |= not parts.isdisjoint(report.lower_bounds)
    if value is None and not is_unknown:
        raise SpecError(f"{report.model} has no {rule.key} ({_why_none(rule.column)}).")
    limit, uncertain = _limit(rule, locked)
    if value is None or is_unknown:
        return _unknown(rule, limit, informational)
    allowed = rule.allows(value, limit)
    if rule.relative and locked is not None:
        _check_same(locked, report, allowed)
    bound = rule.key in report.lower_bounds
    state = _state(rule, allowed, value > limit, bound, uncertain)
    if state != "kept" and informational:
        state = "informational"
    margin = _margin(rule, value, limit)
    sentence = _sentence(rule, value, limit, margin, bound, uncertain, allowed)
    return Verdict(rule, cell, value, _plain(limit), margin, state, sentence, bound)


def judge_latency(rule: Rule, run: LatencyRun, *, informational: bool = False) -> Verdict:
    """The verdict on a measured time: broken only where its whole interval is beyond the limit.

    Args:
        run: of one model.
        informational: turns broken into informational.
    """
    timing = run.measurements[0].main
    interval, limit = timing.interval_ms, _plain(rule.limit)
    inside = [rule.allows(end, rule.limit) for end in (interval.low, interval.high)]
    state: State = "kept" if all(inside) else CANT_TELL if any(inside) else "broken"
    if state == "broken" and informational:
        state = "informational"
    low, value, high, wanted = (
        rule.column.format(number) for number in (interval.low, timing.p50_ms, interval.high, limit)
    )
    said = f"{rule.key} is {value} [{low}, {high}], the budget says {rule.operator} {wanted}."
    margin = _margin(rule, timing.p50_ms, rule.limit)
    sentence = " ".join([said, *run.remarks])
    return Verdict(rule, timing.p50_ms, timing.p50_ms, limit, margin, state, sentence)


def _check_same(locked: Entry, report: Report, allowed: bool) -> None:
    """Refuse a base that is another model's; one with other options keeps nothing either."""
    heads = {model.partition(",")[0] for model in (locked.model, report.model)}
    grew = len(heads) == 1 and not allowed
    if locked.input != report.input or (locked.model != report.model and not grew):
        raise SpecError(
            f"max_increase: the lock file has {locked.model} at {locked.input} under this name, "
            f"not {report.model} at {report.input}; run `archstat check --update` and commit it."
        )


def _unknown(rule: Rule, limit: int | Fraction, informational: bool) -> Verdict:
    """The verdict on an unknown figure: it keeps nothing and breaks nothing."""
    text = (
        f"{rule.key} is unknown, the budget says {rule.operator} "
        f"{exact(rule.column, _plain(limit))}; an operation has no rule."
    )
    state: State = "informational" if informational else "incomplete"
    return Verdict(rule, None, None, _plain(limit), None, state, text)


def _why_none(column: Column) -> str:
    return "it has no spatial axes" if column.unit == "pixels" else "nothing was measured"


def _limit(rule: Rule, locked: Entry | None) -> tuple[int | Fraction, bool]:
    """The absolute limit, and whether it refers to a locked lower bound."""
    if not rule.relative:
        return rule.limit, False
    base = locked.totals.get(rule.key) if locked is not None else None
    if locked is None or not isinstance(base, (int, float)):
        raise SpecError(
            f"max_increase has no locked {rule.key} to refer to; "
            "run `archstat check --update` and commit the lock file."
        )
    return floor(Fraction(base) * (1 + rule.limit)), rule.key in locked.lower_bounds


def _state(rule: Rule, allowed: bool, above: bool, bound: bool, uncertain: bool) -> State:
    # What is already too much stays too much, however much of it is not counted.
    certain = above and rule.operator in ("<=", "<", "==") and not uncertain
    if (bound or uncertain) and not (certain and not allowed):
        return "incomplete"
    return "kept" if allowed else "broken"


def _margin(rule: Rule, value: Number, limit: int | Fraction) -> Number | None:
    if value == inf:
        return None
    if rule.operator == "==":
        return _plain(-abs(Fraction(value) - limit))
    room = limit - Fraction(value)
    return _plain(room if rule.operator in ("<=", "<") else -room)


def _plain(number: int | Fraction) -> Number:
    whole = Fraction(number)
    return int(whole) if whole.denominator == 1 else float(whole)


def _sentence(
    rule: Rule, value: Number, limit: int | Fraction, margin: Number | None,
    bound: bool, uncertain: bool, allowed: bool,
) -> str:  # fmt: skip
    shown = f"{'>= ' if bound else ''}{exact(rule.column, value)}"
    wanted = f"{rule.operator} {exact(rule.column, _plain(limit))}"
    if rule.relative:
        wanted += f" ({rule.text} above the lock file)"
    text = f"{rule.key} is {shown}, the budget says {wanted}"
    if not allowed and margin:
        text += f": {_beyond(rule.column, value, margin, limit)}"
    if bound or uncertain:
        text += f"; {'the count' if bound else 'the locked count'} leaves out unknown operations"
    return f"{text}."


def _beyond(column: Column, value: Number, margin: Number, limit: int | Fraction) -> str:
    """By how much a limit is missed: ``8 (8.0%) too much``, ``1,900 too much, 20x the limit``."""
    by, word = exact(column, abs(margin)), "much" if value > limit else "little"
    if times := times_over(margin, limit):
        return f"{by} too {word}, {times} the limit"
    return f"{by}{f' ({percent(margin, limit)})' if limit else ''} too {word}"


def times_over(margin: Number, limit: Number | Fraction) -> str:
    """What is many times its limit as ``20x``, where a percentage would be hard to read."""
    times = 1 - float(Fraction(margin) / Fraction(limit)) if limit else 0.0
    return f"{times:,.0f}x" if times >= _MANY else ""


def percent(part: Number, whole: Number | Fraction) -> str:
    """A share as text, with the digits that it needs not to look like nothing: ``0.0002%``."""
    share = 100 * float(abs(part) / whole)
    return f"{share:.1f}%" if share >= 0.1 or not share else f"{share:.1g}%"


def exact(column: Column, number: Number) -> str:
    """A number in full, digits in groups, bytes with their unit."""
    if number == inf:
        return "everything"
    if column.unit == "ms":
        return column.format(number)
    text = f"{number:,}" if isinstance(number, int) else f"{number:,.15g}"
    return f"{text} B" if column.unit == "bytes" else text


MOST_NAMED = 3


def changed_layers(locked: Entry, entry: Entry, keys: Iterable[str]) -> tuple[Change, ...]:
    """The layers of which one of these figures changed, largest change of the first figure first.

    A layer that only has another path, behind one that was inserted, did not change.
    """
    wanted = tuple(keys)
    changes = aligned(_layers(locked.layers, wanted), _layers(entry.layers, wanted))
    found = [change for change in changes if any(change.of(key) for key in wanted)]
    return tuple(sorted(found, key=lambda change: [-abs(change.of(key)) for key in wanted]))


def _layers(layers: Sequence[Layer], keys: Sequence[str]) -> list[AlignedLayer]:
    return [
        AlignedLayer(layer.module, layer.type, (), {key: layer.figures.get(key, 0) for key in keys})
        for layer in layers
    ]


def blame(rule: Rule, entry: Entry | None, locked: Entry | None, more: bool) -> str:
    """In one sentence, the layers behind a broken rule; empty where its figure has no layers.

    `more` says whether there is too much of it, else too little.
    """
    key = rule.key
    if entry is None or not any(key in layer.figures for layer in entry.layers):
        return ""
    if locked is not None and key in locked.totals:
        sign = 1 if more else -1
        changes = [c for c in changed_layers(locked, entry, [key]) if c.of(key) * sign > 0]
        if changes:
            verb = "Grew" if more else "Shrank"
            return f"{verb} since the lock file: {_listed([described(c, key) for c in changes])}."
        return (
            f"No layer {'grew' if more else 'shrank'} since the lock file. {_largest(key, entry)}"
        )
    return _largest(key, entry)


def described(change: Change, key: str) -> str:
    """A changed layer in words: ``conv2 (Conv2d) +4,800 (9,408 -> 14,208)``."""
    layer = change.after or change.before
    assert layer is not None  # a change has one side at least
    column, by = rule_column(key), change.of(key)
    name = f"{layer.path or '(root)'} ({layer.type})"
    amount = f"{'+' if by > 0 else '-'}{exact(column, abs(by))}"
    if change.before is None or change.after is None:
        return f"{name} {amount} ({'new' if change.before is None else 'removed'})"
    before, after = (exact(column, side.figures[key]) for side in (change.before, change.after))
    return f"{name} {amount} ({before} -> {after})"


def _largest(key: str, entry: Entry) -> str:
    layers = [layer for layer in entry.layers if layer.figures.get(key)]
    layers.sort(key=lambda layer: -layer.figures[key])
    whole = sum(layer.figures[key] for layer in layers)
    column = rule_column(key)
    named = [
        f"{layer.module or '(root)'} ({layer.type}) {exact(column, layer.figures[key])}, "
        f"{percent(layer.figures[key], whole)}"
        for layer in layers
    ]
    return f"The largest layers: {_listed(named, '; ')}."


def _listed(names: Sequence[str], comma: str = ", ") -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return comma.join(names[:MOST_NAMED]) + more
