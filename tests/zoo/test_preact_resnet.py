"""Pre-activation ResNets against their published counts; their units against the identity."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import preact_resnet
from archstat.zoo.preact_resnet import PreactBasicBlock, PreactBottleneck

# variant, parameters, G multiply-accumulates: a ResNet's, for the convolutions are the same
PUBLISHED = [
    ("preact_resnet18", 11_687_848, 1.814),
    ("preact_resnet34", 21_796_008, 3.664),
    ("preact_resnet50", 25_549_480, 4.089),
    ("preact_resnet101", 44_541_608, 7.801),
    ("preact_resnet152", 60_185_256, 11.514),
    ("preact_resnet200", 64_666_280, 15.007),
]
VARIANTS = [row[0] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "giga_macs"), PUBLISHED)
def test_counts_are_the_published_ones(name, params, giga_macs, on_meta, count_params, count_macs):
    network = on_meta(getattr(preact_resnet, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


@pytest.mark.parametrize(
    ("name", "giga_macs"),
    [("preact_resnet50", 3.858), ("preact_resnet101", 7.570), ("preact_resnet152", 11.282)],
)
def test_stride_on_the_first_convolution_costs_less(name, giga_macs, on_meta, count_macs):
    network = on_meta(getattr(preact_resnet, name), stride="first")
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


def test_slim_layout_halves_the_map_in_the_last_unit_of_a_stage(on_meta, count_params):
    slim = on_meta(preact_resnet.preact_resnet50, layout="slim")
    assert count_params(slim) == count_params(on_meta(preact_resnet.preact_resnet50))
    sizes = []
    for unit in (*slim.conv2_x, *slim.conv3_x, *slim.conv5_x):
        unit.register_forward_hook(lambda _, __, out: sizes.append(out.shape[-1]))
    slim.eval()(torch.empty(1, 3, 224, 224, device="meta"))
    assert sizes == [56, 56, 28, 28, 28, 28, 14, 7, 7, 7]


def test_slim_shortcut_leaves_pixels_out_of_the_input_itself():
    unit = PreactBottleneck(8, 2, 2, subsamples=True).eval()
    nn.init.zeros_(unit.residual.conv3.weight)
    x = torch.randn(1, 8, 6, 6)
    assert torch.equal(unit(x.clone()), x[..., ::2, ::2])


def test_parameters_without_normalisation_are_those_of_the_pyramid_paper(on_meta, count_params):
    network = on_meta(preact_resnet.preact_resnet200)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    bare = count_params(network) - sum(count_params(norm) for norm in norms)
    assert round(bare / 1e6, 1) == 64.5


@pytest.mark.parametrize("block", [PreactBasicBlock, PreactBottleneck])
def test_unit_is_the_identity_where_its_last_convolution_is_zero(block):
    channels = 4 * block.expansion
    unit = block(channels, 4, stride=1)
    nn.init.zeros_(unit.residual[-1].weight)
    x = torch.randn(2, channels, 5, 5)
    assert torch.equal(unit(x), x)


def test_units_of_one_stage_together_are_the_identity_where_their_residuals_are_zero():
    stage = preact_resnet.preact_resnet50().conv2_x[1:]
    for unit in stage:
        nn.init.zeros_(unit.residual.conv3.weight)
    x = torch.randn(2, 256, 5, 5)
    assert torch.equal(stage(x), x)


def test_projection_takes_the_activated_input():
    unit = PreactBasicBlock(2, 3, stride=2).eval()
    nn.init.zeros_(unit.residual.conv2.weight)
    assert not unit(-torch.rand(1, 2, 4, 4)).any()


def test_projection_has_no_normalisation(on_meta, count_params):
    projection = on_meta(PreactBottleneck, 64, 64, stride=1).projection
    assert count_params(projection) == 64 * 256


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(preact_resnet, name)), 3, 64, 64) == []


@pytest.mark.parametrize("name", ["preact_resnet18", "preact_resnet50"])
def test_any_resolution_gives_finite_class_scores(name):
    with torch.no_grad():
        network = getattr(preact_resnet, name)(num_classes=7, in_channels=1).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"stride": "last"}])
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        preact_resnet.preact_resnet50(**options)
