"""The peers' totals beside archstat's own: where they agree, and what they leave out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archstat
from archstat.measure.other_tools import flop_counter_count, fvcore_count

NETWORKS = [("resnet18", {}), ("mobilenet_v1", {"width": 0.25})]


class Product(nn.Module):
    def forward(self, x):
        return x @ x.transpose(-1, -2)


def own(model: nn.Module, *shape: int) -> dict[str, int]:
    by_kind = archstat.analyze(model, shape).by_kind
    return {kind: figures["macs"] for kind, figures in by_kind.items() if figures.get("macs")}


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_flop_counter_agrees_on_convolutions_and_linear_layers(name, options):
    model = archstat.zoo.build(name, **options).eval()
    peer = flop_counter_count(model, torch.zeros(1, 3, 64, 64))
    assert peer.tool == "FlopCounterMode"
    assert peer.by_kind == own(model, 3, 64, 64)
    assert peer.macs == archstat.analyze(model, (3, 64, 64)).totals["macs"]


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_fvcore_agrees_on_convolutions_and_linear_layers(name, options):
    model = archstat.zoo.build(name, **options).eval()
    peer = fvcore_count(model, torch.zeros(1, 3, 64, 64))
    assert peer.tool == "fvcore"
    assert {kind: peer.by_kind[kind] for kind in ("conv", "linear")} == own(model, 3, 64, 64)


def test_fvcore_adds_norms_and_pools_to_its_total():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1)
    ).eval()
    peer = fvcore_count(model, torch.zeros(1, 3, 8, 8))
    made = 6 * 6 * 4
    assert peer.by_kind == {"conv": made * 3 * 3 * 3, "norm": 2 * made, "pool": made}
    assert peer.macs == sum(peer.by_kind.values())


@pytest.mark.parametrize("count", [flop_counter_count, fvcore_count])
def test_product_of_two_activations_is_a_matmul(count):
    peer = count(Product(), torch.zeros(1, 3, 5, 8))
    assert peer.by_kind == {"matmul": 3 * 5 * 5 * 8}
    assert peer.by_kind == own(Product(), 3, 5, 8)


def test_fvcore_names_what_it_skipped():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)).eval()
    assert "max_pool2d" in fvcore_count(model, torch.zeros(1, 3, 8, 8)).skipped


def test_fused_recurrent_layer_is_nothing_to_the_peers_and_named_by_fvcore():
    model, x = nn.LSTM(4, 8).eval(), torch.zeros(5, 1, 4)
    assert fvcore_count(model, x).macs == 0
    assert "lstm" in fvcore_count(model, x).skipped
    assert archstat.analyze(archstat.capture(model, x)).totals["macs"] == 5 * 4 * 8 * (4 + 8)
