"""MobileNet v3 against its published counts, over widths, tails and hidden layers."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import mobilenet_v3
from archstat.zoo.mobilenet_v3 import SqueezeExcitation, mobilenet_v3_large, mobilenet_v3_small

VARIANTS = ["mobilenet_v3_large", "mobilenet_v3_small"]


@pytest.mark.parametrize(
    ("factory", "options", "params", "mega_macs"),
    [
        (mobilenet_v3_large, {}, 5_483_032, 216.6),
        (mobilenet_v3_small, {}, 2_542_856, 56.5),
        # the first version of the paper prints 2.9 M
        (mobilenet_v3_small, {"hidden": 1280}, 2_946_568, 56.9),
    ],
)
def test_counts_are_the_published_ones(
    factory, options, params, mega_macs, on_meta, count_params, count_macs
):
    network = on_meta(factory, **options)
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e6, 1) == mega_macs


@pytest.mark.parametrize(
    ("factory", "options", "mega_params", "mega_macs"),
    [
        (mobilenet_v3_large, {"width": 0.75}, 3.994, 155),
        (mobilenet_v3_small, {"width": 0.75}, 2.042, 43),
        (mobilenet_v3_small, {"width": 0.75, "hidden": 1280}, 2.409, 44),
        (mobilenet_v3_small, {"width": 0.5}, 1.593, 21),
    ],
)
def test_thinned_counts_are_the_published_ones(
    factory, options, mega_params, mega_macs, on_meta, count_params, count_macs
):
    network = on_meta(factory, **options)
    assert round(count_params(network) / 1e6, 3) == mega_params
    assert round(count_macs(network, 3, 224, 224) / 1e6) == mega_macs


# the networks of imgclsmob, which keep the last 1x1 and the hidden layer
@pytest.mark.parametrize(
    ("factory", "width", "last", "params"),
    [
        (mobilenet_v3_large, 0.35, 960, 2_943_080),
        (mobilenet_v3_large, 0.5, 960, 3_334_896),
        (mobilenet_v3_large, 0.75, 960, 4_263_496),
        (mobilenet_v3_large, 1.0, 960, 5_481_752),
        (mobilenet_v3_large, 1.25, 1200, 7_459_144),
        (mobilenet_v3_small, 0.35, 576, 2_159_600),
        (mobilenet_v3_small, 0.5, 576, 2_288_976),
        (mobilenet_v3_small, 0.75, 576, 2_581_312),
        (mobilenet_v3_small, 1.0, 576, 2_945_288),
        (mobilenet_v3_small, 1.25, 720, 3_643_632),
    ],
)
def test_options_give_the_counts_of_another_implementation(
    factory, width, last, params, on_meta, count_params
):
    options = {"layout": "torchvision", "last": last, "hidden": 1280, "hidden_bias": False}
    assert count_params(on_meta(factory, width=width, **options)) == params


def test_hidden_layer_is_widened_but_never_thinned(on_meta):
    for width, hidden in [(0.35, 1280), (1.0, 1280), (1.25, 1600)]:
        assert on_meta(mobilenet_v3_large, width=width).fc.in_features == hidden


def test_pooling_before_the_hidden_layer_saves_48_of_its_49_positions(
    on_meta, count_params, count_macs
):
    early = on_meta(mobilenet_v3_large)
    late = on_meta(mobilenet_v3_large, tail="late_pool")
    assert count_params(late) == count_params(early)
    saved = count_macs(late, 3, 224, 224) - count_macs(early, 3, 224, 224)
    assert saved == (7 * 7 - 1) * 960 * 1280


def test_gate_scales_each_channel_by_a_weight_from_all_of_them(count_params):
    gate = SqueezeExcitation(16, 8)
    assert count_params(gate) == 16 * 8 + 8 + 8 * 16 + 16
    x = torch.randn(2, 16, 5, 5)
    weights = gate(x) / x
    torch.testing.assert_close(weights, weights.mean((2, 3), keepdim=True).expand_as(x))
    assert ((weights >= 0) & (weights <= 1)).all()


@pytest.mark.parametrize("tail", ["efficient", "late_pool"])
@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, tail, on_meta, unreached_parameters):
    network = on_meta(getattr(mobilenet_v3, name), width=0.35, tail=tail)
    assert unreached_parameters(network, 3, 32, 32) == []


@pytest.mark.parametrize("tail", ["efficient", "late_pool"])
def test_any_resolution_gives_finite_class_scores(tail):
    with torch.no_grad():
        network = mobilenet_v3_small(num_classes=7, in_channels=1, width=0.35, tail=tail).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize(("width", "layout"), [(1.0, "paper"), (0.35, "torchvision")])
@pytest.mark.parametrize("name", VARIANTS)
def test_torchvision_weights_load_by_position(
    name, width, layout, torchvision, on_meta, difference_by_position
):
    theirs = getattr(torchvision.models, name)(width_mult=width)
    ours = on_meta(getattr(mobilenet_v3, name), width=width, layout=layout)
    assert difference_by_position(ours, theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    "options",
    [
        {"num_classes": 0},
        {"in_channels": 0},
        {"width": 0},
        {"layout": "slim"},
        {"last": 0},
        {"hidden": 0},
        {"hidden_bias": 1},
        {"tail": "late"},
    ],
)
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(mobilenet_v3, name)(**options)
