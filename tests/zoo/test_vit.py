"""The vision transformer against its published counts, and torchvision's network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo.vit import Encoder, EncoderBlock, SelfAttention, VisionTransformer, vit_b_16


def _small() -> nn.Module:
    """Two layers of 48 channels in four heads, for four patches of 8x8."""
    patches = nn.Conv2d(3, 48, kernel_size=8, stride=8)
    encoder = Encoder(tokens=2 * 2 + 1, layers=2, hidden=48, mlp=96, heads=4)
    return VisionTransformer(patches, encoder, num_classes=7)


def test_counts_are_the_published_ones(on_meta, count_params, count_macs):
    network = on_meta(vit_b_16)
    assert count_params(network) == 86_567_656
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == 17.564


def test_macs_are_those_of_patches_attention_and_layers(on_meta, count_macs):
    patches, tokens, hidden = 14**2, 14**2 + 1, 768
    layer = tokens * 4 * hidden**2 + 2 * tokens**2 * hidden + tokens * 2 * hidden * 3072
    total = patches * 3 * 16**2 * hidden + 12 * layer + hidden * 1000
    assert count_macs(on_meta(vit_b_16), 3, 224, 224) == total


@pytest.mark.parametrize("image_size", [32, 384])
def test_image_size_sets_the_positions_alone(image_size, on_meta, count_params):
    network = on_meta(vit_b_16, image_size=image_size)
    assert count_params(network) == 86_567_656 + ((image_size // 16) ** 2 - 14**2) * 768
    assert network(torch.empty(2, 3, image_size, image_size, device="meta")).shape == (2, 1000)


def test_attention_is_that_of_torch():
    ours, theirs = SelfAttention(48, heads=4), nn.MultiheadAttention(48, 4, batch_first=True)
    weights = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict(dict(weights))
    x = torch.randn(2, 5, 48)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


def test_block_is_the_identity_where_its_last_layers_are_zero():
    block = EncoderBlock(48, 96, heads=4)
    for layer in (block.attention.attend.out, block.mlp.reduce):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = torch.randn(2, 5, 48)
    torch.testing.assert_close(block(x), x)


def test_gradient_reaches_every_parameter(on_meta, unreached_parameters):
    network = on_meta(vit_b_16, image_size=32)
    assert unreached_parameters(network, 3, 32, 32) == []


def test_image_gives_finite_class_scores():
    with torch.no_grad():
        scores = _small().eval()(torch.randn(2, 3, 16, 16))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


def test_torchvision_weights_load_by_position(torchvision, on_meta, difference_by_position):
    theirs = torchvision.models.VisionTransformer(
        image_size=16,
        patch_size=8,
        num_layers=2,
        num_heads=4,
        hidden_dim=48,
        mlp_dim=96,
        num_classes=7,
    )
    # both start at zero, which would hide the encoder
    nn.init.normal_(theirs.heads.head.weight)
    nn.init.normal_(theirs.class_token)
    assert difference_by_position(on_meta(_small), theirs, 3, 16, 16) < 1e-5


def test_state_has_the_shapes_of_torchvision_in_its_order(torchvision, on_meta):
    ours = on_meta(vit_b_16).state_dict().values()
    theirs = on_meta(torchvision.models.vit_b_16).state_dict().values()
    assert [value.shape for value in ours] == [value.shape for value in theirs]


@pytest.mark.parametrize(
    "options", [{"num_classes": 0}, {"in_channels": 0}, {"image_size": 0}, {"image_size": 100}]
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        vit_b_16(**options)
