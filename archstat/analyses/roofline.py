"""The roofline: what each op takes at least on a device, and what bounds it.

An op can be no faster than its arithmetic at the peak rate of the units that do it, nor than its
memory access at the bandwidth (Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009).
Products (2 x macs) and all other flops have roofs of their own: matrix units do products only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

from archstat.analyses.accesses import alone
from archstat.analyses.devices import DTYPES, Device, Roof
from archstat.analyses.fusion import Fusion, fused
from archstat.analyses.operations import operations
from archstat.graph import ITEM_SIZES, Graph
from archstat.result import Note

Bound = Literal["compute", "memory", ""]

_FLOATS = frozenset({"float64", "float32", "float16", "bfloat16"})
# No tensor is stored as tfloat32, and float8 comes in kinds of one size.
_STORED = {"tfloat32": "float32", "float8": "float8_e4m3fn"}


class Work(NamedTuple):
    """What an op, a layer or a model does: 2 x macs, all other flops, and bytes moved."""

    products: int
    others: int
    nbytes: int

    @property
    def flops(self) -> int:
        """All flops."""
        return self.products + self.others

    @property
    def intensity(self) -> float | None:
        """Flops a byte; None where nothing is moved."""
        return self.flops / self.nbytes if self.nbytes else None

    def __add__(self, other: object) -> Work:
        """The work of both."""
        if not isinstance(other, Work):
            return NotImplemented
        return Work(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


NOTHING = Work(0, 0, 0)


class Floor(NamedTuple):
    """The least time of some work, in seconds: of its arithmetic, and of its memory access."""

    compute: float
    memory: float

    @property
    def seconds(self) -> float:
        """The larger of the two: arithmetic and memory access overlap at best."""
        return max(self.compute, self.memory)

    @property
    def bound(self) -> Bound:
        """What the time is spent on; memory where both are equal, "" where there is none."""
        if self.compute > self.memory:
            return "compute"
        return "memory" if self.memory else ""


def floor_of(work: Work, roof: Roof) -> Floor:
    """The floor of work that one kernel does.

    Products and other flops overlap where they run on units of their own, and take turns on the
    vector units where these do both.
    """
    products, others = work.products / roof.products, work.others / roof.others
    compute = max(products, others) if roof.unit == "tensor" else products + others
    return Floor(compute, work.nbytes / roof.bandwidth)


def floors(work: Sequence[Work], hosts: Sequence[int], roof: Roof) -> list[Floor]:
    """The floor of each op; `hosts` names the op in whose kernel each one runs.

    A kernel's time stands at its host, and the ops merged into it take none of their own.
    """
    kernels: dict[int, Work] = {}
    for op, host in zip(work, hosts, strict=True):
        kernels[host] = kernels[host] + op if host in kernels else op
    none = Floor(0.0, 0.0)
    return [floor_of(kernels[i], roof) if i == host else none for i, host in enumerate(hosts)]


def work_of(macs: Sequence[int], flops: Sequence[int], nbytes: Sequence[int]) -> list[Work]:
    """The work of each op from its macs, flops and bytes."""
    figures = zip(macs, flops, nbytes, strict=True)
    return [Work(2 * mac, flop - 2 * mac, moved) for mac, flop, moved in figures]


def in_dtype(graph: Graph, dtype: str) -> Graph:
    """The Graph with all floating-point tensors in a dtype of `archstat.analyses.devices.DTYPES`.

    As after ``model.half()``; indices and masks stay what they are.
    """
    peak, size = DTYPES[dtype]
    name = _STORED.get(peak, peak)
    before = {v.storage: ITEM_SIZES[v.dtype] for v in graph.values if v.dtype in _FLOATS}
    values = tuple(v._replace(dtype=name) if v.dtype in _FLOATS else v for v in graph.values)
    storages = tuple(
        storage._replace(nbytes=storage.nbytes * size // before[i]) if i in before else storage
        for i, storage in enumerate(graph.storages)
    )
    return replace(graph, values=values, storages=storages)


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
    findings: tuple[Note, ...]

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
        dtype: a key of `archstat.analyses.devices.DTYPES`.
        fusion: as in `archstat.analyses.memory_access`; the ops of a kernel overlap, and a norm
            that is folded away has no flops.

    Raises:
        DeviceError: the device has no peak for this dtype.
        CaptureError: the Graph has no forward pass.
    """
    graph.need_forward()
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
