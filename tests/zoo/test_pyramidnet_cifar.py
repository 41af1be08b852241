"""PyramidNets for CIFAR against the paper's counts, with and without normalisation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import pyramidnet_cifar

# variant, parameters on CIFAR-10 and on CIFAR-100, the paper's millions, channels at the end
ADDITIVE = [
    ("pyramidnet110_a48_cifar10", 1_772_706, 1_778_556, 1.7, 64),
    ("pyramidnet110_a84_cifar10", 3_904_446, 3_913_536, 3.8, 100),
    ("pyramidnet110_a270_cifar10", 28_485_477, 28_511_307, 28.3, 286),
    ("pyramidnet164_a270_cifar10", 27_216_021, 27_319_071, 27.0, 1144),
    ("pyramidnet200_a240_cifar10", 26_752_702, 26_844_952, 26.6, 1024),
    ("pyramidnet236_a220_cifar10", 26_969_046, 27_054_096, 26.8, 944),
    ("pyramidnet272_a200_cifar10", 26_210_842, 26_288_692, 26.0, 864),
]
# those of which only the paper counts
OTHERS = [
    ("pyramidnet164_a48_cifar10", 1.7),
    ("pyramidnet164_a84_cifar10", 3.8),
    ("pyramidnet110_a4_75_mul_cifar10", 1.7),
    ("pyramidnet110_a8_mul_cifar10", 3.8),
    ("pyramidnet110_a27_mul_cifar10", 28.3),
]
SHALLOW = ["pyramidnet110_a48_cifar10", "pyramidnet110_a8_mul_cifar10", "pyramidnet164_a48_cifar10"]


@pytest.fixture
def count_bare(count_params):
    """Count the parameters without those of normalisation, as the paper does."""

    def count(network):
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        return count_params(network) - sum(count_params(norm) for norm in norms)

    return count


@pytest.mark.parametrize(("name", "cifar10", "cifar100", "millions", "channels"), ADDITIVE)
def test_counts_are_the_published_ones(
    name, cifar10, cifar100, millions, channels, on_meta, count_params, count_bare
):
    factory = getattr(pyramidnet_cifar, name)
    network = on_meta(factory)
    assert count_params(network) == cifar10
    assert count_params(on_meta(factory, num_classes=100)) == cifar100
    assert network.fc.in_features == channels
    # the networks of basic blocks are printed with up to 0.15 M less than they have
    tolerance = 0.15 if name.startswith("pyramidnet110") else 0.06
    assert abs(count_bare(network) / 1e6 - millions) < tolerance


@pytest.mark.parametrize(("name", "millions"), OTHERS)
def test_counts_are_about_those_of_the_paper(name, millions, on_meta, count_bare):
    assert abs(count_bare(on_meta(getattr(pyramidnet_cifar, name))) / 1e6 - millions) < 0.15


@pytest.mark.parametrize(
    ("name", "millions", "last"),
    [
        ("pyramidnet110_a4_75_mul_cifar10", 4.75, 76),
        ("pyramidnet110_a8_mul_cifar10", 8, 128),
        ("pyramidnet110_a27_mul_cifar10", 27, 432),
    ],
)
def test_multiplicative_pyramid_ends_at_alpha_times_its_start(name, millions, last, on_meta):
    assert on_meta(getattr(pyramidnet_cifar, name)).fc.in_features == last == 16 * millions


@pytest.mark.parametrize("name", [*SHALLOW, "pyramidnet272_a200_cifar10"])
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(pyramidnet_cifar, name)), 3, 8, 8) == []


@pytest.mark.parametrize("name", SHALLOW[1:])
def test_any_resolution_gives_finite_class_scores(name):
    with torch.no_grad():
        network = getattr(pyramidnet_cifar, name)(num_classes=7, in_channels=1, alpha=2).eval()
        scores = network(torch.randn(2, 1, 17, 8))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", SHALLOW)
@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"alpha": -1}])
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(pyramidnet_cifar, name)(**options)


def test_multiplicative_pyramid_that_narrows_is_refused():
    with pytest.raises(OptionError, match=r"alpha=0\.5 makes a pyramid that narrows"):
        pyramidnet_cifar.pyramidnet110_a8_mul_cifar10(alpha=0.5)
