"""Pre-activation ResNets for CIFAR against their published counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import preact_resnet_cifar

PUBLISHED = [
    ("preact_resnet20_cifar10", 272_282),
    ("preact_resnet56_cifar10", 855_578),
    ("preact_resnet110_cifar10", 1_730_522),
    ("preact_resnet1202_cifar10", 19_423_834),
    ("preact_resnet164_cifar10", 1_703_258),
    ("preact_resnet1001_cifar10", 10_327_706),
]
SHALLOW = ["preact_resnet20_cifar10", "preact_resnet110_cifar10", "preact_resnet164_cifar10"]


@pytest.mark.parametrize(("name", "params"), PUBLISHED)
def test_parameters_are_the_published_ones(name, params, on_meta, count_params):
    assert count_params(on_meta(getattr(preact_resnet_cifar, name))) == params


def test_stride_moves_and_the_parameters_stay(on_meta, count_params, count_macs):
    early = on_meta(preact_resnet_cifar.preact_resnet164_cifar10)
    late = on_meta(preact_resnet_cifar.preact_resnet164_cifar10, stride="3x3")
    assert count_params(late) == count_params(early)
    # the first 1x1 of two units works on four times as many pixels
    saved = (32**2 - 16**2) * 64 * 32 + (16**2 - 8**2) * 128 * 64
    assert count_macs(late, 3, 32, 32) - count_macs(early, 3, 32, 32) == saved


def test_first_unit_adds_the_activated_output_of_the_stem():
    unit = preact_resnet_cifar.preact_resnet20_cifar10().stage1[0]
    assert isinstance(unit.preact, nn.Identity)
    nn.init.zeros_(unit.residual.conv2.weight)
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(unit(x), x)


@pytest.mark.parametrize("name", SHALLOW)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    network = on_meta(getattr(preact_resnet_cifar, name))
    assert unreached_parameters(network, 3, 8, 8) == []


@pytest.mark.parametrize("name", ["preact_resnet20_cifar10", "preact_resnet164_cifar10"])
def test_any_resolution_gives_finite_class_scores(name):
    with torch.no_grad():
        network = getattr(preact_resnet_cifar, name)(num_classes=7, in_channels=1).eval()
        scores = network(torch.randn(2, 1, 17, 8))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"stride": "last"}])
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        preact_resnet_cifar.preact_resnet164_cifar10(**options)
