"""VGG against its published counts, and against torchvision's networks of the same names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import vgg

# variant, parameters (torchvision's, the paper's 133 to 144 M), multiply-accumulates in G
PUBLISHED = [
    ("vgg11", 132_863_336, 7.609),
    ("vgg13", 133_047_848, 11.308),
    ("vgg16", 138_357_544, 15.470),
    ("vgg19", 143_667_240, 19.632),
    ("vgg11_bn", 132_868_840, 7.609),
    ("vgg13_bn", 133_053_736, 11.308),
    ("vgg16_bn", 138_365_992, 15.470),
    ("vgg19_bn", 143_678_248, 19.632),
]
VARIANTS = [name for name, _, _ in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "giga_macs"), PUBLISHED)
def test_counts_are_the_published_ones(name, params, giga_macs, on_meta, count_params, count_macs):
    network = on_meta(getattr(vgg, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


@pytest.mark.parametrize(("name", "layers"), [("vgg11", 11), ("vgg13", 13), ("vgg16", 16)])
def test_name_holds_the_number_of_weight_layers(name, layers, on_meta):
    modules = on_meta(getattr(vgg, name)).modules()
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in modules) == layers


def test_classes_and_channels_change_the_first_and_last_layers_alone(on_meta, count_params):
    network = on_meta(vgg.vgg16, num_classes=10, in_channels=1)
    assert count_params(network) == 138_357_544 - (3 - 1) * 64 * 3 * 3 - (1000 - 10) * (4096 + 1)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(vgg, name)), 3, 32, 32) == []


def test_any_resolution_that_five_poolings_leave_gives_finite_class_scores():
    with torch.no_grad():
        scores = vgg.vgg11_bn(num_classes=7).eval()(torch.randn(2, 3, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", VARIANTS)
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    theirs = getattr(torchvision.models, name)()
    assert difference_by_position(on_meta(getattr(vgg, name)), theirs, 3, 32, 32) < 1e-5


@pytest.mark.parametrize("option", ["num_classes", "in_channels"])
def test_less_than_one_class_or_channel_is_refused(option):
    with pytest.raises(OptionError, match=f"{option}=0"):
        vgg.vgg16(**{option: 0})
