"""A pass under the profiler: every op in its module, hooks gone afterwards, stderr quiet."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import archstat
from archstat.frontends.trees import module_paths
from archstat.measure.latency.profiling import RanOp, matched, passes_of, profiled


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=True)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x = self.act(self.norm(self.conv(x)))
        x = self.act(x + x)
        return self.fc(x.mean((2, 3)))


class Ticks:
    """A clock that goes on by a millisecond at every reading."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        self.now += 1_000_000
        return self.now


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


def profile_of(net, passes=2, **options):
    image = torch.randn(1, 3, 8, 8)
    paths = [(names[0], module) for module, names in module_paths(net)]
    with torch.inference_mode():
        return profiled(lambda: net(image), paths, Ticks(), passes=passes, **options)


def test_every_op_stands_in_its_module(net):
    found = profile_of(net)
    assert len(found.passes) == 2
    for ran in found.passes:
        assert [one.module for one in ran] == ["conv", "norm", "act", "", "act", "", "fc"]
        assert [one.names[0] for one in ran][-3:] == ["relu", "mean", "linear"]
        assert all(one.cpu_ms > 0 for one in ran)


def test_everything_that_ran_is_an_op_of_the_capture(net):
    graph = archstat.capture(net, torch.empty(1, 3, 8, 8))
    (ran,) = profile_of(net, passes=1).passes
    kinds = [graph.ops[op].kind for op in matched(graph, ran) if op is not None]
    assert kinds == ["conv", "norm", "activation", "add", "activation", "reduce", "linear"]


def test_clock_is_read_without_the_profiler_and_under_it(net):
    found = profile_of(net)
    # Two readings to the end of a call without a synchronisation, a tick apart each.
    assert (found.wall_ms, found.dispatch_ms, found.watched_ms) == (2.0, None, 2.0)


@pytest.mark.cuda
def test_dispatch_ends_before_the_synchronisation(net):
    waits = []
    found = profile_of(net, synchronise=lambda: waits.append(1))
    assert found.dispatch_ms == 1.0
    assert len(waits) == 4


def test_no_hook_is_left_behind(net):
    profile_of(net)
    hooks = [dict(m._forward_hooks) | dict(m._forward_pre_hooks) for m in net.modules()]
    assert not any(hooks)


def test_no_hook_is_left_behind_when_forward_raises(net):
    net.fc = nn.Linear(5, 4)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        profile_of(net)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_library_prints_nothing(net, capfd):
    profile_of(net)
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def event(name, *children, start=0.0, cpu=1000.0, gpu=0.0, device="CPU"):
    """An event as torch tells it, times in microseconds."""
    return SimpleNamespace(
        name=name,
        cpu_children=list(children),
        time_range=SimpleNamespace(start=start),
        cpu_time_total=cpu,
        device_time_total=gpu,
        device_type=SimpleNamespace(name=device),
    )


def test_events_of_a_gpu_give_kernels_and_calls_apart():
    relu = event("aten::relu_", event("cudaLaunchKernel"), start=2.0, gpu=3000.0)
    conv = event("aten::conv2d", event("aten::convolution"), start=1.0, cpu=500.0, gpu=4000.0)
    whole = event("archstat module:net", relu, conv)
    wait = event("cudaDeviceSynchronize", start=9.0)
    told_again = event("archstat pass", device="CUDA")
    assert passes_of([event("archstat pass", whole, wait), told_again], on_gpu=True) == (
        (
            RanOp("net", ("conv2d", "convolution"), 0.5, 4.0),
            RanOp("net", ("relu", "cudaLaunchKernel"), 1.0, 3.0),
        ),
    )


def test_range_of_the_model_itself_is_seen_through():
    own = event("my block", event("archstat module:a", event("aten::add")), event("aten::mul_"))
    (ran,) = passes_of([event("archstat pass", own)], on_gpu=False)
    assert [(one.module, one.names) for one in ran] == [("a", ("add",)), ("", ("mul",))]
    assert [one.time_ms for one in ran] == [1.0, 1.0]
