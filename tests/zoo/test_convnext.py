"""ConvNeXt against its published counts, and torchvision's networks of the same names."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import convnext
from archstat.zoo.convnext import ConvNeXtBlock

# variant, parameters, G multiply-accumulates
PUBLISHED = [
    ("convnext_tiny", 28_589_128, 4.456),
    ("convnext_small", 50_223_688, 8.684),
    ("convnext_base", 88_591_464, 15.355),
    ("convnext_large", 197_767_336, 34.361),
]
VARIANTS = [row[0] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "giga_macs"), PUBLISHED)
def test_counts_are_the_published_ones(name, params, giga_macs, on_meta, count_params, count_macs):
    network = on_meta(getattr(convnext, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


def test_block_is_a_depthwise_7x7_and_two_1x1(on_meta, count_params, count_macs):
    block = on_meta(ConvNeXtBlock, 96)
    weights = 96 * 7 * 7 + 2 * 96 * 4 * 96
    # biases, the norm's two vectors, the layer scale
    assert count_params(block) == weights + (96 + 4 * 96 + 96) + 2 * 96 + 96
    assert count_macs(block, 96, 14, 14) == 14 * 14 * weights


def test_block_is_the_identity_where_its_scale_is_zero():
    block = ConvNeXtBlock(8).eval()
    torch.nn.init.zeros_(block.layer_scale)
    x = torch.randn(1, 8, 9, 9)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(convnext, name)), 3, 32, 32) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        network = convnext.convnext_tiny(num_classes=7, in_channels=1).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


def test_torchvision_weights_load_by_position(torchvision, on_meta, difference_by_position):
    theirs = torchvision.models.convnext_tiny()
    for name, parameter in theirs.named_parameters():
        if name.endswith("layer_scale"):
            # its initial 1e-6 would hide the whole block
            torch.nn.init.uniform_(parameter, 0.1, 0.5)
    ours = on_meta(convnext.convnext_tiny)
    assert difference_by_position(ours, theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize("name", VARIANTS)
def test_state_has_the_shapes_of_torchvision_in_its_order(name, torchvision, on_meta):
    ours = on_meta(getattr(convnext, name)).state_dict().values()
    theirs = on_meta(getattr(torchvision.models, name)).state_dict().values()
    assert [value.shape for value in ours] == [value.shape for value in theirs]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("option", ["num_classes", "in_channels"])
def test_less_than_one_class_or_channel_is_refused(name, option):
    with pytest.raises(OptionError, match=f"{option}=0"):
        getattr(convnext, name)(**{option: 0})
