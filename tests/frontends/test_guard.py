"""The user's module is the same before and after, bit for bit, whatever its forward does."""

from __future__ import annotations

import gc
import random

import numpy
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archstat.errors import CaptureError
from archstat.frontends.guard import collection_paused, generators_kept
from archstat.frontends.module import capture

IMAGE = torch.rand(1, 3, 8, 8)


class Messy(nn.Module):
    """Does in forward what a forward should not do; subclasses add one thing more."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("average", torch.ones(4))
        self.table = torch.ones(4, 1, 1)
        self.seen, self.sizes, self.names, self.count = [], {"last": None}, {"a"}, 0

    def mess(self, x):
        """What this module does beside its work."""

    def forward(self, x):
        self.mess(x)
        return self.norm(self.conv(x)) * self.table


class SetsAttributes(Messy):
    def mess(self, x):
        self.count += 1
        self.latest, self.shape = x, x.shape
        del self.table
        self.table = torch.zeros(4, 1, 1)


class AppendsToContainers(Messy):
    def mess(self, x):
        self.seen.append(x)
        self.sizes["last"], self.sizes["first"] = x.shape, 1
        self.names.add("b")


class AppendsInsideContainers(Messy):
    def __init__(self):
        super().__init__()
        self.cache = {"keys": [], "by layer": [[1], [2]]}

    def mess(self, x):
        self.cache["keys"].append(x)
        self.cache["by layer"][0].append(x)


class WritesToBuffers(Messy):
    def mess(self, x):
        self.steps += 1
        self.steps.add_(1)
        self.average.mul_(0.9).add_(x.mean(), alpha=0.1)
        self.average[1:3] = 7


class ReplacesBuffers(Messy):
    def mess(self, x):
        self.steps = self.steps + 1
        self.average = F.relu(self.average)
        self.register_buffer("extra", torch.zeros(2))


class WritesToWeights(Messy):
    def mess(self, x):
        self.conv.weight.mul_(2)
        self.conv.bias.data.zero_()
        F.normalize(self.conv.weight, dim=0, out=self.conv.weight)


class FreezesWeights(Messy):
    def mess(self, x):
        self.conv.weight.requires_grad_(False)
        self.norm.requires_grad_(False)


class ReplacesWeights(Messy):
    def mess(self, x):
        self.conv.weight = nn.Parameter(self.conv.weight * 2)
        self.scale = nn.Parameter(torch.ones(1))


class WritesToConstants(Messy):
    def mess(self, x):
        self.table.add_(1)
        self.table[0] = 5


class WritesToInput(Messy):
    def mess(self, x):
        x.mul_(0)


class ChangesMode(Messy):
    def mess(self, x):
        self.train()
        self.norm.eval()


class TrainsItsNorm(Messy):
    def mess(self, x):
        self.norm.train()
        self.norm(self.conv(x))


class UpdatesStatistics(Messy):
    def mess(self, x):
        F.batch_norm(x.expand(2, -1, -1, -1), self.average[:3], torch.ones(3), training=True)
        F.instance_norm(self.conv(x), self.average, self.norm.running_var, use_input_stats=True)


class AddsModules(Messy):
    def mess(self, x):
        self.more = nn.Conv2d(3, 3, 1)
        self.norm.more = nn.ReLU()


class ChangesClass(Messy):
    def mess(self, x):
        self.__class__ = Messy


class DrawsNumbers(Messy):
    def mess(self, x):
        torch.rand(3), torch.randn(2, device=x.device), random.random(), numpy.random.rand()
        torch.manual_seed(0)
        F.dropout(x, training=True)


MESSES = [
    *(SetsAttributes, AppendsToContainers, AppendsInsideContainers, WritesToBuffers),
    *(ReplacesBuffers, WritesToWeights, FreezesWeights, ReplacesWeights, WritesToConstants),
    *(WritesToInput, ChangesMode, TrainsItsNorm, UpdatesStatistics, AddsModules, ChangesClass, DrawsNumbers),
]
MESS = pytest.mark.parametrize("messy", MESSES)


@MESS
@pytest.mark.parametrize("training", [True, False])
def test_module_is_unchanged_after_a_capture(messy, training, unchanged):
    net = messy().train(training)
    with unchanged(net):
        assert capture(net, IMAGE).device == "meta"


@MESS
def test_module_is_unchanged_after_a_real_run(messy, looking, unchanged):
    net = looking(messy())
    with unchanged(net):
        assert capture(net, IMAGE).device == "cpu"


@MESS
def test_module_is_unchanged_after_a_forward_that_raises(messy, unchanged, as_module):
    def run_and_raise(x):
        inner(x)
        raise RuntimeError("after the mess")

    inner = messy()
    net = as_module(run_and_raise, inner=inner)
    with unchanged(net), pytest.raises(CaptureError, match="after the mess"):
        capture(net, IMAGE)


@MESS
def test_input_is_unchanged_after_a_capture_and_after_a_real_run(messy, looking):
    image = IMAGE.clone()
    version = image._version
    capture(messy(), image)
    capture(looking(messy()), image)
    assert torch.equal(image, IMAGE)
    assert image._version == version


@MESS
def test_capturing_twice_gives_equal_graphs(messy, looking):
    for net in (messy(), looking(messy())):
        assert capture(net, IMAGE) == capture(net, IMAGE)


@pytest.mark.parametrize("place", ["meta", "cpu"])
def test_backward_begun_before_a_capture_still_works_after_it(place, looking):
    net = WritesToBuffers() if place == "meta" else looking(WritesToBuffers())
    weight = net.average if place == "meta" else net.inner.average
    x = torch.rand(4, requires_grad=True)
    loss = (x * weight).sum()
    capture(net, IMAGE)
    loss.backward()
    assert torch.equal(x.grad, weight)


def test_modes_of_a_partly_frozen_model_stay_apart(unchanged):
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Dropout())
    net.train()
    net[1].eval()
    with unchanged(net):
        graph = capture(net, IMAGE)
    norms = [op for op in graph.ops if op.kind == "norm"]
    assert [op.attributes["training"] for op in norms] == [False, False]
    assert [m.training for m in net.modules()] == [True, True, False, True, True]


def test_gradients_and_flags_of_parameters_stay(unchanged):
    net = Messy()
    net(IMAGE).sum().backward()
    net.norm.requires_grad_(False)
    with unchanged(net):
        graph = capture(net, IMAGE)
    assert [v.trainable for v in graph.parameters()] == [True, True, False, False]


def test_gradient_mode_and_default_device_stay():
    with torch.enable_grad():
        capture(Messy(), IMAGE)
        assert torch.is_grad_enabled()
    with torch.inference_mode():
        capture(Messy(), IMAGE)
        assert torch.is_inference_mode_enabled()
    assert torch.get_default_device() == torch.device("cpu")


def test_module_trains_as_before_after_a_capture():
    torch.manual_seed(3)
    plain, captured = Messy(), Messy()
    captured.load_state_dict(plain.state_dict())
    capture(captured, IMAGE)
    results = []
    for net in (plain, captured):
        net(IMAGE).pow(2).sum().backward()
        results.append([p.grad for p in net.parameters()] + list(net.buffers()))
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)


def test_module_of_an_inference_mode_block_is_captured():
    with torch.inference_mode():
        net = Messy()
    assert capture(net, IMAGE).device == "meta"


# -- the blocks that the guard is made of -------------------------------------------------------


def test_generators_advance_inside_the_block_alone():
    random.seed(1), torch.manual_seed(1), numpy.random.seed(1)
    with generators_kept():
        inside = (random.random(), torch.rand(1).item(), numpy.random.rand())
        torch.manual_seed(99), random.seed(99)
    assert (random.random(), torch.rand(1).item(), numpy.random.rand()) == inside


def test_generators_are_put_back_when_the_block_raises():
    state = random.getstate()
    with pytest.raises(KeyError), generators_kept():
        random.random()
        raise KeyError
    assert random.getstate() == state


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_off_inside_the_block_and_as_it_was_after_it(enabled):
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(KeyError), collection_paused():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
