"""A model on a device: the work of every op, and the least time that it takes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from archstat.analyses.accesses import alone
from archstat.analyses.fusion import Fusion, fused
from archstat.analyses.operations import operations
from archstat.analyses.roofline import NOTHING, Floor, Work, floors, in_dtype, work_of
from archstat.devices import Device, Roof
from archstat.graph import Graph
from archstat.result import Finding


@dataclass(frozen=True, slots=True)
class Part:
    """Ops taken together: their work, their least time in seconds, how much of it is compute's.

    `incomplete` tells that one of them is unknown, so that work and time may be more.
    """

    name: str
    type: str
    work: Work
    seconds: float
    compute_bound: float
    incomplete: bool

    @property
    def bound(self) -> str:
        """What takes more of the time: ``compute`` or ``memory``; "" where it takes none."""
        if not self.seconds:
            return ""
        return "compute" if self.compute_bound > self.seconds / 2 else "memory"

    @property
    def rate(self) -> float | None:
        """Flops a second in the least time."""
        return self.work.flops / self.seconds if self.seconds else None


@dataclass(frozen=True)
class Roofline:
    """A model on a device: the work of each op of its Graph, and the least time of each kernel.

    `hosts` names for each op the one in whose kernel it runs: itself, unless ops are fused. The
    kernel's floor stands at its host.
    """

    model: str
    graph: Graph
    device: Device
    dtype: str
    fusion: Fusion
    roof: Roof
    work: tuple[Work, ...]
    hosts: tuple[int, ...]
    floors: tuple[Floor, ...]
    unknown: tuple[bool, ...]
    findings: tuple[Finding, ...]

    @cached_property
    def total(self) -> Part:
        """The whole model; its time is the sum of its ops'."""
        return self._part(self.model, "", range(len(self.work)))

    @cached_property
    def layers(self) -> tuple[Part, ...]:
        """The modules whose kernels do the work, in order of execution, with what they merged."""
        members: dict[str, list[int]] = {}
        for index, host in enumerate(self.hosts):
            members.setdefault(self.graph.ops[host].module, []).append(index)
        types = {op.module: op.module_type for op in self.graph.ops}
        return tuple(self._part(path, types[path], ops) for path, ops in members.items())

    @cached_property
    def kernels(self) -> tuple[Part, ...]:
        """Every op in order of execution, those merged into one kernel together."""
        members: dict[int, list[int]] = {}
        for index, host in enumerate(self.hosts):
            members.setdefault(host, []).append(index)
        ops = self.graph.ops
        return tuple(
            self._part(ops[host].module, " + ".join(ops[index].name for index in merged), merged)
            for host, merged in members.items()
        )

    def _part(self, name: str, kind: str, members: Sequence[int]) -> Part:
        mine = [self.floors[index] for index in members]
        compute = sum(floor.seconds for floor in mine if floor.bound == "compute")
        work = NOTHING
        for index in members:
            work = work + self.work[index]
        seconds = sum(floor.seconds for floor in mine)
        incomplete = any(self.unknown[index] for index in members)
        return Part(name, kind, work, seconds, compute, incomplete)


def roofline(
    graph: Graph, model: str, device: Device, dtype: str = "fp32", fusion: Fusion = "none"
) -> Roofline:
    """The least time of every op of a Graph on a device.

    Args:
        graph: captured in any floating-point dtype; it is counted in `dtype`.
        model: its name in tables.
        dtype: a key of `archstat.devices.DTYPES`.
        fusion: as in `archstat.analyses.memory_access`; the ops of a kernel overlap, and a norm
            that is folded away has no flops.

    Raises:
        DeviceError: the device has no peak for this dtype.
    """
    roof = device.roof(dtype)
    stored = in_dtype(graph, dtype)
    counted = operations(stored)
    moved = alone(stored)
    into: Sequence[int | None] = [None] * len(moved)
    if fusion == "inference":
        merged = fused(stored, moved)
        moved, into = merged.accesses, merged.merged_into
    nbytes = [access.nbytes for access in moved]
    macs, flops = ([int(n) for n in counted.per_op[key]] for key in ("macs", "flops"))
    work = work_of(macs, flops, nbytes)
    # A norm that is folded away leaves the bytes of a bias at most.
    kept = [w._replace(others=0) if _is_folded(stored, i, into) else w for i, w in enumerate(work)]
    hosts = _hosts(into)
    return Roofline(
        model, stored, device, dtype, fusion, roof, tuple(kept), tuple(hosts),
        tuple(floors(kept, hosts, roof)),
        tuple(bool(number) for number in counted.per_op["unknown_ops"]),
        counted.findings,
    )  # fmt: skip


def _is_folded(graph: Graph, index: int, into: Sequence[int | None]) -> bool:
    """Whether an op is a norm whose scale and shift went into the layer before it."""
    producer = into[index]
    layers = ("conv", "linear")
    folds = producer is not None and graph.ops[producer].kind in layers
    return folds and graph.ops[index].kind == "norm"


def _hosts(into: Sequence[int | None]) -> list[int]:
    """For each op the one whose kernel it runs in, at the end of the chain of merges."""
    hosts: list[int] = []
    for index, producer in enumerate(into):
        hosts.append(index if producer is None else hosts[producer])
    return hosts
