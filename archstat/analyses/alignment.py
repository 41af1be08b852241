"""Layers of two models side by side: by path where paths can be trusted, then by structure.

A path names a layer for good where its parents were left alone. Behind an insertion into a
`Sequential` every number moves up by one; there a layer is known by its type and shapes, in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

from archstat.result import Number

Status = Literal["same", "changed", "added", "removed", "renamed"]


@dataclass(frozen=True)
class Layer:
    """A module's own figures, and what it is made of: `parts` such as ("weight", "64x3x7x7")."""

    path: str
    type: str
    parts: tuple[tuple[str, str], ...]
    figures: Mapping[str, Number]

    @property
    def parent(self) -> str:
        """The path of the module around it."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The last name on its path that is not a number: ``conv1`` of ``layer1.conv1.0``."""
        names = [part for part in self.path.split(".") if not part.isdigit()]
        return names[-1] if names else ""

    @cached_property
    def structure(self) -> Hashable:
        """What makes two layers the same but for their path."""
        return (self.type, self.parts, tuple(sorted((k, n) for k, n in self.figures.items() if n)))


@dataclass(frozen=True, slots=True)
class Change:
    """A layer before and after; None where there was, or is, no such layer."""

    before: Layer | None
    after: Layer | None

    @property
    def status(self) -> Status:
        """In one word what became of the layer."""
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        if self.before.structure != self.after.structure:
            return "changed"
        return "same" if self.before.path == self.after.path else "renamed"

    def of(self, key: str) -> Number:
        """How much more of a figure there is than before."""
        return _figure(self.after, key) - _figure(self.before, key)


def aligned(before: Sequence[Layer], after: Sequence[Layer]) -> tuple[Change, ...]:
    """Every layer of either model exactly once: those of `after` in order, then what was removed.

    Modules that only hold others, and neither compute nor own anything themselves, are left out.
    """
    old, new = _Skeleton(before), _Skeleton(after)
    kinship = _Kinship(old, new)
    pairing = _Pairing(old.layers(), new.layers())
    pairing.pair(lambda layer: (layer.path, layer.structure))
    pairing.pair(lambda layer: (layer.path, layer.type), kinship.is_trusted)
    pairing.pair(lambda layer: (layer.name, layer.structure))
    pairing.pair(lambda layer: layer.structure)
    pairing.pair(lambda layer: (layer.path, layer.type))
    pairing.pair(lambda layer: (layer.parent, layer.type))
    pairing.pair(lambda layer: layer.path, kinship.is_in_place)
    return pairing.changes()


class _Pairing:
    """Layers of both sides, paired by one key after the other, equal keys in their order."""

    def __init__(self, before: Iterable[Layer], after: Iterable[Layer]) -> None:
        self._old = list(before)
        self._new = list(after)
        self._free = dict.fromkeys(range(len(self._old)))
        self._partner: dict[int, int] = {}

    def pair(
        self, key: Callable[[Layer], Hashable], allowed: Callable[[str], bool] | None = None
    ) -> None:
        """Pair what is still free and has an equal key."""
        waiting: dict[Hashable, list[int]] = defaultdict(list)
        for position in reversed(self._free):
            waiting[key(self._old[position])].append(position)
        for position, layer in enumerate(self._new):
            if position in self._partner or not (allowed is None or allowed(layer.path)):
                continue
            if found := waiting.get(key(layer)):
                self._partner[position] = found.pop()
                del self._free[self._partner[position]]

    def changes(self) -> tuple[Change, ...]:
        """The pairs, and the rest with an empty side."""
        kept = [
            Change(self._old[self._partner[n]] if n in self._partner else None, layer)
            for n, layer in enumerate(self._new)
        ]
        return (*kept, *(Change(self._old[position], None) for position in self._free))


class _Skeleton:
    """The names and types directly under each module."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._types = {layer.path: layer.type for layer in layers}
        self._children: dict[str, dict[str, str]] = defaultdict(dict)
        for layer in layers:
            path = layer.path
            while path:
                above, _, name = path.rpartition(".")
                self._children[above].setdefault(name, self._types.get(path, ""))
                path = above

    def layers(self) -> list[Layer]:
        """The layers without mere containers."""
        return [x for x in self._layers if any(x.figures.values()) or x.path not in self._children]

    def types_under(self, path: str) -> list[tuple[str, str]]:
        """Name and type of each module directly under a path, in order."""
        return list(self._children.get(path, {}).items())

    def names_under(self, path: str) -> list[str]:
        """The name of each module directly under a path, in order."""
        return list(self._children.get(path, {}))


class _Kinship:
    """Which modules have the same children on both sides, asked once each."""

    def __init__(self, old: _Skeleton, new: _Skeleton) -> None:
        self._trusted = cache(lambda path: old.types_under(path) == new.types_under(path))
        self._in_place = cache(lambda path: old.names_under(path) == new.names_under(path))

    def is_trusted(self, path: str) -> bool:
        """Whether no number on a path can have moved: its neighbours are of the same types."""
        return all(map(self._trusted, _numbered(path)))

    def is_in_place(self, path: str) -> bool:
        """Whether there is the same number of neighbours, of whatever types."""
        return all(map(self._in_place, _numbered(path)))


def _numbered(path: str) -> Iterable[str]:
    """The modules on a path whose next name is a number."""
    while path:
        path, _, name = path.rpartition(".")
        if name.isdigit():
            yield path


def _figure(layer: Layer | None, key: str) -> Number:
    return 0 if layer is None else layer.figures.get(key, 0)
