"""The newest day against the month before it: who is held against whom, limits and verdicts."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import pytest

from archstat.measure.latency.history import changes, ratio_between
from archstat.measure.latency.measurement import Interval
from archstat.measure.latency.store import Stored


@pytest.fixture
def stored(measurement):
    """Store runs of one model, given as (day, ms) or with further conditions."""

    def make(*runs: tuple, **more: object) -> list[Stored]:
        return [
            Stored("resnet18", measurement(ms=ms, date=f"{day}T08:00:00+00:00", **more))
            for day, ms in runs
        ]

    return make


def exactly(*values: float) -> list[Interval]:
    return [Interval(value, value, value) for value in values]


def test_newest_day_stands_against_the_thirty_days_before_it(stored):
    runs = stored(("2026-10-22", 77.0), ("2026-10-23", 10.0), ("2026-11-21", 10.0),
                  ("2026-11-22", 20.0), ("2026-11-22", 20.0))  # fmt: skip
    (change,) = changes(runs)
    assert (change.today.first, change.today.last) == (date(2026, 11, 22),) * 2
    assert (change.today.runs, change.before.runs) == (2, 2)
    assert (change.before.first, change.before.last) == (date(2026, 10, 23), date(2026, 11, 21))
    assert change.ratio.middle == pytest.approx(2)
    assert change.verdict == "slower"


def test_model_without_an_earlier_run_has_no_verdict(stored):
    (change,) = changes(stored(("2026-06-01", 1.0), ("2026-11-22", 20.0)))
    assert (change.before, change.ratio, change.verdict) == (None, None, None)
    assert change.today.interval_ms.middle == pytest.approx(20)


@pytest.mark.parametrize(
    "other",
    [{"batch": 8}, {"threads": 1}, {"dtype": "bf16"}, {"backward": True}, {"compile": True},
     {"channels_last": True}, {"input": "1x3x160x160"}],
)  # fmt: skip
def test_other_conditions_are_never_held_against_each_other(stored, other):
    runs = [*stored(("2026-11-01", 10.0)), *stored(("2026-11-22", 20.0), **other)]
    assert [change.before for change in changes(runs)] == [None, None]


def test_other_file_of_the_same_name_is_another_model(measurement):
    before = measurement("nets.py:Net", date="2026-11-01T08:00:00+00:00")
    runs = [Stored("/a/nets.py:Net", before), Stored("/b/nets.py:Net", measurement("nets.py:Net"))]
    assert [change.before for change in changes(runs)] == [None, None]


def test_one_run_a_side_has_the_limits_of_their_own_intervals(stored):
    (change,) = changes(stored(("2026-11-01", 10.0), ("2026-11-22", 10.4), width=0.03))
    reach = math.hypot(math.log(1.03 / 0.97) / 2, math.log(1.03 / 0.97) / 2)
    assert change.ratio.middle == pytest.approx(1.04)
    assert change.ratio.low == pytest.approx(1.04 * math.exp(-reach))
    assert change.ratio.high == pytest.approx(1.04 * math.exp(reach))
    assert change.verdict == "can't tell"


@pytest.mark.parametrize(("ms", "verdict"), [(8.0, "faster"), (10.1, "can't tell"),
                                             (12.0, "slower")])  # fmt: skip
def test_verdict_is_of_the_limits(stored, ms, verdict):
    (change,) = changes(stored(("2026-11-01", 10.0), ("2026-11-22", ms)))
    assert change.verdict == verdict


def test_two_earlier_runs_apart_are_as_wide_as_their_distance():
    ratio = ratio_between(exactly(10.0), exactly(8.0, 12.5))
    assert ratio.middle == pytest.approx(1)
    assert ratio.high == pytest.approx(12.5 / 8)


def test_spread_of_several_runs_gives_students_limits():
    steps = (-0.1, 0.0, 0.1)
    ratio = ratio_between(exactly(10.0), exactly(*(10 * math.exp(step) for step in steps)))
    # two degrees of freedom, a variance of 0.01, one run against three
    assert math.log(ratio.high) == pytest.approx(4.303 * math.sqrt(0.01 * (1 + 1 / 3)))


def test_wide_intervals_of_runs_that_agree_stay_wide():
    wide = [Interval(5.0, 10.0, 20.0)] * 4
    ratio = ratio_between(wide[:1], wide)
    assert math.log(ratio.high) == pytest.approx(math.hypot(math.log(2), math.log(2) * 2 / 4))


def test_rows_stand_in_the_order_of_their_first_run(measurement):
    runs = [Stored(name, measurement(name)) for name in ("b", "a", "b", "c")]
    assert [change.newest.model for change in changes(runs)] == ["b", "a", "c"]


def test_versions_of_torch_are_told_apart(stored):
    runs = [*stored(("2026-11-01", 10.0), torch_version="2.7.0"), *stored(("2026-11-22", 10.0))]
    (change,) = changes(runs)
    assert (change.before.torch, change.today.torch) == (("2.7.0",), ("2.8.0",))


def test_history_of_one_run_has_the_median_that_bench_showed(measurement):
    one = measurement(ms=48.13)
    timing = replace(one.main, interval_ms=Interval(47.0, 48.36, 49.8))
    (change,) = changes([Stored("resnet18", replace(one, timings=(timing,)))])
    assert change.today.interval_ms == Interval(47.0, 48.13, 49.8)
