"""The worker's commands in this process, on a virtual clock; and the lines it speaks in."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, replace

import pytest
import torch

from archstat.errors import LatencyError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.messages import (
    Built,
    Request,
    rounds_of,
    turn_command,
    warm_command,
    warmed_models,
)
from archstat.measure.latency.sampling import Plan, WallClock
from archstat.measure.latency.worker import Bench, serve

MS = 10**6


class Clock:
    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns


@dataclass
class Model:
    """Runs where its batch fits into the memory; a call takes a ms for each of the batch."""

    bench: Bench
    spec: str
    batch: int
    memory: int
    asked_batch: int = 0
    calls: int = 0
    interrupt_at: int = 0

    @property
    def subject(self):
        return self

    @property
    def input(self):
        return f"{self.batch}x3"

    def at_batch(self, batch: int) -> Model:
        return replace(self, batch=batch)

    def first_call(self) -> None:
        if self.batch > self.memory:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        self.bench.clock.ns += 100 * MS

    def call(self) -> None:
        self.calls += 1
        self.bench.interrupted |= self.calls == self.interrupt_at
        self.bench.clock.ns += self.batch * MS

    def sample(self, clock, calls, blocks):
        for _ in range(blocks):
            self.call()
        return {"forward": [float(self.batch)] * blocks}


def a_bench(*pairs, **options) -> Bench:
    bench = Bench(Clock())
    bench.models = [
        Model(bench, f"net{n}", batch, memory, batch, **options)
        for n, (batch, memory) in enumerate(pairs)
    ]
    return bench


def test_the_first_call_is_told_apart_from_the_fastest():
    (told,) = warmed_models(a_bench((4, 9)).answer(warm_command(10 * MS, None)))
    assert (told.input, told.batch, told.first_call_ms, told.call_ns) == ("4x3", 4, 100, 4 * MS)


def test_memory_halves_the_batch_of_all_that_run_at_the_same():
    bench = a_bench((32, 99), (32, 9), (5, 99))
    told = warmed_models(bench.answer(warm_command(MS, None)))
    assert [model.batch for model in told] == [8, 8, 5]
    assert [model.asked_batch for model in bench.models] == [32, 32, 5]


def test_later_processes_take_the_batches_of_the_first():
    told = warmed_models(a_bench((32, 99), (32, 99)).answer(warm_command(MS, [8, 32])))
    assert [model.batch for model in told] == [8, 32]


def test_memory_for_not_even_one_is_an_error():
    with pytest.raises(LatencyError, match=r"net0 does not fit .* batch of 1; give a smaller"):
        a_bench((4, 0)).answer(warm_command(MS, None))


def test_a_turn_takes_its_rounds_over_the_slots():
    bench = a_bench((4, 9), (2, 9))
    plans = [Plan(1, 3, 1, 4e6), Plan(1, 1, 0, 2e6), Plan(1, 3, 1, 4e6)]
    rounds = rounds_of(bench.answer(turn_command([0, 1, 0], plans, 2)))
    assert [list(slot["forward"]) for slot in rounds[0].slots] == [[4, 4, 4], [2], [4, 4, 4]]
    assert len(rounds) == 2
    assert (bench.models[0].calls, bench.models[1].calls) == (16, 2)


def test_an_interrupted_turn_ends_after_its_round():
    bench = a_bench((4, 9), interrupt_at=5)
    plans = [Plan(1, 3, 0, 4e6)] * 2
    rounds = rounds_of(bench.answer(turn_command([0, 0], plans, 50)))
    assert len(rounds) == 1
    assert [len(slot["forward"]) for slot in rounds[0].slots] == [3, 3]


def test_a_turn_that_takes_too_long_is_cut_short():
    bench = a_bench((500, 999))
    rounds = rounds_of(bench.answer(turn_command([0, 0], [Plan(1, 1, 0, 4e6)] * 2, 50)))
    assert len(rounds) == 1


def spoken(bench: Bench, *commands) -> list[dict]:
    answers = io.StringIO()
    serve(bench, [json.dumps(command) + "\n" for command in commands], answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_every_command_has_one_answer_in_a_line():
    plans = [Plan(1, 1, 0, 4e6)] * 2
    first, second = spoken(a_bench((4, 9)), warm_command(MS, None), turn_command([0, 0], plans, 1))
    assert first["models"][0]["batch"] == 4
    assert second == {"rounds": [[{"forward": [4.0]}, {"forward": [4.0]}]]}


def test_errors_are_answers_too():
    (told,) = spoken(a_bench((4, 0)), warm_command(MS, None))
    assert told["error"] == "LatencyError"
    bench = a_bench((4, 9))
    bench.models[0].first_call = None
    (told,) = spoken(bench, warm_command(MS, None))
    assert told["message"].startswith("a measuring process failed: TypeError: ")
    bench = a_bench((4, 9), (4, 9))
    bench.models[1].first_call = None
    assert [one["model"] for one in spoken(bench, warm_command(MS, None))] == [1]


def test_models_of_the_zoo_are_built_warmed_and_sampled():
    bench = Bench(WallClock())
    asked = Request(("squeezenet1_1,resolution=32", "lenet5"), (), Conditions(batch=2))
    assert Request.of(json.loads(json.dumps(asdict(asked)))) == asked
    built = Built.of(bench.answer(asked.message()))
    assert built.asked_batches == (2, 2)
    assert built.threads == torch.get_num_threads()
    warmed = warmed_models(bench.answer(warm_command(MS, None)))
    assert [model.input for model in warmed] == ["2x3x32x32", "2x1x32x32"]
    plans = [Plan(1, 2, 1, model.call_ns) for model in warmed]
    (entry,) = rounds_of(bench.answer(turn_command([0, 1], plans, 1)))
    assert all(len(slot["forward"]) == 2 and min(slot["forward"]) > 0 for slot in entry.slots)


def test_building_asks_for_the_device_first(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = Request(("no_such_network",), (), Conditions(device="cuda"))
    (told,) = spoken(Bench(WallClock()), asked.message())
    assert told["error"] == "LatencyError"
    assert "Devices: cpu." in told["message"]


@pytest.fixture
def half_a_gib():
    """A GPU of which this process may take 512 MiB."""
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(2**29 / whole)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.cuda
def test_batches_are_halved_until_a_real_gpu_holds_them(half_a_gib):
    bench = Bench(WallClock())
    images = 128  # the first map of 64 x 112 x 112 alone takes 392 MiB, its norm as much
    built = bench.build(Request(("resnet18",), (), Conditions("cuda", batch=images)).message())
    assert built["asked_batches"] == [images]
    (warmed,) = warmed_models(bench.warm_up(warm_command(MS, None)))
    assert warmed.batch < images
