"""Xception against its published counts, and timm's network of the Keras model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo.xception import SeparableConvolution, XceptionModule, xception


def test_counts_are_the_published_ones(on_meta, count_params, count_macs):
    network = on_meta(xception)
    assert count_params(network) == 22_855_952
    assert round(count_macs(network, 3, 299, 299) / 1e9, 3) == 8.357


def test_variables_of_keras_are_the_published_ones(on_meta):
    modules = on_meta(xception).modules()
    statistics = sum(2 * m.num_features for m in modules if isinstance(m, nn.BatchNorm2d))
    assert statistics == 54_528
    assert 22_855_952 + statistics == 22_910_480
    assert round((22_910_480 - 1000 * (2048 + 1)) / 1e6, 1) == 20.9


def test_separable_convolution_filters_each_channel_alone_and_then_mixes(on_meta, count_macs):
    layer = on_meta(SeparableConvolution, 728, 1024)
    assert count_macs(layer, 728, 19, 19) == 19**2 * (728 * 3**2 + 728 * 1024)


def test_module_adds_its_input_where_the_residual_is_zero():
    module = XceptionModule(8, (8, 8, 8), stride=1).eval()
    nn.init.zeros_(module.residual.bn3.weight)
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(module(x.clone()), x)


def test_gradient_reaches_every_parameter(on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(xception), 3, 71, 71) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        scores = xception(num_classes=7, in_channels=1).eval()(torch.randn(1, 1, 47, 64))
    assert scores.shape == (1, 7)
    assert scores.isfinite().all()


def test_input_too_small_for_the_strides_fails(on_meta, count_macs):
    with pytest.raises(RuntimeError, match="size"):
        count_macs(on_meta(xception), 3, 4, 4)


def test_timm_weights_load_by_position(torchvision, on_meta, difference_by_position):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("legacy_xception")
    assert difference_by_position(on_meta(xception), theirs, 3, 64, 71) < 1e-5


@pytest.mark.parametrize("option", ["num_classes", "in_channels"])
def test_less_than_one_class_or_channel_is_refused(option):
    with pytest.raises(OptionError, match=f"{option}=0"):
        xception(**{option: 0})
