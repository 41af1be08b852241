"""What is said about a run beside its figures."""

from __future__ import annotations

import pytest

from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.figures import figures, method
from archstat.measure.latency.measurement import Machine
from archstat.measure.latency.messages import Built, Request, Warmed
from archstat.measure.latency.rounds import Round, Tally, Turn
from archstat.measure.latency.sampling import Plan


def made(conditions=None, others=(), batches=(2, 2), rule="budget of 9 s used", threads=2):
    """A run of two models with 10 and 20 ms, by three processes."""
    conditions = conditions or Conditions(batch=2)
    tally = Tally(2, 0, conditions.main_phase)
    slot = [{phase: [ms] for phase in conditions.phases} for ms in (10.0, 20.0, 10.0)]
    for process in range(3):
        tally.add(Turn(process, (Round(tuple(slot)),)))
    machine = Machine("a cpu", None, "2.9.0", "3.12.1", "Linux", 2, "0123")
    built = Built(machine, {"mkldnn": True}, threads, (2, 2))
    warmed = [[Warmed(f"{b}x3", b, first, 1e7) for b in batches] for first in (30.0, 90.0, 40.0)]
    request = Request(("one", "two"), (), conditions)
    plans = [Plan(1, 4, 1, 1e7), Plan(3, 4, 1, 1e5)]
    return figures(request, tally, built, warmed, plans, rule, others, "2030-01-01")


def test_each_model_has_a_measurement_and_all_but_the_reference_a_ratio():
    run = made()
    assert [m.main.p50_ms for m in run.measurements] == [10, 20]
    (ratio,) = run.ratios
    assert (ratio.model, ratio.reference, ratio.verdict) == ("two", "one", "slower")
    assert ratio.interval.middle == pytest.approx(2)
    assert run.noise.middle == 1
    assert run.remarks == ()


def test_the_first_call_is_the_median_of_the_processes():
    assert made().measurements[0].first_call_ms == 40


def test_the_batch_is_the_one_that_ran():
    run = made(batches=(1, 1))
    assert [m.conditions.batch for m in run.measurements] == [1, 1]
    assert [m.asked_batch for m in run.measurements] == [2, 2]
    assert run.remarks == (
        "one ran at a batch of 1: memory was too small for 2.",
        "two ran at a batch of 1: memory was too small for 2.",
    )


def test_unlike_batches_are_told():
    assert made(batches=(2, 1)).remarks[-1].startswith("The batches differ")


def test_training_has_its_phases_and_ratios_of_the_step():
    run = made(Conditions(batch=2, backward=True))
    assert [timing.phase for timing in run.measurements[0].timings] == [
        "forward", "backward", "optimizer", "step",
    ]  # fmt: skip
    assert run.measurements[1].main.phase == "step"


@pytest.mark.parametrize(
    ("others", "threads", "told"),
    [
        ((), 2, None),
        ((0, 0, 5), 2, None),
        ((1, 1, 1), 1, None),
        ((1, 1, 4), 2, "Busy machine: 1 other process competed with 2 threads of the model"),
        ((3, 3, 0), 1, "Busy machine: 3 other processes competed with 1 thread of the model"),
        ((), 8, "8 threads of the model shared 2 cores: give fewer threads."),
    ],
)
def test_a_crowd_is_told_where_it_is_one(others, threads, told):
    remarks = made(others=others, threads=threads).remarks
    assert len(remarks) == (told is not None)
    assert all(remark.startswith(told) for remark in remarks)


def two_modes(others=()):
    """Two models of one process: of the second, 5 of 100 samples take 0.36 ms, the others 156."""
    tally = Tally(2, 0, "forward")
    slow = [156.0] * 95 + [0.36] * 5
    slot = [{"forward": ms} for ms in ([200.0], slow, [200.0])]
    for process in range(3):
        tally.add(Turn(process, (Round(tuple(slot)),)))
    machine = Machine("a cpu", None, "2.9.0", "3.12.1", "Linux", 2, "0123")
    warmed = [[Warmed("2x3", 2, 30.0, 1e7)] * 2] * 3
    request = Request(("one", "two"), (), Conditions(batch=2))
    built = Built(machine, {}, 2, (2, 2))
    plans = [Plan(1, 4, 1, 1e7)] * 2
    return figures(request, tally, built, warmed, plans, "budget of 9 s used", others, "2030-01-01")


def test_two_modes_are_named_and_their_interval_holds_both():
    run = two_modes()
    one, two = run.measurements
    assert two.main.p50_ms == 156
    assert (two.main.interval_ms.low, two.main.interval_ms.high) == (0.36, pytest.approx(156))
    assert one.main.interval_ms.low == pytest.approx(200)
    (said,) = run.remarks
    assert said.startswith("two: two modes, 5.0% of the samples at 360.00 us")


@pytest.mark.parametrize(("others", "verdict"), [((), "faster"), ((2, 2), "can't tell")])
def test_verdict_on_two_modes_is_withheld_where_others_run(others, verdict):
    assert two_modes(others).ratios[0].verdict == verdict


def test_a_gpu_needs_one_thread_of_the_cpu():
    run = made(Conditions(device="cuda", batch=2), others=(1, 1))
    assert run.remarks == ()


def test_an_interrupted_run_says_so_first():
    assert made(rule="interrupted", batches=(1, 2)).remarks[0].startswith("Interrupted")


@pytest.mark.parametrize(
    ("conditions", "plan", "words"),
    [
        (Conditions(), Plan(1, 4, 1, 1e7), "perf_counter_ns, interleaved"),
        (Conditions(), Plan(3, 4, 1, 1e5), "perf_counter_ns, 3 calls a sample, interleaved"),
        (Conditions(device="cuda"), Plan(1, 1, 0, 1e8), "CUDA events, interleaved"),
        (Conditions(device="cuda", cold=True), Plan(1, 1, 0, 1e8), "CUDA events, cache flushed, "),
    ],
)
def test_the_method_names_clock_block_and_cache(conditions, plan, words):
    assert method(conditions, plan).startswith(words)
