"""ResNets for CIFAR against the paper's table 6 and the counts of their projecting twins."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import resnet_cifar
from archstat.zoo.resnet_cifar import ZeroPad

# variant, parameters with zeros (the paper's millions) and with projections, which others count
PUBLISHED = [
    ("resnet20_cifar10", 0.27, 272_474),
    ("resnet32_cifar10", 0.46, None),
    ("resnet44_cifar10", 0.66, None),
    ("resnet56_cifar10", 0.85, 855_770),
    ("resnet110_cifar10", 1.7, 1_730_714),
    ("resnet1202_cifar10", 19.4, 19_424_026),
]
BOTTLENECKS = [("resnet164_cifar10", 1_704_154), ("resnet1001_cifar10", 10_328_602)]
VARIANTS = [row[0] for row in PUBLISHED] + [row[0] for row in BOTTLENECKS]
SHALLOW = [name for name in VARIANTS if name not in ("resnet1001_cifar10", "resnet1202_cifar10")]


@pytest.mark.parametrize(("name", "millions", "projecting"), PUBLISHED)
def test_parameters_are_the_published_ones(name, millions, projecting, on_meta, count_params):
    factory = getattr(resnet_cifar, name)
    params = count_params(on_meta(factory))
    digits = 2 if millions < 1 else 1
    assert round(params / 1e6, digits) == millions
    # two projections, each with its batch normalisation
    added = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert count_params(on_meta(factory, shortcut="projection")) == params + added
    assert projecting in (None, params + added)


@pytest.mark.parametrize(("name", "params"), BOTTLENECKS)
def test_parameters_of_bottlenecks_are_the_published_ones(name, params, on_meta, count_params):
    assert count_params(on_meta(getattr(resnet_cifar, name))) == params


def test_macs_are_the_products_of_the_layers(on_meta, count_macs):
    maps = 32**2 * 16 * 16 + 16**2 * 32 * 32 + 8**2 * 64 * 64
    stem_and_widening = 32**2 * 3 * 16 + 16**2 * 16 * 32 + 8**2 * 32 * 64
    # three units a stage, of two convolutions; two of the eighteen widen
    macs = 3**2 * (6 * maps - 16**2 * 32 * 32 - 8**2 * 64 * 64 + stem_and_widening) + 64 * 10
    assert count_macs(on_meta(resnet_cifar.resnet20_cifar10), 3, 32, 32) == macs


def test_padding_shortcut_keeps_every_other_pixel_and_adds_channels_of_zeros():
    x = torch.randn(1, 2, 5, 4)
    y = ZeroPad(2, 3, stride=2)(x)
    assert y.shape == (1, 3, 3, 2)
    assert torch.equal(y[:, :2], x[:, :, ::2, ::2])
    assert not y[:, 2:].any()


def test_hundred_classes_change_the_classifier_alone(on_meta, count_params):
    ten = count_params(on_meta(resnet_cifar.resnet20_cifar10))
    hundred = count_params(on_meta(resnet_cifar.resnet20_cifar10, num_classes=100))
    assert hundred - ten == 90 * (64 + 1)


@pytest.mark.parametrize("name", SHALLOW)
@pytest.mark.parametrize("shortcut", ["pad", "projection"])
def test_gradient_reaches_every_parameter(name, shortcut, on_meta, unreached_parameters):
    network = on_meta(getattr(resnet_cifar, name), shortcut=shortcut)
    assert unreached_parameters(network, 3, 8, 8) == []


@pytest.mark.parametrize("shortcut", ["pad", "projection"])
@pytest.mark.parametrize("name", ["resnet20_cifar10", "resnet164_cifar10"])
def test_any_resolution_gives_finite_class_scores(name, shortcut):
    with torch.no_grad():
        factory = getattr(resnet_cifar, name)
        network = factory(num_classes=7, in_channels=1, shortcut=shortcut).eval()
        scores = network(torch.randn(2, 1, 17, 8))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"shortcut": "A"}])
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(resnet_cifar, name)(**options)
