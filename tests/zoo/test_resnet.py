"""ResNet against its published counts, for both places of the stride, and torchvision's."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import resnet
from archstat.zoo.resnet import BasicBlock, Bottleneck, SamePool

# variant, parameters, G multiply-accumulates with the stride on the 3x3 and on the first
PUBLISHED = [
    ("resnet18", 11_689_512, 1.814, 1.814),
    ("resnet34", 21_797_672, 3.664, 3.664),
    ("resnet50", 25_557_032, 4.089, 3.858),
    ("resnet101", 44_549_160, 7.801, 7.570),
    ("resnet152", 60_192_808, 11.514, 11.282),
]
VARIANTS = [row[0] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "on_3x3", "on_first"), PUBLISHED)
def test_counts_are_the_published_ones(
    name, params, on_3x3, on_first, on_meta, count_params, count_macs
):
    factory = getattr(resnet, name)
    for network, giga_macs in [
        (on_meta(factory), on_3x3),
        (on_meta(factory, stride="3x3"), on_3x3),
        (on_meta(factory, stride="first"), on_first),
    ]:
        assert count_params(network) == params
        assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


# variant, parameters, G multiply-accumulates at 3x32x32 with ten classes, as kuangliu's
# pytorch-cifar has them
@pytest.mark.parametrize(
    ("name", "params", "giga_macs"),
    [
        ("resnet18", 11_173_962, 0.555),
        ("resnet34", 21_282_122, 1.159),
        ("resnet50", 23_520_842, 1.298),
    ],
)
def test_cifar_stem_keeps_the_size_of_small_images(
    name, params, giga_macs, on_meta, count_params, count_macs
):
    network = on_meta(getattr(resnet, name), num_classes=10, stem="cifar")
    assert count_params(network) == params
    assert round(count_macs(network, 3, 32, 32) / 1e9, 3) == giga_macs


def test_bottleneck_that_halves_the_map_costs_less_with_the_stride_first(on_meta, count_macs):
    restore_and_project = 28**2 * (128 * 512 + 256 * 512)
    middle = 28**2 * 128 * 128 * 3**2
    late = on_meta(Bottleneck, in_channels=256, filters=128, stride=2)
    early = on_meta(Bottleneck, in_channels=256, filters=128, stride=2, place="first")
    assert count_macs(late, 256, 56, 56) == 56**2 * 256 * 128 + middle + restore_and_project
    assert count_macs(early, 256, 56, 56) == 28**2 * 256 * 128 + middle + restore_and_project


# G operations, two a multiply-accumulate, that TensorFlow's profiler gives TF-slim's networks
# before their classifiers; it counts a little more than the convolutions
@pytest.mark.parametrize(
    ("name", "giga_operations"), [("resnet50", 6.963), ("resnet101", 14.39), ("resnet152", 21.81)]
)
def test_slim_layout_keeps_the_parameters_and_halves_a_unit_earlier(
    name, giga_operations, on_meta, count_params, count_macs
):
    factory = getattr(resnet, name)
    slim = on_meta(factory, layout="slim")
    assert count_params(slim) == count_params(on_meta(factory))
    operations = 2 * (count_macs(slim, 3, 224, 224) - 2048 * 1000)
    assert 0 < giga_operations * 1e9 / operations - 1 < 0.0005


def test_slim_layout_halves_the_map_in_the_last_unit_of_a_stage(on_meta):
    network = on_meta(resnet.resnet50, layout="slim")
    stages = [getattr(network, f"conv{stage}_x") for stage in (2, 3, 4, 5)]
    strides = [[unit.conv2.stride[0] for unit in stage] for stage in stages]
    assert strides == [[1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 1, 1, 2], [1, 1, 1]]
    assert isinstance(stages[0][-1].shortcut, torch.nn.MaxPool2d)


def test_slim_pooling_starts_inside_an_even_map_and_before_an_odd_one():
    pool = SamePool()
    assert pool(torch.arange(6.0).expand(1, 1, 6, 6))[0, 0, 0].tolist() == [2, 4, 5]
    assert pool(torch.arange(5.0).expand(1, 1, 5, 5))[0, 0, 0].tolist() == [1, 3, 4]


def test_groups_of_a_bottleneck_widen_with_its_filters(on_meta, count_params):
    block = on_meta(Bottleneck, 512, 128, stride=1, groups=32, group_width=4)
    width = 32 * 8
    assert block.conv2.weight.shape == (width, 8, 3, 3)
    assert count_params(block) == (
        512 * width + width * 8 * 3**2 + width * 512 + 2 * (2 * width + 512)
    )


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_gate_weighs_the_residual_and_not_the_shortcut(block):
    channels = 8 * block.expansion
    unit = block(channels, 8, stride=1, gate=lambda channels: torch.nn.Threshold(1e9, 0.0)).eval()
    x = torch.rand(1, channels, 5, 5)
    torch.testing.assert_close(unit(x), x)


def test_block_adds_its_input_where_the_residual_is_zero():
    block = BasicBlock(in_channels=8, filters=8, stride=1).eval()
    torch.nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 8, 5, 5)
    torch.testing.assert_close(block(x), x)


def test_shortcut_has_parameters_only_where_the_shape_changes(count_params):
    assert Bottleneck(256, 64, stride=1).shortcut is None
    assert count_params(Bottleneck(64, 64, stride=1).shortcut) == 64 * 256 + 2 * 256
    assert count_params(Bottleneck(256, 64, stride=2).shortcut) == 256 * 256 + 2 * 256


def test_classes_and_channels_change_the_first_and_last_layers_alone(on_meta, count_params):
    network = on_meta(resnet.resnet50, num_classes=10, in_channels=1)
    assert count_params(network) == 25_557_032 - (3 - 1) * 64 * 7 * 7 - (1000 - 10) * (2048 + 1)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(resnet, name)), 3, 64, 64) == []


@pytest.mark.parametrize("stride", ["3x3", "first"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_any_resolution_gives_finite_class_scores(name, stride):
    with torch.no_grad():
        network = getattr(resnet, name)(num_classes=7, stride=stride).eval()
        scores = network(torch.randn(2, 3, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", VARIANTS)
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    theirs = getattr(torchvision.models, name)()
    assert difference_by_position(on_meta(getattr(resnet, name)), theirs, 3, 64, 64) < 1e-5


def test_slim_layout_gives_finite_class_scores(on_meta, unreached_parameters):
    with torch.no_grad():
        scores = resnet.resnet50(num_classes=7, layout="slim").eval()(torch.randn(1, 3, 33, 64))
    assert scores.shape == (1, 7)
    assert scores.isfinite().all()
    assert unreached_parameters(on_meta(resnet.resnet50, layout="slim"), 3, 64, 64) == []


def test_unknown_layout_is_refused():
    with pytest.raises(OptionError, match="layout"):
        resnet.resnet50(layout="caffe")


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"stride": "last"}])
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(resnet, name)(**options)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "resnet50"),
        ({"stage3": resnet.Stage(23, 256)}, "resnet101"),
        ({"block": "basic"}, "resnet34"),
    ],
)
def test_named_networks_are_points_of_the_space(options, name, on_meta, count_params):
    network = on_meta(resnet.resnet_space, **options)
    assert count_params(network) == count_params(on_meta(getattr(resnet, name)))


def test_filters_of_a_stage_of_the_space_change(on_meta):
    network = on_meta(resnet.resnet_space, stage4=resnet.Stage(1, 24))
    assert (len(network.conv5_x), network.fc.in_features) == (1, 24 * 4)


@pytest.mark.parametrize(
    "options", [{"stage1": resnet.Stage(0, 64)}, {"stage2": resnet.Stage(1, 0)}, {"block": "x"}]
)
def test_impossible_stage_is_refused(options):
    with pytest.raises(OptionError):
        resnet.resnet_space(**options)
