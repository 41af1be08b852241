"""Vision transformer: an image as a sequence of patches, and nothing but attention.

A. Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at
Scale", 2020, arXiv:2010.11929. The classifier is the single layer of fine-tuning.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archstat.errors import OptionError
from archstat.zoo.family import Family
from archstat.zoo.options import positive

FAMILY = Family(title="Vision transformer", year=2020, paper="arXiv:2010.11929", category="modern")

# Table 1: layers, hidden size D, MLP size, heads
BASE = (12, 768, 3072, 12)

EPS = 1e-6


def vit_b_16(*, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224) -> nn.Module:
    """ViT-B/16; `image_size` is the side of the square images that the positions are for."""
    return _vit(BASE, 16, num_classes, in_channels, image_size)


class VisionTransformer(nn.Module):
    """Patches and a class token through an encoder, and a linear layer on the class token."""

    def __init__(self, patches: nn.Conv2d, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        hidden = patches.out_channels
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden))
        self.patches = patches
        self.encoder = encoder
        self.head = nn.Linear(hidden, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        class_token = self.class_token.expand(len(tokens), -1, -1)
        encoded = self.encoder(torch.cat((class_token, tokens), dim=1))
        scores: Tensor = self.head(encoded[:, 0])
        return scores


class Encoder(nn.Module):
    """Learned positions, the encoder's blocks and a last layer norm."""

    def __init__(self, tokens: int, layers: int, hidden: int, mlp: int, heads: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(1, tokens, hidden))
        self.layers = nn.Sequential(*(EncoderBlock(hidden, mlp, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(hidden, EPS)

    def forward(self, x: Tensor) -> Tensor:
        encoded: Tensor = self.norm(self.layers(x + self.positions))
        return encoded


class EncoderBlock(nn.Module):
    """Self-attention, then two linear layers, each behind a layer norm and with a shortcut."""

    def __init__(self, hidden: int, mlp: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            OrderedDict(norm=nn.LayerNorm(hidden, EPS), attend=SelfAttention(hidden, heads))
        )
        self.mlp = nn.Sequential(
            OrderedDict(
                norm=nn.LayerNorm(hidden, EPS),
                expand=nn.Linear(hidden, mlp),
                gelu=nn.GELU(),
                reduce=nn.Linear(mlp, hidden),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        x = x + self.mlp(x)
        return x


class SelfAttention(nn.Module):
    """Queries, keys and values from one linear layer, attention in heads, and a linear layer."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        # batch, tokens, 3 x heads x d, to three of batch, heads, tokens, d
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attended: Tensor = self.out(
            F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        )
        return attended


def _vit(
    size: tuple[int, int, int, int], patch: int, num_classes: int, in_channels: int, image_size: int
) -> nn.Module:
    positive("num_classes", num_classes)
    positive("in_channels", in_channels)
    positive("image_size", image_size)
    if image_size % patch:
        raise OptionError(
            f"image_size={image_size} cannot be cut into patches of {patch}x{patch}: "
            f"give a multiple of {patch}."
        )
    layers, hidden, mlp, heads = size
    tokens = (image_size // patch) ** 2 + 1
    return VisionTransformer(
        nn.Conv2d(in_channels, hidden, kernel_size=patch, stride=patch),
        Encoder(tokens, layers, hidden, mlp, heads),
        num_classes,
    )
