"""Blocks as models: the zoo's own classes, the counts that formulas give, options refused."""

from __future__ import annotations

import pytest
import torch

from archstat import zoo
from archstat.errors import OptionError
from archstat.models.pipeline import analyze
from archstat.zoo.mobilenet_v1 import DepthwiseSeparable

BLOCKS = [entry.name for entry in zoo.catalogue().values() if entry.category == "block"]
NAMES = {
    "conv",
    "grouped_conv",
    "depthwise_conv",
    "pointwise_conv",
    "depthwise_separable",
    "asymmetric",
    "stacked",
    "basic",
    "bottleneck",
    "resnext",
    "inverted_residual",
    "fire",
    "inception",
    "inception_a",
    "inception_b",
    "inception_c",
    "grid_reduction",
    "inception_resnet",
    "xception_block",
    "dense_layer",
    "shuffle_v1",
    "shuffle_v2",
    "se",
    "cbam",
    "ghost",
    "highway",
    "dense",
    "pointwise_pairs",
    "pointwise_groups",
    "pointwise_fragments",
    "bottleneck_units",
}
SIZES = "in=128,out=256,kernel=3,resolution=28"


def counts(spec):
    totals = analyze(spec).totals
    return totals["params"], totals["macs"]


def test_catalogue_has_every_block_with_its_origin():
    assert set(BLOCKS) == NAMES
    for name in BLOCKS:
        assert zoo.entry(name).paper != "of the network it comes from"


@pytest.mark.parametrize(
    ("spec", "params", "macs"),
    [
        (f"conv,{SIZES}", 128 * 256 * 9, 28 * 28 * 128 * 256 * 9),
        (f"depthwise_separable,{SIZES}", 128 * 9 + 128 * 256, 28 * 28 * (128 * 9 + 128 * 256)),
        (f"grouped_conv,{SIZES},groups=8", 128 * 256 * 9 // 8, 28 * 28 * 128 * 256 * 9 // 8),
        ("depthwise_conv,in=128,resolution=28", 128 * 9, 28 * 28 * 128 * 9),
        ("depthwise_conv,in=8,out=16,resolution=28", 16 * 9, 28 * 28 * 16 * 9),
        ("pointwise_conv,in=128,out=256", 128 * 256, 56 * 56 * 128 * 256),
        ("asymmetric,in=64", 6 * 64 * 64, 56 * 56 * 6 * 64 * 64),
        ("stacked,in=64,number=3", 27 * 64**2, 56 * 56 * 27 * 64**2),
        ("conv,in=64,kernel=7", 49 * 64**2, 56 * 56 * 49 * 64**2),
        ("conv,in=64,stride=2,bias=1,norm=1", 9 * 64**2 + 64 + 2 * 64, 28 * 28 * 9 * 64**2),
        ("dense,in=784,out=784", 784 * 784, 784 * 784),
        ("dense,in=784,out=784,input=1x28x28", 784 * 784, 784 * 784),
        ("highway,in=16", 2 * (9 * 16 * 16 + 16), 56 * 56 * 2 * 9 * 16 * 16),
        ("se,in=64,reduction=4", 2 * 64 * 16 + 16 + 64, 2 * 64 * 16),
    ],
)
def test_counts_are_those_of_the_formula(spec, params, macs):
    assert counts(spec) == (params, macs)


def test_separable_convolution_is_mobilenets(count_params, on_meta):
    block = zoo.build("depthwise_separable", in_=32, out=64, stride=2, norm=True, act=True)
    assert type(block) is DepthwiseSeparable
    theirs = DepthwiseSeparable(32, 64, 2)
    assert block.state_dict().keys() == theirs.state_dict().keys()


def test_reductions_make_inception_affordable():
    widths = "in=256,filters1=128,filters3=192,filters5=96"
    naive = counts(f"inception,naive=1,{widths}")[1]
    reduced = counts(f"inception,{widths},reduce3=64,reduce5=64,pool=64")[1]
    assert naive == 28 * 28 * 256 * (128 + 9 * 192 + 25 * 96) == 854_196_224
    assert reduced == 271_351_808


@pytest.mark.parametrize("name", BLOCKS)
def test_channels_set_the_default_input(name):
    channels = 240 if name == "shuffle_v1" else 64
    graph = analyze(f"{name},in={channels}").graph
    assert graph.values[graph.inputs[0]].shape[1] == channels


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize(
    "name", ["conv", "depthwise_conv", "depthwise_separable", "asymmetric", "stacked"]
)
def test_stride_one_keeps_the_map_and_stride_two_halves_it(name, kernel):
    for stride, side in ((1, 12), (2, 6)):
        block = zoo.build(name, in_=8, kernel=kernel, stride=stride)
        assert block(torch.zeros(1, 8, 12, 12)).shape == (1, 8, side, side)


@pytest.mark.parametrize(("stride", "out"), [(1, 240), (2, 480)])
def test_shuffle_unit_of_stride_two_doubles_its_channels(stride, out):
    unit = zoo.build("shuffle_v1", stride=stride)
    assert unit(torch.zeros(1, 240, 8, 8)).shape == (1, out, 8 // stride, 8 // stride)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("conv,in=0", "in=0"),
        ("conv,out=0", "out=0"),
        ("conv,stride=0", "stride=0"),
        ("conv,dilation=0", "dilation=0"),
        ("conv,kernel=4", "no centre"),
        ("conv,out=wide", "a whole number or none"),
        ("conv,in_=3", "Did you mean in"),
        ("grouped_conv,groups=3", "does not divide the 64 input channels"),
        ("grouped_conv,out=30", "does not divide the 30 output channels"),
        ("depthwise_conv,out=100", "not a multiple of in=64"),
        ("stacked,number=0", "number=0"),
        ("dense,out=0", "out=0"),
        ("bottleneck,out=30", "multiple of 4"),
        ("resnext,out=8", "leaves no channel"),
        ("xception_block,number=0", "number=0"),
        ("shuffle_v1,out=250", "differs from in=240"),
        ("shuffle_v1,stride=2,out=240", "leaves no channel"),
        ("shuffle_v1,in=241", "does not divide"),
        ("shuffle_v2,in=3", "cannot be halved"),
        ("shuffle_v2,stride=2,out=100", "leaves no channel"),
        ("inverted_residual,kernel=2", "no centre"),
        ("se,reduction=5", "does not divide"),
        ("cbam,kernel=5", "kernel must be 3 or 7, not 5"),
        ("inception,reduce3=0", "reduce3=0"),
        ("inception_resnet,unit=d", "unit must be a or b or c, not d"),
    ],
)
def test_impossible_option_is_refused_with_a_sentence(spec, said):
    with pytest.raises(OptionError, match=said):
        analyze(spec)
