"""The guidelines of ShuffleNet V2: its bounds, its tables, its verdicts."""

from __future__ import annotations

from math import isclose, sqrt

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from archstat.analyses.guidelines import Limits, guidelines
from archstat.analyses.layer_shapes import blocks, layer_shapes
from archstat.frontends.module import capture
from archstat.models.pipeline import graph_of_spec

SIZE = 56


def graph_of(module, *shape):
    return capture(module.to("meta").eval(), torch.empty(shape, device="meta"))


def shape_of(module, *shape):
    (found,) = layer_shapes(graph_of(module, *shape))
    return found


def judged(module, *shape, **options):
    return {g.name: g for g in guidelines(graph_of(module, *shape), **options)}


# -- G1 --------------------------------------------------------------------------------------------


@given(h=st.integers(1, 60), w=st.integers(1, 60), c1=st.integers(5, 99), c2=st.integers(1, 99))
@settings(max_examples=50, deadline=None)
def test_bound_of_a_pointwise_convolution_is_the_papers(h, w, c1, c2):
    layer = shape_of(nn.Conv2d(c1, c2, 1), 1, c1, h, w)
    macs = h * w * c1 * c2
    assert layer.access == h * w * (c1 + c2) + c1 * c2
    assert isclose(layer.bound(), 2 * sqrt(h * w * macs) + macs / (h * w), rel_tol=1e-12)
    assert layer.access >= layer.bound() * (1 - 1e-12)
    assert isclose(layer.access, layer.bound(), rel_tol=1e-12) == (c1 == c2)


@given(
    batch=st.integers(1, 3), groups=st.integers(1, 3), a=st.integers(2, 9), b=st.integers(1, 9),
    size=st.integers(4, 20), kernel=st.integers(1, 4), stride=st.integers(1, 3),
    transposed=st.booleans(), widths=st.tuples(st.integers(1, 400), st.integers(1, 400)),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_no_widths_of_equal_macs_move_less_than_the_bound(
    batch, groups, a, b, size, kernel, stride, transposed, widths
):
    sort = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = sort(groups * a, groups * b, kernel, stride, groups=groups)
    found = shape_of(layer, batch, groups * a, size, size)
    assume(not found.is_depthwise)
    assert found.access >= found.bound() * (1 - 1e-12)
    # Any other pair with this product c1 c2 has these macs, and its access by the definition.
    c1 = widths[0] / widths[1] * sqrt(found.c1 * found.c2)
    c2 = found.c1 * found.c2 / c1
    other = found.before * c1 + found.after * c2 + found.weights
    assert other >= found.bound() * (1 - 1e-12)
    best = sqrt(found.after / found.before * found.c1 * found.c2)
    least = found.before * best + found.after * found.c1 * found.c2 / best + found.weights
    assert isclose(least, found.bound(), rel_tol=1e-12)
    if groups == 1:
        assert isclose(found.bound(found.macs), found.bound(), rel_tol=1e-12)


TABLE_1 = [(128, 128, 819_200), (90, 180, 862_920), (52, 312, 1_157_728), (36, 432, 1_483_200)]


def test_table_1_gets_worse_with_its_ratio():
    figures = []
    for c1, c2, access in TABLE_1:
        pair = [nn.Conv2d(c1, c2, 1, bias=False), nn.Conv2d(c2, c1, 1, bias=False)]
        found = judged(nn.Sequential(*pair * 10), 1, c1, SIZE, SIZE)["G1"]
        assert found.access == 20 * access
        assert found.is_broken == (c1 != c2)
        figures.append(found.figure)
    assert figures == sorted(figures)
    assert figures[0] == pytest.approx(0)


def test_channels_of_a_picture_are_not_to_be_chosen():
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Conv2d(64, 64, 3))
    found = judged(net, 1, 3, 32, 32)["G1"]
    assert [row.module for row in found.modules] == ["1"]
    assert not found.is_broken


def test_linear_layer_over_positions_is_a_pointwise_convolution():
    tokens = judged(nn.Sequential(nn.Linear(8, 32)), 1, 50, 8)["G1"]
    conv = judged(nn.Sequential(nn.Conv2d(8, 32, 1)), 1, 8, 5, 10)["G1"]
    assert tokens.access == conv.access
    assert tokens.figure == pytest.approx(conv.figure)
    assert judged(nn.Sequential(nn.Linear(8, 32)), 4, 8)["G1"].figure is None


def test_worst_layer_comes_first_and_the_model_weighs_them():
    net = nn.Sequential(nn.Conv2d(8, 16, 1), nn.Conv2d(16, 96, 1), nn.Conv2d(96, 96, 1))
    found = judged(net, 1, 8, 20, 20)["G1"]
    assert [row.module for row in found.modules] == ["1", "0", "2"]
    assert found.figure == pytest.approx(found.access / found.optimum - 1)
    assert found.modules[0].found == "16->96, 1x1 on 20x20, ratio 6"


# -- G2 --------------------------------------------------------------------------------------------


@given(
    groups=st.integers(2, 4), a=st.integers(2, 9), b=st.integers(1, 9), size=st.integers(3, 12),
    kernel=st.integers(1, 3),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_layer_without_groups_has_the_same_input_and_macs(groups, a, b, size, kernel):
    grouped = shape_of(nn.Conv2d(groups * a, groups * b, kernel, groups=groups),
                       1, groups * a, size, size)  # fmt: skip
    # Equation (2): with the input and the macs fixed, one group leaves c2 / g outputs.
    alone = shape_of(nn.Conv2d(groups * a, b, kernel), 1, groups * a, size, size)
    assert grouped.macs == alone.macs
    assert grouped.ungrouped_access == alone.access
    assert grouped.access > alone.access


def test_table_2_gets_worse_with_its_groups():
    figures = []
    for groups, width in ((1, 128), (2, 180), (4, 256), (8, 360)):
        layers = [nn.Conv2d(width, width, 1, groups=groups) for _ in range(10)]
        found = judged(nn.Sequential(*layers), 1, width, SIZE, SIZE)["G2"]
        assert found.is_broken == (groups > 1)
        figures.append(found.figure)
    assert figures[0] == 1
    assert figures == sorted(figures)


def test_depthwise_layers_belong_to_g4():
    found = judged(nn.Sequential(nn.Conv2d(16, 16, 3, groups=16)), 1, 16, 8, 8)
    assert found["G2"].figure is None
    assert found["G4"].figure == 1
    assert found["G4"].modules[0].found == "16->16, 3x3 on 8x8, 16 groups"


# -- G3: the fragments of table 3 ------------------------------------------------------------------


class Fragments(nn.Module):
    """1 to 4 convolutions of one block, in series or side by side and added."""

    def __init__(self, width, count, parallel):
        super().__init__()
        self.parallel = parallel
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 1, bias=False) for _ in range(count))

    def forward(self, x):
        if self.parallel:
            return sum((conv(x) for conv in self.convs[1:]), self.convs[0](x))
        for conv in self.convs:
            x = conv(x)
        return x


TABLE_3 = [  # fragments, parallel, longest path, width, broken
    (1, False, 1, 1, False), (2, False, 2, 1, False), (4, False, 4, 1, True),
    (2, True, 1, 2, False), (4, True, 1, 4, True),
]  # fmt: skip


@pytest.mark.parametrize(("count", "parallel", "path", "width", "broken"), TABLE_3)
def test_fragments_of_table_3(count, parallel, path, width, broken):
    channels = 128 // round(sqrt(count) * 2) * 2
    net = nn.Sequential(*(Fragments(channels, count, parallel) for _ in range(10)))
    graph = graph_of(net, 1, channels, SIZE, SIZE)
    assert [(b.fragments, b.longest_path, b.width) for b in blocks(graph)] == [
        (count, path, width)
    ] * 10
    found = guidelines(graph)[2]
    assert (found.figure, found.is_broken) == (count, broken)
    assert all(row.is_broken == broken for row in found.modules)
    # As one layer with all the macs a block moves no more.
    assert all(row.optimum <= row.access * (1 + 1e-12) for row in found.modules)


@pytest.mark.parametrize(("name", "count", "fragments"), [
    ("resnet50", 16, {3, 4}), ("googlenet", 9, {7}), ("shufflenet_v2_x1_0", 16, {3, 5}),
    ("mobilenet_v1", 13, {2}), ("vgg16", 0, set()), ("vit_b_16", 12, {5}),
])  # fmt: skip
def test_blocks_are_those_of_the_papers(name, count, fragments):
    found = blocks(graph_of_spec(name))
    assert len(found) == count
    assert {block.fragments for block in found} == fragments


def test_lone_block_is_the_network_itself():
    class Net(Fragments):
        pass

    (block,) = blocks(graph_of(Net(8, 3, True), 1, 8, 4, 4))
    assert (block.call.module, block.fragments, block.width) == ("", 3, 3)


# -- G4 --------------------------------------------------------------------------------------------


def test_share_is_of_feature_maps_and_hardly_depends_on_the_batch():
    shares = [guidelines(graph_of_spec("mobilenet_v2", batch=n))[3].figure for n in (1, 8)]
    assert shares[0] == pytest.approx(shares[1], abs=0.01)


def test_shortcut_and_depthwise_layer_are_counted_and_a_folded_norm_is_not():
    class Unit(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.norm = nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8)
            self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)

        def forward(self, x):
            return x + self.deep(self.norm(self.up(x)).relu())

    found = judged(Unit(), 1, 8, 4, 4)["G4"]
    assert {row.module: row.access for row in found.modules} == {"deep": 2 * 128, "": 128}
    assert found.figure == (2 + 1) / (2 + 2 + 1)
    alone = judged(Unit(), 1, 8, 4, 4, fusion="none")["G4"]
    assert alone.figure == (2 + 2 + 2 + 3) / (2 + 2 + 2 + 2 + 3)


# -- verdicts --------------------------------------------------------------------------------------

VERDICTS = {
    "shufflenet_v1": ({"G1", "G2"}, set()),
    "shufflenet_v1,groups=8": ({"G1", "G2"}, set()),
    "mobilenet_v2": ({"G1", "G4"}, set()),
    "shufflenet_v2_x0_5": (set(), {"G1", "G2", "G3", "G4"}),
    "shufflenet_v2_x1_0": (set(), {"G1", "G2", "G3", "G4"}),
    "shufflenet_v2_x1_5": (set(), {"G1", "G2", "G3", "G4"}),
    "shufflenet_v2_x2_0": (set(), {"G1", "G2", "G3", "G4"}),
}


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("name", VERDICTS)
def test_verdicts_of_the_paper(name, batch):
    found = guidelines(graph_of_spec(name, batch=batch))
    broken = {guideline.name for guideline in found if guideline.is_broken}
    breaches, kept = VERDICTS[name]
    assert breaches <= broken
    assert not kept & broken


def test_limits_decide():
    graph = graph_of_spec("shufflenet_v2_x1_0")
    strict = guidelines(graph, Limits(widths=0, groups=0, fragments=0, element_wise=0))
    assert all(guideline.is_broken for guideline in strict)
    loose = guidelines(graph_of_spec("shufflenet_v1"), Limits(9, 9, 9, 9))
    assert not any(guideline.is_broken for guideline in loose)


def test_network_without_layers_is_judged_by_nothing():
    found = judged(nn.Sequential(nn.Flatten()), 1, 3, 4)
    assert [g.figure for g in found.values()] == [None] * 4
    assert not any(g.is_broken for g in found.values())


def test_functional_layers_are_found(sketch):
    x = sketch.input(1, 8, 4, 4)
    graph = sketch.graph(sketch.conv(x, 32))
    assert guidelines(graph)[0].modules[0].module == "conv"
