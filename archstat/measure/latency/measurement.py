"""What a measurement gives: timings with their intervals, and everything they depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal

from archstat.measure.latency.conditions import Conditions


class Verdict(StrEnum):
    """Whether a model is faster than another, as far as the intervals tell."""

    FASTER = "faster"
    SLOWER = "slower"
    OPEN = "can't tell"

    @property
    def tone(self) -> Literal["good", "bad", "open"]:
        """How a screen colours it."""
        return "open" if self is Verdict.OPEN else "good" if self is Verdict.FASTER else "bad"


Stage = Literal["starting", "warming up", "measuring"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between its 95 % limits: of a latency in ms, or of a ratio."""

    low: float
    middle: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval as a part of its middle: 0.02 is plus or minus 2 %."""
        return (self.high - self.low) / 2 / self.middle

    def contains(self, value: float) -> bool:
        """Whether a value lies between the limits."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Timing:
    """One phase of a model, in ms a call: the spread of its samples, and what is known of p50.

    The percentiles are of all samples together; the interval is of the median, over processes.
    The phase is ``forward`` (on cuda by events), ``wall`` (with one synchronisation), ``dispatch``
    (until the call returns), ``cuda_graph``, or, of training, ``forward``, ``backward``,
    ``optimizer`` and ``step``, which is all three.
    """

    phase: str
    p5_ms: float
    p50_ms: float
    p95_ms: float
    iqr_ms: float
    interval_ms: Interval
    samples: int
    processes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine measured on; `identity` is the same for the same machine and device."""

    device_name: str
    driver: str | None
    torch: str
    python: str
    platform: str
    cores: int
    identity: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One model at one condition; `timings` in the order of `Conditions.phases`.

    `conditions` are those that ran, `asked_batch` is the batch before memory ran out. `rule` says
    what ended the run. `per_process` are, a process, the medians of its turns in ms, of the main
    phase. `settings` are torch's switches that speed depends on, as they stood.
    """

    model: str
    input: str
    conditions: Conditions
    asked_batch: int
    threads: int
    layout: str
    method: str
    rule: str
    first_call_ms: float
    timings: tuple[Timing, ...]
    machine: Machine
    date: str
    settings: Mapping[str, Any]
    per_process: tuple[tuple[float, ...], ...]

    @property
    def main(self) -> Timing:
        """The timing that stands for the model: forward, or the step of training."""
        return self.timing(self.conditions.main_phase) or self.timings[0]

    @property
    def throughput(self) -> float:
        """Samples of the batch a second, at the median."""
        return (self.conditions.batch or 1) / (self.main.p50_ms / 1e3)

    def timing(self, phase: str) -> Timing | None:
        """The timing of a phase, if that was measured."""
        return next((timing for timing in self.timings if timing.phase == phase), None)

    def to_record(self) -> dict[str, Any]:
        """Plain JSON values by field name."""
        record = {name: getattr(self, name) for name in self.__slots__}
        return {
            **record,
            "conditions": self.conditions.to_record(),
            "timings": [asdict(timing) for timing in self.timings],
            "machine": asdict(self.machine),
            "settings": dict(self.settings),
            "per_process": [list(medians) for medians in self.per_process],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Measurement:
        """The measurement that `to_record` gave.

        Raises:
            KeyError, TypeError, ValueError: the record is none of these.
        """
        given = {name: record[name] for name in cls.__slots__}
        timings = tuple(
            Timing(**{**timing, "interval_ms": Interval(**timing["interval_ms"])})
            for timing in given["timings"]
        )
        return cls(
            **{
                **given,
                "conditions": Conditions.from_record(given["conditions"]),
                "timings": timings,
                "machine": Machine(**given["machine"]),
                "per_process": tuple(tuple(medians) for medians in given["per_process"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Ratio:
    """The time of a model over that of the reference, from rounds in which both ran."""

    model: str
    reference: str
    interval: Interval
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class LatencyRun:
    """Models measured together, in rounds; `ratios` has one for each model but the reference.

    `noise` is the reference against itself: how far from 1 a ratio of equals came here and now.
    `reference` is its number among the measurements.
    """

    measurements: tuple[Measurement, ...]
    ratios: tuple[Ratio, ...]
    noise: Interval
    remarks: tuple[str, ...] = ()
    reference: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `intervals` in ms, one a model, once there is something to tell.

    `needed_s` is what a minimum of samples takes in all, start-up included, as far as it is known.
    """

    stage: Stage
    elapsed_s: float
    budget_s: float
    intervals: tuple[Interval, ...] = ()
    needed_s: float = 0.0

    @property
    def share(self) -> float:
        """The part of the budget that is used, at most 1."""
        return min(1.0, self.elapsed_s / self.budget_s)
