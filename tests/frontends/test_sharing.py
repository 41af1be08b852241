"""What is shared counts once: modules under two parents, tied tensors, weights made of weights."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from archstat.frontends.module import capture

IMAGE = torch.rand(1, 4, 8, 8)
TOKENS = torch.arange(6).reshape(1, 6)
CONV_PARAMS, CONV_MACS = 4 * 4 * 3**2 + 4, 4 * 4 * 3**2 * 8**2


def test_conv_under_two_parents_has_its_parameters_once_and_its_work_each_call(totals):
    conv = nn.Conv2d(4, 4, 3, padding=1)
    net = nn.Sequential(nn.Sequential(conv, nn.ReLU()), nn.Sequential(conv), conv)
    found = totals(net, IMAGE)
    assert found["params"] == CONV_PARAMS
    assert found["macs"] == 3 * CONV_MACS
    assert found["depth"] == 3


def test_calls_of_a_shared_module_are_recorded_under_its_first_path():
    conv = nn.Conv2d(4, 4, 3, padding=1)
    graph = capture(nn.Sequential(nn.Sequential(conv), nn.Sequential(conv)), IMAGE)
    assert [(c.module, c.first, c.last) for c in graph.calls if c.module_type == "Conv2d"] == [
        ("0.0", 0, 1),
        ("0.0", 1, 2),
    ]
    (module,) = [m for m in graph.modules if m.type == "Conv2d"]
    assert (module.path, module.aliases) == ("0.0", ("1.0",))
    weight = next(graph.parameters())
    assert (weight.name, weight.aliases) == ("0.0.weight", ("1.0.weight",))
    users = [op for op in graph.ops if graph.values.index(weight) in op.inputs]
    assert len(users) == 2


class Tied(nn.Module):
    """A language model's embedding and output layer with one matrix."""

    def __init__(self, tie=True):
        super().__init__()
        self.embed, self.head = nn.Embedding(10, 8), nn.Linear(8, 10, bias=False)
        if tie:
            self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.embed(tokens))


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_tied_parameter_counts_once_and_has_both_names(place, totals):
    with torch.device(place):
        net = Tied()
    graph = capture(net, TOKENS)
    (weight,) = graph.parameters()
    assert (weight.name, weight.aliases) == ("embed.weight", ("head.weight",))
    found = totals(net, TOKENS)
    assert found["params"] == found["trainable_params"] == 10 * 8
    assert found["param_bytes"] == 4 * 10 * 8
    assert found["macs"] == 6 * 8 * 10


def test_untied_parameters_count_twice(totals):
    assert totals(Tied(tie=False), TOKENS)["params"] == 2 * 10 * 8


def test_tie_holds_in_a_real_run(looking, totals):
    assert totals(looking(Tied()), TOKENS)["params"] == 10 * 8


def test_two_parameters_over_one_memory_count_its_elements_once(totals):
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            memory = torch.rand(8, 4)
            self.upper, self.lower = nn.Parameter(memory[:4]), nn.Parameter(memory[4:])
            self.whole = nn.Parameter(memory)

        def forward(self, x):
            return F.linear(x, self.upper) + F.linear(x, self.lower)

    found = totals(Halves(), torch.rand(1, 4))
    assert found["params"] == 8 * 4
    assert found["macs"] == 2 * 4 * 4


def test_buffer_shared_by_two_modules_counts_once(totals):
    norms = nn.Sequential(nn.BatchNorm2d(4), nn.BatchNorm2d(4))
    norms[1].running_mean = norms[0].running_mean
    assert totals(norms, IMAGE)["buffers"] == (4 + 4 + 1) + (4 + 1)


def test_module_called_in_a_loop_has_a_call_each_time(as_module):
    conv = nn.Conv2d(4, 4, 3, padding=1)

    def loop(x):
        for _ in range(3):
            x = conv(x)
        return x

    graph = capture(as_module(loop, conv=conv), IMAGE)
    assert [(c.module, c.first) for c in graph.calls[1:]] == [("conv", 0), ("conv", 1), ("conv", 2)]


# -- weights that are made of parameters ---------------------------------------------------------


def test_view_of_a_parameter_is_a_parameter(as_module):
    linear = nn.Linear(4, 6, bias=False)
    net = as_module(lambda x: x @ linear.weight.t()[:, :3], linear=linear)
    graph = capture(net, torch.rand(1, 4))
    weight = next(graph.parameters())
    viewed = graph.values[graph.ops[-1].inputs[1]]
    assert (viewed.role, viewed.storage, viewed.shape) == ("parameter", weight.storage, (4, 3))
    assert graph.ops[-1].kind == "linear"
    assert [v.name for v in graph.parameters()] == ["linear.weight"]


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_view_of_a_parameter_taken_before_the_capture_is_a_parameter(place, as_module, totals):
    linear = nn.Linear(4, 6, bias=False, device=place)
    view = linear.weight.detach()[:3]
    net = as_module(lambda x: F.linear(x, view), linear=linear)
    graph = capture(net, torch.rand(1, 4))
    (product,) = [op for op in graph.ops if op.kind in ("linear", "matmul")]
    assert product.kind == "linear"
    assert totals(net, torch.rand(1, 4))["params"] == 6 * 4


def old_weight_norm(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.nn.utils.weight_norm(layer)


NORMS = [old_weight_norm, parametrizations.weight_norm]


@pytest.mark.parametrize("norm", NORMS)
def test_weight_norm_adds_a_gain_for_each_output_and_no_multiply_accumulates(norm, totals):
    net = norm(nn.Conv2d(4, 5, 3, padding=1))
    found = totals(net, IMAGE)
    assert found["params"] == 5 * 4 * 3**2 + 5 + 5
    assert found["macs"] == 5 * 4 * 3**2 * 8**2
    assert found["depth"] == 1
    assert found["unknown_ops"] == 0


@pytest.mark.parametrize("norm", NORMS)
def test_weight_norm_is_untouched(norm, unchanged):
    net, x = nn.Sequential(norm(nn.Linear(4, 5))), torch.rand(1, 4)
    with unchanged(net):
        capture(net, x)


@pytest.mark.parametrize("norm", NORMS)
def test_linear_layer_with_a_normed_weight_is_still_a_layer(norm, totals):
    graph = capture(norm(nn.Linear(4, 5)), torch.rand(1, 4))
    assert [op.kind for op in graph.ops if op.kind in ("linear", "matmul")] == ["linear"]
    assert totals(norm(nn.Linear(4, 5)), torch.rand(1, 4))["depth"] == 1


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.spectral_norm`:FutureWarning")
@pytest.mark.parametrize("norm", [torch.nn.utils.spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm_keeps_its_vectors(norm, unchanged, totals):
    net = nn.Sequential(norm(nn.Conv2d(4, 5, 3))).train()
    with unchanged(net):
        found = totals(net, IMAGE)
    assert found["params"] == 5 * 4 * 3**2 + 5
    assert found["buffers"] == 5 + 4 * 3**2
    assert found["unknown_ops"] == 0
