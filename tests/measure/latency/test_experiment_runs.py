"""An experiment run: the batch, the check of macs, ratios to the first network of each size."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from archstat.errors import DeviceError, LatencyError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.experiment_runs import run_experiment, time_ratio, with_batch
from archstat.measure.latency.experiments import EXPERIMENTS, Experiment, Variant
from archstat.measure.latency.figures import INTERRUPTED
from archstat.measure.latency.measurement import Interval, LatencyRun
from archstat.models.pipeline import analyze

QUIET = Interval(0.99, 1.0, 1.01)
VARIANTS = (
    Variant("x1", "narrow", "conv,in=4,resolution=8", 10, 1),
    Variant("x1", "same", "conv,in=4,resolution=8,act=1", 5, 2),
    Variant("x2", "narrow", "conv,in=8,resolution=8", 4, 1),
    Variant("x2", "same", "conv,in=8,resolution=8,act=1", 8, 1),
)
SMALL = Experiment("small", "Small, a test", "more is slower", "slower", VARIANTS, VARIANTS)


@pytest.fixture
def fake(measurement):
    """Make something that measures as told, and remember what it was asked."""

    def make(*times, noise=QUIET, rule="budget of 1 s used", asked=None):
        def measure(specs, conditions, *, budget_s, progress=None):
            if asked is not None:
                asked.append((tuple(specs), conditions, budget_s))
            found = tuple(
                measurement(spec, ms, rule=rule, batch=conditions.batch)
                for spec, ms in zip(specs, times, strict=True)
            )
            return LatencyRun(found, (), noise, ("a remark",))

        return measure

    return make


def test_ratio_is_to_the_first_network_of_the_size(fake):
    found = run_experiment(SMALL, Conditions(), 1, measured=fake(2.0, 3.0, 8.0, 4.0))
    ratios = [one.ratio and one.ratio.middle for one in found.outcomes]
    assert ratios == [None, pytest.approx(1.5), None, pytest.approx(0.5)]
    assert [one.verdict for one in found.outcomes] == [None, "slower", None, "faster"]
    assert [one.batches_per_second for one in found.outcomes] == [500, pytest.approx(1e3 / 3),
                                                                  125, 250]  # fmt: skip
    assert list(found.sizes) == ["x1", "x2"]


def test_ratio_within_the_noise_is_no_verdict(fake):
    noisy = Interval(0.5, 1.2, 2.0)
    found = run_experiment(SMALL, Conditions(), 1, measured=fake(2.0, 2.1, 8.0, 8.1, noise=noisy))
    assert {one.verdict for one in found.outcomes} == {None, "can't tell"}


def test_ratio_pairs_turns_so_that_a_slow_spell_cancels_out(measurement):
    reference = replace(measurement(), per_process=((1.0, 5.0), (1.1, 1.2), (3.0, 1.0)))
    mine = replace(measurement(), per_process=((2.0, 10.0), (2.2, 2.4), (6.0, 2.0)))
    ratio = time_ratio(mine, reference)
    assert (ratio.low, ratio.middle, ratio.high) == pytest.approx((2.0, 2.0, 2.0))


def test_turn_that_one_of_two_lacks_does_not_count(measurement):
    reference = replace(measurement(), per_process=((1.0,), (1.0,), (1.0,)))
    mine = replace(measurement(), per_process=((2.0, 99.0), (2.0,), (2.0,)))
    assert math.isclose(time_ratio(mine, reference).middle, 2.0)


def test_costs_are_of_the_batch(fake):
    found = run_experiment(SMALL, Conditions(batch=3), 1, measured=fake(1.0, 1.0, 1.0, 1.0))
    totals = analyze(VARIANTS[0].spec, batch=3).totals
    assert (found.outcomes[0].macs, found.outcomes[0].memory_access) == (
        totals["macs"], totals["memory_access"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("device", "asked", "batch"), [("cpu", None, 1), ("cuda", None, 8), ("cuda:1", 2, 2)]
)
def test_batch_is_eight_on_a_gpu_and_one_on_a_cpu_unless_asked(device, asked, batch):
    assert with_batch(Conditions(device=device, batch=asked)).batch == batch


def test_gpu_gets_the_networks_of_the_gpu(fake):
    asked: list[tuple] = []
    times = [1.0] * 12
    run_experiment(EXPERIMENTS["g1"], Conditions(device="cuda", batch=None), 7,
                   measured=fake(*times, asked=asked))  # fmt: skip
    ((specs, conditions, budget_s),) = asked
    assert specs[:2] == ("pointwise_pairs,in=128,inner=128", "pointwise_pairs,in=90,inner=180")
    assert (conditions.batch, budget_s) == (8, 7)


def test_networks_of_unequal_macs_are_refused_before_anything_is_measured():
    unequal = Variant("x1", "wide", "conv,in=5,resolution=8")
    experiment = Experiment("e", "E", "c", "slower", (), (VARIANTS[0], unequal))

    def never(*_, **__):
        raise AssertionError("measured")

    with pytest.raises(LatencyError, match="the macs of x1 differ by more than 6%: 9216 to 14400"):
        run_experiment(experiment, Conditions(), 1, measured=never)


def test_interruption_is_told(fake):
    whole = run_experiment(SMALL, Conditions(), 1, measured=fake(1.0, 1.0, 1.0, 1.0))
    cut = run_experiment(
        SMALL, Conditions(), 1, measured=fake(1.0, 1.0, 1.0, 1.0, rule=INTERRUPTED)
    )
    assert (whole.is_interrupted, cut.is_interrupted) == (False, True)


def test_impossible_device_is_told():
    with pytest.raises(DeviceError, match="write cpu, cuda"):
        run_experiment(SMALL, Conditions(device="tpu"), 1)


@pytest.mark.slow
def test_small_experiment_runs_for_real():
    found = run_experiment(SMALL, Conditions(batch=None, threads=1), 0.5)
    assert [one.measurement.model for one in found.outcomes] == [one.spec for one in VARIANTS]
    assert all(one.measurement.main.p50_ms > 0 for one in found.outcomes)
    assert [one.ratio is None for one in found.outcomes] == [True, False, True, False]


@pytest.mark.cuda
def test_experiment_runs_on_a_gpu():
    found = run_experiment(SMALL, Conditions(device="cuda", batch=None), 0.5)
    assert {one.measurement.conditions.batch for one in found.outcomes} == {8}
    assert all(one.measurement.timing("wall") for one in found.outcomes)
