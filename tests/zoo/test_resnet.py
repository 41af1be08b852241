"""ResNet against its published counts, for both places of the stride, and torchvision's."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import resnet
from archstat.zoo.resnet import BasicBlock, Bottleneck

# variant, parameters, G multiply-accumulates with the stride on the 3x3 and on the first
PUBLISHED = [
    ("resnet18", 11_689_512, 1.814, 1.814),
    ("resnet34", 21_797_672, 3.664, 3.664),
    ("resnet50", 25_557_032, 4.089, 3.858),
    ("resnet101", 44_549_160, 7.801, 7.570),
    ("resnet152", 60_192_808, 11.514, 11.282),
]
VARIANTS = [row[0] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "on_3x3", "on_first"), PUBLISHED)
def test_counts_are_the_published_ones(
    name, params, on_3x3, on_first, on_meta, count_params, count_macs
):
    factory = getattr(resnet, name)
    for network, giga_macs in [
        (on_meta(factory), on_3x3),
        (on_meta(factory, stride="3x3"), on_3x3),
        (on_meta(factory, stride="first"), on_first),
    ]:
        assert count_params(network) == params
        assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


def test_bottleneck_that_halves_the_map_costs_less_with_the_stride_first(on_meta, count_macs):
    restore_and_project = 28**2 * (128 * 512 + 256 * 512)
    middle = 28**2 * 128 * 128 * 3**2
    late = on_meta(Bottleneck, in_channels=256, filters=128, stride=2)
    early = on_meta(Bottleneck, in_channels=256, filters=128, stride=2, place="first")
    assert count_macs(late, 256, 56, 56) == 56**2 * 256 * 128 + middle + restore_and_project
    assert count_macs(early, 256, 56, 56) == 28**2 * 256 * 128 + middle + restore_and_project


def test_block_adds_its_input_where_the_residual_is_zero():
    block = BasicBlock(in_channels=8, filters=8, stride=1).eval()
    torch.nn.init.zeros_(block.residual.bn2.weight)
    x = torch.rand(1, 8, 5, 5)
    torch.testing.assert_close(block(x), x)


def test_shortcut_has_parameters_only_where_the_shape_changes(count_params):
    assert count_params(Bottleneck(256, 64, stride=1).shortcut) == 0
    assert count_params(Bottleneck(64, 64, stride=1).shortcut) == 64 * 256 + 2 * 256
    assert count_params(Bottleneck(256, 64, stride=2).shortcut) == 256 * 256 + 2 * 256


def test_classes_and_channels_change_the_first_and_last_layers_alone(on_meta, count_params):
    network = on_meta(resnet.resnet50, num_classes=10, in_channels=1)
    assert count_params(network) == 25_557_032 - (3 - 1) * 64 * 7 * 7 - (1000 - 10) * (2048 + 1)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(resnet, name)), 3, 64, 64) == []


@pytest.mark.parametrize("stride", ["3x3", "first"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_any_resolution_gives_finite_class_scores(name, stride):
    with torch.no_grad():
        network = getattr(resnet, name)(num_classes=7, stride=stride).eval()
        scores = network(torch.randn(2, 3, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", VARIANTS)
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    theirs = getattr(torchvision.models, name)()
    assert difference_by_position(on_meta(getattr(resnet, name)), theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"stride": "last"}])
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(resnet, name)(**options)
