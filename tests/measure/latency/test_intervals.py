"""Intervals over processes, against Student's formula and against simulated machines."""

from __future__ import annotations

import math
import random
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.measure.latency.intervals import (
    clipped,
    fast_mode,
    independent,
    interval_of_median,
    interval_over,
    percentile,
    student,
)


@pytest.mark.parametrize(
    ("freedom", "point"), [(1, 12.706), (2, 4.303), (7, 2.365), (12, 2.179), (1e9, 1.960)]
)
def test_student_is_the_tables_value(freedom, point):
    assert student(freedom) == pytest.approx(point, rel=4e-3)


def test_student_never_has_less_than_one_degree():
    assert student(0.2) == student(1)


def test_percentiles_lie_between_neighbours():
    assert percentile([1.0, 2.0, 4.0], 0.5) == 2
    assert percentile([1.0, 2.0, 4.0], 0.75) == 3
    assert percentile([7.0], 0.95) == 7


def test_the_interval_of_one_turn_each_is_students():
    found = interval_over([[1.0], [2.0], [4.0]])
    reach = 4.303 * math.log(2) / math.sqrt(3)
    assert found.middle == pytest.approx(2)
    assert found.high == pytest.approx(2 * math.exp(reach))
    assert found.low == pytest.approx(2 * math.exp(-reach))


def test_equal_values_leave_no_doubt():
    found = interval_over([[3.0, 3.0], [3.0, 3.0]])
    assert (found.low, found.middle, found.high) == pytest.approx((3, 3, 3))
    assert found.half_width == 0


def test_a_slow_spell_of_the_machine_widens_the_interval():
    calm = [[10.0, 10.1, 10.0, 10.1, 10.0, 10.1]] * 3
    slow = [[10.0, 10.1, 10.0, 14.1, 14.0, 14.1]] * 3
    assert interval_over(slow).half_width > 10 * interval_over(calm).half_width


def test_a_single_stalled_turn_neither_moves_nor_widens_much():
    calm = [[10.0, 10.1, 9.9, 10.0, 10.1, 9.9, 10.0] for _ in range(3)]
    stalled = [[*calm[0][:3], 300.0, *calm[0][4:]], *calm[1:]]
    assert interval_over(stalled).middle == pytest.approx(10, rel=5e-3)
    assert interval_over(stalled).half_width < 0.03


def test_processes_of_unlike_length_are_all_heard():
    found = interval_over([[10.0, 10.0], [20.0], []])
    assert found.middle == pytest.approx(math.sqrt(200))


def test_alike_neighbours_are_worth_less():
    assert independent([1, -1, 1, -1, 1, -1]) == 6
    assert independent([2, 2, 2]) == 3
    assert independent([1, -1, 5]) == 3  # too few to be told alike
    assert independent([1, 1, 1, -1, -1, -1]) == 1
    series = [1, 1, 1, -1, -1, -1, -1, 1, 1, 1, -1, 1]
    centred = [value - sum(series) / 12 for value in series]
    whole = sum(value**2 for value in centred)
    alike = (12 * sum(a * b for a, b in pairwise(centred)) / whole + 1) / 9
    assert independent(series) == pytest.approx(12 * (1 - alike) / (1 + alike))


def test_clipping_leaves_ordinary_values_alone():
    assert clipped([1.0, 2.0, 3.0]) == [1, 2, 3]
    assert clipped([1.0, 1.0, 1.0, 9.0]) == [1, 1, 1, 9]  # no spread to judge by
    assert max(clipped([1.0, 2.0, 3.0, 2.0, 90.0])) == pytest.approx(2 + 3 * 1.4826)


@pytest.mark.parametrize(("between", "turns", "within"), [(0.05, 0.0, 0.02), (0.02, 0.03, 0.02)])
def test_intervals_hold_the_truth_as_often_as_they_say(between, turns, within):
    """Simulated runs of 3 processes and 6 turns: 95 % promised, at least 92 % demanded."""
    drawn = random.Random(0)
    held, runs = 0, 1000
    for _ in range(runs):
        machine = [drawn.gauss(0, turns) for _ in range(6)]
        logs = []
        for _ in range(3):
            level = drawn.gauss(0, between)
            logs.append([level + shift + drawn.gauss(0, within) for shift in machine])
        held += interval_over([list(map(math.exp, row)) for row in logs]).contains(1.0)
    assert held >= 0.92 * runs


def test_an_interval_is_not_wider_than_it_must_be():
    """Of 3 processes alone it is Student's, on the average within a fifth."""
    drawn = random.Random(1)
    reach = []
    for _ in range(500):
        levels = [drawn.gauss(0, 0.05) for _ in range(3)]
        found = interval_over([[math.exp(level + drawn.gauss(0, 0.001)) for _ in range(6)]
                               for level in levels])  # fmt: skip
        own = 4.303 * statistics.stdev(levels) / math.sqrt(3)
        reach.append(math.log(found.high / found.middle) / own)
    assert statistics.median(reach) == pytest.approx(1, abs=0.2)


# -- of the median of samples -------------------------------------------------------------------


def simulated(drawn, turns, slow_busy, slow_calm, factor, drift, between=0.01):
    """Ascending samples, by process and turn, on a machine that is busy in some turns.

    In a busy turn a share of the samples is slower by a factor; busy turns come in a row, and the
    machine drifts between turns.
    """
    levels = [drawn.gauss(0, between) for _ in range(3)]
    found = [[] for _ in levels]
    busy, shift = drawn.random() < 0.5, drawn.gauss(0, drift)
    for number in range(3 * turns):
        shift = 0.7 * shift + math.sqrt(1 - 0.7**2) * drawn.gauss(0, drift)
        if drawn.random() < 0.3:
            busy = drawn.random() < 0.5
        slow = slow_busy if busy else slow_calm
        logs = [
            levels[number % 3] + shift + drawn.gauss(0, 0.01)
            + (drawn.random() < slow) * (math.log(factor) + drawn.gauss(0, 0.3))
            for _ in range(16)
        ]  # fmt: skip
        found[number % 3].append(sorted(map(math.exp, logs)))
    return found


@pytest.mark.parametrize("turns", [3, 8])
@pytest.mark.parametrize(
    ("slow_busy", "slow_calm", "factor", "drift", "demanded"),
    [
        (0.0, 0.0, 1, 0.0, 0.9),
        (0.0, 0.0, 1, 0.05, 0.92),
        (0.4, 0.05, 100, 0.0, 0.9),
        (0.95, 0.5, 100, 0.0, 0.92),
        (0.8, 0.2, 100, 0.02, 0.85),
    ],
    ids=["calm", "drifting", "seldom slow", "mostly slow", "half slow"],
)
def test_intervals_hold_the_long_run_median(slow_busy, slow_calm, factor, drift, demanded, turns):
    machine = (slow_busy, slow_calm, factor, drift)
    drawn = random.Random(0)
    samples = [
        ms
        for _ in range(150)
        for turn in simulated(drawn, 4, *machine)
        for row in turn
        for ms in row
    ]
    median = statistics.median(samples)
    runs = 200
    held = sum(
        interval_of_median(simulated(drawn, turns, *machine)).contains(median) for _ in range(runs)
    )
    assert held >= demanded * runs


def test_the_interval_of_a_calm_machine_is_that_of_its_processes():
    drawn = random.Random(3)
    runs = [simulated(drawn, 8, 0.0, 0.0, 1, 0.0, between=0.03) for _ in range(100)]
    of_turns = [[[statistics.median(turn) for turn in turns] for turns in run] for run in runs]
    ratios = [
        interval_of_median(run).half_width / interval_over(medians).half_width
        for run, medians in zip(runs, of_turns, strict=True)
    ]
    assert statistics.median(ratios) == pytest.approx(1, abs=0.05)


turns = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=9).map(sorted)


@given(st.lists(st.lists(turns, min_size=1, max_size=5), min_size=1, max_size=4))
def test_the_interval_holds_what_is_shown_and_not_what_was_never_near(processes):
    found = interval_of_median(processes)
    samples = [ms for turns in processes for turn in turns for ms in turn]
    assert found.middle == pytest.approx(statistics.median(samples))
    assert found.low <= found.middle <= found.high
    assert min(samples) / 1.25 <= found.low and found.high <= max(samples) * 1.25


# -- two modes -------------------------------------------------------------------------------------


def test_samples_of_a_busy_machine_have_a_fast_mode():
    found = fast_mode([0.36, 0.361, 0.362, *sorted([77.0, 78.0, 79.0] * 19)])
    assert found is not None
    assert (found.share, found.middle_ms) == (3 / 60, 0.361)


@pytest.mark.parametrize(
    "samples",
    [
        [1.0],
        [1.0, 1.0],
        [float(n) for n in range(10, 60)],
        [1.0] * 60 + [9.0] * 20,  # the median is of the fast mode: stalls are another matter
        [1.0] + [9.0] * 99,  # one in a hundred is no mode
    ],
)
def test_samples_of_one_mode_have_none(samples):
    assert fast_mode(samples) is None


@given(st.lists(st.floats(1.0, 1.9), min_size=2, max_size=50), st.integers(1, 50))
def test_slow_mode_must_hold_the_median(fast, more):
    slow = [20.0] * (len(fast) + more)
    found = fast_mode(sorted([*fast, *slow]))
    share = len(fast) / (len(fast) + len(slow))
    assert (found is None) if share < 0.02 else (found.share == share)
    assert fast_mode(sorted([*fast, *fast, 20.0])) is None
