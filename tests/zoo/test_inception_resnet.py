"""Inception-ResNet against its published counts, and timm's Inception-ResNet v2."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import inception_resnet
from archstat.zoo.inception_resnet import V1, V2, InceptionResNet

# variant, layout, parameters and G multiply-accumulates; the paper layouts have no published ones
PUBLISHED = [
    ("inception_resnet_v1", "paper", 22_756_328, 6.206),
    ("inception_resnet_v1", "facenet", 23_995_624, 6.308),
    ("inception_resnet_v2", "released", 55_843_464, 13.156),
    ("inception_resnet_v2", "paper", 32_433_928, 9.258),
]
VARIANTS = [row[:2] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "layout", "params", "giga_macs"), PUBLISHED)
def test_counts_are_the_published_ones(
    name, layout, params, giga_macs, on_meta, count_params, count_macs
):
    network = on_meta(getattr(inception_resnet, name), layout=layout)
    assert count_params(network) == params
    assert round(count_macs(network, 3, 299, 299) / 1e9, 3) == giga_macs


def test_folding_the_normalisation_gives_the_published_55_813_million(on_meta):
    modules = on_meta(inception_resnet.inception_resnet_v2).modules()
    channels = sum(m.num_features for m in modules if isinstance(m, nn.BatchNorm2d))
    assert 55_843_464 - channels == 55_813_192
    # Keras has no scale here, its moving means and variances count, with and without classifier
    assert round((55_843_464 + channels) / 1e6, 1) == 55.9
    assert round((55_843_464 + channels - 1000 * (1536 + 1)) / 1e6, 1) == 54.3


@pytest.mark.parametrize(
    ("channels", "stage", "macs"),
    [
        (256, V1[0], 3 * 256 * 32 + 3 * 32 * 32 * 9 + 96 * 256),
        (1088, V2[1], 1088 * 320 + (128 * 160 + 160 * 192) * 7 + 384 * 1088),
    ],
)
def test_unit_costs_the_products_of_its_branches(channels, stage, macs, on_meta, count_macs):
    unit = on_meta(InceptionResNet, channels, stage.unit, stage.scale)
    assert count_macs(unit, channels, 17, 17) == 17**2 * macs


@pytest.mark.parametrize("linear", [False, True])
def test_unit_adds_its_input_where_the_residual_is_zero(linear):
    unit = InceptionResNet(8, V1[0].unit, scale=0.17, linear=linear).eval()
    nn.init.zeros_(unit.linear.weight)
    nn.init.zeros_(unit.linear.bias)
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(unit(x), x if linear else x.relu())


@pytest.mark.parametrize(("name", "layout"), VARIANTS)
def test_gradient_reaches_every_parameter(name, layout, on_meta, unreached_parameters):
    network = on_meta(getattr(inception_resnet, name), layout=layout)
    assert unreached_parameters(network, 3, 107, 107) == []


@pytest.mark.parametrize("layout", ["paper", "facenet"])
def test_any_resolution_gives_finite_class_scores(layout):
    with torch.no_grad():
        network = inception_resnet.inception_resnet_v1(
            num_classes=7, in_channels=1, layout=layout
        ).eval()
        scores = network(torch.randn(1, 1, 80, 96))
    assert scores.shape == (1, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize(("name", "layout"), VARIANTS)
def test_input_too_small_for_the_strides_fails(name, layout, on_meta, count_macs):
    with pytest.raises(RuntimeError, match="size"):
        count_macs(on_meta(getattr(inception_resnet, name), layout=layout), 3, 64, 64)


def test_timm_weights_load_by_position(torchvision, on_meta, difference_by_position):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("inception_resnet_v2")
    ours = on_meta(inception_resnet.inception_resnet_v2)
    assert difference_by_position(ours, theirs, 3, 91, 96) < 1e-5


@pytest.mark.parametrize("name", ["inception_resnet_v1", "inception_resnet_v2"])
@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"layout": "slim"}])
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(inception_resnet, name)(**options)
