"""ShuffleNet v2 against its published counts, for the paper's units and torchvision's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import shufflenet_v2
from archstat.zoo.shufflenet_v2 import ShuffleV2Unit

# variant, then parameters and M multiply-accumulates of the paper's network and torchvision's
PUBLISHED = [
    ("shufflenet_v2_x0_5", 1_365_792, 40.5, 1_366_792, 40.5),
    ("shufflenet_v2_x1_0", 2_278_760, 145.8, 2_278_604, 144.9),
    ("shufflenet_v2_x1_5", 3_506_720, 299.0, 3_503_624, 295.8),
    ("shufflenet_v2_x2_0", 7_402_600, 590.8, 7_393_996, 583.3),
]
VARIANTS = [row[0] for row in PUBLISHED]
LARGE = ["shufflenet_v2_50", "se_shufflenet_v2_164"]


@pytest.mark.parametrize(
    ("name", "params", "mega_macs", "torchvision_params", "torchvision_mega_macs"), PUBLISHED
)
def test_counts_are_the_published_ones(
    name,
    params,
    mega_macs,
    torchvision_params,
    torchvision_mega_macs,
    on_meta,
    count_params,
    count_macs,
):
    factory = getattr(shufflenet_v2, name)
    for layout, expected_params, expected_macs in [
        ("paper", params, mega_macs),
        ("torchvision", torchvision_params, torchvision_mega_macs),
    ]:
        network = on_meta(factory, layout=layout)
        assert count_params(network) == expected_params
        assert round(count_macs(network, 3, 224, 224) / 1e6, 1) == expected_macs


@pytest.mark.parametrize(
    ("name", "params", "mega_macs"),
    [("shufflenet_v2_x0_25", 603_688, 17.6), ("shufflenet_v2_x0_33", 647_272, 22.5)],
)
def test_smallest_networks_have_the_counts_of_torchvision_units(
    name, params, mega_macs, on_meta, count_params, count_macs
):
    network = on_meta(getattr(shufflenet_v2, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e6, 1) == mega_macs


# the networks of imgclsmob: its "b" ones have the paper's units
@pytest.mark.parametrize(
    ("name", "options", "params"),
    [
        ("shufflenet_v2_x1_5", {"layout": "torchvision", "last": 1553}, 4_406_098),
        ("shufflenet_v2_x2_0", {"layout": "torchvision", "last": 2153}, 7_601_686),
        ("shufflenet_v2_x0_5", {"bias": True}, 1_366_792),
        ("shufflenet_v2_x1_0", {"bias": True}, 2_279_760),
        ("shufflenet_v2_x1_5", {"bias": True, "last": 1553}, 4_410_194),
        ("shufflenet_v2_x2_0", {"bias": True, "last": 2153}, 7_611_290),
    ],
)
def test_options_give_the_counts_of_another_implementation(
    name, options, params, on_meta, count_params
):
    assert count_params(on_meta(getattr(shufflenet_v2, name), **options)) == params


@pytest.mark.parametrize(
    ("name", "giga_macs"), [("shufflenet_v2_50", 2.3), ("se_shufflenet_v2_164", 12.7)]
)
def test_macs_of_the_large_networks_are_the_published_ones(name, giga_macs, on_meta, count_macs):
    macs = count_macs(on_meta(getattr(shufflenet_v2, name)), 3, 224, 224)
    assert round(macs / 1e9, 1) == giga_macs


def test_large_network_has_fifty_layers_without_those_beside_its_branches(on_meta):
    network = on_meta(shufflenet_v2.shufflenet_v2_50)
    beside = [m.shortcut for m in network.modules() if isinstance(m, ShuffleV2Unit)]
    count = [sum(isinstance(m, nn.Conv2d | nn.Linear) for m in part.modules()) for part in beside]
    layers = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in network.modules())
    assert layers - sum(count) == 1 + 3 * (3 + 4 + 6 + 3) + 1 + 1


@pytest.mark.parametrize(
    ("kept", "macs"),
    [
        (24, 28**2 * (24 * 9 + 24 * 24) + 56**2 * 24 * 58 + 28**2 * (58 * 9 + 58 * (116 - 24))),
        (58, 28**2 * (24 * 9 + 24 * 58) + 56**2 * 24 * 58 + 28**2 * (58 * 9 + 58 * 58)),
    ],
)
def test_unit_of_stride_2_has_two_branches(kept, macs, on_meta, count_macs):
    unit = on_meta(ShuffleV2Unit, 24, 116, stride=2, kept=kept)
    assert count_macs(unit, 24, 56, 56) == macs


def test_unit_of_stride_1_passes_half_of_its_channels_untouched():
    unit = ShuffleV2Unit(8, 8, stride=1, kept=8).eval()
    x = torch.rand(1, 8, 5, 5)
    torch.testing.assert_close(unit(x)[:, ::2], x[:, :4])


def test_residual_unit_only_shuffles_where_its_branch_is_zero():
    unit = ShuffleV2Unit(8, 8, stride=1, kept=8, residual=True).eval()
    nn.init.zeros_(unit.branch[-2].weight)
    x = torch.rand(1, 8, 5, 5)
    torch.testing.assert_close(unit(x), unit.shuffle(x))


@pytest.mark.parametrize("name", VARIANTS + LARGE)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(shufflenet_v2, name)), 3, 64, 64) == []


@pytest.mark.parametrize("layout", ["paper", "torchvision"])
def test_any_resolution_gives_finite_class_scores(layout):
    with torch.no_grad():
        network = shufflenet_v2.shufflenet_v2_x0_5(num_classes=7, in_channels=1, layout=layout)
        scores = network.eval()(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", VARIANTS)
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    ours = on_meta(getattr(shufflenet_v2, name), layout="torchvision")
    theirs = getattr(torchvision.models, name)()
    assert difference_by_position(ours, theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    "options",
    [{"num_classes": 0}, {"in_channels": 0}, {"layout": "caffe"}, {"last": 0}, {"bias": 1}],
)
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(shufflenet_v2, name)(**options)
