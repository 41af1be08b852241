"""ZFNet and its wide variant against their published counts."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo.zfnet import zfnet

FIRST = 96 * 3 * 7**2 * 110**2 + 256 * 96 * 5**2 * 26**2
LAST = 4096 * 4096 + 4096 * 1000


@pytest.mark.parametrize(
    ("options", "params", "filters"),
    [
        ({}, 62_357_608, (384, 384, 256)),
        ({"wide": True}, 107_627_624, (512, 1024, 512)),
    ],
)
def test_counts_are_the_published_ones(options, params, filters, on_meta, count_params, count_macs):
    network = on_meta(zfnet, **options)
    assert count_params(network) == params
    third, fourth, fifth = filters
    middle = (256 * third + third * fourth + fourth * fifth) * 3**2 * 13**2
    macs = FIRST + middle + fifth * 6 * 6 * 4096 + LAST
    assert count_macs(network, 3, 224, 224) == macs


def test_maps_have_the_sides_of_figure_3(on_meta):
    x = torch.empty(1, 3, 224, 224, device="meta")
    sides = []
    for layer in on_meta(zfnet).features:
        x = layer(x)
        if x.shape[-1] not in sides:
            sides.append(x.shape[-1])
    assert sides == [110, 55, 26, 13, 6]


def test_paper_input_gives_finite_class_scores():
    with torch.no_grad():
        scores = zfnet(num_classes=7, in_channels=1).eval()(torch.randn(1, 1, 224, 224))
    assert scores.shape == (1, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("wide", [False, True])
def test_gradient_reaches_every_parameter(wide, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(zfnet, wide=wide), 3, 224, 224) == []


@pytest.mark.parametrize(("side", "message"), [(160, "9216"), (8, "Kernel size")])
def test_other_resolution_does_not_fit(side, message, on_meta, count_macs):
    with pytest.raises(RuntimeError, match=message):
        count_macs(on_meta(zfnet), 3, side, side)


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"wide": 2}])
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        zfnet(**options)
