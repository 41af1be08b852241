"""Warm-up, blocks and rounds on a virtual clock: every figure is exact."""

from __future__ import annotations

import pytest

from archstat.measure.latency.sampling import (
    LEAD_NS,
    MILLISECOND,
    MOST_IN_SLOT,
    SLOT_NS,
    TURN_NS,
    Plan,
    blocks_of,
    plan_for,
    rounds_in_turn,
    settle,
    take_round,
    warm_up,
)

MICROSECOND = 1000


def test_warm_up_goes_on_while_calls_get_faster(virtual_clock, virtual_subject):
    clock = virtual_clock()
    subject = virtual_subject(clock, 100, 90, 80, 70, 60, 50, 40, 30)
    assert warm_up(subject, clock, 150) == 50
    assert clock.ns == 3 * 150  # and no longer than that


def test_warm_up_of_a_steady_model_ends_with_its_time(virtual_clock, virtual_subject):
    clock = virtual_clock()
    subject = virtual_subject(clock, 500, 100)
    assert warm_up(subject, clock, 900) == 100
    assert clock.ns == 900


def test_warm_up_calls_a_slow_model_three_times(virtual_clock, virtual_subject):
    clock = virtual_clock()
    subject = virtual_subject(clock, 7 * MILLISECOND)
    warm_up(subject, clock, 1)
    assert subject.calls == 3


@pytest.mark.parametrize("call_us", [1, 20, 100, 150, 199])
@pytest.mark.parametrize("reading_ns", [0, 60, 900])
def test_readings_of_the_clock_are_less_than_one_percent(
    virtual_clock, virtual_subject, call_us, reading_ns
):
    clock = virtual_clock(reading_ns)
    plan = plan_for(call_us * MICROSECOND, clock)
    subject = virtual_subject(clock, call_us * MICROSECOND)
    before = clock.readings
    (ms, *_) = subject.sample(clock, plan.calls, plan.blocks)["forward"]
    assert clock.readings - before == 2 * plan.blocks
    assert 1 <= ms / (call_us / 1000) < 1.01


def test_a_call_of_100_us_is_timed_in_blocks_of_two(virtual_clock):
    plan = plan_for(100 * MICROSECOND, virtual_clock(50))
    assert (plan.calls, plan.blocks, plan.lead) == (2, MOST_IN_SLOT, 1)


def test_a_slow_call_is_timed_by_itself_and_none_is_thrown_away(virtual_clock):
    plan = plan_for(3 * LEAD_NS, virtual_clock())
    assert (plan.calls, plan.blocks, plan.lead) == (1, 1, 0)
    assert plan.slot_ns == 3 * LEAD_NS


def test_blocks_fill_a_slot_and_rounds_a_turn(virtual_clock):
    plan = plan_for(5 * MILLISECOND, virtual_clock())
    assert plan.blocks == SLOT_NS // (5 * MILLISECOND)
    slow = Plan(1, 1, 0, TURN_NS / 4)
    assert rounds_in_turn([slow, slow]) == 2
    assert rounds_in_turn([Plan(1, 1, 0, 10 * TURN_NS)]) == 1


def test_a_round_interleaves_and_leaves_the_first_call_out(virtual_clock, virtual_subject):
    clock = virtual_clock()
    cold = virtual_subject(clock, 9 * MILLISECOND, 2 * MILLISECOND)
    slow = virtual_subject(clock, 30 * MILLISECOND)
    plans = [Plan(1, 3, 1, 2e6), Plan(1, 1, 0, 3e7)]
    taken = take_round([cold, slow], plans, clock)
    assert taken.slots == ({"forward": [2, 2, 2]}, {"forward": [30]})
    assert (cold.calls, slow.calls) == (4, 1)


@pytest.mark.parametrize(
    ("plan", "calls"),
    [
        (Plan(1, 1, 0, TURN_NS / 4), 1),
        (Plan(1, 1, 0, TURN_NS), 0),  # too dear to throw away
        (Plan(2, 9, 1, 1000), 0),  # every slot has such a call
    ],
)
def test_a_turn_settles_by_a_call_that_is_not_counted(virtual_clock, virtual_subject, plan, calls):
    subject = virtual_subject(virtual_clock(), 5)
    settle(subject, plan)
    assert subject.calls == calls


def test_blocks_that_take_far_too_long_are_fewer(virtual_clock, virtual_subject):
    clock = virtual_clock()
    subject = virtual_subject(clock, MILLISECOND, 100 * MILLISECOND)
    # The third begins after 101 ms, the fourth would after 201, beyond the 160 ms of a slot.
    assert blocks_of(subject.call, clock, 1, 25) == [1, 100, 100]
    assert blocks_of(subject.call, clock, 4, 25) == [100]
