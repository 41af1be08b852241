"""Building without memory and without initialisation; for real where that cannot be."""

from __future__ import annotations

import copy
import random
import threading

import pytest
import torch
from torch import nn

from archstat.frontends.building import build_for_real, build_on_meta


class Net(nn.Module):
    """A constructor with tensors of every sort and initialisers that would be slow."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.lstm, self.attention = nn.LSTM(4, 4), nn.MultiheadAttention(4, 2)
        self.scale = nn.Parameter(torch.ones(4))
        self.register_buffer("steps", torch.arange(4))
        self.table = torch.tensor([1.0, 2.0])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                nn.init.constant_(module.bias, 0.5)
        with torch.no_grad():
            self.scale.fill_(2).normal_()
        nn.init.trunc_normal_(self.attention.in_proj_weight, std=0.02)
        nn.init.orthogonal_(tensor=self.lstm.weight_ih_l0)


def test_every_tensor_is_on_meta_and_has_its_shape():
    net, real = build_on_meta(Net), Net()
    assert all(tensor.is_meta for tensor in (*net.parameters(), *net.buffers(), net.table))
    for (name, tensor), (_, expected) in zip(
        net.state_dict().items(), real.state_dict().items(), strict=True
    ):
        assert tensor.shape == expected.shape, name
        assert tensor.dtype == expected.dtype, name


def test_flags_are_those_of_a_real_build():
    net, real = build_on_meta(Net), Net()
    assert [p.requires_grad for p in net.parameters()] == [
        p.requires_grad for p in real.parameters()
    ]
    assert net.training


def test_no_generator_advances():
    for build in (build_on_meta, build_for_real):
        torch.manual_seed(1), random.seed(1)
        state = torch.get_rng_state(), random.getstate()

        def factory():
            random.random()
            return nn.Linear(torch.randint(3, 4, (), device="cpu").item(), 2)

        build(factory)
        assert torch.equal(torch.get_rng_state(), state[0])
        assert random.getstate() == state[1]


def test_device_that_the_factory_names_is_kept():
    net = build_on_meta(lambda: nn.Linear(2, 2, device="cpu"))
    assert net.weight.device.type == "cpu"


def test_initialiser_of_a_real_tensor_still_runs():
    net = build_on_meta(lambda: nn.init.constant_(torch.zeros(3, device="cpu"), 4.0))
    assert net.tolist() == [4.0, 4.0, 4.0]


def test_layer_on_a_real_device_initialises_itself():
    layer = build_on_meta(lambda: nn.BatchNorm2d(3, device="cpu"))
    assert layer.weight.tolist() == [1.0, 1.0, 1.0]


def test_initialiser_of_a_layer_is_left_out_while_it_is_built_and_back_afterwards():
    seen = []

    class Layer(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
            seen.append("reset_parameters" in self.__dict__)

    built = build_on_meta(lambda: nn.Sequential(Layer(), copy.deepcopy(Layer())))
    assert seen == [True, True]
    assert not any("reset_parameters" in module.__dict__ for module in built.modules())
    layer = built.to_empty(device="cpu")[1]
    nn.init.constant_(layer.weight, 9.0)
    layer.reset_parameters()
    assert layer.weight.abs().max() < 1


def test_initialiser_is_back_when_the_factory_raises():
    made = []

    def factory():
        made.append(nn.Linear(2, 2))
        raise KeyError

    with pytest.raises(KeyError):
        build_on_meta(factory)
    assert "reset_parameters" not in made[0].__dict__


def test_initialiser_of_somebody_else_is_called():
    called = []

    class Own(nn.Linear):
        def reset_parameters(self):
            called.append(self.weight.is_meta)
            super().reset_parameters()

    build_on_meta(lambda: Own(2, 2))
    assert called == [True]


def test_layers_of_other_threads_initialise_themselves():
    built = []

    def elsewhere():
        built.append(nn.Linear(2, 2, device="meta"))

    def factory():
        nn.Linear(2, 2)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        # Before the build has ended.
        assert "reset_parameters" not in built[0].__dict__

    build_on_meta(factory)


def test_hook_of_the_build_is_gone_afterwards():
    hooks = nn.modules.module._global_parameter_registration_hooks
    before = dict(hooks)
    build_on_meta(lambda: nn.Linear(2, 2))
    assert dict(hooks) == before


def test_tie_survives_the_build():
    def tied():
        net = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
        net[1].weight = net[0].weight
        return net

    net = build_on_meta(tied)
    assert net[0].weight is net[1].weight


@pytest.mark.parametrize(
    "looks",
    [
        lambda: nn.Linear(int(torch.arange(4).sum().item()), 2),
        lambda: [nn.Dropout(p) for p in torch.linspace(0, 0.5, 3).tolist()],
        lambda: nn.Linear(2, 2) if torch.ones(2).sum() > 1 else None,
    ],
)
def test_constructor_that_reads_numbers_raises_on_meta_and_builds_for_real(looks):
    with pytest.raises((RuntimeError, NotImplementedError), match=r"(?i)meta"):
        build_on_meta(looks)
    assert build_for_real(looks) is not None


def test_error_of_the_factory_comes_through():
    def failing():
        raise LookupError("no such layer")

    for build in (build_on_meta, build_for_real):
        with pytest.raises(LookupError, match="no such layer"):
            build(failing)


def test_default_device_is_as_before():
    build_on_meta(Net)
    assert torch.zeros(1).device.type == "cpu"
    assert nn.Linear(1, 1).weight.device.type == "cpu"


def test_lazy_module_builds_lazy():
    net = build_on_meta(lambda: nn.LazyConv2d(4, 3))
    assert nn.parameter.is_lazy(net.weight)


def test_result_that_is_no_module_is_handed_on():
    assert build_on_meta(lambda: "not a module") == "not a module"
