"""The conditions that a command line asks for, and models measured at each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from archstat import zoo
from archstat.cli.attempts import Attempts
from archstat.cli.progress import budget_bar, working
from archstat.errors import ArchstatError, SpecError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.figures import INTERRUPTED
from archstat.measure.latency.measurement import LatencyRun, Progress
from archstat.measure.latency.sampling import WallClock
from archstat.measure.latency.store import LatencyStore, store_path
from archstat.models.specs import parse_spec
from archstat.tables.compare import reference_row
from archstat.units import parse_seconds, short_dtype

BUDGET = "30s"
# What processes take to start, models to warm up and a minimum of samples to be taken, at least.
LEAST_S = 5.0
_LEAST_S = 0.1  # of a budget that is used up: a minimum of samples is always taken


def too_many(conditions: int, budget_s: float) -> str:
    """A sentence where so many conditions are bound to take longer than the budget."""
    least_s = conditions * LEAST_S
    if least_s <= budget_s:
        return ""
    return (
        f"{conditions} conditions need about {least_s:.0f} s or more, and --budget is "
        f"{budget_s:g} s: each will get a minimum of samples. Better: --budget {2 * least_s:.0f}s."
    )


def grid_of(
    device: str | None = None,
    dtype: str | None = None,
    batches: Sequence[str] | None = None,
    threads: Sequence[str] | None = None,
    **flags: bool,
) -> tuple[Conditions, ...]:
    """Every combination of the batch sizes and threads asked for, threads outermost.

    Raises:
        SpecError: no positive whole number, or the same one twice.
        LatencyError, DeviceError: conditions that cannot be.
    """
    base = Conditions(device or "cpu", short_dtype(dtype or "fp32"), None, **flags)
    counts = numbers("--threads", threads or ()) or (None,)
    sizes = numbers("--batch", batches or ()) or (None,)
    return tuple(
        replace(base, batch=batch, threads=count).checked()
        for count, batch in product(counts, sizes)
    )


@dataclass(slots=True)
class Series:
    """The runs of a sweep, and whether it was cut short."""

    runs: list[LatencyRun] = field(default_factory=list)
    is_interrupted: bool = False


class Sweep:
    """Models to be measured at each condition of a grid: checked before anything is started.

    Args:
        budget: the time for all of it, as typed; by default 30 s.
        reference: the model that ratios are to; by default the first.
        keeps: whether runs go into the store of this machine.

    Raises:
        SpecError: no models, or no time.
    """

    def __init__(
        self,
        models: Sequence[str],
        grid: Sequence[Conditions],
        budget: str | None = None,
        reference: str | None = None,
        input: Sequence[str] | None = None,
        keeps: bool = True,
    ) -> None:
        if not models:
            raise SpecError("bench needs a MODEL, or --history.")
        self.models, self.grid, self.input = models, grid, input or ()
        self.left = [*models]  # that no attempt failed of; the bar names them
        self.budget_s = budget_of(budget)
        self.reference = reference_row(models, reference or 0)
        self.store = LatencyStore(store_path()) if keeps else None

    def run(self, attempts: Attempts) -> Series:
        """One run a condition of the models of which no attempt failed, kept once it is finished.

        What is left of the budget is shared evenly among the conditions that are left.

        Raises:
            ArchstatError: none is left, the reference that was named failed, or nobody knows which.
            LatencyStoreError: a store that cannot be appended to.
            KeyboardInterrupt: interrupted before there was anything to tell.
        """
        if self.store is not None:
            self.store.check()
        if self.grid[0].on_cuda:
            with working("looking for the GPU"):
                from archstat.measure.latency.subject import check_here

                check_here(self.grid[0])
        if len(self.grid) > 1 and (warning := too_many(len(self.grid), self.budget_s)):
            print(warning, file=sys.stderr)
        clock, left_s, series = WallClock(), self.budget_s, Series()
        start = clock.now_ns()
        with budget_bar(self.left, len(self.grid)) as teller:
            for number, conditions in enumerate(self.grid):
                share_s = max(left_s, _LEAST_S) / (len(self.grid) - number)
                try:
                    run = self._measured(attempts, conditions, share_s, teller(number))
                except KeyboardInterrupt:
                    if not series.runs:
                        raise
                    series.is_interrupted = True
                    break
                if self.store is not None:
                    self.store.append(run.measurements)
                series.runs.append(run)
                left_s = round(self.budget_s - (clock.now_ns() - start) / 1e9, 1)
                series.is_interrupted = any(o.rule == INTERRUPTED for o in run.measurements)
                if series.is_interrupted:
                    break
        return series

    def _measured(
        self, attempts: Attempts, conditions: Conditions, budget_s: float,
        progress: Callable[[Progress], None] | None,
    ) -> LatencyRun:  # fmt: skip
        """A run of the models that are left, begun anew without one that fails meanwhile."""
        from archstat.measure.latency.runs import measure

        while True:
            self.left[:] = [self.models[number] for number in attempts.left()]
            reference = attempts.place(self.reference) if self.reference else 0
            try:
                return measure(
                    tuple(self.left),
                    conditions,
                    budget_s=budget_s,
                    input=self.input,
                    reference=reference,
                    progress=progress,
                )
            except ArchstatError as error:
                attempts.fail(error)


def budget_of(text: str | None, usual: str = BUDGET) -> float:
    """The seconds of ``--budget``, or the usual ones.

    Raises:
        SpecError: not a time above zero; the message has the usual one.
    """
    seconds = parse_seconds(text or usual)
    if seconds <= 0:
        raise SpecError(f"--budget {text}: give a time above zero, such as {usual}.")
    return seconds


def check_model(model: str, input: Sequence[str] | None, *, alone: bool) -> None:
    """Whether a model can be measured, before processes start: among others, whether it captures.

    Raises:
        ArchstatError: it cannot.
    """
    spec = parse_spec(model)
    if spec.scheme == "zoo":
        zoo.entry(spec.target)
    if not alone:
        from archstat.models.pipeline import graph_of_spec

        graph_of_spec(model, list(input or ()) or None)


def numbers(option: str, texts: Sequence[str]) -> tuple[int, ...]:
    """The numbers of ``1,8`` or of an option that is given several times.

    Raises:
        SpecError: not a positive whole number, or one that is there twice.
    """
    found: dict[int, None] = {}
    for text in (item.strip() for typed in texts for item in typed.split(",")):
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
            raise SpecError(
                f"{option} {text or repr(text)} is impossible: give whole numbers of at least 1, "
                f"such as {option} 1,8."
            )
        if int(text) in found:
            raise SpecError(f"{option} gives {text} twice; give it once.")
        found[int(text)] = None
    return tuple(found)
