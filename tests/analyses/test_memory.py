"""Peak memory: exactly what counting live tensors on cpu finds, and what freeing early saves."""

from __future__ import annotations

import threading
import weakref

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from archstat import zoo
from archstat.analyses.memory import live_bytes, memory
from archstat.frontends.module import capture
from archstat.graph import Graph, Op, Storage, Value


class Counting(TorchDispatchMode):
    """The most bytes of storages alive after any op, by weak references to real tensors."""

    def __init__(self, *tensors):
        super().__init__()
        self.alive, self.bytes = {}, 0
        for tensor in tensors:
            self.see(tensor)
        self.peak = self.bytes

    def see(self, tensor):
        storage = tensor.untyped_storage()
        key, nbytes = storage._cdata, storage.nbytes()
        if key not in self.alive:
            self.alive[key] = weakref.finalize(storage, self.forget, key, nbytes)
            self.bytes += nbytes

    def forget(self, key, nbytes):
        del self.alive[key]
        self.bytes -= nbytes

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.see(tensor)
        self.peak = max(self.peak, self.bytes)
        return result


def counted(module, x):
    """The peak of a forward pass on cpu, weights and buffers included."""
    with torch.no_grad(), Counting(*module.parameters(), *module.buffers(), x) as mode:
        module(x)
    return mode.peak


def peaks(module, x):
    totals = memory(capture(module, x)).totals
    return totals["peak_memory_bytes"], totals["ideal_peak_bytes"]


SMALL = {
    "alexnet": 227, "vgg11": 64, "resnet18": 64, "resnet50": 64, "mobilenet_v1": 64,
    "mobilenet_v2": 64, "mobilenet_v3_small": 64, "shufflenet_v1": 64, "shufflenet_v2_x0_5": 64,
    "squeezenet1_1": 64, "googlenet": 64, "densenet121": 64, "efficientnet_b0": 64,
    "inception_v3": 128, "mnasnet0_5": 64, "resnet20_cifar10": 32, "lenet5": 32,
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_peak_is_that_of_live_tensors_on_cpu(name):
    module = zoo.build(name).eval()
    channels = next(module.parameters()).shape[1]
    x = torch.zeros(1, channels, SMALL[name], SMALL[name])
    peak, ideal = peaks(module, x)
    assert peak == counted(module, x)
    assert ideal <= peak


class Keeping(nn.Module):
    """Holds on to a map that nobody needs any more."""

    def forward(self, x):
        first = x + 1
        second = first * 2
        third = second.relu()
        return third.exp()


class Letting(nn.Module):
    """The same, letting go as it goes."""

    def forward(self, x):
        x = x + 1
        x = x * 2
        x = x.relu()
        return x.exp()


@pytest.mark.parametrize(("net", "maps"), [(Keeping(), 5), (Letting(), 3)])
def test_variable_that_stays_keeps_its_storage(net, maps):
    x = torch.zeros(10)
    assert peaks(net, x) == (maps * 40, 2 * 40)
    assert counted(net, x) == maps * 40


def test_op_in_place_makes_no_storage():
    assert peaks(nn.Sequential(nn.ReLU(inplace=False)), torch.zeros(10))[0] == 80
    assert peaks(nn.Sequential(nn.ReLU(inplace=True)), torch.zeros(10))[0] == 40


def test_weights_unused_and_shared_ones_included_count_once():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(4, 4, bias=False)
            self.same = self.one
            self.spare = nn.Linear(4, 4, bias=False)
            self.register_buffer("scale", torch.ones(3))

        def forward(self, x):
            return self.same(self.one(x))

    x = torch.zeros(2, 4)
    weights = 2 * 16 * 4 + 12
    assert peaks(Net(), x) == (weights + 3 * 32, weights + 2 * 32)


def test_live_bytes_stand_before_and_during_each_op():
    graph = Graph(
        name="Net",
        ops=(Op("activation", "aten.relu.default", "", "Net", (0,), (1,)),
             Op("activation", "aten.exp.default", "", "Net", (1,), (2,))),
        values=tuple(Value((n,), "float32", role, n - 1)
                     for n, role in ((1, "input"), (2, "activation"), (3, "activation"))),
        storages=(Storage(100), Storage(20, 0, 1), Storage(3, 1)),
        inputs=(0,),
        outputs=(2,),
    )  # fmt: skip
    assert live_bytes(graph) == [100, 120, 123]
    assert live_bytes(graph, ideal=True) == [100, 120, 23]
    empty = Graph("Net", (), graph.values[:1], graph.storages[:1], inputs=(0,), outputs=(0,))
    assert memory(empty).totals == {"peak_memory_bytes": 100, "ideal_peak_bytes": 100}


def test_constant_that_forward_replaces_goes_with_its_last_use():
    """As a cache of keys does, of which a step makes a longer one."""
    graph = Graph(
        name="Net",
        ops=(Op("other", "aten.cat.default", "", "Net", (0, 1), (2,)),
             Op("activation", "aten.relu.default", "", "Net", (2,), (3,))),
        values=tuple(Value((n,), "float32", role, n - 1)
                     for n, role in ((1, "constant"), (2, "input"), (3, "activation"),
                                     (4, "activation"))),
        storages=(Storage(100, None, 0), Storage(20), Storage(3, 0), Storage(1, 1)),
        inputs=(1,),
        outputs=(3,),
    )  # fmt: skip
    assert live_bytes(graph) == [100 + 20, 100 + 20 + 3, 20 + 3 + 1]
    assert live_bytes(graph, ideal=True) == [100 + 20, 100 + 20 + 3, 3 + 1]


def in_a_thread(x):
    thread = threading.Thread(target=x.exp)
    thread.start()
    thread.join()
    return x * 2


@torch.library.custom_op("archstat_memory::scaled", mutates_args=())
def scaled(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


scaled.register_fake(torch.empty_like)
BOUNDED = {
    "operator of a library": (scaled, True),
    "work in a thread": (in_a_thread, True),
    "op of torch without a product": (torch.lgamma, False),
    "known ops": (lambda x: x.exp(), False),
}


@pytest.mark.parametrize(("way", "bounded"), BOUNDED.values(), ids=list(BOUNDED))
def test_peaks_are_lower_bounds_where_an_op_may_hold_more(way, bounded):
    class Net(nn.Module):
        def forward(self, x):
            return way(x)

    found = memory(capture(Net(), torch.rand(3)))
    assert found.lower_bounds == (set(found.totals) if bounded else set())
