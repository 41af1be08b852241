"""What differs between two models: totals, and which layers make up the difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from archstat.analyses import COLUMNS
from archstat.analyses.alignment import Change, Layer, aligned
from archstat.budgets.rules import FURTHER_COLUMNS
from archstat.differences.snapshots import Snapshot
from archstat.result import Cell, Column, Number

# A layer counts as large for its part in any of these.
_WEIGHTS = ("params", "macs", "flops")


@dataclass(frozen=True)
class Difference:
    """A model before and after; None where there was, or is, no such model."""

    before: Snapshot | None
    after: Snapshot | None

    @property
    def some(self) -> Snapshot:
        """The model as it is, or as it was before it was removed."""
        side = self.after or self.before
        assert side is not None
        return side

    @property
    def status(self) -> Literal["same", "changed", "added", "removed"]:
        """In one word what became of the model."""
        if self.before is None or self.after is None:
            return "added" if self.before is None else "removed"
        equal = self.input_is_same and not self.changes
        keys = self.before.totals.keys() & self.after.totals.keys()
        return "same" if equal and all(self.was(k) == self.now(k) for k in keys) else "changed"

    @property
    def input_is_same(self) -> bool:
        """Whether both sides had the same input, as far as both tell.

        Inputs that neither side calls alike are compared by place: formats of files make up names.
        """
        before, after = self.before, self.after
        if not (before and after and before.input and after.input):
            return True
        named = [dict(_named(side.input)) for side in (before, after)]
        if named[0].keys() == named[1].keys():
            return named[0] == named[1]
        return list(named[0].values()) == list(named[1].values())

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of which either side has a total."""
        known = _totals(self.before).keys() | _totals(self.after).keys()
        return tuple(column for column in (*COLUMNS, *FURTHER_COLUMNS) if column.key in known)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The layers that are not the same, the largest part of the change first.

        There are none where a side is missing or holds no layers.
        """
        if self.before is None or self.after is None:
            return ()
        before = self.before.comparable_with(self.after).layers
        after = self.after.comparable_with(self.before).layers
        if before is None or after is None:
            return ()
        changes = [change for change in aligned(before, after) if change.status != "same"]
        turnover = {key: sum(abs(change.of(key)) for change in changes) for key in _WEIGHTS}

        def weight(change: Change) -> float:
            return max(abs(change.of(key)) / (turnover[key] or 1) for key in _WEIGHTS)

        return tuple(sorted(changes, key=weight, reverse=True))

    def was(self, key: str) -> Cell:
        """A total before; None where it is not known."""
        return _totals(self.before).get(key)

    def now(self, key: str) -> Cell:
        """A total after; None where it is not known."""
        return _totals(self.after).get(key)

    def of(self, key: str) -> Number | None:
        """How much more of a total there is than before; None where it is unknown."""
        was, now = self.was(key), self.now(key)
        if isinstance(was, (int, float)) and isinstance(now, (int, float)):
            return None if self.is_bound(key) else now - was
        return None

    def is_bound(self, key: str) -> bool:
        """Whether a total of either side is a lower bound, and their difference not known."""
        return any(side and key in side.bounds for side in (self.before, self.after))

    @cached_property
    def additive(self) -> frozenset[str]:
        """The keys that layers have figures of."""
        sides = [side.layers for side in (self.before, self.after) if side and side.layers]
        return frozenset(key for layers in sides for layer in layers for key in layer.figures)

    def own(self, layer: Layer | None, key: str) -> Number | None:
        """A layer's own figure; None where there is no layer, or for what does not add up."""
        return layer.figures.get(key, 0) if layer and key in self.additive else None

    def moved(self, change: Change, key: str) -> Number | None:
        """How much more of a figure a layer has than before; None where it is unknown."""
        sides = (change.before, change.after)
        unknown = any(layer and layer.figures.get("unknown_ops") for layer in sides)
        if key not in self.additive or (unknown and self.is_bound(key)):
            return None
        return change.of(key)

    def share(self, change: Change, key: str) -> float | None:
        """The part of the total's change that a layer makes; None where the total stays."""
        whole, part = self.of(key), self.moved(change, key)
        return part / whole if whole and part is not None else None


def differences(before: Sequence[Snapshot], after: Sequence[Snapshot]) -> tuple[Difference, ...]:
    """Models side by side: one with one whatever their names, several by name.

    They stand in the order of `after`, then what was removed.
    """
    if len(before) == len(after) == 1:
        return (Difference(before[0], after[0]),)
    old = {side.name: side for side in before}
    names = {side.name for side in after}
    kept = [Difference(old.get(side.name), side) for side in after]
    return (*kept, *(Difference(side, None) for side in before if side.name not in names))


def _totals(side: Snapshot | None) -> Mapping[str, Cell]:
    return {} if side is None else side.totals


def _named(inputs: str) -> Iterator[tuple[str, str]]:
    """Names, or places, and shapes of inputs as text."""
    for place, text in enumerate(inputs.split(", ")):
        name, equals, shape = text.partition("=")
        yield (name, shape) if equals else (str(place), text)
