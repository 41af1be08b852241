"""A GPU by events, on the wall and replayed; without a GPU, what can be told without one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import LatencyError
from archstat.measure.latency import cuda as module
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.cuda import CudaInference, CudaTraining
from archstat.measure.latency.machine import check_gpu, gpu, number, prepared
from archstat.measure.latency.sampling import WallClock
from archstat.measure.latency.subject import Inference, Training, moved, tensors_moved


@pytest.mark.parametrize(("device", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:12", 12)])
def test_a_gpu_has_a_number(device, index):
    assert number(device) == index


@pytest.fixture
def one_old_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Old")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)


def test_the_gpus_that_are_there_are_listed(one_old_gpu):
    with pytest.raises(LatencyError, match=r"device='cuda:1': .* Devices: cpu, cuda:0 \(Old\)\."):
        check_gpu(Conditions(device="cuda:1"))


def test_a_dtype_that_the_gpu_lacks_is_refused(one_old_gpu):
    check_gpu(Conditions(device="cuda", dtype="fp16"))
    with pytest.raises(LatencyError, match="dtype='bf16': Old has no bfloat16; try fp16 or amp"):
        check_gpu(Conditions(device="cuda", dtype="bf16"))


class Event:
    """An event of a stream on which time passes by calls: 2 ms each, 9 a flush."""

    stream_ms = 0.0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at = Event.stream_ms

    def elapsed_time(self, other: Event) -> float:
        return other.at - self.at


class Launches:
    """Stands for an `Inference`: a call launches 2 ms of work and returns at once."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self) -> None:
        self.calls += 1
        Event.stream_ms += 2


@pytest.fixture
def virtual_gpu(monkeypatch):
    """Events on a virtual stream; returns how often the host has waited for it."""
    waits = []
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(Event.stream_ms))
    return waits


def test_the_stream_is_waited_for_once_after_all_calls(virtual_gpu):
    timed = CudaInference(Launches(), Conditions(device="cuda"))
    assert timed._on_stream(timed._inference.call, 5) == [2] * 5
    assert len(virtual_gpu) == 1


def test_samples_have_every_phase_and_are_averaged_over_a_block(virtual_gpu, virtual_clock):
    launches = Launches()
    timed = CudaInference(launches, Conditions(device="cuda"))
    found = timed.sample(virtual_clock(1_000_000), 2, 3)
    assert found == {"forward": [2] * 3, "wall": [2] * 3, "dispatch": [1] * 3}
    assert launches.calls == 12


def test_flushing_the_cache_is_not_timed(virtual_gpu, monkeypatch):
    def flush_made(device):
        def flush():
            Event.stream_ms += 9

        return flush

    monkeypatch.setattr(module, "_Flush", flush_made)
    before = Event.stream_ms
    timed = CudaInference(Launches(), Conditions(device="cuda", cold=True))
    assert timed._on_stream(timed._inference.call, 3) == [2, 2, 2]
    assert Event.stream_ms - before == 3 * (2 + 9)


def test_a_training_step_is_timed_between_events(virtual_gpu, virtual_clock):
    class Step:
        def forward(self):
            Event.stream_ms += 3
            return "loss"

        def backward(self, loss):
            assert loss == "loss"
            Event.stream_ms += 5

        def optimize(self):
            Event.stream_ms += 1

    timed = CudaTraining(Step(), Conditions(device="cuda", backward=True))
    assert timed.sample(virtual_clock(), 1, 2) == {
        "forward": [3, 3],
        "backward": [5, 5],
        "optimizer": [1, 1],
        "step": [9, 9],
    }
    assert len(virtual_gpu) == 1


def a_model(conditions: Conditions):
    root = moved(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten()), conditions)
    return root, tensors_moved(((torch.rand(4, 3, 16, 16),), {}), conditions)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16", "amp"])
@pytest.mark.parametrize("cold", [False, True])
def test_a_real_gpu_gives_all_phases(dtype, cold):
    conditions = Conditions(device="cuda", dtype=dtype, cuda_graph=True, cold=cold)
    with prepared(conditions):
        timed = CudaInference(Inference(*a_model(conditions), conditions), conditions)
        timed.call()
        found = timed.sample(WallClock(), 2, 4)
    assert set(found) == set(conditions.phases)
    assert all(len(times) == 4 and min(times) > 0 for times in found.values())


@pytest.mark.cuda
def test_a_real_gpu_trains():
    conditions = Conditions(device="cuda", backward=True)
    with prepared(conditions):
        training = Training(*a_model(conditions), conditions, torch.sum)
        found = CudaTraining(training, conditions).sample(WallClock(), 1, 3)
    parts = zip(*(found[phase] for phase in ("forward", "backward", "optimizer")), strict=True)
    assert found["step"] == pytest.approx([sum(times) for times in parts], rel=0.01)


@pytest.mark.cuda
def test_events_and_the_wall_agree_on_long_work():
    conditions = Conditions(device="cuda")
    side = 4096

    class Product(nn.Module):
        def forward(self, square):
            for _ in range(8):
                square = torch.mm(square, square)
            return square

    with prepared(conditions):
        square = torch.eye(side, device="cuda")
        inference = Inference(Product(), ((square,), {}), conditions)
        found = CudaInference(inference, conditions).sample(WallClock(), 1, 5)
    assert min(found["wall"]) == pytest.approx(min(found["forward"]), rel=0.1)
    assert min(found["dispatch"]) < min(found["wall"]) / 2


@pytest.mark.cuda
def test_a_replayed_graph_computes_what_the_call_does():
    conditions = Conditions(device="cuda", cuda_graph=True)
    with prepared(conditions):
        net, ((images,), _) = a_model(conditions)
        outputs = []
        net.register_forward_hook(lambda *call: outputs.append(call[2]))
        timed = CudaInference(Inference(net, ((images,), {}), conditions), conditions)
        timed.capture()
        captured = outputs[-1]
        images.copy_(1 - images)
        timed._graph.replay()
        torch.testing.assert_close(captured, net(images))


@pytest.mark.cuda
def test_a_real_gpu_that_is_not_there_is_refused():
    with pytest.raises(LatencyError, match=r"device='cuda:99': .* Devices: cpu, cuda:0 \("):
        check_gpu(Conditions(device="cuda:99"))


@pytest.mark.cuda
def test_a_real_gpu_has_a_name():
    name, _, unit = gpu("cuda")
    assert name
    assert unit
