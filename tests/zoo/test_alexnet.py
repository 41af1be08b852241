"""AlexNet: the paper's towers, their ungrouped twin, and torchvision's one-tower network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo.alexnet import FAMILY, alexnet

CLASSIFIER = 256 * 6 * 6 * 4096 + 4096 * 4096 + 4096 * 1000
VARIANTS = [{}, {"towers": 1}, {"layout": "torchvision"}]


# options, published parameters, multiply-accumulates of the five convolutions, side of the
# input, M multiply-accumulates of the whole (published but for the ungrouped network)
@pytest.mark.parametrize(
    ("options", "params", "convolutions", "side", "mega_macs"),
    [
        (
            {},
            60_965_224,
            96 * 3 * 11**2 * 55**2
            + 256 * (96 // 2) * 5**2 * 27**2
            + (384 * 256 + 384 * (384 // 2) + 256 * (384 // 2)) * 3**2 * 13**2,
            227,
            724.4,
        ),
        (
            {"towers": 1},
            62_378_344,
            96 * 3 * 11**2 * 55**2
            + 256 * 96 * 5**2 * 27**2
            + (384 * 256 + 384 * 384 + 256 * 384) * 3**2 * 13**2,
            227,
            1135.3,
        ),
        (
            {"layout": "torchvision"},
            61_100_840,
            64 * 3 * 11**2 * 55**2
            + 192 * 64 * 5**2 * 27**2
            + (384 * 192 + 256 * 384 + 256 * 256) * 3**2 * 13**2,
            224,
            714.2,
        ),
    ],
    ids=["two towers", "one tower", "torchvision"],
)
def test_counts_are_the_products_of_the_layer_table(
    options, params, convolutions, side, mega_macs, on_meta, count_params, count_macs
):
    network = on_meta(alexnet, **options)
    assert count_params(network) == params
    assert count_macs(network, 3, side, side) == convolutions + CLASSIFIER
    assert round((convolutions + CLASSIFIER) / 1e6, 1) == mega_macs


def test_two_towers_meet_only_in_the_third_convolution(on_meta):
    modules = on_meta(alexnet).modules()
    groups = [module.groups for module in modules if isinstance(module, nn.Conv2d)]
    assert groups == [1, 2, 1, 2, 2]


def test_normalisation_sums_squares_over_five_neighbouring_channels():
    normalise = next(m for m in alexnet().modules() if isinstance(m, nn.LocalResponseNorm))
    a = torch.randn(1, 9, 1, 1)
    channel = 4
    squares = sum(a[0, j, 0, 0] ** 2 for j in range(channel - 2, channel + 3))
    expected = a[0, channel, 0, 0] / (2 + 1e-4 * squares) ** 0.75
    torch.testing.assert_close(normalise(a)[0, channel, 0, 0], expected)


def test_paper_input_gives_finite_class_scores():
    shape = tuple(int(size) for size in FAMILY.input_of("alexnet").split("x"))
    with torch.no_grad():
        scores = alexnet(num_classes=7).eval()(torch.randn(2, *shape))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


def test_paper_layout_does_not_fit_another_resolution(on_meta, count_macs):
    with pytest.raises(RuntimeError, match="9216"):
        count_macs(on_meta(alexnet), 3, 160, 160)


@pytest.mark.parametrize("options", VARIANTS)
def test_gradient_reaches_every_parameter(options, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(alexnet, **options), 3, 227, 227) == []


def test_torchvision_weights_load_by_position(torchvision, on_meta, difference_by_position):
    ours = on_meta(alexnet, layout="torchvision")
    assert difference_by_position(ours, torchvision.models.alexnet(), 3, 64, 64) < 1e-5


def test_torchvision_layout_drops_out_before_its_linear_layers(torchvision, on_meta):
    ours = on_meta(alexnet, layout="torchvision").classifier
    theirs = on_meta(torchvision.models.alexnet).classifier
    assert [type(layer) for layer in ours] == [type(layer) for layer in theirs]


@pytest.mark.parametrize(
    "options",
    [{"num_classes": 0}, {"in_channels": 0}, {"towers": 3}, {"towers": 0}, {"layout": "caffe"}],
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        alexnet(**options)
