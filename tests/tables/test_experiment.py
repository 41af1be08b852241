"""The table of an experiment: published figures beside measured ones, and what holds here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archstat.measure.latency.experiment_runs import ExperimentRun, Outcome
from archstat.measure.latency.experiments import EXPERIMENTS, Variant
from archstat.measure.latency.measurement import Interval, LatencyRun
from archstat.tables.experiment import conclusion, experiment_table

QUIET = Interval(0.99, 1.0, 1.01)
G1 = replace(EXPERIMENTS["g1"], cpu_remark="a remark of cpus.")


@pytest.fixture
def found(measurement):
    """Make a run of one size, from the ratio and verdict of each network but the first."""

    def make(*told, experiment=G1, macs=(100, 98, 95), **conditions):
        outcomes = []
        for number, (ratio, verdict) in enumerate([(None, None), *told]):
            interval = None if ratio is None else Interval(ratio * 0.9, ratio, ratio * 1.1)
            variant = Variant("x1", f"v{number}", f"net{number}", 10 / (number + 1), None)
            ms = 4.0 * (ratio or 1)
            outcomes.append(Outcome(variant, macs[number], 10 * (number + 1),
                                    measurement(f"net{number}", ms, **conditions), interval,
                                    verdict))  # fmt: skip
        run = LatencyRun(tuple(one.measurement for one in outcomes), (), QUIET, ("so busy.",))
        return ExperimentRun(experiment, tuple(outcomes), run)

    return make


def test_figures_stand_beside_the_published_ones(found):
    table = experiment_table(found((2.0, "slower"), (1.0, "can't tell")))
    row = dict(zip(table.keys(), table.rows[1], strict=True))
    assert (row["latency_ms"], row["batches_per_second"]) == (8.0, 125.0)
    assert (row["relative_speed"], row["relative_speed_gtx1080ti"]) == (0.5, 0.5)
    assert (row["latency_ms_ratio"], row["latency_ms_ratio_low"]) == (2.0, 1.8)
    assert (row["macs_ratio"], row["memory_access_ratio"]) == (0.98, 2.0)
    assert (row["relative_speed_arm"], row["speed_arm"], row["verdict"]) == (None, None, "slower")


def test_first_row_of_a_size_is_the_reference(found):
    table = experiment_table(found((2.0, "slower"), (1.0, "can't tell")))
    row = dict(zip(table.keys(), table.rows[0], strict=True))
    assert (row["relative_speed"], row["latency_ms_ratio"], row["macs_ratio"]) == (1, 1, 1)
    assert (row["latency_ms_ratio_low"], row["verdict"]) == (None, None)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([(2.0, "slower"), (1.5, "slower")], "G1 held here (unequal"),
        ([(2.0, "slower"), (1.1, "can't tell")], "G1 held here where it can be told (unequal"),
        ([(2.0, "slower"), (0.5, "faster")], "G1 held here in part (unequal"),
        ([(1.1, "can't tell"), (0.5, "faster")], "G1 did not hold here (unequal"),
        ([(1.1, "can't tell"), (0.9, "can't tell")], "G1 can't be judged here (unequal"),
    ],
)
def test_sentence_says_whether_the_guideline_held(found, told, said):
    assert conclusion(found(*told)).startswith(said)


def test_sentence_counts_verdicts_with_their_factors(found):
    told = [(2.0, "slower"), (0.5, "faster")]
    assert conclusion(found(*told)).endswith("): 1 of 2 slower, 2.00x; 1 faster, 2.00x.")


def test_guideline_of_fewer_operations_expects_speed(found):
    run = found((0.8, "faster"), (0.5, "faster"), experiment=EXPERIMENTS["g4"])
    assert "2 of 2 faster, 1.25x to 2.00x." in conclusion(run)
    assert conclusion(run).startswith("G4 held here")


def test_networks_of_other_macs_are_held_against_their_macs(found):
    run = found((0.5, "faster"), (0.4, "faster"), macs=(900, 100, 90),
                experiment=EXPERIMENTS["separable"])  # fmt: skip
    assert conclusion(run).startswith("The expectation held here (separable")
    assert conclusion(run).endswith("By their macs it would be 9.00x to 10.00x.")
    assert not any("within" in note.text for note in experiment_table(run).notes)


def test_notes_tell_machine_spread_of_macs_noise_and_remarks(found):
    notes = " ".join(map(str, experiment_table(found((2.0, "slower"), (1.0, "can't tell"))).notes))
    assert "within 5.3% of each other" in notes
    assert "Some CPU, torch 2.8.0, fp32, batch 1, 2 threads" in notes
    assert "against itself: 0.990x to 1.010x" in notes
    assert "so busy." in notes
    assert "a remark of cpus." in notes


def test_remark_of_cpus_is_not_made_of_a_gpu(found):
    run = found((2.0, "slower"), (1.0, "can't tell"), device="cuda")
    assert "a remark of cpus." not in map(str, experiment_table(run).notes)
