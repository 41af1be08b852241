"""Inception v3 against its published counts, and torchvision's network of the same name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo.inception_v3 import Conv, GridReduction, InceptionB, inception_v3


@pytest.mark.parametrize(("aux", "params"), [(False, 23_834_568), (True, 27_161_264)])
def test_counts_are_the_published_ones(aux, params, on_meta, count_params, count_macs):
    network = on_meta(inception_v3, aux=aux)
    assert count_params(network) == params
    assert round(count_macs(network, 3, 299, 299) / 1e9, 3) == 5.713


def test_variables_of_keras_are_the_published_ones(on_meta):
    modules = on_meta(inception_v3).modules()
    channels = sum(m.num_features for m in modules if isinstance(m, nn.BatchNorm2d))
    # Keras has no scale here, and its moving means and variances count
    total = 23_834_568 - channels + 2 * channels
    assert total == 23_851_784
    assert round((total - 1000 * (2048 + 1)) / 1e6, 1) == 21.8


def test_7x7_is_factorised_into_rows_and_columns(on_meta, count_macs):
    module = on_meta(InceptionB, 768, 128)
    seven = 768 * 128 + 128 * 128 * 7 + 128 * 192 * 7
    double = 768 * 128 + 3 * 128 * 128 * 7 + 128 * 192 * 7
    assert count_macs(module, 768, 17, 17) == 17**2 * (2 * 768 * 192 + seven + double)


def test_grid_reduction_halves_the_map_and_adds_the_filters(on_meta):
    module = on_meta(GridReduction, 288, (Conv(384, 3, 2, "valid"),))
    y = module(torch.empty(1, 288, 35, 35, device="meta"))
    assert y.shape == (1, 288 + 384, 17, 17)


def test_auxiliary_classifier_speaks_in_training_only(on_meta):
    network = on_meta(inception_v3, aux=True, num_classes=7)
    x = torch.empty(2, 3, 299, 299, device="meta")
    outputs = network.train()(x)
    assert [output.shape for output in outputs] == [(2, 7)] * 2
    sum(output.sum() for output in outputs).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.eval()(x).shape == (2, 7)


def test_gradient_reaches_every_parameter(on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(inception_v3), 3, 107, 107) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        scores = inception_v3(num_classes=7, in_channels=1).eval()(torch.randn(1, 1, 75, 96))
    assert scores.shape == (1, 7)
    assert scores.isfinite().all()


def test_input_too_small_for_the_strides_fails(on_meta, count_macs):
    with pytest.raises(RuntimeError, match="size"):
        count_macs(on_meta(inception_v3), 3, 64, 64)


@pytest.mark.parametrize("aux", [False, True])
def test_torchvision_weights_load_by_position(aux, torchvision, on_meta, difference_by_position):
    ours = on_meta(inception_v3, aux=aux)
    theirs = torchvision.models.inception_v3(aux_logits=aux, init_weights=False)
    assert difference_by_position(ours, theirs, 3, 96, 96) < 1e-5
    if aux:
        maps = torch.randn(2, 768, 17, 17)
        with torch.no_grad():
            torch.testing.assert_close(ours.aux(maps), theirs.AuxLogits(maps))


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"aux": 1}])
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        inception_v3(**options)
