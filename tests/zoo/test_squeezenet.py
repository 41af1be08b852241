"""SqueezeNet against its published counts, with each bypass, and torchvision's networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import OptionError
from archstat.zoo import squeezenet
from archstat.zoo.squeezenet import Fire

# variant, bypass, parameters, M multiply-accumulates; those of the complex ones are computed
PUBLISHED = [
    ("squeezenet1_0", "none", 1_248_424, 818.9),
    ("squeezenet1_0", "simple", 1_248_424, 818.9),
    ("squeezenet1_0", "complex", 1_589_672, 1165.3),
    ("squeezenet1_1", "none", 1_235_496, 349.2),
    ("squeezenet1_1", "simple", 1_235_496, 349.2),
    ("squeezenet1_1", "complex", 1_572_648, 447.7),
]
VARIANTS = [row[:2] for row in PUBLISHED]
NAMES = ["squeezenet1_0", "squeezenet1_1"]


@pytest.mark.parametrize(("name", "bypass", "params", "mega_macs"), PUBLISHED)
def test_counts_are_the_published_ones(
    name, bypass, params, mega_macs, on_meta, count_params, count_macs
):
    network = on_meta(getattr(squeezenet, name), bypass=bypass)
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e6, 1) == mega_macs


def test_fire_squeezes_and_expands(on_meta, count_params, count_macs):
    fire = on_meta(Fire, 96, 16, 64)
    weights = 96 * 16 + 16 * 64 + 16 * 64 * 3**2
    assert count_params(fire) == weights + 16 + 64 + 64
    assert count_macs(fire, 96, 54, 54) == 54**2 * weights


@pytest.mark.parametrize(
    ("bypass", "around", "with_weights"),
    [("none", [], []), ("simple", [3, 5, 7, 9], []), ("complex", [*range(2, 10)], [2, 4, 6, 8])],
)
@pytest.mark.parametrize("name", NAMES)
def test_bypass_goes_around_the_fires_of_the_paper(name, bypass, around, with_weights, on_meta):
    network = on_meta(getattr(squeezenet, name), bypass=bypass)
    fires = {index: getattr(network, f"fire{index}") for index in range(2, 10)}
    assert [i for i, fire in fires.items() if fire.bypass is not None] == around
    assert [i for i, fire in fires.items() if isinstance(fire.bypass, nn.Conv2d)] == with_weights


def test_bypass_adds_the_input_to_what_the_fire_gives():
    fire = Fire(128, 16, 64, bypass="simple")
    x = torch.randn(1, 128, 5, 5)
    bypassed = fire(x)
    fire.bypass = None
    torch.testing.assert_close(bypassed, fire(x) + x)


@pytest.mark.parametrize(("name", "bypass"), VARIANTS)
def test_gradient_reaches_every_parameter(name, bypass, on_meta, unreached_parameters):
    network = on_meta(getattr(squeezenet, name), bypass=bypass)
    assert unreached_parameters(network, 3, 64, 64) == []


@pytest.mark.parametrize(("name", "bypass"), VARIANTS)
def test_any_resolution_gives_finite_class_scores(name, bypass):
    with torch.no_grad():
        network = getattr(squeezenet, name)(num_classes=7, in_channels=1, bypass=bypass).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_input_too_small_for_the_strides_fails(name, on_meta, count_macs):
    with pytest.raises(RuntimeError, match="size"):
        count_macs(on_meta(getattr(squeezenet, name)), 3, 6, 6)


@pytest.mark.parametrize("name", NAMES)
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    theirs = getattr(torchvision.models, name)()
    ours = on_meta(getattr(squeezenet, name))
    assert difference_by_position(ours, theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"bypass": "all"}])
def test_impossible_option_is_refused(name, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        getattr(squeezenet, name)(**options)
