"""EfficientNet against its published counts, and torchvision's networks of the same names."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import efficientnet
from archstat.zoo.efficientnet import FAMILY

# variant, parameters, side of torchvision's input, G multiply-accumulates there
PUBLISHED = [
    ("efficientnet_b0", 5_288_548, 224, 0.386),
    ("efficientnet_b1", 7_794_184, 240, 0.687),
    ("efficientnet_b2", 9_109_994, 288, 1.088),
    ("efficientnet_b3", 12_233_232, 300, 1.827),
    ("efficientnet_b4", 19_341_616, 380, 4.394),
    ("efficientnet_b5", 30_389_784, 456, 10.266),
    ("efficientnet_b6", 43_040_704, 528, 19.068),
    ("efficientnet_b7", 66_347_960, 600, 37.746),
]
VARIANTS = [row[0] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "side", "giga_macs"), PUBLISHED)
def test_counts_are_the_published_ones(
    name, params, side, giga_macs, on_meta, count_params, count_macs
):
    network = on_meta(getattr(efficientnet, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, side, side) / 1e9, 3) == giga_macs


def test_parameters_of_b8_are_the_published_ones(on_meta, count_params):
    assert round(count_params(on_meta(efficientnet.efficientnet_b8)) / 1e6, 2) == 87.41


def test_family_names_the_resolution_of_each_variant():
    sides = [224, 240, 260, 300, 380, 456, 528, 600, 672]
    for index, side in enumerate(sides):
        assert FAMILY.input_of(f"efficientnet_b{index}") == f"3x{side}x{side}"
    assert all(hasattr(efficientnet, name) for name in FAMILY.inputs)


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b4"])
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(efficientnet, name)), 3, 32, 32) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        network = efficientnet.efficientnet_b0(num_classes=7, in_channels=1).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


# B5 is the first whose normalisation has another epsilon
@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b2", "efficientnet_b5"])
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    theirs = getattr(torchvision.models, name)()
    ours = on_meta(getattr(efficientnet, name))
    assert difference_by_position(ours, theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize("name", VARIANTS)
def test_state_has_the_shapes_of_torchvision_in_its_order(name, torchvision, on_meta):
    ours = on_meta(getattr(efficientnet, name)).state_dict().values()
    theirs = on_meta(getattr(torchvision.models, name)).state_dict().values()
    assert [value.shape for value in ours] == [value.shape for value in theirs]


@pytest.mark.parametrize("option", ["num_classes", "in_channels"])
def test_less_than_one_class_or_channel_is_refused(option):
    with pytest.raises(OptionError, match=f"{option}=0"):
        efficientnet.efficientnet_b0(**{option: 0})
