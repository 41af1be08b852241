"""Real processes: what they answer, how they end, what is said when they die."""

from __future__ import annotations

import os
import signal

import pytest

from archstat.errors import BuildError, LatencyError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.messages import Request, rounds_of, turn_command, warm_command
from archstat.measure.latency.processes import WorkerProcess
from archstat.measure.latency.runs import measure
from archstat.measure.latency.sampling import Plan

MODELS = '''
import os
from torch import nn


class Loud(nn.ReLU):
    """Prints, reads and runs."""

    def forward(self, x):
        print('{"rounds": []}')
        os.write(1, b"noise\\n")
        assert os.read(0, 1) == b""
        return super().forward(x)


class Dies(nn.ReLU):
    def forward(self, x):
        if not x.is_meta:
            os.write(2, b"so long\\n")
            os._exit(7)
        return super().forward(x)


class Killed(nn.ReLU):
    def forward(self, x):
        if not x.is_meta:
            os.kill(os.getpid(), 9)
        return super().forward(x)


def broken():
    raise ValueError("no such luck")
'''


@pytest.fixture
def models(tmp_path):
    path = tmp_path / "models.py"
    path.write_text(MODELS, encoding="utf-8")
    return path


@pytest.fixture
def process():
    started = WorkerProcess()
    yield started
    started.close()


def ask(process, message):
    process.send(message)
    return process.receive()


def test_what_a_model_prints_is_not_taken_for_an_answer(process, models):
    built = ask(process, Request((f"{models}:Loud",), ("4",), Conditions()).message())
    assert built["asked_batches"] == [1]
    ask(process, warm_command(1.0, None))
    process.interrupt()  # stays, so that no round begins
    rounds = rounds_of(ask(process, turn_command([0, 0], [Plan(1, 1, 0, 1e3)] * 2, 3)))
    assert len(rounds) <= 3
    assert "noise" in process.said()


def test_a_process_that_dies_is_told_with_its_last_words(process, models):
    ask(process, Request((f"{models}:Dies",), ("4",), Conditions()).message())
    with pytest.raises(LatencyError, match=r"with exit code 7 .*Its last words: so long"):
        ask(process, warm_command(1.0, None))
    with pytest.raises(LatencyError, match="exit code 7"):
        ask(process, warm_command(1.0, None))


def test_a_process_that_is_killed_is_told_what_kills(process, models):
    ask(process, Request((f"{models}:Killed",), ("4",), Conditions()).message())
    with pytest.raises(LatencyError, match=r"by signal 9 .* try a smaller batch"):
        ask(process, warm_command(1.0, None))


def test_a_process_that_is_killed_is_told_with_the_model_that_ran(process, models):
    specs = ("lenet5", f"{models}:Killed")
    ask(process, Request(specs, ("1x32x32",), Conditions()).message())
    with pytest.raises(LatencyError, match="by signal 9 while it ran a model") as told:
        ask(process, warm_command(1.0, None))
    assert told.value.model == 1


def test_a_process_that_is_killed_between_commands_blames_no_model(process):
    ask(process, Request(("lenet5",), (), Conditions()).message())
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(LatencyError, match="by signal 9 between two models") as told:
        ask(process, warm_command(1.0, None))
    assert told.value.model is None


def test_an_error_of_a_model_comes_through_as_itself(models):
    with pytest.raises(BuildError, match="broken does not build: ValueError: no such luck") as told:
        measure(["lenet5", f"{models}:broken"], Conditions(), processes=2)
    assert told.value.model == 1


@pytest.mark.slow
def test_a_run_over_real_processes_has_every_figure():
    told = []
    run = measure(["lenet5", "lenet5,batch=2"], Conditions(), budget_s=0.5, progress=told.append)
    first, second = run.measurements
    assert (first.input, second.input) == ("1x1x32x32", "2x1x32x32")
    assert first.main.processes == 3
    assert first.main.samples >= 9
    interval = first.main.interval_ms
    assert 0 < interval.low <= interval.middle <= interval.high
    assert first.main.p5_ms <= first.main.p50_ms <= first.main.p95_ms
    assert first.machine == second.machine
    assert first.threads == 1  # as the tests' environment has it
    assert "The batches differ: a ratio compares the times of whole batches." in run.remarks
    assert told[-1].elapsed_s > 0.5
