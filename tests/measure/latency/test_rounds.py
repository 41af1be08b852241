"""What rounds of known times add up to."""

from __future__ import annotations

import pytest

from archstat.measure.latency.measurement import Interval
from archstat.measure.latency.rounds import Round, Tally, Turn, slots, verdict


def a_round(*times: float) -> Round:
    return Round(tuple({"forward": [ms], "wall": [ms + 1, ms + 2]} for ms in times))


def test_the_reference_runs_first_and_last():
    assert slots(1, 0) == (0, 0)
    assert slots(3, 0) == (0, 1, 2, 0)
    assert slots(3, 1) == (1, 0, 2, 1)


def test_a_machine_that_slows_down_all_along_cancels_out_of_the_ratio():
    tally = Tally(2, 0, "forward")
    speed = 1.0
    for number in range(12):
        times = []
        for cost in (10.0, 5.0, 10.0):
            times.append(cost * speed)
            speed *= 1.05
        tally.add(Turn(number % 3, (a_round(*times),)))
    ratio, noise = tally.ratio(1), tally.noise()
    assert (ratio.low, ratio.middle, ratio.high) == pytest.approx((0.5, 0.5, 0.5))
    assert noise.middle == pytest.approx(1.05**2)
    assert tally.interval(0).half_width > 0.5


def test_the_noise_of_equal_runs_is_one():
    tally = Tally(1, 0, "forward")
    for process in range(3):
        tally.add(Turn(process, (a_round(8, 8), a_round(9, 9))))
    assert tally.noise().middle == pytest.approx(1)
    assert tally.samples(0) == 12


def test_timings_are_of_all_samples_together():
    tally = Tally(2, 1, "forward")
    tally.add(Turn(0, (a_round(1, 10, 3), a_round(5, 20, 7))))
    tally.add(Turn(1, (a_round(9, 30, 11),)))
    reference, other = tally.timing(1, "forward"), tally.timing(0, "forward")
    assert reference.p50_ms == 6
    assert (reference.samples, reference.processes) == (6, 2)
    assert (other.p5_ms, other.p50_ms, other.p95_ms) == pytest.approx((11, 20, 29))
    assert other.iqr_ms == 10
    assert tally.per_process(0) == ((15,), (30,))
    wall = tally.timing(0, "wall")
    assert (wall.samples, wall.p50_ms) == (6, pytest.approx(21.5))


def test_a_turn_without_rounds_is_none():
    tally = Tally(1, 0, "forward")
    tally.add(Turn(2, ()))
    assert (tally.turns_of(2), tally.samples(0)) == (0, 0)


@pytest.mark.parametrize(
    ("ratio", "noise", "said"),
    [
        (Interval(0.8, 0.85, 0.9), Interval(0.9, 1.01, 1.1), "faster"),
        (Interval(1.1, 1.15, 1.2), Interval(0.9, 0.99, 1.1), "slower"),
        (Interval(0.9, 0.97, 1.01), Interval(1, 1, 1), "can't tell"),
        (Interval(1.01, 1.02, 1.03), Interval(0.9, 0.95, 1.0), "can't tell"),
        (Interval(0.97, 0.98, 0.99), Interval(1.0, 1.05, 1.1), "can't tell"),
        (Interval(1.18, 1.2, 1.22), Interval(0.8, 1.0, 1.25), "can't tell"),
        (Interval(0.82, 0.85, 0.88), Interval(0.99, 1.0, 1.25), "can't tell"),
        (Interval(1.0, 1.0, 1.0), Interval(1, 1, 1), "can't tell"),
    ],
)
def test_a_verdict_needs_more_than_noise(ratio, noise, said):
    assert verdict(ratio, noise) == said
