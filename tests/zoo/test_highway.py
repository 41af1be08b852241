"""Highway networks against their published counts, and what a closed gate does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import highway
from archstat.zoo.highway import FAMILY, Highway

VARIANTS = ["highway19_cifar10", "highway10_mnist"]


def shape_of(name: str) -> tuple[int, ...]:
    return tuple(int(size) for size in FAMILY.input_of(name).split("x"))


# variant, parameters, M multiply-accumulates, gated layers and all layers
@pytest.mark.parametrize(
    ("name", "params", "mega_macs", "gated", "layers"),
    [
        ("highway19_cifar10", 2_256_838, 330.8, 14, 19),
        ("highway10_mnist", 151_690, 31.7, 8, 10),
    ],
)
def test_counts_are_the_published_ones(
    name, params, mega_macs, gated, layers, on_meta, count_params, count_macs
):
    network = on_meta(getattr(highway, name))
    assert count_params(network) == params
    assert round(count_macs(network, *shape_of(name)) / 1e6, 1) == mega_macs
    weighted = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in network.modules())
    assert sum(isinstance(m, Highway) for m in network.modules()) == gated
    # the transform and the gate of a highway layer are one layer
    assert weighted - gated == layers


def test_layer_carries_its_input_where_the_gate_is_closed():
    layer = Highway(4, gate_bias=-100.0)
    x = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(layer(x), x)


def test_layer_transforms_its_input_where_the_gate_is_open():
    layer = Highway(4, gate_bias=100.0)
    x = torch.randn(1, 4, 5, 5)
    torch.testing.assert_close(layer(x), layer.transform(x).relu())


def test_gates_start_nearly_closed():
    for name, bias in zip(VARIANTS, (-2.0, -1.0), strict=True):
        modules = getattr(highway, name)().modules()
        gates = [module.gate for module in modules if isinstance(module, Highway)]
        assert all((gate.bias == bias).all() for gate in gates)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(highway, name)), *shape_of(name)) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_paper_input_gives_finite_class_scores(name):
    _, *sides = shape_of(name)
    with torch.no_grad():
        network = getattr(highway, name)(num_classes=7, in_channels=2).eval()
        scores = network(torch.randn(2, 2, *sides))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", VARIANTS)
def test_input_too_small_for_the_poolings_fails(name, on_meta, count_macs):
    network = on_meta(getattr(highway, name), in_channels=1)
    with pytest.raises(RuntimeError, match="size"):
        count_macs(network, 1, 3, 3)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("option", ["num_classes", "in_channels"])
def test_less_than_one_class_or_channel_is_refused(name, option):
    with pytest.raises(OptionError, match=f"{option}=0"):
        getattr(highway, name)(**{option: 0})
