"""Network in Network against its published counts."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import nin
from archstat.zoo.nin import FAMILY, MLPConv

# variant, parameters, M multiply-accumulates
PUBLISHED = [
    ("nin_cifar10", 966_986, 222.5),
    ("nin_cifar100", 984_356, 223.6),
    ("nin_imagenet", 7_595_176, 1100.2),
]
VARIANTS = [row[0] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "mega_macs"), PUBLISHED)
def test_counts_are_the_published_ones(name, params, mega_macs, on_meta, count_params, count_macs):
    network = on_meta(getattr(nin, name))
    shape = [int(size) for size in FAMILY.input_of(name).split("x")]
    assert count_params(network) == params
    assert round(count_macs(network, *shape) / 1e6, 1) == mega_macs


def test_weights_of_the_imagenet_network_are_the_published_29_megabytes():
    assert round(7_595_176 * 4 / 2**20, 2) == 28.97


def test_mlpconv_is_one_convolution_and_two_of_1x1(on_meta, count_macs):
    layer = on_meta(MLPConv, 3, (192, 160, 96), 5, padding=2)
    assert count_macs(layer, 3, 32, 32) == 32**2 * (192 * 3 * 5**2 + 160 * 192 + 96 * 160)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(nin, name)), 3, 64, 64) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_any_resolution_gives_finite_class_scores(name):
    with torch.no_grad():
        network = getattr(nin, name)(num_classes=7, in_channels=1).eval()
        scores = network(torch.randn(2, 1, 47, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


def test_input_too_small_for_the_first_convolution_fails(on_meta, count_macs):
    with pytest.raises(RuntimeError, match="size"):
        count_macs(on_meta(nin.nin_imagenet), 3, 10, 10)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("option", ["num_classes", "in_channels"])
def test_less_than_one_class_or_channel_is_refused(name, option):
    with pytest.raises(OptionError, match=f"{option}=0"):
        getattr(nin, name)(**{option: 0})
