"""SE-BN-Inception: squeeze-and-excitation on every Inception module of Inception v2.

J. Hu, L. Shen, S. Albanie, G. Sun and E. Wu, "Squeeze-and-Excitation Networks", 2017,
arXiv:1709.01507. The base is the Caffe model that the paper counts, with `layout=paper` that
of the batch normalisation paper.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from archstat.zoo.family import Family
from archstat.zoo.inception_v2 import Inception, Layout, inception_v2
from archstat.zoo.senet import SqueezeExcitation

FAMILY = Family(
    title="SE-BN-Inception", year=2017, paper="arXiv:1709.01507", category="feature-map"
)


def se_bn_inception(
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    reduction: int = 16,
    layout: Layout = "caffe",
) -> nn.Module:
    """SE-BN-Inception."""
    base = inception_v2(num_classes=num_classes, in_channels=in_channels, layout=layout)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, module in base.named_children():
        layers[name] = _gated(module, reduction) if isinstance(module, Inception) else module
    return nn.Sequential(layers)


def _gated(module: Inception, reduction: int) -> nn.Module:
    gate = SqueezeExcitation(module.out_channels, reduction)
    return nn.Sequential(OrderedDict(inception=module, gate=gate))
