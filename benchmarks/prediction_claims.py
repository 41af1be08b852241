"""Predictions of families, devices and boards held out, with reference lines beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from board_fits import MACS, OURS, RATES, SISTER, TERMS, Boards, left_out
from catalogue import torchvision_importable
from device_fits import (
    FOLDS,
    KINDS_OF_ROOF,
    Array,
    Data,
    Name,
    Networks,
    data_of,
    fitted,
    predicted,
    prior,
    scaled,
    tables,
)
from numpy.typing import NDArray

from archstat.analyses.device_files import built_in

LOW, HIGH, DRAWS = 0.1, 0.9, 6
SCATTER, TILT = 0.1, 0.15


class Line(NamedTuple):
    """Logarithms of predicted over measured time, and the measured ones, of rows of a table."""

    what: str
    error: Array
    seconds: Array
    held: float = float("nan")

    @property
    def size(self) -> Array:
        """Errors as parts of the measured time."""
        return np.abs(np.expm1(self.error))

    def cells(self) -> tuple[str, ...]:
        """The row of a table."""
        held = "" if np.isnan(self.held) else f"{100 * self.held:.0f} %"
        size, count = self.size, str(len(self.error))
        return (self.what, count, f"{100 * np.median(size):.1f} %",
                f"{100 * np.quantile(size, HIGH):.1f} %", f"{self.spearman:.3f}", held)  # fmt: skip

    @property
    def spearman(self) -> float:
        """The correlation of ranks."""
        measured = np.log(self.seconds)
        ranks = [np.argsort(np.argsort(one)) for one in (measured, measured + self.error)]
        return float(np.corrcoef(*ranks)[0, 1])


Ways = dict[str, Line]  # a line by what predicted: ours, and the reference lines


def interval(error: Array) -> tuple[float, float]:
    """Measured over predicted time of the middle 80 %."""
    low, high = np.quantile(np.exp(-error), [LOW, HIGH])
    return float(low), float(high)


def _held(parts: Sequence[Array]) -> list[float]:
    """How often the interval of all other parts holds the rows of each."""
    found = []
    for number, part in enumerate(parts):
        rest = [one for other, one in enumerate(parts) if other != number]
        low, high = np.quantile(np.concatenate(rest), [LOW, HIGH])
        found.append(float(np.mean((part >= low) & (part <= high))))
    return found


@dataclass
class Claims:
    """The claims of the report: the predictions of families, devices and boards held out."""

    data: dict[Name, Data]
    boards: Boards
    _known: dict[tuple[Name, int], Array] = field(default_factory=dict)

    # -- parameters ----------------------------------------------------------------------------

    def theta(self, name: Name, fold: int) -> Array:
        """What is fitted to a table without a fold's families."""
        if (name, fold) not in self._known:
            data = self.data[name]
            self._known[name, fold] = fitted(data, data.folds != fold, prior(name))
        return self._known[name, fold]

    def others(self, name: Name) -> list[Name]:
        """The tables of other devices with the same dtype, layout and engine."""
        return [there for there in self.data if there.device != name.device
                and there[1:4] == name[1:4]]  # fmt: skip

    def moved(self, name: Name, fold: int) -> Array:
        """What is fitted to the tables of other devices, carried over by data-sheet ratios."""
        parts = [self.theta(there, fold) + scaled(*_ratios(name, there))
                 for there in self.others(name)]  # fmt: skip
        return np.mean(parts, axis=0)

    # -- the four cases ------------------------------------------------------------------------

    @cached_property
    def own(self) -> dict[Name, Ways]:
        """New networks on a fitted device."""
        found = {}
        for name, data in self.data.items():
            ours = _by_fold(data, lambda fold, name=name: self.theta(name, fold))  # type: ignore[misc]
            inside = _held([ours[data.folds == fold] for fold in range(FOLDS)])
            sizes = [int((data.folds == fold).sum()) for fold in range(FOLDS)]
            held = float(np.average(inside, weights=sizes))
            found[name] = {OURS: Line("", ours, data.seconds, held),
                           **self._beside(name, lambda data, fold: data.folds != fold)}  # fmt: skip
        return found

    @cached_property
    def unseen(self) -> dict[Name, Ways]:
        """Devices by their data sheets alone; reference lines know the table's other families."""
        found = {}
        for name in self._twins:
            data = self.data[name]
            ours = _by_fold(data, lambda fold, name=name: self.moved(name, fold))  # type: ignore[misc]
            found[name] = {OURS: Line("", ours, data.seconds),
                           **self._beside(name, lambda data, fold: data.folds != fold)}  # fmt: skip
        return _with_held(found)

    def measured(self, number: int) -> dict[Name, Ways]:
        """Devices of which so many rows of other families were measured."""
        found = {}
        for name in self._twins:
            draws = [self._calibrated(name, number, seed) for seed in range(DRAWS)]
            data = self.data[name]
            seconds = np.tile(data.seconds, DRAWS)
            lines = {way: Line("", np.concatenate([draw[way] for draw in draws]), seconds)
                     for way in (OURS, MACS, TERMS)}  # fmt: skip
            sister = np.concatenate([draw[SISTER] for draw in draws])
            shown = np.tile(self._shared(name)[0], DRAWS)
            found[name] = {**lines, SISTER: Line("", sister, seconds[shown])}
        return _with_held(found)

    @cached_property
    def _twins(self) -> list[Name]:
        return [name for name in self.data if self.others(name)]

    def _calibrated(self, name: Name, number: int, seed: int) -> dict[str, Array]:
        data, chosen = self.data[name], {}
        for fold in range(FOLDS):
            rows = np.flatnonzero(data.folds != fold)
            drawn = np.random.default_rng(seed).permutation(rows)[:number]
            chosen[fold] = np.sort(drawn)

        def adapted(fold: int) -> Array:
            return tilted(data.only(chosen[fold]), self.moved(name, fold))

        found = {OURS: _by_fold(data, adapted)}
        for way, line in self._beside(
            name, lambda data, fold: np.isin(np.arange(len(data.rows)), chosen[fold])
        ).items():
            found[way] = line.error
        return found

    def _shared(self, name: Name) -> tuple[NDArray[np.bool_], Array]:
        """Which rows the nearest other device has too, and its times there."""
        near = min(self.others(name), key=lambda there: float(np.abs(_ratios(name, there)).max()))
        seconds = {row.key: row.seconds for row in self.data[near].rows}
        rows = self.data[name].rows
        return (np.array([row.key in seconds for row in rows]),
                np.array([seconds.get(row.key, 1.0) for row in rows]))  # fmt: skip

    def _beside(self, name: Name, used: Callable[[Data, int], NDArray[np.bool_]]) -> Ways:
        """The reference lines, from the rows in use of each fold."""
        data = self.data[name]
        macs, nbytes = _summed(data, data.macs), _summed(data, data.activations)
        error = {MACS: np.zeros(len(data.rows)), TERMS: np.zeros(len(data.rows))}
        sister = np.zeros(len(data.rows))
        shared, there = self._shared(name) if self.others(name) else (np.zeros(0, bool), macs)
        for fold in range(FOLDS):
            away, known = data.folds == fold, used(data, fold)
            error[MACS][away] = _off(data, macs, known)[away]
            error[TERMS][away] = _off(data, _two_terms(data, macs, nbytes, known), known)[away]
            if shared.any():
                common = known & shared
                sister[away] = _off(data, there, common if common.any() else shared)[away]
        lines = {way: Line("", one, data.seconds) for way, one in error.items()}
        if shared.any():
            lines[SISTER] = Line("", sister[shared], data.seconds[shared])
        return lines

    @cached_property
    def of_boards(self) -> dict[str, Ways]:
        """Boards left out one by one, of which three networks were measured."""
        found: dict[str, Ways] = {}
        for what, ways in left_out(self.boards).items():
            lines = {}
            for way, parts in ways.items():
                error, seconds = (np.concatenate(one) for one in zip(*parts, strict=True))
                lines[way] = Line("", error, seconds)
                if way in (OURS, RATES):
                    held = _held([error for error, _ in parts])
                    sizes = [len(error) for error, _ in parts]
                    lines[way] = Line("", error, seconds, float(np.average(held, weights=sizes)))
            found[what] = lines
        return found


# -- what predicts --------------------------------------------------------------------------------


def _ratios(there: Name, here: Name) -> Array:
    """Logarithms of the ratios of data-sheet peaks and bandwidths."""
    key = KINDS_OF_ROOF[there.dtype]
    roofs = [built_in()[one.device].roof(key) for one in (there, here)]
    return np.log([roofs[0].products / roofs[1].products, roofs[0].bandwidth / roofs[1].bandwidth])


def _by_fold(data: Data, theta: Callable[[int], Array]) -> Array:
    """Errors of each fold by the parameters made for it."""
    error = np.zeros(len(data.rows))
    for fold in range(FOLDS):
        away = data.folds == fold
        error[away] = np.log(predicted(data, theta(fold)) / data.seconds)[away]
    return error


def _summed(data: Data, what: Array) -> Array:
    return np.bincount(data.network, data.number * what, len(data.rows))


def _off(data: Data, times: Array, known: NDArray[np.bool_]) -> Array:
    """Errors of times, up to the factor that fits the known rows best."""
    error = np.log(times / data.seconds)
    return error - np.median(error[known])


def _two_terms(data: Data, macs: Array, nbytes: Array, known: NDArray[np.bool_]) -> Array:
    """a x macs + b x activations; the ratio of the two that fits the known rows best."""
    every = [macs + ratio * nbytes for ratio in np.logspace(-3, 5, 81)]
    return min(every, key=lambda one: float(np.abs(_off(data, one, known)[known]).sum()))


def tilted(data: Data, theta: Array) -> Array:
    """Parameters adapted by two factors: what `archstat.analyses.prediction.calibrated` does."""
    best: tuple[float, Array] | None = None
    for tilt in np.linspace(-1, 1, 81):
        there = theta + scaled(tilt, -tilt)
        errors = np.log(data.seconds / predicted(data, there))
        middle = float(np.median(errors))
        soft = float(2 * (np.sqrt(1 + ((errors - middle) / SCATTER) ** 2) - 1).sum())
        loss = soft + (tilt / TILT) ** 2
        if best is None or loss < best[0]:
            best = loss, there + scaled(-middle, -middle, middle)
    assert best is not None
    return best[1]


def _with_held(found: dict[Name, Ways]) -> dict[Name, Ways]:
    """With how often the interval of the other tables holds the rows of each."""
    held = _held([ways[OURS].error for ways in found.values()])
    return {name: {**ways, OURS: ways[OURS]._replace(held=one)}
            for (name, ways), one in zip(found.items(), held, strict=True)}  # fmt: skip


def read(throughput: Path, boards: Path, cache: Path) -> Claims:
    """The claims on two files of measurements."""
    with torchvision_importable():
        every, networks = tables(throughput), Networks(cache)
        data = {name: data_of(name, rows, networks) for name, rows in every.items()}
        return Claims(data, Boards(boards))
