"""Wide ResNets against their published counts, and against torchvision's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import wide_resnet
from archstat.zoo.wide_resnet import FAMILY

CIFAR = [
    ("wrn16_4_cifar10", 2_748_890),
    ("wrn16_8_cifar10", 10_961_370),
    ("wrn16_10_cifar10", 17_116_634),
    ("wrn28_10_cifar10", 36_479_194),
    ("wrn40_4_cifar10", 8_949_210),
    ("wrn40_8_cifar10", 35_748_314),
]
CIFAR100 = [
    ("wrn16_10_cifar10", 17_174_324),
    ("wrn28_10_cifar10", 36_536_884),
    ("wrn40_8_cifar10", 35_794_484),
]
IMAGENET = [("wide_resnet50_2", 68_883_240, 11.398), ("wide_resnet101_2", 126_886_696, 22.753)]


@pytest.mark.parametrize(("name", "params"), CIFAR)
def test_parameters_on_cifar10_are_the_published_ones(name, params, on_meta, count_params):
    assert count_params(on_meta(getattr(wide_resnet, name))) == params


@pytest.mark.parametrize(("name", "params"), CIFAR100)
def test_parameters_on_cifar100_are_the_published_ones(name, params, on_meta, count_params):
    assert count_params(on_meta(getattr(wide_resnet, name), num_classes=100)) == params


@pytest.mark.parametrize(("name", "params", "giga_macs"), IMAGENET)
def test_counts_on_imagenet_are_the_published_ones(
    name, params, giga_macs, on_meta, count_params, count_macs
):
    network = on_meta(getattr(wide_resnet, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


def test_folded_normalisation_gives_the_other_published_count(on_meta, count_params):
    network = on_meta(wide_resnet.wide_resnet50_2)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    # folding leaves a bias for each channel where weight and bias were
    folded = count_params(network) - sum(norm.num_features for norm in norms)
    assert folded == 68_849_128


def test_widening_by_one_is_a_resnet(on_meta, count_params):
    assert count_params(on_meta(wide_resnet.wide_resnet50_2, widen=1)) == 25_557_032


def test_dropout_lies_between_the_convolutions_and_only_in_training():
    network = wide_resnet.wrn16_4_cifar10(dropout=0.3)
    names = list(dict(network.stage1[0].residual.named_children()))
    assert names.index("relu2") < names.index("dropout") < names.index("conv2")
    drops = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    assert [drop.p for drop in drops] == [0.3] * 6
    assert not any(isinstance(m, nn.Dropout) for m in wide_resnet.wrn16_4_cifar10().modules())


@pytest.mark.parametrize("name", [row[0] for row in CIFAR + IMAGENET])
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(wide_resnet, name)), 3, 32, 32) == []


@pytest.mark.parametrize("name", ["wrn16_4_cifar10", "wide_resnet50_2"])
def test_any_resolution_gives_finite_class_scores(name):
    with torch.no_grad():
        network = getattr(wide_resnet, name)(num_classes=7, in_channels=1, widen=1).eval()
        scores = network(torch.randn(2, 1, 33, 48))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", [row[0] for row in IMAGENET])
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    theirs = getattr(torchvision.models, name)()
    assert difference_by_position(on_meta(getattr(wide_resnet, name)), theirs, 3, 48, 48) < 1e-5


def test_input_is_that_of_the_data_set():
    assert FAMILY.input_of("wrn28_10_cifar10") == "3x32x32"
    assert FAMILY.input_of("wide_resnet50_2") == "3x224x224"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("wrn28_10_cifar10", {"num_classes": 0}),
        ("wrn28_10_cifar10", {"in_channels": 0}),
        ("wrn28_10_cifar10", {"widen": 0}),
        ("wrn28_10_cifar10", {"dropout": 1.0}),
        ("wrn28_10_cifar10", {"dropout": -0.1}),
        ("wrn28_10_cifar10", {"dropout": True}),
        ("wide_resnet50_2", {"widen": 1.5}),
        ("wide_resnet50_2", {"stride": "last"}),
    ],
)
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(wide_resnet, name)(**options)
