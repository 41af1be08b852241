"""A model's measured time beside its work: by layer and by kind, from a roofline and a profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from archstat.analyses.roofline import NOTHING, Work
from archstat.latency.attribution import Share
from archstat.latency.kinds import KINDS, kinds_of
from archstat.rooflines import Roofline

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class TimedPart:
    """A layer, a kind or a model: the time measured, the work done, the least time of that work.

    `time_ms` is of GPU kernels or, on a cpu, of calls; `dispatch_ms` is of the calls on a GPU,
    None on a cpu. `ops` counts the Graph's operations.
    """

    name: str
    type: str
    ops: int
    time_ms: float
    dispatch_ms: float | None
    work: Work
    floor_ms: float
    bound: str

    @property
    def floor_share(self) -> float | None:
        """The least time over the time: 1 on the roofline; None where nothing ran."""
        return self.floor_ms / self.time_ms if self.time_ms else None

    @property
    def rate(self) -> float | None:
        """Flops a second."""
        return self.work.flops / (self.time_ms / 1e3) if self.time_ms else None


@dataclass(frozen=True)
class LayerTimes:
    """A model on a device: the time of everything that ran in it, and its roofline there.

    `wall_ms` and `dispatch_ms` are of a pass without the profiler, `watched_ms` under it;
    `dispatch_ms` is None on a cpu.
    """

    roofline: Roofline
    shares: tuple[Share, ...]
    wall_ms: float
    dispatch_ms: float | None
    watched_ms: float
    remarks: tuple[str, ...] = ()

    @cached_property
    def total(self) -> TimedPart:
        """Everything."""
        every = range(len(self.roofline.graph.ops))
        return self._part(self.roofline.model, "", every, self.shares)

    @cached_property
    def layers(self) -> tuple[TimedPart, ...]:
        """The modules that run operations themselves, in order of execution."""
        ops = self.roofline.graph.ops
        types = {module.path: module.type for module in self.roofline.graph.modules}
        types |= {op.module: op.module_type for op in ops}
        members = _grouped(range(len(ops)), [op.module for op in ops])
        shares = _grouped(self.shares, [share.module for share in self.shares])
        names = dict.fromkeys((*members, *shares))
        return tuple(
            self._part(name, types.get(name, ""), members.get(name, ()), shares.get(name, ()))
            for name in names
        )

    @cached_property
    def kinds(self) -> tuple[TimedPart, ...]:
        """The kinds of `archstat.latency.kinds` that occur."""
        kinds = kinds_of(self.roofline.graph)
        members = _grouped(range(len(kinds)), kinds)
        shares = _grouped(self.shares, [share.kind for share in self.shares])
        return tuple(
            self._part(kind, "", members.get(kind, ()), shares.get(kind, ()))
            for kind in KINDS
            if kind in members or kind in shares
        )

    def _part(
        self, name: str, kind: str, members: Sequence[int], shares: Iterable[Share]
    ) -> TimedPart:
        found = tuple(shares)
        work = NOTHING
        for index in members:
            work = work + self.roofline.work[index]
        floors = [self.roofline.floors[index] for index in members]
        seconds = sum(floor.seconds for floor in floors)
        compute = sum(floor.seconds for floor in floors if floor.bound == "compute")
        bound = ("compute" if compute > seconds / 2 else "memory") if seconds else ""
        time = sum(share.time_ms for share in found)
        calls = None
        if self.dispatch_ms is not None:
            calls = sum(share.dispatch_ms or 0.0 for share in found)
        return TimedPart(name, kind, len(members), time, calls, work, 1e3 * seconds, bound)


def _grouped(items: Sequence[_Item], keys: Sequence[str]) -> Mapping[str, list[_Item]]:
    found: dict[str, list[_Item]] = {}
    for item, key in zip(items, keys, strict=True):
        found.setdefault(key, []).append(item)
    return found
