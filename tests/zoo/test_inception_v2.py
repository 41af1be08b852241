"""Inception v2 against the counts of the paper's table, the Caffe model and TF-slim."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo.inception_v2 import MODULES, Inception, inception_v2

LAYOUTS = ["paper", "caffe", "slim"]


# layout, parameters, M multiply-accumulates (published but for slim's)
@pytest.mark.parametrize(
    ("layout", "params", "mega_macs"),
    [
        ("paper", 11_194_984, 2018.9),
        ("caffe", 11_295_240, 2032.6),
        ("slim", 11_188_224, 1934.9),
    ],
)
def test_counts_are_the_published_ones(
    layout, params, mega_macs, on_meta, count_params, count_macs
):
    network = on_meta(inception_v2, layout=layout)
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e6, 1) == mega_macs


def test_folding_the_normalisation_gives_the_published_11_185_million(on_meta):
    assert 11_194_984 - normalised_channels(on_meta(inception_v2)) == 11_185_032


def test_caffe_model_without_its_biases_has_the_other_published_count(on_meta):
    network = on_meta(inception_v2, layout="caffe")
    assert 11_295_240 - normalised_channels(network) == 11_285_224


def test_variables_of_slim_are_those_its_own_test_expects(on_meta, count_params):
    network = on_meta(inception_v2, layout="slim")
    # slim has no scale, its moving means and variances count, and the classifier does not
    variables = count_params(network) + normalised_channels(network)
    assert variables - count_params(network.fc) == 10_173_112


def test_slim_convolves_each_channel_alone_into_eight(on_meta, count_macs):
    stem = on_meta(inception_v2, layout="slim").conv1
    assert count_macs(stem, 3, 224, 224) == 112**2 * (3 * 8 * 7**2 + 3 * 8 * 64)


@pytest.mark.parametrize(("name", "out_channels"), [("3a", 256), ("3c", 576), ("5b", 1024)])
def test_module_says_how_many_channels_it_gives(name, out_channels, on_meta):
    in_channels = {"3a": 192, "3c": 320, "5b": 1024}[name]
    module = on_meta(Inception, in_channels, dict(MODULES)[name])
    y = module(torch.empty(1, in_channels, 28, 28, device="meta"))
    side = 14 if name == "3c" else 28
    assert y.shape == (1, out_channels, side, side)
    assert module.out_channels == out_channels


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_reaches_every_parameter(layout, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(inception_v2, layout=layout), 3, 64, 64) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_resolution_gives_finite_class_scores(layout):
    with torch.no_grad():
        network = inception_v2(num_classes=7, in_channels=1, layout=layout).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"layout": "keras"}])
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        inception_v2(**options)


def normalised_channels(network: nn.Module) -> int:
    return sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))
