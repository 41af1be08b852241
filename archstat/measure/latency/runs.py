"""`measure`: models interleaved in rounds, over several fresh processes that take turns.

Most of the variance of a latency lies between processes, not within one. The processes start
together, so that their imports and builds overlap; from the first call on only one runs at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle

from archstat.errors import LatencyError, Option
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.figures import INTERRUPTED, figures
from archstat.measure.latency.machine import others_runnable
from archstat.measure.latency.measurement import LatencyRun, Progress, Stage
from archstat.measure.latency.messages import (
    Built,
    Request,
    Warmed,
    rounds_of,
    turn_command,
    warm_command,
    warmed_models,
)
from archstat.measure.latency.processes import Process, WorkerProcess
from archstat.measure.latency.rounds import Tally, Turn
from archstat.measure.latency.sampling import (
    MIN_CYCLES,
    Clock,
    Plan,
    StopRule,
    WallClock,
    plan_for,
    rounds_in_turn,
)

MIN_PROCESSES = 2
# Of the budget, for each model in each process; the calls of a long warm-up are thrown away.
_WARM_UP_SHARE = 1 / 50
_LONGEST_WARM_UP_S = 1.0
_NANO = 1e9


@dataclass(frozen=True, slots=True)
class Outside:
    """What a run needs of the world; tests bring a virtual one.

    `others_runnable` is given the ids of the processes that do not count.
    """

    clock: Clock
    start: Callable[[], Process]
    others_runnable: Callable[[Sequence[int]], int | None]
    date: Callable[[], str]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def measure(
    specs: Sequence[str],
    conditions: Conditions,
    *,
    budget_s: float = 30.0,
    input: Sequence[str] = (),
    reference: int = 0,
    processes: int = 3,
    noise_target: float = 0.02,
    progress: Callable[[Progress], None] | None = None,
    outside: Outside | None = None,
) -> LatencyRun:
    """The latency of models at one condition, and their ratios to a reference.

    Args:
        specs: the models; a spec may name its own input and batch.
        conditions: of all of them.
        budget_s: of everything, start-up included; a minimum of samples is always taken.
        input: shapes without the batch, for models whose spec names none.
        reference: the number, among `specs`, of the model that ratios are taken to.
        processes: fresh processes, at least 2; intervals are over these.
        noise_target: the run ends when every interval is this narrow (half of it, as a part).
        progress: is told between turns how far the run is.
        outside: the clock and the processes, those of this machine by default.

    Raises:
        LatencyError, DeviceError: the conditions cannot be met here, or a process died.
        ArchstatError: a model does not build or run.
        KeyboardInterrupt: interrupted before there was anything to tell.
    """
    conditions = conditions.checked()
    _check(specs, budget_s, reference, processes, noise_target)
    outside = outside or Outside(WallClock(), WorkerProcess, others_runnable, _now)
    request = Request(tuple(specs), tuple(input), conditions)
    rule = StopRule(budget_s, noise_target, processes)
    run = _Run(request, rule, reference, outside, progress or (lambda told: None))
    try:
        return run.whole()
    finally:
        run.close()


def _check(
    specs: Sequence[str], budget_s: float, reference: int, processes: int, noise_target: float
) -> None:
    if not specs:
        raise LatencyError("no model to measure; name one, such as resnet18.")
    if not budget_s > 0:
        raise LatencyError(
            f"{Option('budget', f'{budget_s:g}s')} is impossible: give more than 0 s."
        )
    if not 0 <= reference < len(specs):
        raise LatencyError(f"there is no model {reference} among {len(specs)} to compare with.")
    if processes < MIN_PROCESSES:
        raise LatencyError(
            f"{processes} measuring process tells nothing about the variance between processes; "
            f"give at least {MIN_PROCESSES}."
        )
    if not noise_target >= 0:
        raise LatencyError(f"a noise target of {noise_target} is impossible: give at least 0.")


class _Run:
    """One run from the start of its processes to its figures."""

    def __init__(
        self,
        request: Request,
        rule: StopRule,
        reference: int,
        outside: Outside,
        progress: Callable[[Progress], None],
    ) -> None:
        self.request, self.rule, self.outside, self.progress = request, rule, outside, progress
        self.began_ns = outside.clock.now_ns()
        self.tally = Tally(len(request.specs), reference, request.conditions.main_phase)
        self.workers: list[Process] = []
        self.waiting: int | None = None
        self.others: list[int] = []
        self.built: list[Built] = []
        self.warmed: list[tuple[Warmed, ...]] = []
        self.plans: list[Plan] = []
        self.needed_s = 0.0

    def whole(self) -> LatencyRun:
        """Start, build, warm up, take turns until the rule ends it, and add up."""
        self._tell("starting")
        for _ in range(self.rule.processes):
            self.workers.append(self.outside.start())
        for worker in self.workers:
            worker.send(self.request.message())
        for worker in self.workers:
            self._tell("starting")
            self.built.append(Built.of(worker.receive()))
        self._warm_up()
        rule = self._measure()
        return figures(self.request, self.tally, self.built[0], self.warmed, self.plans, rule,
                       self.others, self.outside.date())  # fmt: skip

    def close(self) -> None:
        """End all processes."""
        for worker in self.workers:
            worker.close()

    def _warm_up(self) -> None:
        share_s = min(_LONGEST_WARM_UP_S, self.rule.budget_s * _WARM_UP_SHARE)
        batches: list[int] | None = None
        for worker in self.workers:
            self._tell("warming up")
            worker.send(warm_command(share_s * _NANO, batches))
            self.warmed.append(warmed_models(worker.receive()))
            batches = [model.batch for model in self.warmed[-1]]
        fastest = [min(m.call_ns for m in models) for models in zip(*self.warmed, strict=True)]
        # One plan for all processes, so that each has the same say.
        self.plans = [plan_for(call_ns, self.outside.clock) for call_ns in fastest]

    def _measure(self) -> str:
        """Take turns; what ended them."""
        try:
            return self._turns()
        except KeyboardInterrupt:
            self._finish_turn()
            if not any(map(self.tally.turns_of, range(self.rule.processes))):
                raise
            return INTERRUPTED

    def _turns(self) -> str:
        plans = [self.plans[model] for model in self.tally.slots]
        rounds = rounds_in_turn(plans)
        command = turn_command(self.tally.slots, plans, rounds)
        turn_s = rounds * sum(plan.slot_ns for plan in plans) / _NANO
        self.needed_s = self._elapsed_s() + MIN_CYCLES * self.rule.processes * turn_s
        for process in cycle(range(self.rule.processes)):
            self._tell("measuring")
            began_s = self._elapsed_s()
            ended = self.rule.reason(self.tally, began_s, turn_s)
            if ended is not None:
                return ended
            own = [worker.pid for worker in self.workers]
            if (others := self.outside.others_runnable(own)) is not None:
                self.others.append(others)
            self.workers[process].send(command)
            self.waiting = process
            self._take_turn_in(process)
            turn_s = self._elapsed_s() - began_s
        raise AssertionError("a cycle has no end")

    def _take_turn_in(self, process: int) -> None:
        answer = self.workers[process].receive()
        self.waiting = None
        self.tally.add(Turn(process, rounds_of(answer)))

    def _finish_turn(self) -> None:
        """After Ctrl-C: take in what the running turn has finished, unless there is another."""
        if self.waiting is not None:
            self.workers[self.waiting].interrupt()
            with suppress(KeyboardInterrupt):
                self._take_turn_in(self.waiting)

    def _elapsed_s(self) -> float:
        return (self.outside.clock.now_ns() - self.began_ns) / _NANO

    def _tell(self, stage: Stage) -> None:
        models = range(len(self.request.specs))
        known = all(map(self.tally.samples, models))
        intervals = tuple(map(self.tally.interval, models)) if known else ()
        spent_s, budget_s = self._elapsed_s(), self.rule.budget_s
        self.progress(Progress(stage, spent_s, budget_s, intervals, self.needed_s))
