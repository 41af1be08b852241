"""SENet-154 against its published counts, and against timm's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo.senet154 import SENetBottleneck, senet154


def test_counts_are_the_published_ones(on_meta, count_params, count_macs):
    network = on_meta(senet154)
    assert count_params(network) == 115_088_984
    assert round(count_macs(network, 3, 224, 224) / 1e9, 1) == 20.7


def test_name_holds_the_number_of_weight_layers(on_meta):
    convolutions = [m for m in on_meta(senet154).modules() if isinstance(m, nn.Conv2d)]
    gates_and_shortcuts = 2 * 50 + 4
    assert len(convolutions) - gates_and_shortcuts + 1 == 154


def test_shortcut_is_a_3x3_where_the_map_shrinks(on_meta):
    blocks = [on_meta(SENetBottleneck, 128, 64, 1), on_meta(SENetBottleneck, 256, 128, 2)]
    assert [block.shortcut[0].kernel_size for block in blocks] == [(1, 1), (3, 3)]
    assert isinstance(on_meta(SENetBottleneck, 256, 64, 1).shortcut, nn.Identity)


def test_gradient_reaches_every_parameter(on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(senet154), 3, 64, 64) == []


@pytest.mark.parametrize("stride", [1, 2])
def test_block_keeps_or_halves_an_odd_map(stride):
    block = SENetBottleneck(in_channels=128, filters=32, stride=stride, reduction=8).eval()
    with torch.no_grad():
        y = block(torch.randn(2, 128, 9, 5))
    assert y.shape == (2, 128, (9 + stride - 1) // stride, (5 + stride - 1) // stride)
    assert y.isfinite().all()


def test_timm_weights_load_by_position(torchvision, on_meta, difference_by_position):
    # timm imports torchvision
    timm = pytest.importorskip("timm", reason="timm is not installed")
    theirs = timm.create_model("legacy_senet154")
    assert difference_by_position(on_meta(senet154), theirs, 3, 48, 48) < 1e-5


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"reduction": 24}])
def test_impossible_option_is_refused(options, on_meta):
    with pytest.raises(OptionError, match=next(iter(options))):
        on_meta(senet154, **options)
