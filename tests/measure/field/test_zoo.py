"""Every network of the zoo, at a reduced size: NaNs in the real module against the intervals."""

from __future__ import annotations

import pytest

from archstat import zoo
from archstat.analyses.field import receptive_field
from archstat.measure.field.measured import measured_field
from archstat.models.pipeline import graph_of_spec
from archstat.units import parse_input

CATALOGUE = zoo.catalogue()
# A run for each row and column: networks for 32x32 at the smaller side.
SIDE, CIFAR_SIDE = 32, 16
# Unpadded windows leave nothing of so small a map.
LARGER = {
    name: 80
    for name in CATALOGUE
    if name.startswith(("inception_v3", "inception_v4", "inception_resnet", "xception"))
} | {"nin_imagenet": 48}
# A fully connected layer or a position embedding is made for one size.
OWN_SIZE = {
    *("lenet5", "lenet5_modern", "lenet_caffe", "highway10_mnist", "dense"),
    *("alexnet", "zfnet"),
}
# Attention over all tokens: a run of the network for each of 448 rows and columns, to see that
# every token sees everything.
GLOBAL = {"vit_b_16"}
# Hundreds of layers, one after the other as in the shorter ones of the family.
LONGEST = {name for name in CATALOGUE if "1202" in name or "1001" in name}
FAST = ("squeezenet1_0", "mobilenet_v3_small", "shufflenet_v2_x0_5", "resnet18", "googlenet",
        "seresnet50", "lenet5", "convnext_tiny")  # fmt: skip


def spatial(entry):
    return len(parse_input(entry.input).shape) == 3


def spec_of(entry):
    channels, *sides = parse_input(entry.input).shape
    if entry.name in OWN_SIZE:
        return entry.name
    side = LARGER.get(entry.name, CIFAR_SIDE if sides == [32, 32] else SIDE)
    return f"{entry.name},input=" + "x".join(map(str, (channels, *(min(n, side) for n in sides))))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in FAST else pytest.mark.slow)
        for name, entry in CATALOGUE.items()
        if spatial(entry) and name not in GLOBAL | LONGEST
    ],
)
def test_module_sees_just_what_the_interval_says(name):
    spec = spec_of(CATALOGUE[name])
    fields = receptive_field(graph_of_spec(spec))
    check = measured_field(spec, fields)
    assert check.agrees, check.lines()
    assert check.exact == check.positions


def test_named_networks_exist():
    assert {*OWN_SIZE, *GLOBAL, *FAST} <= CATALOGUE.keys()
    assert LARGER
    assert LONGEST
