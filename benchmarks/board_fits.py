"""Rates of boards that run ncnn: the table, the typical board, how each differs from it.

A run is a board with so many threads. The typical board's rates fit all runs, each with a factor of
its own; a run's rates differ from them along `ALONG`: rates of kinds together, bandwidth, launch.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from device_fits import (
    KINDS,
    Array,
    Data,
    Name,
    Row,
    fitted,
    parameters,
    predicted,
    scaled,
)
from numpy.typing import NDArray

from archstat.analyses.boards import BOARD, LEAST_WEIGHT, SCATTER, SPEED, WAYS
from archstat.analyses.kernels import kernels
from archstat.analyses.prediction import work_of
from archstat.models.pipeline import graph_of_spec

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
# About what boards of the middle do: the few networks leave many a kind's rates open, and these are
# held to it.
START, TYPICALLY = parameters(4e10, 1e10, 4e-5), 1.0
ROUNDS, DRAWS, FEW, HIDDEN = 3, 5, 3, 4
# Large convolutions, weights that must come from memory, many small kernels; and a triple without
# the second.
TRIPLES = (
    ("resnet50", "alexnet", "shufflenet_v2"),
    ("resnet50", "mobilenet_v2", "shufflenet_v2"),
)
OURS, RATES, MACS, TERMS, SISTER = (
    "archstat",
    "archstat, a network that the table lacks",
    "macs alone",
    "a x macs + b x activations",
    "sister x factor",
)


def _along() -> Array:
    kinds, columns = len(KINDS), []
    for together in WAYS.values():
        columns.append(np.zeros(2 * kinds + 2))
        columns[-1][[KINDS.index(kind) for kind in together]] = 1
    activation = np.zeros(2 * kinds + 2)
    activation[kinds + KINDS.index("activation")] = 1
    return np.array([*columns, activation, scaled(0, 1), scaled(0, 0, -1)]).T


ALONG = _along()
COLUMNS = (*WAYS, "activation", "bytes", "launch")


class Run(NamedTuple):
    """A board with so many threads: networks by number, and seconds of each."""

    board: str
    threads: int
    networks: NDArray[np.intp]
    seconds: Array

    def without(self, hidden: NDArray[np.intp]) -> Run:
        """The run as if these networks were not measured."""
        kept = ~np.isin(self.networks, hidden)
        return self._replace(networks=self.networks[kept], seconds=self.seconds[kept])


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

    def __init__(self, path: Path) -> None:
        self.runs = runs(path)
        rows = [Row(spec, resolution, 1, 1.0, "") for spec, resolution in SPECS.values()]
        found = [kernels(graph_of_spec(row.model, f"3x{row.resolution}x{row.resolution}", 1),
                         NAME.engine, NAME.dtype) for row in rows]  # fmt: skip
        self.works = [work_of(one) for one in found]
        self.every = Data.of(NAME, rows, found)

    def typical(self, some: list[Run]) -> Array:
        """The parameters of the typical board of some runs."""
        theta = START
        networks = np.concatenate([run.networks for run in some])
        measured = np.log(np.concatenate([run.seconds for run in some]))
        places = np.concatenate([np.full(len(run.seconds), n) for n, run in enumerate(some)])
        for _ in range(ROUNDS):
            off = measured - np.log(self.seconds(theta))[networks]
            middle = np.array([np.median(off[places == n]) for n in range(len(some))])
            middle -= np.median(middle)
            even = np.exp(measured - middle[places])
            theta = fitted(self.every, networks, START, seconds=even, weakly=TYPICALLY)
        return theta

    def differing(self, run: Run, theta: Array) -> Array:
        """The parameters of a run, held weakly to those of the typical board times a factor."""
        off = float(np.median(np.log(run.seconds / self.seconds(theta)[run.networks])))
        start = theta + scaled(-off, -off, off)
        return fitted(self.every, run.networks, start, ALONG, run.seconds)

    @cached_property
    def shown(self) -> tuple[Array, list[Array]]:
        """The typical board of all runs, and the parameters of each run."""
        theta = self.typical(self.runs)
        return theta, [self.differing(run, theta) for run in self.runs]

    def seconds(self, theta: Array) -> Array:
        """Seconds of every network."""
        return predicted(self.every, theta)

    def known(self, run: Run, theta: Array) -> Array:
        """Measured seconds of every network, and predicted ones of those not measured."""
        seconds = self.seconds(theta)
        seconds[run.networks] = run.seconds
        return seconds


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
    for triple in TRIPLES:
        named = np.array([list(SPECS).index(name) for name in triple])
        if np.isin(named, run.networks).all():
            yield ", ".join(triple), named


def _like(boards: Boards, others: list[Run], hidden: NDArray[np.intp]) -> Predictor:
    """What `archstat.analyses.boards.like` does, if some networks are not in the table.

    Where none is hidden, measured times of networks hold; else rates have to do.
    """
    left = [run.without(hidden) for run in others]
    theta = boards.typical(left)
    thetas = np.array([boards.differing(run, theta) for run in left])
    pairs = zip(others, thetas, strict=True)
    known = np.log([boards.known(run, one) for run, one in pairs])

    def like(row: Array, chosen: NDArray[np.intp]) -> Array:
        off = (row - known)[:, chosen]
        middle = off.mean(axis=1)
        apart = ((off - middle[:, None]) ** 2).sum(axis=1) + (SPEED * middle) ** 2
        weight = np.exp(-apart / SCATTER**2 / 2) + LEAST_WEIGHT
        weight /= weight.sum()
        times = np.log(boards.seconds(weight @ thetas)) if hidden.size else weight @ known
        return times + weight @ middle

    return like


def _ways(boards: Boards, others: list[Run]) -> dict[str, Predictor]:
    folds = [np.arange(first, len(SPECS), HIDDEN) for first in range(HIDDEN)]
    without = [_like(boards, others, fold) for fold in folds]
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

    def by_rates(row: Array, chosen: NDArray[np.intp]) -> Array:
        found = np.zeros(len(SPECS))
        for fold, like in zip(folds, without, strict=True):
            found[fold] = like(row, chosen)[fold]
        return found

    ours = _like(boards, others, np.zeros(0, np.intp))
    return {OURS: ours, RATES: by_rates, MACS: times_factor(macs), TERMS: two_terms,
            SISTER: times_factor(network)}  # fmt: skip
