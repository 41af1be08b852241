"""DenseNets for CIFAR, plain and BC, against the counts of the paper and of other code."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import densenet_cifar

# variant, parameters, the paper's millions
PLAIN = [
    ("densenet_40_k12_cifar10", 1_019_722, 1.0),
    ("densenet_100_k12_cifar10", 6_979_642, 7.0),
    ("densenet_100_k24_cifar10", 27_249_082, 27.2),
]
# with the compression and the first filters of BC, which some code gives the plain networks
COMPRESSED = [
    ("densenet_40_k12_cifar10", 24, 599_050),
    ("densenet_100_k12_cifar10", 24, 4_068_490),
    ("densenet_100_k24_cifar10", 48, 16_114_138),
]
# parameters on CIFAR-10 and on CIFAR-100
BC = [
    ("densenet_bc_40_k12_cifar10", 176_122, 188_092),
    ("densenet_bc_40_k24_cifar10", 690_346, 714_196),
    ("densenet_bc_40_k36_cifar10", 1_542_682, 1_578_412),
    ("densenet_bc_100_k12_cifar10", 769_162, 800_032),
    ("densenet_bc_250_k24_cifar10", 15_324_406, 15_480_556),
    ("densenet_bc_190_k40_cifar10", 25_624_430, 25_821_620),
]
SHALLOW = ["densenet_40_k12_cifar10", "densenet_bc_40_k12_cifar10"]


@pytest.mark.parametrize(("name", "params", "millions"), PLAIN)
def test_parameters_of_plain_networks_are_the_published_ones(
    name, params, millions, on_meta, count_params
):
    assert count_params(on_meta(getattr(densenet_cifar, name))) == params
    assert round(params / 1e6, 1) == millions


@pytest.mark.parametrize(("name", "first_filters", "params"), COMPRESSED)
def test_parameters_of_compressed_networks_are_the_published_ones(
    name, first_filters, params, on_meta, count_params
):
    factory = getattr(densenet_cifar, name)
    network = on_meta(factory, compression=0.5, first_filters=first_filters)
    assert count_params(network) == params


@pytest.mark.parametrize(("name", "cifar10", "cifar100"), BC)
def test_parameters_of_bc_are_the_published_ones(name, cifar10, cifar100, on_meta, count_params):
    factory = getattr(densenet_cifar, name)
    assert count_params(on_meta(factory)) == cifar10
    assert count_params(on_meta(factory, num_classes=100)) == cifar100


def test_macs_of_a_plain_network_are_the_products_of_its_layers(on_meta, count_macs):
    inputs = [[16 + 144 * block + 12 * layer for layer in range(12)] for block in range(3)]
    layers = sum(
        (32 >> block) ** 2 * channels * 12 * 3**2
        for block in range(3)
        for channels in inputs[block]
    )
    stem_and_transitions = 32**2 * (3 * 16 * 3**2 + 160**2) + 16**2 * 304**2
    network = on_meta(densenet_cifar.densenet_40_k12_cifar10)
    assert count_macs(network, 3, 32, 32) == layers + stem_and_transitions + 448 * 10


@pytest.mark.parametrize("name", [row[0] for row in PLAIN + BC])
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(densenet_cifar, name)), 3, 8, 8) == []


@pytest.mark.parametrize("name", SHALLOW)
def test_any_resolution_gives_finite_class_scores(name):
    with torch.no_grad():
        network = getattr(densenet_cifar, name)(num_classes=7, in_channels=1).eval()
        scores = network(torch.randn(2, 1, 33, 16))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 0},
        {"in_channels": 0},
        {"growth": 0},
        {"compression": 0},
        {"first_filters": 0},
    ],
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        densenet_cifar.densenet_40_k12_cifar10(**options)


def test_impossible_growth_of_bc_is_refused_under_its_own_name():
    with pytest.raises(OptionError, match="growth=0"):
        densenet_cifar.densenet_bc_100_k12_cifar10(growth=0)
