"""Which layers made a figure what it is: those that changed since the lock file, or the largest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archstat.alignment import Change, aligned
from archstat.alignment import Layer as AlignedLayer
from archstat.budgets.lock import Entry, Layer
from archstat.budgets.rules import Rule, rule_column
from archstat.budgets.verdicts import exact, percent

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
