"""GhostNet against its published counts, and timm's network of the same name."""

from __future__ import annotations

import pytest
import torch

from archstat.errors import OptionError
from archstat.zoo.ghostnet import GhostBottleneck, GhostModule, ghostnet


@pytest.mark.parametrize(
    ("width", "mega_params", "mega_macs"), [(0.5, 2.59, 42), (1.0, 5.18, 141), (1.3, 7.36, 227)]
)
def test_counts_are_the_published_ones(
    width, mega_params, mega_macs, on_meta, count_params, count_macs
):
    network = on_meta(ghostnet, width=width)
    assert round(count_params(network) / 1e6, 2) == mega_params
    assert round(count_macs(network, 3, 224, 224) / 1e6) == mega_macs


def test_parameters_are_the_authors_code(on_meta, count_params):
    assert count_params(on_meta(ghostnet)) == 5_182_508


@pytest.mark.parametrize(("filters", "primary"), [(16, 8), (15, 8), (1, 1)])
def test_module_makes_half_of_its_filters_from_the_other_half(
    filters, primary, on_meta, count_macs
):
    module = on_meta(GhostModule, 24, filters)
    assert count_macs(module, 24, 10, 10) == 10 * 10 * (24 * primary + primary * 9)
    assert module(torch.empty(1, 24, 10, 10, device="meta")).shape[1] == filters


def test_bottleneck_adds_its_input_where_the_residual_is_zero():
    block = GhostBottleneck(8, 16, 8, stride=1).eval()
    for part in (block.residual.ghost2.primary, block.residual.ghost2.cheap):
        torch.nn.init.zeros_(part[1].weight)
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("width", [0.1, 1.0])
def test_gradient_reaches_every_parameter(width, on_meta, unreached_parameters):
    assert unreached_parameters(on_meta(ghostnet, width=width), 3, 32, 32) == []


def test_any_resolution_gives_finite_class_scores():
    with torch.no_grad():
        network = ghostnet(num_classes=7, in_channels=1, width=0.5).eval()
        scores = network(torch.randn(2, 1, 33, 64))
    assert scores.shape == (2, 7)
    assert scores.isfinite().all()


@pytest.mark.usefixtures("torchvision")
def test_timm_weights_load_by_position(on_meta, difference_by_position):
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("ghostnet_100")
    assert difference_by_position(on_meta(ghostnet), theirs, 3, 64, 64) < 1e-5


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"in_channels": 0}, {"width": 0}])
def test_impossible_option_is_refused(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        ghostnet(**options)
