"""GoogLeNet against its published counts, and torchvision's network of the same name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo.googlenet import MODULES, Inception, googlenet

# options, parameters, M multiply-accumulates
PUBLISHED = [
    ({}, 6_998_552, 1582.7),
    ({"aux": True}, 13_378_280, 1582.7),
    ({"batch_norm": True}, 7_013_112, 1582.7),
    ({"layout": "torchvision"}, 6_624_904, 1498.4),
    ({"layout": "torchvision", "aux": True}, 13_004_888, 1498.4),
]


@pytest.mark.parametrize(("options", "params", "mega_macs"), PUBLISHED)
def test_counts_are_the_published_ones(
    options, params, mega_macs, on_meta, count_params, count_macs
):
    network = on_meta(googlenet, **options)
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e6, 1) == mega_macs


def test_first_module_is_the_sum_of_its_branches(on_meta, count_params, count_macs):
    name, row = MODULES[0]
    module = on_meta(Inception, 192, row)
    weights = 192 * 64 + 192 * 96 + 96 * 128 * 3**2 + 192 * 16 + 16 * 32 * 5**2 + 192 * 32
    assert name == "3a"
    assert count_params(module) == weights + 64 + 96 + 128 + 16 + 32 + 32
    assert count_macs(module, 192, 28, 28) == 28**2 * weights


def test_batch_normalisation_takes_the_place_of_response_normalisation(on_meta):
    def number_of(kind: type[nn.Module], **options: object) -> int:
        return sum(isinstance(module, kind) for module in on_meta(googlenet, **options).modules())

    assert number_of(nn.LocalResponseNorm) == 2
    assert number_of(nn.BatchNorm2d) == 0
    assert number_of(nn.LocalResponseNorm, batch_norm=True) == 0
    assert number_of(nn.BatchNorm2d, batch_norm=True) == 3 + 9 * 6


@pytest.mark.parametrize("layout", ["paper", "torchvision"])
def test_auxiliary_classifiers_speak_in_training_only(layout, on_meta):
    network = on_meta(googlenet, aux=True, num_classes=7, layout=layout)
    x = torch.empty(2, 3, 224, 224, device="meta")
    outputs = network.train()(x)
    assert [output.shape for output in outputs] == [(2, 7)] * 3
    sum(output.sum() for output in outputs).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.eval()(x).shape == (2, 7)


@pytest.mark.parametrize("options", [{}, {"batch_norm": True}, {"layout": "torchvision"}])
def test_gradient_reaches_every_parameter(options, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(googlenet, **options), 3, 64, 64) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        scores = googlenet(num_classes=7, in_channels=1).eval()(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


def test_input_too_small_for_the_strides_fails(on_meta, count_macs):
    with pytest.raises(RuntimeError, match="too small"):
        count_macs(on_meta(googlenet), 3, 2, 2)


@pytest.mark.parametrize("aux", [False, True])
def test_torchvision_weights_load_by_position(aux, torchvision, on_meta, difference_by_position):
    ours = on_meta(googlenet, layout="torchvision", aux=aux)
    theirs = torchvision.models.googlenet(aux_logits=aux, init_weights=False)
    assert difference_by_position(ours, theirs, 3, 64, 64) < 1e-5
    if aux:
        assert _difference_in_training(ours, theirs) < 1e-5


def _difference_in_training(ours: nn.Module, theirs: nn.Module) -> float:
    for network in (ours.train(), theirs.train()):
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.eval()
    image = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        scores, first, second = ours(image)
        expected = theirs(image)
    pairs = (
        (scores, expected.logits),
        (first, expected.aux_logits1),
        (second, expected.aux_logits2),
    )
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize(
    "options",
    [{"num_classes": 0}, {"in_channels": 0}, {"aux": 2}, {"batch_norm": 1}, {"layout": "caffe"}],
)
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        googlenet(**options)
