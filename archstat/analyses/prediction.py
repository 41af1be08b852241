"""The time that a network takes on a device, from rates fitted to measured throughputs.

A kernel takes ((macs / P)^4 + (bytes / B)^4)^(1/4): nearly the longer of arithmetic and memory
access, somewhat more where both take as long. The effective rate P and bandwidth B are those of
its kind, and each kernel costs a launch besides. A batch shares weights and launches; a byte of
weights, which comes from memory, may take longer than one of activations, which caches hold.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from math import exp, log, sqrt
from statistics import median
from typing import Any, NamedTuple

from archstat.analyses.device_files import built_in
from archstat.analyses.devices import Device, Roof
from archstat.analyses.kernels import Dtype, Engine, Kernel, Kernels
from archstat.errors import DeviceError, Option

SHARPNESS = 4
LEAST_MEASUREMENTS = 3
# Beyond these ratios of peaks or bandwidths no fitted device tells anything.
_FARTHEST = 6.0
# Measurements scatter by as much, and the balance of a device's rates by this, as logarithms.
_SCATTER, _TILT = 0.1, 0.15
_FARTHEST_TILT, _GOLDEN = 1.0, (1 + 5**0.5) / 2
_ROOF_DTYPE: Mapping[str, str] = {"amp": "fp16", "fp32": "fp32"}


class Rate(NamedTuple):
    """What kernels of a kind do a second: macs, and bytes."""

    macs: float
    nbytes: float


class Work(NamedTuple):
    """What all kernels of a network do for a sample: two networks hardly ever do the same."""

    macs: int
    activations: int
    weights: int
    kernels: int


class Interval(NamedTuple):
    """Four of five measured times lie between `low` and `high` times the predicted one."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fit:
    """Rates by kind of kernel, and seconds a launch, fitted to a table of measurements.

    `batches` are the least, the usual and the largest batch of the table, `seconds` the shortest
    and the longest time a sample. A byte of weights takes `weights` times as long as one of
    activations. `largest_shares` has for each kind the largest part of the time that it took in the
    table. `unseen` is the interval on a device that was not fitted, and `calibrated` the one after
    a few measurements there. `basis` says where the rates are from, and `assurance` what the
    interval rests on. `measured` has seconds a sample of networks of the table, by their work; they
    hold instead of what the rates say, and their interval is `calibrated`.
    """

    device: str
    dtype: Dtype
    layout: str
    engine: Engine
    torch: str
    basis: str
    rows: int
    batches: tuple[int, int, int]
    seconds: tuple[float, float]
    weights: float
    launch: float
    rates: Mapping[str, Rate]
    largest_shares: Mapping[str, float]
    interval: Interval
    unseen: Interval
    calibrated: Interval
    assurance: str = "four of five networks of families held out of the fit lie in the interval"
    measured: Mapping[Work, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds a sample, by kind of kernel (launches under ``launch``), and how sure they are.

    `outside` names what the fit has seen nothing like: kinds of kernel, or ``time``.
    """

    seconds: float
    by_kind: Mapping[str, float]
    batch: int
    interval: Interval
    outside: tuple[str, ...]

    @property
    def shares(self) -> dict[str, float]:
        """The part of the time that each kind takes, the largest first."""
        shares = {kind: seconds / self.seconds for kind, seconds in self.by_kind.items()}
        return dict(sorted(shares.items(), key=lambda one: -one[1]))


class Measured(NamedTuple):
    """A measurement on a device of the user's: a batch of a network, and seconds a sample."""

    kernels: Kernels
    batch: int
    seconds: float


@cache
def fits() -> tuple[Fit, ...]:
    """The fits that archstat comes with."""
    text = resources.files("archstat.analyses").joinpath("fits.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    return tuple(fit_of_entry(entry, document["sources"]) for entry in document["fits"])


def fit_of_entry(entry: dict[str, Any], sources: Mapping[str, str]) -> Fit:
    """A Fit from its table in a TOML file."""
    entry = dict(entry)
    entry["basis"] = f"{entry['basis']}; {sources[entry.pop('source')]}"
    for key in ("batches", "seconds"):
        entry[key] = tuple(entry[key])
    for key in ("interval", "unseen", "calibrated"):
        entry[key] = Interval(*entry[key])
    entry["rates"] = {kind: Rate(*rate) for kind, rate in entry["rates"].items()}
    return Fit(**entry)


def seconds_of(kernel: Kernel, rate: Rate, batch: int, weights: float = 1.0) -> float:
    """Seconds a sample of a kernel, without its launch."""
    runs = batch if kernel.shared else 1
    macs = kernel.macs / runs / rate.macs
    nbytes = (kernel.activations / runs + weights * kernel.weights / batch) / rate.nbytes
    longer, shorter = max(macs, nbytes), min(macs, nbytes)
    return longer * (1 + (shorter / longer) ** SHARPNESS) ** (1 / SHARPNESS) if longer else 0.0


def work_of(kernels: Kernels) -> Work:
    """The work of all kernels together."""
    each = kernels.items()
    return Work(sum(kernel.macs * times for kernel, times in each),
                sum(kernel.activations * times for kernel, times in each),
                sum(kernel.weights * times for kernel, times in each),
                sum(kernels.values()))  # fmt: skip


def times(kernels: Kernels, fit: Fit, batch: int) -> dict[str, float]:
    """Seconds a sample by kind of kernel, and under ``launch`` those of all launches."""
    found: dict[str, float] = {}
    for kernel, times in kernels.items():
        seconds = times * seconds_of(kernel, fit.rates[kernel.kind], batch, fit.weights)
        found[kernel.kind] = found.get(kernel.kind, 0.0) + seconds
    found["launch"] = sum(kernels.values()) * fit.launch / batch
    if fit.measured and (measured := fit.measured.get(work_of(kernels))):
        factor = measured / sum(found.values())
        return {kind: factor * seconds for kind, seconds in found.items()}
    return found


def predict(kernels: Kernels, fit: Fit, batch: int | None = None) -> Prediction:
    """The time of a network, in the table's usual batch unless another is given.

    Where the fit has seen nothing like the network, the interval is twice as wide.

    Raises:
        DeviceError: the batch is outside those of the table.
    """
    least, usual, most = fit.batches
    batch = usual if batch is None else batch
    if not least <= batch <= most:
        raise DeviceError(
            f"a batch of {batch} cannot be predicted: the rates of {fit.device} were measured at "
            f"batches of {least} to {most} and say nothing about other batches."
        )
    by_kind = times(kernels, fit, batch)
    seconds = sum(by_kind.values())
    shares = {kind: time / seconds for kind, time in by_kind.items() if seconds}
    outside = [kind for kind, share in shares.items() if share > fit.largest_shares[kind]]
    if not fit.seconds[0] <= seconds <= fit.seconds[1]:
        outside.append("time")
    interval = fit.calibrated if work_of(kernels) in fit.measured else fit.interval
    if outside:
        interval = Interval(interval.low**2, interval.high**2)
    return Prediction(seconds, by_kind, batch, interval, tuple(outside))


def transferred(known: Sequence[Fit], device: Device) -> Fit:
    """Fits carried to another device by the ratios of data-sheet peaks and of bandwidths.

    The rates are the geometric mean of what each says, the launch as well.

    Raises:
        DeviceError: a device without a peak for the dtype.
    """
    key = _ROOF_DTYPE[known[0].dtype]
    there, moved, basis = device.roof(key), [], []
    for fit in known:
        here = built_in()[fit.device].roof(key)
        macs, nbytes = there.products / here.products, there.bandwidth / here.bandwidth
        moved.append((_scaled(fit, macs, nbytes), 1 / len(known)))
        basis.append(f"{fit.device}'s rates x {macs:.3g} for macs and x {nbytes:.3g} for bytes")
    tables = "; ".join(dict.fromkeys(part for fit in known for part in fit.basis.split("; ")))
    return replace(
        mean_of(moved),
        device=device.name,
        basis=f"{', '.join(basis)}, as the data sheets say; {tables}",
        interval=known[0].unseen,
        assurance="the interval comes from predicting GPUs from other GPUs"
        + ("; the rates come from one cpu, untested on others and on GPUs in "
           f"{known[0].dtype}" if known[0].dtype == "fp32" else ""),
    )  # fmt: skip


def mean_of(parts: Sequence[tuple[Fit, float]]) -> Fit:
    """The first Fit with the geometric mean of all rates and times; the weights add up to 1."""
    first, weights = parts[0][0], [weight for _, weight in parts]

    def mean(numbers: Iterable[float]) -> float:
        return exp(sum(w * log(number) for w, number in zip(weights, numbers, strict=True)))

    rates = {}
    for kind in first.rates:
        macs, nbytes = zip(*(fit.rates[kind] for fit, _ in parts), strict=True)
        rates[kind] = Rate(mean(macs), mean(nbytes))
    measured = {work: mean(fit.measured[work] for fit, _ in parts) for work in first.measured}
    launch = mean(fit.launch for fit, _ in parts)
    return replace(first, rates=rates, launch=launch, measured=measured)


def fit_for(
    device: Device, engine: str | None = None, dtype: str | None = None, layout: str | None = None
) -> Fit:
    """The fit of a device, or those of devices near it carried to it; None leaves the choice.

    Raises:
        DeviceError: none for this engine, dtype and layout, or none whose device is near enough.
    """
    own = tuple(fit for fit in fits() if built_in()[fit.device] == device)
    known = sorted(own or fits(), key=lambda fit: (fit.engine != "eager", fit.layout != "nchw"))
    matching = [fit for fit in known if is_of(fit, engine, dtype, layout)]
    if not matching:
        there = dict.fromkeys(f"{fit.device} {fit.dtype} {fit.layout} {fit.engine}"
                              for fit in known)  # fmt: skip
        wanted = " ".join(word for word in (dtype, layout, engine) if word)
        raise DeviceError(
            f"{device.name} cannot be predicted with {wanted}: throughput was measured with "
            f"{', '.join(there)}. Choose one of these by {Option('dtype')}, {Option('layout')} and "
            f"{Option('engine')}."
        )
    return matching[0] if own else transferred(near_fits(matching, device), device)


def is_of(fit: Fit, *asked: str | None) -> bool:
    """Whether a fit is of this engine, dtype and layout; None asks for none."""
    return all(
        want in (None, has)
        for want, has in zip(asked, (fit.engine, fit.dtype, fit.layout), strict=True)
    )


def near_fits(known: Sequence[Fit], device: Device) -> list[Fit]:
    """The fit whose device is nearest by data-sheet peak and bandwidth, and its like near enough.

    Raises:
        DeviceError: no device with a peak for the dtype is near enough.
    """

    def distance(fit: Fit) -> float:
        key = _ROOF_DTYPE[fit.dtype]
        try:
            there = device.roof(key)
        except DeviceError:
            return float("inf")
        return _distance(built_in()[fit.device].roof(key), there)

    nearest = min(known, key=distance)
    asked = (nearest.engine, nearest.dtype, nearest.layout)
    near = [fit for fit in known if is_of(fit, *asked) and distance(fit) <= log(_FARTHEST)]
    if not near:
        raise DeviceError(
            f"{device.name} cannot be predicted: no device with measured throughputs is within "
            f"{_FARTHEST:g} times its peak and bandwidth; there are "
            f"{', '.join(dict.fromkeys(fit.device for fit in known))}."
        )
    return near


def _distance(here: Roof, there: Roof) -> float:
    """The logarithm of the larger ratio, of peaks or of bandwidths."""
    ratios = (there.products / here.products, there.bandwidth / here.bandwidth)
    return max(abs(log(ratio)) for ratio in ratios)


def _scaled(fit: Fit, macs: float, nbytes: float, launch: float = 1.0) -> Fit:
    rates = {kind: Rate(one.macs * macs, one.nbytes * nbytes) for kind, one in fit.rates.items()}
    return replace(fit, rates=rates, launch=fit.launch * launch)


def slowed(fit: Fit, factor: float) -> Fit:
    """A fit by which everything takes `factor` times as long."""
    measured = {work: seconds * factor for work, seconds in fit.measured.items()}
    return replace(_scaled(fit, 1 / factor, 1 / factor, factor), measured=measured)


def calibrated(fit: Fit, rows: Sequence[Measured]) -> Fit:
    """A fit adapted to measurements: one factor for all times, and one between macs and bytes.

    The second is held near 1, the first is free. Single measurements far from the others have
    little say.
    """
    tilt = _least(lambda tilt: _misfit(fit, rows, tilt))
    tilted = _scaled(fit, exp(tilt), exp(-tilt))
    factor = exp(median(errors(tilted, rows)))
    return for_rows(
        replace(
            slowed(tilted, factor),
            basis=f"{fit.device}'s rates x {exp(tilt) / factor:.3g} for macs and x "
            f"{exp(-tilt) / factor:.3g} for bytes, from {len(rows)} measurements of your own; "
            f"{fit.basis}",
            interval=fit.calibrated,
            assurance="the interval comes from predicting GPUs from other GPUs and three "
            "measurements",
            seconds=(fit.seconds[0] * factor, fit.seconds[1] * factor),
        ),
        rows,
    )


def for_rows(fit: Fit, rows: Sequence[Measured]) -> Fit:
    """A fit whose batches and range of times are those of the measurements."""
    seconds = [row.seconds for row in rows]
    batches = [row.batch for row in rows]
    return replace(
        fit,
        seconds=(min(*seconds, fit.seconds[0]), max(*seconds, fit.seconds[1])),
        batches=(min(batches), batches[0], max(batches)),
    )


def errors(fit: Fit, rows: Sequence[Measured]) -> list[float]:
    """Logarithms of measured over predicted time."""
    return [log(row.seconds / sum(times(row.kernels, fit, row.batch).values())) for row in rows]


def _misfit(fit: Fit, rows: Sequence[Measured], tilt: float) -> float:
    """How badly a tilt fits with the factor of all times that fits best with it."""
    found = errors(_scaled(fit, exp(tilt), exp(-tilt)), rows)
    middle = median(found)
    scatter = sum(2 * (sqrt(1 + ((error - middle) / _SCATTER) ** 2) - 1) for error in found)
    return scatter + (tilt / _TILT) ** 2


def _least(misfit: Callable[[float], float]) -> float:
    """The tilt at which a misfit is least, by golden sections."""
    low, high = -_FARTHEST_TILT, _FARTHEST_TILT
    while high - low > _TILT / 1000:
        left, right = high - (high - low) / _GOLDEN, low + (high - low) / _GOLDEN
        if misfit(left) < misfit(right):
            high = right
        else:
            low = left
    return (low + high) / 2


def left_out(adapt: Callable[[Sequence[Measured]], Fit], rows: Sequence[Measured]) -> list[float]:
    """Predicted over measured time of each row, by a fit adapted to the others."""
    return [
        exp(-errors(adapt([*rows[:number], *rows[number + 1 :]]), [row])[0])
        for number, row in enumerate(rows)
    ]
