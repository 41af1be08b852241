"""The cheapest set of modules to run once more in backward, so that a training step fits.

The candidates are the modules with modules inside that are called once and, checkpointed, keep
less than without. A step is simulated as it is, and one with each candidate alone; they tell what
a module needs while its own backward runs, and what it keeps until then. What a set of them needs
follows from that, since a storage is kept as long as some op or some checkpointed module keeps it.

The sets are built in the order of forward: before each module stand the sets chosen so far, and of
those one goes if another costs no more and keeps no more. The set with the fewest additional
multiply-accumulates is simulated. Should it not fit, the difference narrows the room, and the next
one is tried.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from archstat.measure.training.live_bytes import TrainingStep

MOST_CANDIDATES = 64
TRIES = 8
_STATES = 500

StepOf = Callable[[tuple[str, ...]], TrainingStep]


@dataclass(frozen=True, slots=True)
class Choice:
    """Modules by path, the step with them, what it needs, and the steps that were simulated.

    `plain` is the step without any. Where nothing fits, it is the set that needs the least.
    """

    names: tuple[str, ...]
    step: TrainingStep
    needed: int
    plain: TrainingStep
    simulated: int

    @property
    def more_macs(self) -> int:
        """What running the modules once more adds."""
        return self.step.training_macs - self.plain.training_macs


def cheapest_checkpoints(
    step_of: StepOf, needed: Callable[[TrainingStep], int], budget: int
) -> Choice:
    """The modules with which ``needed(step_of(names)) <= budget`` at the fewest macs."""
    plain = step_of(())
    best = Choice((), plain, needed(plain), plain, 1)
    if best.needed <= budget:
        return best
    sets = _Sets(plain)
    for number in range(len(sets.candidates)):
        sets.learn(number, step_of((sets.candidates[number].name,)))
    simulated = 1 + len(sets.candidates)
    room, tried = budget, {best.names}
    for _ in range(TRIES):
        found = sets.cheapest(room) or sets.smallest()
        if found.names in tried:
            break
        tried.add(found.names)
        simulated += 1
        step = step_of(found.names)
        choice = Choice(found.names, step, needed(step), plain, simulated)
        if choice.needed <= budget:
            return choice
        best = min(choice, best, key=lambda one: one.needed)
        room = min(budget - (choice.needed - found.peak), found.peak - 1)
    return Choice(best.names, best.step, best.needed, plain, simulated)


@dataclass(slots=True)
class _Candidate:
    """A module that spans the segments from `first` to before `last`."""

    name: str
    first: int
    last: int
    inputs: frozenset[int]
    macs: int = 0
    own: int = 0


@dataclass(frozen=True, slots=True)
class _Set:
    """Modules chosen up to a segment, as bits, and the segments whose ops keep what they save.

    `kept` are the bytes held when the next segment begins, `peak` the most needed so far.
    """

    macs: int
    kept: int
    peak: int
    chosen: int
    saving: int
    names: tuple[str, ...] = ()


class _Sets:
    """What any set of candidates needs, by the steps that were simulated."""

    def __init__(self, plain: TrainingStep) -> None:
        self._plain, held = plain, plain.kept
        calls = _candidates(plain)
        self._cuts = sorted({0, *(cut for _, begin, end, _ in calls for cut in (begin, end))})
        at = self._segment
        found = [_Candidate(name, at(begin), at(end - 1) + 1, inputs)
                 for name, begin, end, inputs in calls]  # fmt: skip
        self._sizes = dict(event for event in reversed(plain.trace.events) if event[1] > 0)
        self._saved: dict[int, int] = {}
        for position, storage in held.saves:
            self._saved[storage] = self._saved.get(storage, 0) | 1 << at(position)
        self._born = {n: at(position) for n, position in enumerate(held.born)}
        self.candidates = found
        self._classes = self._classified()
        everything = self._bytes(len(self._cuts), self._all, 0)
        less = {c.name: everything - self._bytes(len(self._cuts), self._all & ~_span(c), 1 << n)
                for n, c in enumerate(found)}  # fmt: skip
        worth = sorted((c for c in found if less[c.name] > 0), key=lambda c: -less[c.name])
        chosen = {c.name for c in worth[:MOST_CANDIDATES]}
        self.candidates = [c for c in found if c.name in chosen]
        self._classes = self._classified()
        most = [0] * len(self._cuts)
        for moment in plain.moments:
            if moment.phase != "optimizer":
                most[at(moment.position)] = max(most[at(moment.position)], moment.live_bytes)
        self._own = [live - self._bytes(n, _below(n + 1), 0) for n, live in enumerate(most)]
        self._least = max(m.live_bytes for m in plain.moments if m.phase == "optimizer")

    @property
    def _all(self) -> int:
        return _below(len(self._cuts))

    def learn(self, number: int, step: TrainingStep) -> None:
        """Take what a candidate needs and costs from a step with it alone."""
        one, end = self.candidates[number], self._plain.kept.end
        one.macs = step.training_macs - self._plain.training_macs
        first, last = self._cuts[one.first], [*self._cuts, end][one.last]
        inside = [m.live_bytes for m in step.moments if m.phase != "optimizer"
                  and (m.position >= end or first <= m.position < last)]  # fmt: skip
        one.own = max(inside) - self._bytes(one.first, _below(one.last), 1 << number)

    def cheapest(self, room: int) -> _Set | None:
        """The set with the fewest macs that needs at most `room` bytes; None where none does."""
        at: list[list[_Set]] = [[] for _ in range(len(self._cuts) + 1)]
        if self._least <= room:
            at[0].append(_Set(0, 0, self._least, 0, 0))
        for n in range(len(self._cuts)):
            for one in _undominated(at[n]):
                at[n + 1] += self._with(one, n, room)
                for number, candidate in enumerate(self.candidates):
                    if candidate.first == n:
                        at[candidate.last] += self._with(one, n, room, number)
        return min(at[-1], key=lambda one: (one.macs, len(one.names), one.peak), default=None)

    def smallest(self) -> _Set:
        """The set that needs the least."""
        low, high = self._least - 1, sum(self._sizes.values())
        best = self.cheapest(high)
        assert best is not None
        while high - low > 1:
            middle = (low + high) // 2
            found = self.cheapest(middle)
            if found is None:
                low = middle
            else:
                best, high = found, found.peak
        return best

    def _with(self, one: _Set, n: int, room: int, number: int | None = None) -> list[_Set]:
        """The set after segment `n`, or with the candidate that begins there; none if too large."""
        if number is None:
            own, last, macs, names = self._own[n], n + 1, one.macs, one.names
            chosen, during = one.chosen, one.saving | 1 << n
            saving = during
        else:
            module = self.candidates[number]
            own, last, macs = module.own, module.last, one.macs + module.macs
            names, chosen = (*one.names, module.name), one.chosen | 1 << number
            during, saving = one.saving | _span(module), one.saving
        peak = max(one.peak, own + self._bytes(n, during, chosen))
        if peak > room:
            return []
        # What later ops save will be held whatever is chosen.
        later = saving | self._all & ~_below(last)
        return [_Set(macs, self._bytes(last, later, chosen), peak, chosen, saving, names)]

    def _classified(self) -> Counter[tuple[int, int, int]]:
        """Bytes of storages by where they are born, saved, and whose arguments they are."""
        given: Counter[int] = Counter()
        for number, candidate in enumerate(self.candidates):
            for storage in candidate.inputs:
                given[storage] |= 1 << number
        found: Counter[tuple[int, int, int]] = Counter()
        for storage in {*self._saved, *given}:
            key = self._born[storage], self._saved.get(storage, 0), given[storage]
            found[key] += self._sizes.get(storage, 0)
        return found

    def _bytes(self, before: int, saving: int, chosen: int) -> int:
        """Bytes born before a segment that its ops, or earlier ones, keep."""
        return sum(size for (born, saved, given), size in self._classes.items()
                   if born < before and (saved & saving or given & chosen))  # fmt: skip

    def _segment(self, position: int) -> int:
        return bisect_right(self._cuts, position) - 1


def _candidates(step: TrainingStep) -> list[tuple[str, int, int, frozenset[int]]]:
    """The calls of modules with modules inside that are called once, in order; not the root's."""
    calls = sorted(step.kept.calls, key=lambda call: (call[1], -call[2]))
    times = Counter(name for name, *_ in calls)
    outer = {name[:n] for name in times for n, letter in enumerate(name) if letter == "."}
    return [call for call in calls if call[0] and call[0] in outer and times[call[0]] == 1]


def _span(candidate: _Candidate) -> int:
    return _below(candidate.last) & ~_below(candidate.first)


def _below(segment: int) -> int:
    return (1 << segment) - 1


def _undominated(sets: Iterable[_Set]) -> list[_Set]:
    """Those of which no other costs no more and keeps no more, at most a few hundred."""
    found: list[_Set] = []
    for one in sorted(sets, key=lambda one: (one.macs, one.kept, len(one.names))):
        if not found or one.kept < found[-1].kept:
            found.append(one)
    return found[:: -(-len(found) // _STATES) or 1]
