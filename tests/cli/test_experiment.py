"""``archstat experiment``: tables in every format, the plot, Ctrl-C, requests that cannot be."""

from __future__ import annotations

import csv
import io
import json

import pytest

from archstat.measure.latency.experiment_runs import CPU_BATCH, run_experiment
from archstat.measure.latency.figures import INTERRUPTED
from archstat.measure.latency.measurement import Interval, LatencyRun


@pytest.fixture
def measures(monkeypatch, measurement):
    """Measure nothing: every network takes a ms longer than the one before it."""
    asked: list[tuple] = []

    def install(rule="budget of 60 s used"):
        def measure(specs, conditions, *, budget_s, progress=None):
            asked.append((conditions, budget_s))
            found = tuple(
                measurement(spec, 1.0 + number, rule=rule, batch=conditions.batch,
                            threads=conditions.threads)
                for number, spec in enumerate(specs)
            )  # fmt: skip
            return LatencyRun(found, (), Interval(0.99, 1.0, 1.01))

        monkeypatch.setitem(run_experiment.__kwdefaults__, "measured", measure)
        return asked

    return install


@pytest.mark.parametrize(
    ("name", "rows"), [("g1", 12), ("g2", 12), ("g3", 15), ("g4", 12), ("separable", 32)]
)
def test_csv_has_a_row_a_network(archstat, measures, name, rows):
    asked = measures()
    ran = archstat("experiment", name, "--format", "csv")
    assert ran.code == 0
    found = list(csv.DictReader(io.StringIO(ran.out)))
    assert len(found) == rows
    assert all(row["latency_ms"] and row["macs"] and row["memory_access"] for row in found)
    ((conditions, budget_s),) = asked
    assert (conditions.device, conditions.batch, budget_s) == ("cpu", CPU_BATCH, 60)


def test_screen_says_whether_the_guideline_held(archstat, measures):
    measures()
    ran = archstat("experiment", "g1")
    assert "G1 held here (unequal channel widths are slower): 9 of 9 slower" in ran.out
    assert "1:12" in ran.out


def test_options_reach_the_measurement(archstat, measures):
    asked = measures()
    archstat("experiment", "g4", "--batch", "2", "--threads", "1", "--budget", "2min")
    ((conditions, budget_s),) = asked
    assert (conditions.batch, conditions.threads, budget_s) == (2, 1, 120)


def test_columns_are_chosen(archstat, measures):
    measures()
    ran = archstat("experiment", "g2", "--columns", "macs,verdict", "--format", "json")
    row = json.loads(ran.out)["rows"][1]
    assert list(row) == ["variant", "macs", "verdict"]


def test_picture_is_drawn(archstat, measures, tmp_path):
    measures()
    path = tmp_path / "g3.svg"
    assert archstat("experiment", "g3", "--plot", str(path)).code == 0
    assert "4-fragment-parallel" in path.read_text(encoding="utf-8")


def test_interruption_shows_what_is_finished(archstat, measures):
    measures(INTERRUPTED)
    ran = archstat("experiment", "g1", "--format", "csv")
    assert ran.code == 130
    assert len(ran.out.splitlines()) == 13


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["g5"], "There is no experiment 'g5'"),
        (["g1", "--device", "tpu"], "write cpu, cuda or cuda:NUMBER"),
        (["g1", "--budget", "soon"], "30s"),
        (["g1", "--budget", "0s"], "give a time above zero"),
        (["g1", "--columns", "speedy"], "There is no column 'speedy'"),
        (["g1", "--plot", "out.gif"], "not a picture format"),
        (["g1", "--batch", "0"], "--batch"),
    ],
)
def test_impossible_request_is_one_sentence(archstat, arguments, said):
    ran = archstat("experiment", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_missing_gpu_is_told_with_the_devices_there_are(archstat):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    ran = archstat("experiment", "g1", "--device", "cuda")
    assert (ran.code, ran.out) == (2, "")
    assert "Devices: cpu" in ran.err
