"""Inception v4 against its published counts, and timm's network of the same name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo.inception_v4 import InceptionB, Stem, inception_v4


def test_counts_are_the_published_ones(on_meta, count_params, count_macs):
    network = on_meta(inception_v4)
    assert count_params(network) == 42_679_816
    assert round(count_macs(network, 3, 299, 299) / 1e9, 3) == 12.254


def test_folding_the_normalisation_gives_the_published_42_648_million(on_meta):
    modules = on_meta(inception_v4).modules()
    channels = sum(m.num_features for m in modules if isinstance(m, nn.BatchNorm2d))
    assert round((42_679_816 - channels) / 1e6, 3) == 42.648


def test_stem_gives_384_maps_of_35x35(on_meta):
    y = on_meta(Stem, 3)(torch.empty(1, 3, 299, 299, device="meta"))
    assert y.shape == (1, 384, 35, 35)


def test_7x7_is_factorised_into_rows_and_columns(on_meta, count_macs):
    seven = 1024 * 192 + 192 * 224 * 7 + 224 * 256 * 7
    double = 1024 * 192 + (192 * 192 + 192 * 224 + 224 * 224 + 224 * 256) * 7
    macs = count_macs(on_meta(InceptionB, 1024), 1024, 17, 17)
    assert macs == 17**2 * (1024 * 384 + seven + double + 1024 * 128)


def test_gradient_reaches_every_parameter(on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(inception_v4), 3, 107, 107) == []


def test_classes_and_channels_change_the_first_and_last_layers_alone(on_meta, count_params):
    network = on_meta(inception_v4, num_classes=10, in_channels=1)
    assert count_params(network) == 42_679_816 - (3 - 1) * 32 * 3 * 3 - (1000 - 10) * (1536 + 1)


def test_input_too_small_for_the_strides_fails(on_meta, count_macs):
    with pytest.raises(RuntimeError, match="size"):
        count_macs(on_meta(inception_v4), 3, 64, 64)


def test_timm_weights_load_by_position(torchvision, on_meta, difference_by_position):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("inception_v4")
    assert difference_by_position(on_meta(inception_v4), theirs, 3, 91, 96) < 1e-5


@pytest.mark.parametrize("option", ["num_classes", "in_channels"])
def test_less_than_one_class_or_channel_is_refused(option):
    with pytest.raises(OptionError, match=f"{option}=0"):
        inception_v4(**{option: 0})
