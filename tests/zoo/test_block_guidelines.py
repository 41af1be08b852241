"""The networks of ShuffleNet V2's Tables 1 to 4: their layers, their macs, options refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat import zoo
from archstat.errors import OptionError
from archstat.models.pipeline import analyze

PIXELS = 56 * 56


def convolutions(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize(
    ("spec", "layers", "macs"),
    [
        ("pointwise_pairs", 20, 20 * PIXELS * 128 * 128),
        ("pointwise_pairs,in=36,inner=432", 20, 20 * PIXELS * 36 * 432),
        ("pointwise_groups,in=360,groups=8", 10, 10 * PIXELS * 360 * 360 // 8),
        ("pointwise_fragments,in=128", 10, 10 * PIXELS * 128 * 128),
        ("pointwise_fragments,in=64,fragments=4", 40, 40 * PIXELS * 64 * 64),
        ("pointwise_fragments,in=90,fragments=2,parallel=1", 20, 20 * PIXELS * 90 * 90),
        ("bottleneck_units,in=64", 30, 10 * PIXELS * (2 * 64 * 16 + 9 * 16 * 16)),
    ],
)
def test_network_has_the_layers_and_macs_of_the_table(spec, layers, macs):
    report = analyze(spec)
    assert sum(op.kind == "conv" for op in report.graph.ops) == layers
    assert report.totals["macs"] == macs
    assert report.graph.values[report.graph.outputs[0]].shape[2:] == (56, 56)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shortcut", [False, True])
def test_bottleneck_loses_just_what_is_left_out(relu, shortcut):
    spec = f"bottleneck_units,relu={int(relu)},shortcut={int(shortcut)}"
    names = [op.name for op in analyze(spec).graph.ops]
    assert names.count("relu") == 30 * relu
    assert names.count("add") == 10 * shortcut


def test_parallel_fragments_are_added():
    torch.manual_seed(0)
    network = zoo.build("pointwise_fragments", in_=4, fragments=3, parallel=True, number=1)
    image = torch.randn(1, 4, 5, 5)
    with torch.no_grad():
        expected = sum(convolution(image) for convolution in convolutions(network))
        torch.testing.assert_close(network(image), expected)


def test_fragments_in_a_row_follow_each_other():
    torch.manual_seed(0)
    network = zoo.build("pointwise_fragments", in_=4, fragments=2, number=1)
    image = torch.randn(1, 4, 5, 5)
    first, second = convolutions(network)
    with torch.no_grad():
        torch.testing.assert_close(network(image), second(first(image)))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("pointwise_pairs,in=0", "in=0"),
        ("pointwise_pairs,inner=0", "inner=0"),
        ("pointwise_groups,groups=3", "does not divide the 128 channels"),
        ("pointwise_fragments,fragments=0", "fragments=0"),
        ("pointwise_fragments,number=0", "number=0"),
        ("bottleneck_units,in=30", "multiple of 4"),
    ],
)
def test_impossible_option_is_refused_with_a_sentence(spec, said):
    with pytest.raises(OptionError, match=said):
        analyze(spec)
