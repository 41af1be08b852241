"""SE-ResNet and SE-ResNeXt against their published counts, and against timm's networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import senet
from archstat.zoo.senet import SqueezeExcitation

# variant, parameters, G multiply-accumulates of the convolutions, and those that the paper
# prints, with the poolings and the products of the gates
PUBLISHED = [
    ("seresnet18", 11_778_592, 1.814, None),
    ("seresnet34", 21_958_868, 3.664, None),
    ("seresnet50", 28_088_024, 3.860, 3.87),
    ("seresnet101", 49_326_872, 7.575, 7.60),
    ("seresnet152", 66_821_848, 11.289, 11.32),
    ("seresnet200", 71_835_864, 14.783, None),
    ("seresnext50_32x4d", 27_559_896, 4.233, 4.25),
    ("seresnext101_32x4d", 48_955_416, 7.975, 8.00),
    ("seresnext101_32x8d", 93_569_048, 16.419, None),
    ("seresnext101_64x4d", 88_232_984, 15.465, None),
]
VARIANTS = [row[0] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "giga_macs", "printed"), PUBLISHED)
def test_counts_are_the_published_ones(
    name, params, giga_macs, printed, on_meta, count_params, count_macs
):
    network = on_meta(getattr(senet, name))
    assert count_params(network) == params
    macs = count_macs(network, 3, 224, 224) / 1e9
    assert round(macs, 3) == giga_macs
    assert printed is None or 0 < printed / macs - 1 < 0.005


def test_gates_without_biases_give_the_smaller_published_count(on_meta, count_params):
    network = on_meta(senet.seresnet50)
    gates = [module for module in network.modules() if isinstance(module, SqueezeExcitation)]
    biases = sum(gate.gate.fc1.bias.numel() + gate.gate.fc2.bias.numel() for gate in gates)
    assert count_params(network) - biases == 28_071_976


def test_gate_costs_two_fully_connected_layers(on_meta, count_params, count_macs):
    gate = on_meta(SqueezeExcitation, 256, reduction=16)
    assert count_params(gate) == 256 * 16 + 16 + 16 * 256 + 256
    assert count_macs(gate, 256, 56, 56) == 2 * 256 * 16


def test_gate_scales_each_channel_by_one_number_from_its_average():
    gate = SqueezeExcitation(4, reduction=2)
    x = torch.randn(1, 4, 3, 3)
    y = gate(x)
    weights = gate.gate(x.mean(dim=(2, 3), keepdim=True))
    assert weights.shape == (1, 4, 1, 1)
    torch.testing.assert_close(y, weights * x)


def test_gate_weighs_the_residual_before_the_sum():
    unit = senet.seresnet18().conv2_x[0].eval()
    nn.init.constant_(unit.gate.gate.fc2.bias, -1e4)
    x = torch.rand(1, 64, 5, 5)
    torch.testing.assert_close(unit(x), x)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(senet, name)), 3, 64, 64) == []


@pytest.mark.parametrize("name", ["seresnet18", "seresnext50_32x4d"])
def test_any_resolution_gives_finite_class_scores(name):
    with torch.no_grad():
        network = getattr(senet, name)(num_classes=7, in_channels=1, reduction=8).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize(
    ("name", "options"), [("seresnet50", {"stride": "3x3"}), ("seresnext50_32x4d", {})]
)
def test_timm_weights_load_by_position(name, options, torchvision, on_meta, difference_by_position):
    # timm imports torchvision
    timm = pytest.importorskip("timm", reason="timm is not installed")
    theirs = timm.create_model(name)
    ours = on_meta(getattr(senet, name), **options)
    assert difference_by_position(ours, theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize(
    "options",
    [{"num_classes": 0}, {"in_channels": 0}, {"reduction": 0}, {"stride": "last"}],
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        senet.seresnet50(**options)


def test_reduction_that_does_not_divide_is_refused():
    with pytest.raises(OptionError, match="reduction=24 does not divide the 256 channels"):
        senet.seresnet50(reduction=24)
