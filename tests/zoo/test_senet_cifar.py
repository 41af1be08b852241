"""SE-ResNets for CIFAR against the counts of their projecting twins."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import resnet_cifar, senet_cifar

PROJECTING = [
    ("seresnet20_cifar10", 274_847),
    ("seresnet56_cifar10", 862_889),
    ("seresnet110_cifar10", 1_744_952),
]
VARIANTS = [row[0] for row in PROJECTING]


@pytest.mark.parametrize(("name", "params"), PROJECTING)
def test_parameters_are_the_published_ones(name, params, on_meta, count_params):
    network = on_meta(getattr(senet_cifar, name), shortcut="projection")
    assert count_params(network) == params


def test_gates_are_all_that_is_added_to_a_resnet(on_meta, count_params):
    base = count_params(on_meta(resnet_cifar.resnet20_cifar10))
    gates = sum(3 * (2 * c * (c // 16) + c // 16 + c) for c in (16, 32, 64))
    assert count_params(on_meta(senet_cifar.seresnet20_cifar10)) == base + gates


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(senet_cifar, name)), 3, 8, 8) == []


@pytest.mark.parametrize("shortcut", ["pad", "projection"])
def test_any_resolution_gives_finite_class_scores(shortcut):
    with torch.no_grad():
        factory = senet_cifar.seresnet20_cifar10
        network = factory(num_classes=7, in_channels=1, shortcut=shortcut).eval()
        scores = network(torch.randn(2, 1, 17, 8))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize(
    "options", [{"num_classes": 0}, {"in_channels": 0}, {"reduction": 5}, {"shortcut": "A"}]
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        senet_cifar.seresnet20_cifar10(**options)
