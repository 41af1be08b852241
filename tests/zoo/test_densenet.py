"""DenseNet against its published counts, and against torchvision's."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import densenet
from archstat.zoo.densenet import DenseLayer

# variant, parameters, G multiply-accumulates
PUBLISHED = [
    ("densenet121", 7_978_856, 2.834),
    ("densenet169", 14_149_480, 3.360),
    ("densenet201", 20_013_928, 4.291),
    ("densenet161", 28_681_000, 7.728),
    ("densenet264", 33_337_704, 5.752),
]
VARIANTS = [row[0] for row in PUBLISHED]
OF_TORCHVISION = [name for name in VARIANTS if name != "densenet264"]


@pytest.mark.parametrize(("name", "params", "giga_macs"), PUBLISHED)
def test_counts_are_the_published_ones(name, params, giga_macs, on_meta, count_params, count_macs):
    network = on_meta(getattr(densenet, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


@pytest.mark.parametrize("bottleneck", [True, False])
def test_layer_appends_its_maps_to_its_input(bottleneck):
    x = torch.randn(2, 6, 5, 5)
    y = DenseLayer(6, growth=3, bottleneck=bottleneck)(x)
    assert y.shape == (2, 6 + 3, 5, 5)
    assert torch.equal(y[:, :6], x)


def test_layer_costs_its_two_convolutions(on_meta, count_params, count_macs):
    layer = on_meta(DenseLayer, 64, growth=32)
    assert count_params(layer) == 2 * 64 + 64 * 128 + 2 * 128 + 128 * 32 * 3**2
    assert count_macs(layer, 64, 56, 56) == 56**2 * (64 * 128 + 128 * 32 * 3**2)


def test_growth_and_compression_set_the_channels(on_meta):
    network = on_meta(densenet.densenet121, growth=24, compression=0.25)
    first_block = 2 * 24 + 6 * 24
    assert network.transition1.conv.weight.shape[:2] == (first_block // 4, first_block)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(densenet, name)), 3, 64, 64) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        network = densenet.densenet121(num_classes=7, in_channels=1, growth=8).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    theirs = getattr(torchvision.models, name)()
    assert difference_by_position(on_meta(getattr(densenet, name)), theirs, 3, 48, 48) < 1e-5


def test_compression_that_leaves_no_channel_is_refused():
    with pytest.raises(OptionError, match="leaves no channel of the 256 in a transition"):
        densenet.densenet121(compression=0.001)


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 0},
        {"in_channels": 0},
        {"growth": 0},
        {"compression": 0},
        {"compression": 1.5},
        {"compression": True},
    ],
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        densenet.densenet121(**options)
