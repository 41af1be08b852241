"""An experiment run on this machine: what its networks cost, how fast they are, in proportion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from archstat.analyses.memory_access import memory_access
from archstat.analyses.operations import operations
from archstat.errors import LatencyError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.experiments import MACS_TOLERANCE, Experiment, Variant
from archstat.measure.latency.figures import INTERRUPTED
from archstat.measure.latency.intervals import interval_over
from archstat.measure.latency.measurement import (
    Interval,
    LatencyRun,
    Measurement,
    Progress,
    Verdict,
)
from archstat.measure.latency.rounds import verdict
from archstat.measure.latency.runs import measure

CPU_BATCH, GPU_BATCH = 1, 8

Measure = Callable[..., LatencyRun]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A network of an experiment, measured; macs and elements of memory access are of a batch.

    `ratio` is its time over that of the first network of its size, None for that one.
    """

    variant: Variant
    macs: int
    memory_access: int
    measurement: Measurement
    ratio: Interval | None
    verdict: Verdict | None

    @property
    def batches_per_second(self) -> float:
        """Batches a second at the median."""
        return 1e3 / self.measurement.main.p50_ms


@dataclass(frozen=True)
class ExperimentRun:
    """All networks of an experiment on one machine, in the order of its rows."""

    experiment: Experiment
    outcomes: tuple[Outcome, ...]
    run: LatencyRun

    @cached_property
    def sizes(self) -> Mapping[str, tuple[Outcome, ...]]:
        """The outcomes of each size; ratios are to the first of them."""
        found: dict[str, tuple[Outcome, ...]] = {}
        for outcome in self.outcomes:
            size = outcome.variant.size
            found[size] = (*found.get(size, ()), outcome)
        return found

    @property
    def is_interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return any(one.rule == INTERRUPTED for one in self.run.measurements)


def run_experiment(
    experiment: Experiment,
    conditions: Conditions,
    budget_s: float,
    *,
    progress: Callable[[Progress], None] | None = None,
    measured: Measure = measure,
) -> ExperimentRun:
    """Measure the networks of an experiment, all of them in each round.

    Args:
        conditions: a batch of None is 8 on a GPU, 1 on a cpu.
        budget_s: of the measurement, start-up included.
        measured: what measures, `runs.measure`.

    Raises:
        LatencyError: the macs of its networks differ by more than 6 %; see also `measure`.
    """
    asked = with_batch(conditions)
    variants = experiment.variants(asked.on_cuda)
    specs = [variant.spec for variant in variants]
    costs = [_costs(spec, asked.batch) for spec in specs]
    if experiment.has_equal_macs:
        check_macs(variants, [macs for macs, _ in costs])
    run = measured(specs, asked, budget_s=budget_s, progress=progress)
    return ExperimentRun(experiment, tuple(_outcomes(variants, costs, run)), run)


def with_batch(conditions: Conditions) -> Conditions:
    """The conditions with a batch.

    Raises:
        LatencyError, DeviceError: they cannot be.
    """
    usual = GPU_BATCH if conditions.on_cuda else CPU_BATCH
    batch = usual if conditions.batch is None else conditions.batch
    return replace(conditions, batch=batch).checked()


def check_macs(variants: Sequence[Variant], macs: Sequence[int]) -> None:
    """Whether the networks of each size have macs within 6 % of each other.

    Raises:
        LatencyError: they have not, so that their times tell nothing of the guideline.
    """
    for size in dict.fromkeys(variant.size for variant in variants):
        found = [n for n, variant in zip(macs, variants, strict=True) if variant.size == size]
        if max(found) > (1 + MACS_TOLERANCE) * min(found):
            raise LatencyError(
                f"the macs of {size} differ by more than {MACS_TOLERANCE:.0%}: "
                f"{min(found)} to {max(found)}."
            )


def _costs(spec: str, batch: int | None) -> tuple[int, int]:
    """macs, and elements read and written."""
    from archstat.models.pipeline import graph_of_spec

    graph = graph_of_spec(spec, None, batch)
    macs, access = operations(graph).totals["macs"], memory_access(graph).totals["memory_access"]
    assert isinstance(macs, int) and isinstance(access, int)
    return macs, access


def _outcomes(
    variants: Sequence[Variant], costs: Sequence[tuple[int, int]], run: LatencyRun
) -> list[Outcome]:
    first: dict[str, Measurement] = {}
    outcomes = []
    for variant, (macs, access), mine in zip(variants, costs, run.measurements, strict=True):
        reference = first.setdefault(variant.size, mine)
        ratio = None if reference is mine else time_ratio(mine, reference)
        said = None if ratio is None else verdict(ratio, run.noise)
        outcomes.append(Outcome(variant, macs, access, mine, ratio, said))
    return outcomes


def time_ratio(mine: Measurement, reference: Measurement) -> Interval:
    """The time of a model over that of another one measured in the same rounds, turn by turn."""
    return interval_over([
        [one / other for one, other in zip(turns, others, strict=False)]
        for turns, others in zip(mine.per_process, reference.per_process, strict=True)
    ])  # fmt: skip
