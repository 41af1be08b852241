"""Bytes of the storages alive at each moment of a run, seen by weak references.

A storage counts from the op that makes it until nobody holds it any more. Nothing here keeps a
tensor alive, so autograd and the optimizer free what they free in a real step.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from archstat.analyses.cuda_allocator import Event
from archstat.frontends.attention import Kernel
from archstat.frontends.storages import parts_of
from archstat.frontends.trees import tensors
from archstat.units import format_bytes

PHASES = ("forward", "loss", "backward", "optimizer")


@dataclass(frozen=True, slots=True)
class Moment:
    """One op: bytes alive when it ended, its arguments included, and where it stood.

    When it ended, `events` of the trace had been. `position` counts begins and ends of modules
    before it; in backward, of what it is the gradient of.
    """

    live_bytes: int
    phase: str
    module: str
    target: str
    events: int
    position: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """What a storage is for: its number and bytes, and the module whose parameter it belongs to.

    A share of it consists of `rows`, slices of a tensor along its first axis, or `elements` of
    `itemsize` bytes. A gradient's are its parameter's; its storage may be larger.
    """

    number: int
    category: str
    module: str
    nbytes: int
    rows: int = 1
    elements: int = 1
    itemsize: int = 1


@dataclass(frozen=True, slots=True)
class Kept:
    """What forward keeps for backward, by numbers of storages and by positions, see `Moment`.

    `saves` are (position, storage), `born` is a position for each storage, and `calls` are the
    modules': path, positions from and to, storages of the arguments. Forward and loss end at `end`.
    """

    saves: tuple[tuple[int, int], ...]
    born: tuple[int, ...]
    calls: tuple[tuple[str, int, int, frozenset[int]], ...]
    end: int


@dataclass(frozen=True, slots=True)
class Trace:
    """What a step makes and releases, in order: numbers of storages with bytes, negative if freed.

    The first `given` of the `events` are there before the step, the storages `states` (from, to)
    are the optimizer's among them, and its phase begins with the event `optimizer`. `held` says
    what storages are for, each once; the others are temporary.
    """

    events: tuple[Event, ...]
    given: int
    states: tuple[int, int]
    optimizer: int
    held: tuple[Held, ...] = ()

    @property
    def storages(self) -> int:
        """One more than the largest number of a storage."""
        return 1 + max((number for number, _ in self.events), default=0)

    def steps(self, count: int, *, gradients_kept: bool = False) -> Iterator[Event]:
        """The events of a training from its start: the first step makes the optimizer's states.

        Before each further step goes what the last one left: the gradients. With
        `gradients_kept` (``zero_grad(set_to_none=False)``) they stay, and each further step adds
        its own to them.
        """
        states, before, made = range(*self.states), self.events[: self.given], self.storages
        yield from (event for event in before if event[0] not in states)
        there = {number for number, _ in before}
        passing = there | {number for number, nbytes in self.events if nbytes < 0}
        for step in range(count):
            left: dict[int, int] = {}
            for place, (number, nbytes) in enumerate(self.events[self.given :], self.given):
                if step == 0 and place == self.optimizer:
                    yield from (event for event in before if event[0] in states)
                owner = number if number in there else number + made * step
                left[owner] = left.get(owner, 0) + nbytes
                yield owner, nbytes
                if gradients_kept and step and number not in passing:
                    yield owner, -nbytes
            if step == 0 and self.optimizer == len(self.events):
                yield from (event for event in before if event[0] in states)
            if not gradients_kept:
                yield from ((owner, -held) for owner, held in left.items() if held > 0)


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """What one step needs, in bytes, and its multiply-accumulates, forward and backward.

    `training_macs` and `training_memory_bytes` are lower bounds where some op is `uncounted`.
    `steady_bytes` are there before it: weights, buffers, the optimizer's states, the input.
    `gathered_bytes` is the most that is whole at once of parameters that lie in shares.
    The modules `checkpointed`, by path, run once more in backward.
    """

    param_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    saved_activation_bytes: int
    input_bytes: int
    training_macs: int
    loss: str
    uncounted: tuple[str, ...]
    attention: tuple[Kernel, ...]
    recurrent: tuple[str, ...]
    own_train: tuple[str, ...]
    device: str
    steady_bytes: int
    moments: tuple[Moment, ...]
    trace: Trace
    kept: Kept
    checkpointed: tuple[str, ...] = ()
    gathered_bytes: int = 0

    @property
    def peak(self) -> Moment:
        """The first moment at which the most bytes are alive."""
        return max(self.moments, key=lambda moment: moment.live_bytes)

    @property
    def training_memory_bytes(self) -> int:
        """The most bytes alive at once."""
        return self.peak.live_bytes

    def made(self) -> Iterator[tuple[int, int]]:
        """The storages that the step makes: number of the moment, number of the storage."""
        place = self.trace.given
        for number, moment in enumerate(self.moments):
            events = self.trace.events[place : moment.events]
            yield from ((number, storage) for storage, nbytes in events if nbytes > 0)
            place = moment.events

    def beyond(self, budget: int) -> str:
        """The clause that says which of the parts that no batch changes exceed a budget."""
        parts = {"parameters": self.param_bytes, "optimizer's states": self.optimizer_bytes,
                 "gradients": self.gradient_bytes}  # fmt: skip
        names: list[str] = []
        total = 0
        for name, size in parts.items():
            if size:
                names, total = [*names, name], total + size
            if total > budget:
                return f"{' + '.join(names)} alone take {format_bytes(total)}"
        return f"{' + '.join(names)} take {format_bytes(total)} of it"


def foreseen(known: Mapping[int, TrainingStep], batch: int) -> TrainingStep | None:
    """The step at a batch by the line through two at others; None where their ops differ."""
    (a, one), (b, two) = sorted(known.items(), key=lambda item: abs(item[0] - batch))[:2]
    pairs = list(zip(one.trace.events, two.trace.events, strict=False))
    lengths = [(len(s.trace.events), len(s.moments)) for s in (one, two)]
    if lengths[0] != lengths[1] or any(x[0] != y[0] for x, y in pairs):
        return None

    def on_line(x: int, y: int) -> int:
        size = abs(x) + (abs(y) - abs(x)) * (batch - a) // (b - a)
        return max(size, 1) * (1 if x > 0 else -1) if x else 0

    events = tuple((owner, on_line(x, y)) for (owner, x), (_, y) in pairs)
    moments = tuple(replace(m, live_bytes=on_line(m.live_bytes, n.live_bytes))
                    for m, n in zip(one.moments, two.moments, strict=True))  # fmt: skip
    return replace(one, moments=moments, trace=replace(one.trace, events=events))


class _Reference(weakref.ref[Any]):
    __slots__ = ("nbytes", "serial")
    nbytes: int
    serial: int


class LiveBytes:
    """The account of a run: what is alive, moment by moment, and what autograd saved."""

    def __init__(self) -> None:
        self.live = 0
        self.moments: list[Moment] = []
        self.saved: dict[int, int] = {}
        # What is made and released, in order: a storage's number and its bytes, negative if freed.
        self.events: list[Event] = []
        # For `Kept`; and where what runs now stands.
        self.saves: list[tuple[int, int]] = []
        self.born: list[int] = []
        self.position = 0
        self._known: dict[int, _Reference] = {}
        self._given: set[int] = set()
        self._made = 0
        self._on_release: Callable[[Any], None] = self._release

    def give(self, tree: Any) -> int:
        """Count what is there before the first op; the bytes that were not counted yet."""
        before = self.live
        for tensor in tensors(tree):
            self._given.update(reference.serial for reference in self._hold(tensor))
        return self.live - before

    def add(self, tree: Any) -> None:
        """Count the storages of tensors that an op has just made."""
        for tensor in tensors(tree):
            self._hold(tensor)

    def mark(self, phase: str, module: str, target: str, taken: int = 0) -> None:
        """Note a moment, and the bytes that the kernel takes while it runs."""
        live = self.live + taken
        self.moments.append(Moment(live, phase, module, target, len(self.events), self.position))

    def save(self, tensor: torch.Tensor) -> None:
        """Note that autograd keeps a tensor; what was given at the start costs nothing."""
        for reference in self._hold(tensor):
            if reference.serial not in self._given:
                self.saved[reference.serial] = reference.nbytes
                self.saves.append((self.position, reference.serial))

    def serials(self, tree: Any) -> frozenset[int]:
        """The numbers of the storages of tensors that are known and were not given."""
        strided = (t for t in tensors(tree) if t.layout is torch.strided)
        known = (self._known.get(id(tensor.untyped_storage())) for tensor in strided)
        return frozenset(r.serial for r in known if r is not None) - self._given

    def nbytes(self, given: Iterable[torch.Tensor]) -> int:
        """Bytes of the tensors' storages, each once."""
        found = {r.serial: r.nbytes for tensor in given for r in self._hold(tensor)}
        return sum(found.values())

    def held(
        self, owners: Iterable[tuple[str, str, torch.Tensor, torch.Tensor]]
    ) -> tuple[Held, ...]:
        """What storages are for, given categories, paths of modules, tensors and what is alike.

        A storage is for the first that is given it; then come those that autograd saved.
        """
        found: dict[int, Held] = {}
        for category, module, tensor, like in owners:
            for reference in self._hold(tensor):
                size = like.element_size()
                elements = like.numel() if like is not tensor else reference.nbytes // size
                whole = like.layout is torch.strided and like.numel() == elements
                rows = like.shape[0] if whole and like.dim() else elements
                one = Held(reference.serial, category, module, reference.nbytes, rows, elements,
                           size)  # fmt: skip
                found.setdefault(one.number, one)
        for number, nbytes in self.saved.items():
            found.setdefault(number, Held(number, "saved", "", nbytes))
        return tuple(found.values())

    def _hold(self, tensor: torch.Tensor) -> tuple[_Reference, ...]:
        if tensor.layout is not torch.strided:
            return tuple(held for part in parts_of(tensor) for held in self._hold(part))
        storage = tensor.untyped_storage()
        reference = self._known.get(id(storage))
        if reference is not None and reference() is storage:
            return (reference,)
        reference = _Reference(storage, self._on_release)
        reference.nbytes = storage.nbytes()
        reference.serial = self._made
        self._made += 1
        self.born.append(self.position)
        self._known[id(storage)] = reference
        self.live += reference.nbytes
        self.events.append((reference.serial, reference.nbytes))
        return (reference,)

    def _release(self, reference: Any) -> None:
        self.live -= reference.nbytes
        self.events.append((reference.serial, -reference.nbytes))
