"""Rates of boards that run ncnn: the table, the typical board, how each differs from it.

A run is a board with so many threads. The typical board's rates fit all runs, each with a factor of
its own; a run's rates differ from them along `ALONG`: rates of kinds together, bandwidth, launch.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from device_fits import (
    KINDS,
    Array,
    Data,
    Name,
    Networks,
    Row,
    fitted,
    parameters,
    predicted,
    scaled,
)
from numpy.typing import NDArray

from archstat.analyses.boards import BOARD, LEAST_WEIGHT, SCATTER, WAYS

NAME = Name(BOARD, "fp32", "nchw", "ncnn", "")
# What ncnn's benchmark calls them, and what has the same layers and parameters here.
SPECS = {
    "alexnet": ("alexnet", 227),
    "efficientnet_b0": ("efficientnet_b0", 224),
    "efficientnetv2_b0": ("timm:tf_efficientnetv2_b0", 224),
    "googlenet": ("googlenet", 224),
    "mnasnet": ("mnasnet1_0", 224),
    "mobilenet": ("mobilenet_v1", 224),
    "mobilenet_v2": ("mobilenet_v2", 224),
    "mobilenet_v3": ("mobilenet_v3_large", 224),
    "regnety_400m": ("regnet_y_400mf", 224),
    "resnet18": ("resnet18", 224),
    "resnet50": ("resnet50", 224),
    "shufflenet": ("shufflenet_v1", 224),
    "shufflenet_v2": ("shufflenet_v2_x1_0", 224),
    "squeezenet": ("squeezenet1_1", 227),
    "vgg16": ("vgg16", 224),
    "vision_transformer": ("timm:vit_base_patch32_384", 384),
}  # fmt: skip
"""ProxylessNAS is in neither zoo nor timm, and is left out."""
ROUNDS, DRAWS, FEW = 3, 5, 3
# One with large convolutions, one of depthwise ones, one of many small kernels.
RECOMMENDED = ("resnet50", "mobilenet_v2", "shufflenet_v2")
OURS, MACS, TERMS, SISTER = (
    "archstat",
    "macs alone",
    "a x macs + b x activations",
    "sister x factor",
)


def _along() -> Array:
    kinds, columns = len(KINDS), []
    for together in WAYS.values():
        columns.append(np.zeros(2 * kinds + 2))
        columns[-1][[KINDS.index(kind) for kind in together]] = 1
    return np.array([*columns, scaled(0, 1), scaled(0, 0, -1)]).T


ALONG = _along()
COLUMNS = (*WAYS, "bytes", "launch")


class Run(NamedTuple):
    """A board with so many threads: networks by number, and seconds of each."""

    board: str
    threads: int
    networks: NDArray[np.intp]
    seconds: Array


def runs(path: Path) -> list[Run]:
    """The runs of a table of boards, with the shortest time of each network."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    threads: dict[tuple[str, str], int] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["network"] in SPECS:
                key = line["board"], line["run"]
                threads[key] = int(line["threads"])
                found.setdefault(key, []).append(
                    (list(SPECS).index(line["network"]), float(line["milliseconds_min"]) / 1000)
                )
    return [
        Run(key[0], threads[key], *(np.array(one) for one in zip(*sorted(rows), strict=True)))
        for key, rows in found.items()
    ]


class Boards:
    """The runs, and rates fitted to them."""

    def __init__(self, path: Path, networks: Networks) -> None:
        self.runs = runs(path)
        self.every = networks.data_of_specs(NAME, list(SPECS.values()))

    def of(self, run: Run) -> Data:
        """A run as a table of throughputs."""
        data = self.every.only(run.networks)
        rows = [replace_seconds(row, one) for row, one in zip(data.rows, run.seconds, strict=True)]
        return replace(data, rows=rows)

    def typical(self, some: list[Run]) -> Array:
        """The parameters of the typical board of some runs."""
        theta = parameters(6e9, 3e9, 2e-5)
        stacked = _stacked([self.of(run) for run in some])
        measured = np.log(stacked.seconds)
        places = np.concatenate([np.full(len(run.seconds), n) for n, run in enumerate(some)])
        for _ in range(ROUNDS):
            off = measured - np.log(predicted(stacked, theta))
            middle = np.array([np.median(off[places == n]) for n in range(len(some))])
            middle -= np.median(middle)
            rows = [replace_seconds(row, one) for row, one in
                    zip(stacked.rows, np.exp(measured - middle[places]), strict=True)]  # fmt: skip
            even = replace(stacked, rows=rows)
            theta = fitted(even, np.ones(len(rows), bool), theta)
        return theta

    def differing(self, run: Run, theta: Array) -> Array:
        """The parameters of a run, held weakly to those of the typical board times a factor."""
        data = self.of(run)
        off = float(np.median(np.log(data.seconds / predicted(data, theta))))
        return fitted(data, np.ones(len(data.rows), bool), theta + scaled(-off, -off, off), ALONG)

    @cached_property
    def shown(self) -> tuple[Array, list[Array]]:
        """The typical board of all runs, and the parameters of each run."""
        theta = self.typical(self.runs)
        return theta, [self.differing(run, theta) for run in self.runs]

    def seconds(self, theta: Array) -> Array:
        """Seconds of every network."""
        return predicted(self.every, theta)


def replace_seconds(row: Row, seconds: float) -> Row:
    """The row with another time."""
    return row._replace(seconds=float(seconds))


def _stacked(parts: list[Data]) -> Data:
    """The rows of several tables as those of one."""
    first = np.cumsum([0, *(len(part.rows) for part in parts)])
    network = [part.network + start for part, start in zip(parts, first, strict=False)]
    names = ("kind", "macs", "activations", "weights", "number", "launches")
    rest = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    rows = [row for part in parts for row in part.rows]
    return Data(NAME, rows, np.concatenate(network), *rest)


# -- boards left out one by one -------------------------------------------------------------------

Predictor = Callable[[Array, NDArray[np.intp]], Array]


def left_out(boards: Boards) -> dict[str, dict[str, list[tuple[Array, Array]]]]:
    """Errors, with measured seconds, of each run by rates of other boards and three networks.

    By which three, and by what predicted.
    """
    found: dict[str, dict[str, list[tuple[Array, Array]]]] = {}
    for board in dict.fromkeys(run.board for run in boards.runs):
        others = [run for run in boards.runs if run.board != board]
        ways = _ways(boards, others)
        for run in boards.runs:
            if run.board != board:
                continue
            row = _row(run)
            for what, chosen in _choices(run):
                rest = np.setdiff1d(run.networks, chosen)
                for way, predictor in ways.items():
                    error = (predictor(row, chosen) - row)[rest]
                    pairs = found.setdefault(what, {}).setdefault(way, [])
                    pairs.append((error, np.exp(row[rest])))
    return found


def _row(run: Run) -> Array:
    """Logarithms of seconds of every network; not a number where there is none."""
    row = np.full(len(SPECS), np.nan)
    row[run.networks] = np.log(run.seconds)
    return row


def _choices(run: Run) -> Iterator[tuple[str, NDArray[np.intp]]]:
    for seed in range(DRAWS):
        yield "three by chance", np.random.default_rng(seed).permutation(run.networks)[:FEW]
    named = np.array([list(SPECS).index(name) for name in RECOMMENDED])
    if np.isin(named, run.networks).all():
        yield ", ".join(RECOMMENDED), named


def _ways(boards: Boards, others: list[Run]) -> dict[str, Predictor]:
    theta = boards.typical(others)
    known = np.log([boards.seconds(boards.differing(run, theta)) for run in others])
    every, measured = boards.every, np.array([_row(run) for run in others])
    macs = np.log(np.bincount(every.network, every.number * every.macs))
    nbytes = np.log(np.bincount(every.network, every.number * every.activations))
    terms = np.array([np.logaddexp(macs, ratio + nbytes) for ratio in np.linspace(-7, 11, 37)])
    constant = measured - np.nanmedian(measured, axis=1)[:, None]
    for _ in range(ROUNDS):
        network = np.nanmedian(constant, axis=0)
        constant = measured - np.nanmedian(measured - network, axis=1)[:, None]

    def times_factor(times: Array) -> Predictor:
        return lambda row, chosen: times + np.median((row - times)[chosen])

    def two_terms(row: Array, chosen: NDArray[np.intp]) -> Array:
        every = [times_factor(one)(row, chosen) for one in terms]
        return min(every, key=lambda one: float(np.abs((one - row)[chosen]).sum()))

    def like(row: Array, chosen: NDArray[np.intp]) -> Array:
        """What `archstat.analyses.boards.like` does."""
        off = (row - known)[:, chosen]
        middle = off.mean(axis=1)[:, None]
        weight = np.exp(-((off - middle) ** 2).sum(axis=1) / SCATTER**2 / 2) + LEAST_WEIGHT
        return weight / weight.sum() @ (known + middle)

    return {OURS: like, MACS: times_factor(macs), TERMS: two_terms, SISTER: times_factor(network)}
