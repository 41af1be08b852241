"""Whole runs over virtual processes on a virtual clock: exact, instant, no torch in between."""

from __future__ import annotations

import pytest

from archstat.errors import BuildError, DeviceError, LatencyError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.measurement import Machine
from archstat.measure.latency.messages import rounds_message
from archstat.measure.latency.runs import Outside, measure
from archstat.measure.latency.sampling import Plan, blocks_of, take_round

SECOND = 10**9
DATE = "2030-01-01T00:00:00+00:00"
MACHINE = {"device_name": "virtual", "driver": None, "torch": "0", "python": "0",
           "platform": "none", "cores": 2, "identity": "v"}  # fmt: skip


class World:
    """One machine: a clock, models by their ms a call, processes that differ by a factor."""

    def __init__(self, **costs_ms: float) -> None:
        self.ns = 0
        self.costs_ms = costs_ms
        self.factors = [1.0, 1.02, 0.97]
        self.build_s = 2.0
        self.speed = 1.0
        self.others = 0
        self.processes: list[VirtualProcess] = []
        self.running: list[int] = []
        self.interrupt_in_turn = 0
        self.memory = 10**9

    def now_ns(self) -> int:
        return self.ns

    def look(self, own):
        assert own == [process.pid for process in self.processes]
        return self.others

    def start(self) -> VirtualProcess:
        self.processes.append(VirtualProcess(self, len(self.processes)))
        return self.processes[-1]

    def measure(self, *names: str, **options):
        outside = Outside(self, self.start, self.look, lambda: DATE)
        conditions = options.pop("conditions", Conditions())
        return measure(names or tuple(self.costs_ms), conditions, outside=outside, **options)


class VirtualModel:
    """What a call costs, in a process of a factor of its own."""

    def __init__(self, world: World, name: str, factor: float) -> None:
        self.world, self.name, self.factor = world, name, factor

    def call(self) -> None:
        cost = self.world.costs_ms[self.name] * self.factor * self.world.speed
        self.world.ns += round(cost * 1e6)

    def sample(self, clock, calls, blocks):
        return {"forward": blocks_of(self.call, clock, calls, blocks)}


class VirtualProcess:
    """Answers as `latency_worker` does."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number, self.pid = world, number, 70 + number
        self.asked: list[dict] = []
        self.interrupted = self.closed = False

    def send(self, message) -> None:
        self.asked.append(message)

    def receive(self):
        message = self.asked.pop(0)
        return {"build": self.build, "warm up": self.warm_up, "turn": self.turn}[message["do"]](
            message
        )

    def build(self, message):
        if not self.number:  # all of them at the same time
            self.world.ns += round(self.world.build_s * SECOND)
        factor = self.world.factors[self.number % 3]
        self.models = [VirtualModel(self.world, name, factor) for name in message["specs"]]
        batch = message["conditions"]["batch"]
        return {"machine": MACHINE, "switches": {"cudnn_benchmark": False}, "threads": 2,
                "asked_batches": [batch] * len(self.models)}  # fmt: skip

    def warm_up(self, message):
        batch = (message["batches"] or [self.world.memory])[0]
        self.batch = batch
        self.world.ns += int(message["least_ns"])
        return {"models": [
            {"input": f"{batch}x3x8x8", "batch": batch, "first_call_ms": 50.0 + self.number,
             "call_ns": self.world.costs_ms[model.name] * 1e6}
            for model in self.models
        ]}  # fmt: skip

    def turn(self, message):
        self.world.running.append(self.number)
        subjects = [self.models[model] for model in message["slots"]]
        plans = [Plan(**plan) for plan in message["plans"]]
        rounds = []
        for number in range(message["rounds"]):
            rounds.append(take_round(subjects, plans, self.world))
            if self.world.interrupt_in_turn == len(self.world.running) and not self.interrupted:
                self.asked.insert(0, {"do": "turn", **message, "rounds": 0})
                self.done = rounds
                raise KeyboardInterrupt
            assert number < 10_000
        return rounds_message([*getattr(self, "done", []), *rounds])

    def interrupt(self) -> None:
        self.interrupted = True

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def world():
    made = World(small=5.0, large=40.0)
    made.memory = 1
    return made


def test_models_are_measured_in_turns_of_all_processes(world):
    run = world.measure(budget_s=10, noise_target=0)
    small, large = run.measurements
    assert world.running[:7] == [0, 1, 2, 0, 1, 2, 0]
    assert small.main.p50_ms == pytest.approx(5.0)
    assert large.main.p50_ms == pytest.approx(40.0)
    assert (large.main.p5_ms, large.main.p95_ms) == pytest.approx((38.8, 40.8))
    assert (small.main.processes, len(small.per_process)) == (3, 3)
    assert small.first_call_ms == 51
    assert small.rule == large.rule == "budget of 10 s used"
    assert all(process.closed for process in world.processes)


def test_the_budget_includes_the_start_and_is_kept(world):
    world.measure(budget_s=10, noise_target=0)
    assert 9 < world.ns / SECOND <= 10


def test_what_a_process_adds_cancels_out_of_the_ratio(world):
    (ratio,) = world.measure(budget_s=10, noise_target=0).ratios
    assert (ratio.model, ratio.reference, ratio.verdict) == ("large", "small", "slower")
    assert (ratio.interval.low, ratio.interval.high) == pytest.approx((8, 8), rel=1e-4)


def test_another_reference_may_be_chosen(world):
    (ratio,) = world.measure(budget_s=10, reference=1).ratios
    assert (ratio.model, ratio.reference, ratio.verdict) == ("small", "large", "faster")
    assert ratio.interval.middle == pytest.approx(1 / 8, rel=1e-4)


def test_the_same_model_twice_cannot_be_told_apart(world):
    run = world.measure("small", "small", budget_s=8)
    assert run.ratios[0].verdict == "can't tell"
    assert run.noise.middle == pytest.approx(1)


def test_equal_processes_end_the_run_before_the_budget(world):
    world.factors = [1.0, 1.0, 1.0]
    run = world.measure(budget_s=100, noise_target=0.02)
    assert run.measurements[0].rule == "noise target of 2.0% reached"
    assert len(world.running) == 9
    assert world.ns / SECOND < 20


def test_a_minimum_is_taken_beyond_the_budget(world):
    world.build_s = 60
    run = world.measure(budget_s=10)
    told = run.measurements[1].rule
    assert told == "minimum of 3 turns a process (beyond 10 s)"
    assert all(m.main.samples >= 9 for m in run.measurements)


def test_one_model_is_measured_against_itself(world):
    run = world.measure("small", budget_s=5)
    assert run.ratios == ()
    assert run.noise.contains(1)


def test_progress_tells_the_stages_and_the_intervals(world):
    told = []
    world.measure(budget_s=6, noise_target=0, progress=told.append)
    assert [entry.stage for entry in told[:5]] == ["starting"] * 4 + ["warming up"]
    assert told[4].intervals == ()
    assert [round(i.middle) for i in told[-1].intervals] == [5, 40]
    assert told[-1].elapsed_s <= told[-1].budget_s == 6


def test_progress_tells_before_the_first_turn_what_a_minimum_of_samples_takes(world):
    told = []
    world.measure(budget_s=0.1, noise_target=0, progress=told.append)
    first = next(entry for entry in told if entry.stage == "measuring")
    assert first.needed_s == pytest.approx(told[-1].elapsed_s, rel=0.1)
    assert first.needed_s > first.elapsed_s and told[0].needed_s == 0


@pytest.mark.parametrize("turn", [1, 2, 5])
def test_ctrl_c_in_a_turn_keeps_every_finished_round(world, turn):
    world.interrupt_in_turn = turn
    run = world.measure(budget_s=10, noise_target=0)
    small = run.measurements[0]
    assert small.rule == "interrupted"
    assert run.remarks[0] == "Interrupted: the figures cover what was finished."
    assert small.main.processes == min(turn, 3)
    rounds = small.main.samples // (2 * 8)  # two slots of eight samples a round
    finished = (turn - 1) * 2 + 1  # two rounds a turn
    assert rounds == finished
    assert all(process.closed for process in world.processes)


def test_ctrl_c_before_the_first_turn_is_passed_on(world):
    def stop(told):
        if told.stage == "measuring":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.measure(progress=stop)
    assert all(process.closed for process in world.processes)


def test_ctrl_c_between_turns_keeps_all(world):
    def stop(told):
        if len(world.running) == 4:
            raise KeyboardInterrupt

    run = world.measure(budget_s=10, noise_target=0, progress=stop)
    assert run.measurements[0].rule == "interrupted"
    assert [len(turns) for turns in run.measurements[0].per_process] == [2, 1, 1]


def test_an_error_of_a_process_ends_all_of_them(world, monkeypatch):
    def refuse(process, message):
        raise BuildError("small does not build")

    monkeypatch.setattr(VirtualProcess, "build", refuse)
    with pytest.raises(BuildError, match="small does not build"):
        world.measure()
    assert len(world.processes) == 3
    assert all(process.closed for process in world.processes)


def test_a_smaller_batch_is_told(world):
    world.memory = 4
    run = world.measure("large", budget_s=5, conditions=Conditions(batch=16))
    (large,) = run.measurements
    assert (large.asked_batch, large.conditions.batch, large.input) == (16, 4, "4x3x8x8")
    assert "large ran at a batch of 4: memory was too small for 16." in run.remarks
    assert [process.batch for process in world.processes] == [4, 4, 4]


@pytest.mark.parametrize(("others", "told"), [(0, 0), (1, 1), (4, 1)])
def test_more_runnable_processes_than_cores_are_told(world, others, told):
    world.others = others
    run = world.measure("small", budget_s=5)
    assert len(run.remarks) == told
    assert all(f"{others} other process" in remark for remark in run.remarks)


def test_everything_that_a_figure_depends_on_is_recorded(world):
    (small,) = world.measure("small", budget_s=5).measurements
    assert small.machine == Machine(**MACHINE)
    assert (small.threads, small.layout, small.date) == (
        2,
        "contiguous",
        "2030-01-01T00:00:00+00:00",
    )
    assert small.settings == {"cudnn_benchmark": False}
    assert small.method == "perf_counter_ns, interleaved rounds in fresh processes"


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"budget_s": 0}, LatencyError, "budget='0s' is impossible"),
        ({"budget_s": float("nan")}, LatencyError, "impossible"),
        ({"reference": 2}, LatencyError, "no model 2 among 2"),
        ({"processes": 1}, LatencyError, "variance between processes; give at least 2"),
        ({"noise_target": -1}, LatencyError, "at least 0"),
        ({"conditions": Conditions(batch=0)}, LatencyError, "batch=0"),
        ({"conditions": Conditions(device="tpu")}, DeviceError, "device='tpu'"),
    ],
)
def test_bad_requests_start_no_process(world, options, error, said):
    with pytest.raises(error, match=said):
        world.measure(**options)
    assert world.processes == []


def test_no_model_is_no_request():
    with pytest.raises(LatencyError, match="no model to measure"):
        measure([], Conditions())
