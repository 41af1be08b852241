"""Rates of kernels fitted to measured throughputs: the tables, the networks' kernels, the fit.

Parameters are logarithms: a rate and a bandwidth for each kind of kernel, how many times longer a
byte of weights takes than one of activations, and a launch. They minimise a soft loss of the
logarithm of predicted over measured time, held weakly to half of the data sheet's peak and 0.7 of
its bandwidth, so that a kind that the table hardly has stays sane.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from archstat.analyses.device_files import built_in
from archstat.analyses.kernels import KINDS, Dtype, Engine, Kernel, Kernels, kernels
from archstat.errors import ArchstatError
from archstat.models.cache.store import graph_from_bytes, graph_to_bytes
from archstat.models.pipeline import graph_of_spec

Array = NDArray[np.float64]
KINDS_OF_ROOF = {"amp": "fp16", "fp32": "fp32"}
FORMS: tuple[tuple[Engine, Dtype], ...] = (
    ("eager", "amp"),
    ("compile", "amp"),
    ("compile", "fp32"),
)
FOLDS, WEAKLY, SOFT, STEPS = 5, 0.01, 0.1, 40
# Published as trained or with branches merged: two graphs of one name. The tables of this torch
# look as if measured with merged branches, and have no parameter count that would say so.
TWO_FORMS = ("mobileone", "repvgg", "fastvit", "repghostnet", "ghostnetv3", "repvit")
UNCLEAR = "2.9.1"


class Name(NamedTuple):
    """What a table of throughputs goes by."""

    device: str
    dtype: str
    layout: str
    engine: str
    torch: str


class Row(NamedTuple):
    """A measurement: a network at a resolution, its batch, and seconds a sample."""

    model: str
    resolution: int
    batch: int
    seconds: float
    source: str

    @property
    def family(self) -> str:
        """The letters that the name begins with."""
        found = re.match("[a-z]+", self.model)
        return found.group() if found else self.model

    @property
    def key(self) -> str:
        """What the network is cached as."""
        return f"{self.model}@{self.resolution}"


def tables(path: Path) -> dict[Name, list[Row]]:
    """The tables of a file of throughputs; of those that differ in torch alone, the newest.

    Rows that may be of either of two graphs are left out.
    """
    found: dict[Name, list[Row]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            name = Name(*(line[field] for field in Name._fields))
            if name.torch == UNCLEAR and line["model"].startswith(TWO_FORMS):
                continue
            found.setdefault(name, []).append(
                Row(line["model"], int(line["resolution"]), int(line["batch"]),
                    1 / float(line["samples_per_second"]), line["source"])
            )  # fmt: skip
    return {name: found[name] for name in newest(found)}


class Networks:
    """The kernels of timm's networks, from Graphs kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self.graphs, self.kernels = folder / "graphs", folder / "kernels"
        for one in (self.graphs, self.kernels):
            one.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, dict[str, Kernels] | None] = {}

    def __call__(self, row: Row, name: Name) -> Kernels | None:
        """The kernels of a row's network; None where it cannot be captured."""
        if row.key not in self._known:
            self._known[row.key] = self._read(row)
        found = self._known[row.key]
        return None if found is None else found[f"{name.engine} {name.dtype}"]

    def _read(self, row: Row) -> dict[str, Kernels] | None:
        kept = self.kernels / f"{row.key}.json"
        if not kept.exists():
            content = self._graph(row)
            if content is None:
                return None
            graph = graph_from_bytes(content)
            made = {f"{engine} {dtype}": [[*kernel, n] for kernel, n in
                                          kernels(graph, engine, dtype).items()]
                    for engine, dtype in FORMS}  # fmt: skip
            kept.write_text(json.dumps(made), encoding="utf-8")
        read = json.loads(kept.read_text(encoding="utf-8"))
        return {key: {Kernel(*one[:-1]): one[-1] for one in many} for key, many in read.items()}

    def _graph(self, row: Row) -> bytes | None:
        kept = self.graphs / row.key
        if kept.exists():
            return kept.read_bytes()
        shape = f"3x{row.resolution}x{row.resolution}"
        for options in ("", f",img_size={row.resolution}"):
            try:
                content = graph_to_bytes(graph_of_spec(f"timm:{row.model}{options}", shape, 1))
            except ArchstatError:
                continue
            kept.write_bytes(content)
            return content
        return None


@dataclass(frozen=True)
class Data:
    """The kernels of a table's networks in arrays: whose each is, its kind, work and number."""

    name: Name
    rows: list[Row]
    network: NDArray[np.intp]
    kind: NDArray[np.intp]
    macs: Array
    activations: Array
    weights: Array
    number: Array
    launches: Array

    @classmethod
    def of(cls, name: Name, rows: Sequence[Row], kernels_of: Sequence[Kernels]) -> Data:
        """The arrays of rows, and of the kernels of each."""
        pairs = enumerate(zip(rows, kernels_of, strict=True))
        found = [line for number, (row, many) in pairs for line in _flat(number, row, many)]
        columns = np.array(found).T
        network, kind = columns[:2].astype(np.intp)
        return cls(name, list(rows), network, kind, *columns[2:])

    def only(self, chosen: NDArray[np.intp]) -> Data:
        """The rows of these numbers, in ascending order."""
        mine = np.isin(self.network, chosen)
        network = np.searchsorted(chosen, self.network[mine])
        others = (one[mine] for one in (self.kind, self.macs, self.activations, self.weights,
                                        self.number, self.launches))  # fmt: skip
        return Data(self.name, [self.rows[number] for number in chosen], network, *others)

    @cached_property
    def seconds(self) -> Array:
        """Measured seconds a sample."""
        return np.array([row.seconds for row in self.rows])

    @cached_property
    def is_single(self) -> bool:
        """Whether all batches are 1 and networks are many: what weights cost shows."""
        return self.name.engine != "ncnn" and all(row.batch == 1 for row in self.rows)

    @cached_property
    def folds(self) -> NDArray[np.intp]:
        """The fold of each row, one of `FOLDS`; families stay together, in all tables."""
        return np.array([sum(map(ord, row.family)) % FOLDS for row in self.rows])


def data_of(name: Name, rows: Sequence[Row], networks: Networks) -> Data:
    """The arrays of a table."""
    every = [(row, networks(row, name)) for row in rows]
    known = [(row, many) for row, many in every if many is not None]
    return Data.of(name, *zip(*known, strict=True))


def _flat(number: int, row: Row, many: Kernels) -> Iterator[tuple[float, ...]]:
    for kernel, times in many.items():
        runs = row.batch if kernel.shared else 1
        yield (number, KINDS.index(kernel.kind), kernel.macs / runs, kernel.activations / runs,
               kernel.weights / row.batch, times, times / row.batch)  # fmt: skip


def prior(name: Name) -> Array:
    """Logarithms of half of the peak, 0.7 of the bandwidth, 1 and a few microseconds."""
    roof = built_in()[name.device].roof(KINDS_OF_ROOF[name.dtype])
    return parameters(roof.products / 2 * 0.5, roof.bandwidth * 0.7, 5e-6)


def parameters(macs: float, nbytes: float, launch: float) -> Array:
    """The same rates for all kinds."""
    kinds = len(KINDS)
    return np.log([*[macs] * kinds, *[nbytes] * kinds, 1.0, launch])


def scaled(macs: float, nbytes: float, launch: float = 0.0) -> Array:
    """What is added to parameters where rates are as many times higher, as logarithms."""
    kinds = len(KINDS)
    return np.array([*[macs] * kinds, *[nbytes] * kinds, 0.0, launch])


def times_by_kind(data: Data, theta: Array) -> tuple[Array, Array]:
    """Seconds a sample of each network by kind, launches last; and what parameters do to them."""
    count, kinds = len(data.rows), len(KINDS)
    bandwidth = np.exp(-theta[kinds : 2 * kinds])[data.kind]
    slow = data.weights * np.exp(theta[-2]) * bandwidth
    # squares and roots, which take a tenth of the time of general powers
    compute = np.square(np.square(data.macs * np.exp(-theta[:kinds])[data.kind]))
    access = data.activations * bandwidth + slow
    memory = np.square(np.square(access))
    both = np.maximum(np.sqrt(np.sqrt(compute + memory)), 1e-300)
    place = data.network * kinds + data.kind

    def summed(what: Array) -> Array:
        return np.bincount(place, data.number * what, count * kinds).reshape(count, kinds)

    launch = np.bincount(data.network, data.launches, count)[:, None] * np.exp(theta[-1])
    power = both * both * both
    weights = summed(access * access * access * slow / power).sum(axis=1)[:, None]
    slopes = np.hstack([-summed(compute / power), -summed(memory / power),
                        weights * data.is_single, launch])  # fmt: skip
    return np.hstack([summed(both), launch]), slopes


def predicted(data: Data, theta: Array) -> Array:
    """Seconds a sample of each network."""
    return times_by_kind(data, theta)[0].sum(axis=1)


def fitted(
    data: Data,
    used: NDArray[np.bool_] | NDArray[np.intp],
    start: Array,
    along: Array | None = None,
    seconds: Array | None = None,
    weakly: float = WEAKLY,
) -> Array:
    """The parameters that fit the rows in use, held weakly to `start`: Gauss and Newton's steps.

    They go along the columns of a matrix, by default each for itself. A row may be in use often,
    with other measured seconds each time.
    """
    measured = data.seconds[used] if seconds is None else seconds
    along = np.eye(len(start)) if along is None else along
    moved, damping = np.zeros(along.shape[1]), 1e-3
    error, slopes, loss = _state(data, used, measured, start, along, moved, weakly)
    for _ in range(STEPS):
        weight = 1 / np.sqrt(1 + (error / SOFT) ** 2)
        normal = (slopes * weight[:, None]).T @ slopes + weakly * np.eye(len(moved))
        downhill = -(slopes * weight[:, None]).T @ error - weakly * moved
        for _ in range(8):
            damped = normal + damping * np.diag(np.diag(normal))
            there = moved + np.clip(np.linalg.solve(damped, downhill), -1, 1)
            tried = _state(data, used, measured, start, along, there, weakly)
            if tried[2] < loss:
                break
            damping *= 4
        else:
            break
        is_done = loss - tried[2] < 1e-4 * loss
        moved, (error, slopes, loss), damping = there, tried, max(damping / 4, 1e-6)
        if is_done:
            break
    return start + along @ moved


def _state(
    data: Data,
    used: NDArray[np.bool_] | NDArray[np.intp],
    measured: Array,
    start: Array,
    along: Array,
    moved: Array,
    weakly: float,
) -> tuple[Array, Array, float]:
    by_kind, slopes = times_by_kind(data, start + along @ moved)
    seconds = by_kind.sum(axis=1)[used]
    error = np.log(seconds / measured)
    soft = 2 * SOFT**2 * (np.sqrt(1 + (error / SOFT) ** 2) - 1).sum()
    held = weakly * (moved**2).sum()
    return error, slopes[used] / seconds[:, None] @ along, float(soft + held)


def newest(names: Mapping[Name, object]) -> list[Name]:
    """The names whose torch is the newest of those that differ in torch alone."""
    found: dict[tuple[str, ...], Name] = {}
    for name in sorted(names, key=lambda name: [int(part) for part in name.torch.split(".")]):
        found[name[:-1]] = name
    return sorted(found.values())
