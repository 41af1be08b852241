"""ShuffleNet v1 against its published counts, over groups and scales."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo.shufflenet_v1 import ChannelShuffle, ShuffleUnit, shufflenet_v1

GROUPS = [1, 2, 3, 4, 8]


# groups, parameters, M multiply-accumulates, and those of table 1: without the classifier
@pytest.mark.parametrize(
    ("groups", "params", "mega_macs", "table_1"),
    [
        (1, 1_531_936, 143.1, 143),
        (2, 1_733_848, 140.8, 140),
        (3, 1_865_728, 137.5, 137),
        (4, 1_968_344, 134.3, 133),
        (8, 2_434_768, 138.4, 137),
    ],
)
def test_counts_are_the_published_ones(
    groups, params, mega_macs, table_1, on_meta, count_params, count_macs
):
    network = on_meta(shufflenet_v1, groups=groups)
    macs = count_macs(network, 3, 224, 224)
    assert count_params(network) == params
    assert round(macs / 1e6, 1) == mega_macs
    # the paper rounds 142.50 up and 136.50 as well
    assert int((macs - network.fc.in_features * 1000) / 1e6 + 0.5) == table_1


@pytest.mark.parametrize(
    ("groups", "scale", "params"),
    [
        (1, 0.25, 209_746),
        (1, 0.5, 534_484),
        (1, 0.75, 975_214),
        (3, 0.25, 305_902),
        (3, 0.5, 718_324),
        (3, 0.75, 1_238_266),
    ],
)
def test_parameters_of_thinner_networks_are_the_published_ones(
    groups, scale, params, on_meta, count_params
):
    assert count_params(on_meta(shufflenet_v1, groups=groups, scale=scale)) == params


@pytest.mark.parametrize(
    ("groups", "scale", "mega_params", "mega_macs"),
    [
        (3, 0.5, 0.7, 38),
        (3, 1.5, 3.4, 292),
        (3, 2.0, 5.4, 524),
        (8, 0.5, 1.0, 40),
        (8, 1.5, 4.3, 290),
        (8, 2.0, 6.5, 522),
    ],
)
def test_scaled_counts_are_those_of_the_authors(
    groups, scale, mega_params, mega_macs, on_meta, count_params, count_macs
):
    network = on_meta(shufflenet_v1, groups=groups, scale=scale, bias=False)
    assert round(count_params(network) / 1e6, 1) == mega_params
    assert round(count_macs(network, 3, 224, 224) / 1e6) == mega_macs


@pytest.mark.parametrize("groups", GROUPS)
def test_network_has_fifty_layers(groups, on_meta):
    modules = on_meta(shufflenet_v1, groups=groups).modules()
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in modules) == 50


def test_shuffle_takes_a_channel_of_each_group_in_turn():
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert ChannelShuffle(3)(x).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert ChannelShuffle(1)(x) is x


def test_unit_of_stride_2_keeps_its_pooled_input_beside_the_new_channels():
    unit = ShuffleUnit(6, 24, stride=2, groups=3).eval()
    x = torch.rand(1, 6, 8, 8)
    y = unit(x)
    assert y.shape == (1, 24, 4, 4)
    torch.testing.assert_close(y[:, :6], nn.functional.avg_pool2d(x, 3, 2, 1))


def test_unit_adds_its_input_where_the_residual_is_zero():
    unit = ShuffleUnit(24, 24, stride=1, groups=3).eval()
    nn.init.zeros_(unit.residual.bn3.weight)
    x = torch.rand(1, 24, 5, 5)
    torch.testing.assert_close(unit(x), x)


@pytest.mark.parametrize("scale", [0.1, 0.33, 1.0, 1.25])
@pytest.mark.parametrize("groups", GROUPS)
def test_groups_divide_every_scale(groups, scale, on_meta, unreached_parameters):
    network = on_meta(shufflenet_v1, groups=groups, scale=scale)
    assert unreached_parameters(network, 3, 64, 64) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        network = shufflenet_v1(num_classes=7, in_channels=1, groups=8, scale=0.25).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


def test_scale_that_leaves_no_channel_is_refused():
    with pytest.raises(OptionError, match="leaves no channel for the first unit of stage 2"):
        shufflenet_v1(groups=8, scale=0.01)


@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 0},
        {"in_channels": 0},
        {"groups": 5},
        {"groups": 0},
        {"scale": 0},
        {"bias": 1},
    ],
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        shufflenet_v1(**options)
