"""The roofline: what each op takes at least on a device, and what bounds it.

An op can be no faster than its arithmetic at the peak rate of the units that do it, nor than its
memory access at the bandwidth (Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009).
Products (2 x macs) and all other flops have roofs of their own: matrix units do products only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from archstat.devices import DTYPES, Roof
from archstat.graph import ITEM_SIZES, Graph

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
    """The Graph with all floating-point tensors in a dtype of `archstat.devices.DTYPES`.

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
