"""How well throughputs are predicted, and the rates that `archstat predict` goes by.

    python benchmarks/prediction.py throughput.csv --cache build/prediction [--write]

`throughput.csv` has a row a measurement: device, dtype, layout, engine, torch, model, resolution,
batch, samples_per_second, source; models are timm's. Families of networks (the letters that names
begin with) are held out together, in five folds. ``--write`` writes `archstat/analyses/fits.toml`
and `reports/prediction.md`; without it the tables are printed. The first run captures every
network, which takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from catalogue import torchvision_importable
from device_fits import (
    KINDS_OF_ROOF,
    Array,
    Data,
    Name,
    Networks,
    data_of,
    fitted,
    newest,
    predicted,
    prior,
    tables,
    times_by_kind,
)

from archstat.analyses.device_files import built_in
from archstat.analyses.kernels import KINDS

ROOT = Path(__file__).parents[1]
FITS, REPORT = ROOT / "archstat/analyses/fits.toml", ROOT / "reports/prediction.md"
FOLDS, LOW, HIGH, DRAWS, WORST = 5, 0.1, 0.9, 2, 10


@dataclass(frozen=True)
class Errors:
    """Logarithms of predicted over measured time, with what they are of."""

    what: str
    rows: int
    error: Array
    spearman: float
    held: float = float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Measured over predicted time of the middle 80 %."""
        return tuple(float(number) for number in np.quantile(np.exp(-self.error), [LOW, HIGH]))

    def cells(self) -> tuple[str, ...]:
        """The row of a table."""
        size = np.abs(np.expm1(self.error))
        held = "" if np.isnan(self.held) else f"{100 * self.held:.0f} %"
        return (self.what, str(self.rows), f"{100 * np.median(size):.1f} %",
                f"{100 * np.quantile(size, HIGH):.1f} %", f"{self.spearman:.3f}", held)  # fmt: skip


HEAD = ("what", "rows", "median error", "90th percentile", "Spearman", "80 % interval holds")


def main() -> None:
    """Fit, cross-validate, print; write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("throughput", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="where Graphs are kept")
    parser.add_argument("--networks", type=int, default=2000, help="so many, drawn by a seed")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with torchvision_importable():
        every, networks = (
            tables(arguments.throughput, arguments.networks),
            Networks(arguments.cache),
        )
        data = {name: data_of(name, every[name], networks) for name in newest(every)}
    own = {name: held_out(one, _model(one)) for name, one in data.items()}
    moved = [transfer(data[there], data[here]) for there, here in sisters(data)]
    few = {number: [calibration(data[there], data[here], number)
                    for there, here in sisters(data)] for number in (3, 10)}  # fmt: skip
    text = report(data, own, moved, few)
    print(text)
    if arguments.write:
        unseen = np.concatenate([one.error for one in moved])
        after = np.concatenate([one.error for one in few[3]])
        intervals = [tuple(np.quantile(np.exp(-one), [LOW, HIGH])) for one in (unseen, after)]
        FITS.write_text(toml(data, own, intervals), encoding="utf-8")
        REPORT.write_text(text, encoding="utf-8")


# -- what predicts: rows to learn from, to seconds of every row ---------------------------------

Predictor = Callable[[np.ndarray], Array]


def _model(data: Data) -> Predictor:
    return lambda used: predicted(data, fitted(data, used, prior(data.name)))


def _macs_alone(data: Data) -> Predictor:
    macs = _summed(data, data.macs)
    return lambda used: macs * np.exp(np.median(np.log(data.seconds / macs)[used]))


def _two_terms(data: Data) -> Predictor:
    """a x macs + b x activations; the ratio of the two that fits best, of many."""
    macs, nbytes = _summed(data, data.macs), _summed(data, data.nbytes)

    def predictor(used: np.ndarray) -> Array:
        best: tuple[float, Array] | None = None
        for ratio in np.logspace(-3, 5, 81):
            terms = macs + ratio * nbytes
            errors = np.log(data.seconds / terms)
            factor = np.median(errors[used])
            loss = float(np.median(np.abs(errors[used] - factor)))
            if best is None or loss < best[0]:
                best = loss, terms * np.exp(factor)
        assert best is not None
        return best[1]

    return predictor


def _summed(data: Data, what: Array) -> Array:
    return np.bincount(data.network, data.number * what, len(data.rows))


def held_out(data: Data, predictor: Predictor, what: str = "") -> Errors:
    """Errors of every family by what was learned without it, and how often intervals hold.

    A fold's interval is that of the errors of the other folds.
    """
    error = np.zeros(len(data.rows))
    for fold in range(FOLDS):
        away = data.folds == fold
        error[away] = np.log(predictor(~away) / data.seconds)[away]
    inside = 0
    for fold in range(FOLDS):
        away = data.folds == fold
        low, high = np.quantile(error[~away], [LOW, HIGH])
        inside += int(((error[away] >= low) & (error[away] <= high)).sum())
    return Errors(what or title(data.name), len(error), error, _spearman(data, error),
                  inside / len(error))  # fmt: skip


def _spearman(data: Data, error: Array) -> float:
    seconds = np.log(data.seconds)
    ranks = [np.argsort(np.argsort(one)) for one in (seconds, seconds + error)]
    return float(np.corrcoef(*ranks)[0, 1])


# -- other devices ------------------------------------------------------------------------------


def sisters(data: dict[Name, Data]) -> list[tuple[Name, Name]]:
    """Each GPU with the nearest other one of the same layout and engine: target and source."""
    found = []
    for there in data:
        known = [here for here in data if here.device != there.device
                 and (here.layout, here.engine, here.dtype) ==
                 (there.layout, there.engine, there.dtype)]  # fmt: skip
        if known:
            found.append((there, min(known, key=lambda here: max(np.abs(_ratios(there, here))))))
    return found


def _ratios(there: Name, here: Name) -> Array:
    """Logarithms of the ratios of data-sheet peaks and bandwidths."""
    key = KINDS_OF_ROOF[there.dtype]
    roofs = [built_in()[one.device].roof(key) for one in (there, here)]
    return np.log([roofs[0].products / roofs[1].products, roofs[0].bandwidth / roofs[1].bandwidth])


def moved_to(there: Name, here: Name, theta: Array) -> Array:
    """Parameters carried over by data-sheet ratios."""
    kinds = len(KINDS)
    peak, bandwidth = _ratios(there, here)
    return theta + np.array([peak] * kinds + [bandwidth] * kinds + [0.0])


def transfer(there: Data, here: Data) -> Errors:
    """Errors on a device that was not fitted, of families that were not either."""
    error = np.zeros(len(there.rows))
    for fold in range(FOLDS):
        theta = _without(here, there, fold)
        away = there.folds == fold
        error[away] = np.log(predicted(there, theta) / there.seconds)[away]
    what = f"{title(there.name)} from {here.name.device}"
    return Errors(what, len(error), error, _spearman(there, error))


def _without(here: Data, there: Data, fold: int) -> Array:
    """What is fitted on a device without the families of another's fold, carried to the other."""
    key = here.name, there.name, fold
    if key not in _FITTED:
        away = {row.family for row, own in zip(there.rows, there.folds, strict=True) if own == fold}
        used = np.array([row.family not in away for row in here.rows])
        _FITTED[key] = moved_to(there.name, here.name, fitted(here, used, prior(here.name)))
    return _FITTED[key]


_FITTED: dict[tuple[Name, Name, int], Array] = {}


def calibration(there: Data, here: Data, number: int) -> Errors:
    """Errors after so many measurements of other families on a device that was not fitted."""
    error = np.zeros((DRAWS, len(there.rows)))
    for fold in range(FOLDS):
        theta = _without(here, there, fold)
        away = there.folds == fold
        for draw in range(DRAWS):
            chosen = np.random.default_rng(draw).permutation(np.flatnonzero(~away))[:number]
            adapted = tilted(there.only(np.sort(chosen)), theta)
            error[draw, away] = np.log(predicted(there, adapted) / there.seconds)[away]
    spearman = float(np.mean([_spearman(there, one) for one in error]))
    what = f"{title(there.name)} from {here.name.device}, {number} measurements"
    return Errors(what, number, error.ravel(), spearman)


def tilted(data: Data, theta: Array) -> Array:
    """Parameters adapted by two factors: what `archstat.analyses.prediction.calibrated` does."""
    kinds, best = len(KINDS), None
    for tilt in np.linspace(-1, 1, 41):
        there = theta + np.array([tilt] * kinds + [-tilt] * kinds + [0.0])
        errors = np.log(data.seconds / predicted(data, there))
        loss = float(((errors - errors.mean()) ** 2).sum() / 0.1**2 + (tilt / 0.3) ** 2)
        if best is None or loss < best[0]:
            factor = float(errors.mean())
            best = loss, there + np.array([-factor] * 2 * kinds + [factor])
    assert best is not None
    return best[1]


# -- what is written ----------------------------------------------------------------------------


def title(name: Name) -> str:
    """A table in words."""
    layout = "" if name.layout == "nchw" else f" {name.layout}"
    return f"{name.device} {name.dtype}{layout} {name.engine}"


def report(
    data: dict[Name, Data], own: dict[Name, Errors], moved: Sequence[Errors],
    few: dict[int, Sequence[Errors]],
) -> str:  # fmt: skip
    """The tables as Markdown."""
    lines = [
        "# How well throughputs are predicted", "",
        "Written by `python benchmarks/prediction.py throughput.csv --cache FOLDER --write`.",
        "Errors are of the time a sample, in per cent of the measured one. No family of networks "
        "(the letters that its names begin with) is in what it is tested with.", "",
        "## New networks on a fitted device", "", *_markdown(own.values()), "",
        "Beside them, on the same rows: macs alone times a factor, and a x macs + b x bytes.", "",
        *_markdown(_lines_beside(data)), "",
        "## A device by its data sheet alone", "", *_markdown(moved), "",
        "Beside them, the other card's measured times, times one factor:", "",
        *_markdown(_sister_lines(data)), "",
    ]  # fmt: skip
    for number, errors in few.items():
        lines += [f"## {number} measurements on a device that was not fitted", "",
                  *_markdown(errors), ""]  # fmt: skip
    lines += ["## The worst rows", "", *_worst(data, own)]
    return "\n".join(lines) + "\n"


def _markdown(errors: object) -> list[str]:
    rows = [HEAD, ("---",) * len(HEAD), *(one.cells() for one in errors)]  # type: ignore[attr-defined]
    return ["| " + " | ".join(row) + " |" for row in rows]


def _lines_beside(data: dict[Name, Data]) -> Iterator[Errors]:
    for name, one in data.items():
        yield held_out(one, _macs_alone(one), f"{title(name)}: macs")
        yield held_out(one, _two_terms(one), f"{title(name)}: macs and bytes")


def _sister_lines(data: dict[Name, Data]) -> Iterator[Errors]:
    for there, here in sisters(data):
        seconds = {row.key: row.seconds for row in data[here].rows}
        rows = [row for row in data[there].rows if row.key in seconds]
        error = np.array([np.log(seconds[row.key] / row.seconds) for row in rows])
        error -= np.median(error)
        ranks = [np.argsort(np.argsort(one)) for one in
                 ([row.seconds for row in rows], [seconds[row.key] for row in rows])]  # fmt: skip
        what = f"{title(there)}: {here.device}'s times"
        yield Errors(what, len(rows), error, float(np.corrcoef(*ranks)[0, 1]))


def _worst(data: dict[Name, Data], own: dict[Name, Errors]) -> Iterator[str]:
    found = [(abs(error), title(name), row.model, row.resolution, np.exp(error))
             for name, one in own.items()
             for row, error in zip(data[name].rows, one.error, strict=True)]  # fmt: skip
    yield "| table | network | resolution | predicted over measured time |"
    yield "| --- | --- | --- | --- |"
    for _, table, model, resolution, ratio in sorted(found, reverse=True)[:WORST]:
        yield f"| {table} | {model} | {resolution} | {ratio:.2f} |"


def toml(
    data: dict[Name, Data], own: dict[Name, Errors], intervals: Sequence[Sequence[float]]
) -> str:
    """The fits as TOML."""
    lines = [
        "# Effective rates of kernels, fitted to measured throughputs; written by",
        "# benchmarks/prediction.py. A rate is macs a second and bytes a second. A kind without",
        "# macs keeps the rate that the fit begins with: a quarter of the data sheet's flops.",
        "# Intervals are measured over predicted time, 10 % and 90 % of held-out families.",
        "", "[sources]",
        'timm = "results of the timm project (Apache-2.0), https://github.com/huggingface/'
        'pytorch-image-models/tree/main/results"',
    ]  # fmt: skip
    for name, one in data.items():
        lines += _entry(name, one, own[name], intervals)
    return "\n".join(lines) + "\n"


def _entry(
    name: Name, data: Data, errors: Errors, intervals: Sequence[Sequence[float]]
) -> Iterator[str]:
    theta = fitted(data, np.ones(len(data.rows), bool), prior(name))
    by_kind = times_by_kind(data, theta)[0]
    shares = (by_kind / by_kind.sum(axis=1)[:, None]).max(axis=0)
    batches = np.quantile([row.batch for row in data.rows], [0.01, 0.5, 0.99], method="nearest")
    yield from ("", "[[fits]]", *(f'{key} = "{value}"' for key, value in name._asdict().items()))
    yield f'basis = "{data.rows[0].source}"'
    yield from ('source = "timm"', f"rows = {len(data.rows)}")
    yield f"batches = {[int(batch) for batch in batches]}"
    yield f"seconds = {_numbers((data.seconds.min(), data.seconds.max()))}"
    yield f"launch = {np.exp(theta[-1]):.3g}"
    for key, interval in zip(
        ("interval", "unseen", "calibrated"), (errors.interval, *intervals), strict=True
    ):
        yield f"{key} = {_numbers(interval)}"
    yield "[fits.rates]"
    for number, kind in enumerate(KINDS):
        yield f"{kind} = {_numbers(np.exp(theta[[number, number + len(KINDS)]]))}"
    yield "[fits.largest_shares]"
    for kind, share in zip((*KINDS, "launch"), shares, strict=True):
        yield f"{kind} = {share:.3f}"


def _numbers(numbers: Sequence[float] | Array) -> str:
    return f"[{', '.join(f'{number:.4g}' for number in numbers)}]"


if __name__ == "__main__":
    main()
