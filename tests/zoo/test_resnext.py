"""ResNeXt against its published counts, and against torchvision's."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import resnext
from archstat.zoo.resnext import FAMILY

# variant, parameters, G multiply-accumulates
IMAGENET = [
    ("resnext50_32x4d", 25_028_904, 4.230),
    ("resnext101_32x4d", 44_177_704, 7.970),
    ("resnext101_32x8d", 88_791_336, 16.414),
    ("resnext101_64x4d", 83_455_272, 15.460),
    ("resnext152_32x4d", 59_951_400, 11.710),
]
CIFAR = [
    ("resnext29_32x4d_cifar10", 4_775_754, 4.8),
    ("resnext29_8x64d_cifar10", 34_426_698, 34.4),
    ("resnext29_16x64d_cifar10", 68_155_210, 68.2),
]
VARIANTS = [row[0] for row in IMAGENET + CIFAR]


@pytest.mark.parametrize(("name", "params", "giga_macs"), IMAGENET)
def test_counts_on_imagenet_are_the_published_ones(
    name, params, giga_macs, on_meta, count_params, count_macs
):
    network = on_meta(getattr(resnext, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


@pytest.mark.parametrize(("name", "params", "millions"), CIFAR)
def test_parameters_on_cifar_are_the_published_ones(name, params, millions, on_meta, count_params):
    assert count_params(on_meta(getattr(resnext, name))) == params
    assert round(params / 1e6, 1) == millions


# Table 2 of the paper: cardinality and width that keep the cost of a block
@pytest.mark.parametrize(("groups", "group_width"), [(1, 64), (2, 40), (4, 24), (8, 14), (32, 4)])
def test_cardinalities_of_the_paper_cost_about_the_same(
    groups, group_width, on_meta, count_params, count_macs
):
    network = on_meta(resnext.resnext50_32x4d, groups=groups, group_width=group_width)
    assert abs(count_params(network) / 25.3e6 - 1) < 0.03
    assert abs(count_macs(network, 3, 224, 224) / 4.15e9 - 1) < 0.03


def test_one_group_of_64_is_a_resnet(on_meta, count_params):
    network = on_meta(resnext.resnext50_32x4d, groups=1, group_width=64)
    assert count_params(network) == 25_557_032


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(resnext, name)), 3, 32, 32) == []


@pytest.mark.parametrize("name", ["resnext50_32x4d", "resnext29_32x4d_cifar10"])
def test_any_resolution_gives_finite_class_scores(name):
    with torch.no_grad():
        network = getattr(resnext, name)(num_classes=7, in_channels=1).eval()
        scores = network(torch.randn(2, 1, 33, 48))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", ["resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"])
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    theirs = getattr(torchvision.models, name)()
    assert difference_by_position(on_meta(getattr(resnext, name)), theirs, 3, 48, 48) < 1e-5


def test_input_is_that_of_the_data_set():
    assert FAMILY.input_of("resnext29_8x64d_cifar10") == "3x32x32"
    assert FAMILY.input_of("resnext50_32x4d") == "3x224x224"


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    "options", [{"num_classes": 0}, {"in_channels": 0}, {"groups": 0}, {"group_width": 0.5}]
)
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(resnext, name)(**options)
