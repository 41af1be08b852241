"""When a run ends: the intervals are narrow enough, or the budget is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archstat.latency.measurement import Interval
from archstat.latency.rounds import Tally
from archstat.units import format_share

MIN_SAMPLES = 9
MIN_CYCLES = 3


@dataclass(frozen=True, slots=True)
class StopRule:
    """The budget in s, the noise target as a part, and the minimum that comes before both."""

    budget_s: float
    noise_target: float
    processes: int
    min_samples: int = MIN_SAMPLES

    def reason(self, tally: Tally, elapsed_s: float, next_turn_s: float) -> str | None:
        """Why the run ends now, before another turn; None where it goes on.

        Too few samples keep it going whatever the budget.
        """
        models = range(len(tally.slots) - 1)
        cycles = min(tally.turns_of(process) for process in range(self.processes))
        short = cycles < 1 or min(map(tally.samples, models)) < self.min_samples
        if not short and cycles >= MIN_CYCLES and self._narrow(tally):
            return f"noise target of {format_share(self.noise_target)} reached"
        if short or elapsed_s + next_turn_s <= self.budget_s:
            return None
        if elapsed_s > self.budget_s:
            return f"minimum of {self.min_samples} samples (beyond {_seconds(self.budget_s)})"
        return f"budget of {_seconds(self.budget_s)} used"

    def _narrow(self, tally: Tally) -> bool:
        models = len(tally.slots) - 1
        others = [model for model in range(models) if model != tally.reference]
        watched: Sequence[Interval] = (
            *map(tally.interval, range(models)),
            *map(tally.ratio, others),
        )
        return all(interval.half_width <= self.noise_target for interval in watched)


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s"
