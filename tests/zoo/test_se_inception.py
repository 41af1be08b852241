"""SE-BN-Inception against its published counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo.se_inception import se_bn_inception
from archstat.zoo.senet import SqueezeExcitation

# output channels of the modules 3a to 5b
CHANNELS = (256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024)


def test_gate_follows_every_module(on_meta):
    gates = [m for m in on_meta(se_bn_inception).modules() if isinstance(m, SqueezeExcitation)]
    assert tuple(gate.gate.fc1.in_channels for gate in gates) == CHANNELS


def test_parameters_are_the_base_and_the_gates(on_meta, count_params):
    gates = sum(2 * c * (c // 16) + c // 16 + c for c in CHANNELS)
    assert count_params(on_meta(se_bn_inception)) == 11_295_240 + gates


def test_folded_normalisation_gives_the_published_11_922_million(on_meta, count_params):
    network = on_meta(se_bn_inception)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    # the bias of the convolution takes in both parameters of the normalisation after it
    folded = count_params(network) - sum(2 * norm.num_features for norm in norms)
    assert round(folded / 1e6, 3) == 11.922


def test_macs_are_about_the_2_04_billion_of_the_paper(on_meta, count_macs):
    # the paper has the gates' poolings and products as well
    macs = count_macs(on_meta(se_bn_inception), 3, 224, 224)
    assert 0 < 2.04e9 / macs - 1 < 0.005


def test_gradient_reaches_every_parameter(on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(se_bn_inception), 3, 64, 64) == []


@pytest.mark.parametrize("layout", ["paper", "caffe", "slim"])
def test_any_resolution_gives_finite_class_scores(layout):
    with torch.no_grad():
        network = se_bn_inception(num_classes=7, in_channels=1, layout=layout).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize(
    "options", [{"num_classes": 0}, {"in_channels": 0}, {"reduction": 24}, {"layout": "torch"}]
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        se_bn_inception(**options)
