"""RegNet against its published counts, for the paper's widths and torchvision's."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import regnet
from archstat.zoo.regnet import XBlock

# variant, parameters, G multiply-accumulates, of the paper's network
PUBLISHED = [
    ("regnet_x_400mf", 5_157_512, 0.4),
    ("regnet_x_800mf", 7_259_656, 0.8),
    ("regnet_x_1_6gf", 9_190_136, 1.6),
    ("regnet_x_3_2gf", 15_296_552, 3.2),
    ("regnet_x_4gf", 22_118_248, 4.0),
    ("regnet_x_6_4gf", 26_209_256, 6.5),
    ("regnet_x_8gf", 39_572_648, 8.0),
    ("regnet_x_12gf", 46_106_056, 12.1),
    ("regnet_x_16gf", 54_278_536, 15.9),
    ("regnet_x_32gf", 107_811_560, 31.7),
    ("regnet_y_400mf", 4_344_144, 0.4),
    ("regnet_y_800mf", 6_263_168, 0.8),
    ("regnet_y_1_6gf", 11_202_430, 1.6),
    ("regnet_y_3_2gf", 19_436_338, 3.2),
    ("regnet_y_4gf", 20_646_656, 4.0),
    ("regnet_y_6_4gf", 30_583_252, 6.4),
    ("regnet_y_8gf", 39_180_068, 8.0),
    ("regnet_y_12gf", 51_822_544, 12.1),
    ("regnet_y_16gf", 83_590_140, 15.9),
    ("regnet_y_32gf", 145_046_770, 32.3),
    ("regnet_y_128gf", 644_812_894, 127.5),
]
VARIANTS = [row[0] for row in PUBLISHED]
# variant, parameters, G multiply-accumulates, where torchvision has other widths
DIFFERENT = [
    ("regnet_x_400mf", 5_495_976, 0.414),
    ("regnet_y_800mf", 6_432_512, 0.834),
    ("regnet_y_8gf", 39_381_472, 8.473),
]


@pytest.mark.parametrize(("name", "params", "giga_macs"), PUBLISHED)
def test_counts_are_the_published_ones(name, params, giga_macs, on_meta, count_params, count_macs):
    network = on_meta(getattr(regnet, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e9, 1) == giga_macs


@pytest.mark.parametrize(("name", "params", "giga_macs"), DIFFERENT)
def test_counts_of_the_other_layout_are_those_of_torchvision(
    name, params, giga_macs, on_meta, count_params, count_macs
):
    network = on_meta(getattr(regnet, name), layout="torchvision")
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


@pytest.mark.parametrize("name", sorted({*VARIANTS} - {row[0] for row in DIFFERENT}))
def test_layouts_of_the_other_variants_are_the_same(name, on_meta, count_params):
    factory = getattr(regnet, name)
    assert count_params(on_meta(factory, layout="torchvision")) == count_params(on_meta(factory))


def test_block_groups_its_3x3_by_their_width(on_meta, count_macs):
    block = on_meta(XBlock, 32, 64, stride=2, group_width=16)
    shortcut = 28**2 * 32 * 64
    assert count_macs(block, 32, 56, 56) == shortcut + 56**2 * 32 * 64 + 28**2 * 64 * (16 * 9 + 64)


def test_block_adds_its_input_where_the_residual_is_zero():
    block = XBlock(8, 8, stride=1, group_width=4, squeezed=2).eval()
    torch.nn.init.zeros_(block.residual.bn3.weight)
    x = torch.rand(1, 8, 5, 5)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("name", ["regnet_x_400mf", "regnet_y_400mf"])
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(regnet, name)), 3, 64, 64) == []


@pytest.mark.parametrize("name", ["regnet_x_400mf", "regnet_y_400mf"])
def test_any_resolution_gives_finite_class_scores(name):
    with torch.no_grad():
        network = getattr(regnet, name)(num_classes=7, in_channels=1).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


# one without and one with gates, one whose first group is narrower, and those that differ
@pytest.mark.parametrize(
    "name",
    ["regnet_x_400mf", "regnet_x_8gf", "regnet_y_400mf", "regnet_y_800mf", "regnet_y_8gf"],
)
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    theirs = getattr(torchvision.models, name)()
    ours = on_meta(getattr(regnet, name), layout="torchvision")
    assert difference_by_position(ours, theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"layout": "pycls"}])
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(regnet, name)(**options)


# figures 15 and 16: d, w_a, w_0, w_m and the group width
POINTS = [
    ("regnet_x_400mf", 22, 24.48, 24, 2.54, 16),
    ("regnet_x_800mf", 16, 35.73, 56, 2.28, 16),
    ("regnet_x_1_6gf", 18, 34.01, 80, 2.25, 24),
    ("regnet_x_3_2gf", 25, 26.31, 88, 2.25, 48),
    ("regnet_x_4gf", 23, 38.65, 96, 2.43, 40),
    ("regnet_x_6_4gf", 17, 60.83, 184, 2.07, 56),
    ("regnet_x_8gf", 23, 49.56, 80, 2.88, 120),
    ("regnet_x_12gf", 19, 73.36, 168, 2.37, 112),
    ("regnet_x_16gf", 22, 55.59, 216, 2.1, 128),
    ("regnet_x_32gf", 23, 69.86, 320, 2.0, 168),
    ("regnet_y_400mf", 16, 27.89, 48, 2.09, 8),
    ("regnet_y_800mf", 14, 38.84, 56, 2.4, 16),
    ("regnet_y_1_6gf", 27, 20.71, 48, 2.65, 24),
    ("regnet_y_3_2gf", 21, 42.63, 80, 2.66, 24),
    ("regnet_y_4gf", 22, 31.41, 96, 2.24, 64),
    ("regnet_y_6_4gf", 25, 33.22, 112, 2.27, 72),
    ("regnet_y_8gf", 17, 76.82, 192, 2.19, 56),
    ("regnet_y_12gf", 19, 73.36, 168, 2.37, 112),
    ("regnet_y_16gf", 18, 106.23, 200, 2.48, 112),
    ("regnet_y_32gf", 20, 115.89, 232, 2.53, 232),
]


@pytest.mark.parametrize(("name", "depth", "wa", "w0", "wm", "group"), POINTS)
def test_named_networks_are_points_of_the_space(name, depth, wa, w0, wm, group):
    key = name.removeprefix("regnet_").upper()
    assert regnet._quantised(depth, w0, wa, wm, group) == getattr(regnet, key)[:2]


def test_space_builds_the_named_network(on_meta, count_params):
    options = {"depth": 16, "wa": 27.89, "w0": 48, "wm": 2.09, "group": 8, "se": True}
    network = on_meta(regnet.regnet, **options)
    assert count_params(network) == count_params(on_meta(regnet.regnet_y_400mf))


@pytest.mark.parametrize(
    "options", [{"depth": 0}, {"w0": 0}, {"w0": 1}, {"wa": -1}, {"wm": 1}, {"group": 0}, {"se": 2}]
)
def test_impossible_point_is_refused(options):
    with pytest.raises(OptionError):
        regnet.regnet(**options)
