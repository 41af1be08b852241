"""The rule that ends a run, at its borders."""

from __future__ import annotations

import pytest

from archstat.measure.latency.rounds import Round, Tally, Turn
from archstat.measure.latency.sampling import MIN_CYCLES, StopRule

RULE = StopRule(budget_s=10, noise_target=0.02, processes=3)


def tally(cycles: int, samples: int = 9, spread: float = 0.0) -> Tally:
    made = Tally(2, 0, "forward")
    for number in range(3 * cycles):
        ms = 5 * (1 + spread * (number % 3))
        slot = {"forward": [ms] * samples}
        made.add(Turn(number % 3, (Round((slot, slot, slot)),)))
    return made


@pytest.mark.parametrize("elapsed", [0, 9, 500])
def test_the_minimum_is_taken_whatever_the_budget(elapsed):
    assert RULE.reason(tally(0), elapsed, 1) is None
    assert RULE.reason(tally(MIN_CYCLES - 1), elapsed, 1) is None


def test_equal_processes_reach_the_noise_target_after_some_cycles():
    assert RULE.reason(tally(MIN_CYCLES - 1), 1, 1) is None
    assert RULE.reason(tally(MIN_CYCLES), 1, 1) == "noise target of 2.0% reached"


def test_unlike_processes_use_the_budget():
    unlike = tally(MIN_CYCLES, spread=0.1)
    assert RULE.reason(unlike, 9.0, 1) is None
    assert RULE.reason(unlike, 9.1, 1) == "budget of 10 s used"


def test_a_budget_that_was_too_short_is_told():
    told = RULE.reason(tally(MIN_CYCLES, spread=0.1), 10.1, 1)
    assert told == f"minimum of {MIN_CYCLES} turns a process (beyond 10 s)"


def test_a_ratio_may_be_narrow_while_the_times_are_not():
    assert RULE.reason(tally(MIN_CYCLES, spread=0.1), 1, 1) is None


def test_turns_that_agree_on_the_slow_mode_do_not_reach_the_noise_target():
    slow = [156.0] * 19 + [0.36]
    made = Tally(1, 0, "forward")
    for number in range(3 * MIN_CYCLES):
        made.add(Turn(number % 3, (Round(({"forward": slow}, {"forward": slow})),)))
    assert made.interval(0).low == 0.36
    assert RULE.reason(made, 1, 1) is None
