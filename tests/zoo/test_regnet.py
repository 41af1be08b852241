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
