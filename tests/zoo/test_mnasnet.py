"""MnasNet against its published counts, over the widths of B1 and with the gates of A1."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo import mnasnet
from archstat.zoo.mnasnet import mnasnet1_0, mnasnet_a1, mnasnet_small

# variant, parameters, G multiply-accumulates
PUBLISHED = [
    ("mnasnet0_5", 2_218_512, 0.104),
    ("mnasnet0_75", 3_170_208, 0.215),
    ("mnasnet1_0", 4_383_312, 0.314),
    ("mnasnet1_3", 6_282_256, 0.526),
    # the paper rounds its 312 M, and the small network is the authors' code
    ("mnasnet_a1", 3_887_038, 0.312),
    ("mnasnet_small", 2_030_264, 0.068),
]
VARIANTS = [row[0] for row in PUBLISHED]


@pytest.mark.parametrize(("name", "params", "giga_macs"), PUBLISHED)
def test_counts_are_the_published_ones(name, params, giga_macs, on_meta, count_params, count_macs):
    network = on_meta(getattr(mnasnet, name))
    assert count_params(network) == params
    assert round(count_macs(network, 3, 224, 224) / 1e9, 3) == giga_macs


@pytest.mark.parametrize(
    ("factory", "width", "mega_params"), [(mnasnet1_0, 1.4, 7.12), (mnasnet_a1, 0.75, 2.91)]
)
def test_other_widths_have_their_published_parameters(
    factory, width, mega_params, on_meta, count_params
):
    assert round(count_params(on_meta(factory, width=width)) / 1e6, 2) == mega_params


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_reaches_every_parameter(name, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(getattr(mnasnet, name)), 3, 32, 32) == []


@pytest.mark.parametrize("factory", [mnasnet1_0, mnasnet_a1, mnasnet_small])
def test_any_resolution_gives_finite_class_scores(factory):
    with torch.no_grad():
        network = factory(num_classes=7, in_channels=1, width=0.35).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", ["mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"])
def test_torchvision_weights_load_by_position(name, torchvision, on_meta, difference_by_position):
    theirs = getattr(torchvision.models, name)()
    ours = on_meta(getattr(mnasnet, name))
    assert difference_by_position(ours, theirs, 3, 64, 64) < 1e-5


@pytest.mark.usefixtures("torchvision")
def test_timm_weights_of_a1_load_by_position(on_meta, difference_by_position):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("semnasnet_100")
    assert difference_by_position(on_meta(mnasnet_a1), theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("option", ["num_classes", "in_channels"])
def test_less_than_one_class_or_channel_is_refused(name, option):
    with pytest.raises(OptionError, match=f"{option}=0"):
        getattr(mnasnet, name)(**{option: 0})


@pytest.mark.parametrize("width", [0, -1.0])
def test_impossible_width_is_refused(width):
    with pytest.raises(OptionError, match="width"):
        mnasnet1_0(width=width)
