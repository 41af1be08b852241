"""Layer lists as Graphs: what is written is there, in the form that a capture would give it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from archstat.analyses.operations import operations
from archstat.analyses.parameters import parameters
from archstat.errors import InputError, LayerListError
from archstat.frontends.layers import layers
from archstat.frontends.layers.grammar import parse_layers
from archstat.frontends.module import capture
from archstat.graph import Graph


def shape(text, input=None, channels=None):
    """The shape of the output, without batch and channels unless they are given."""
    graph = layers(text, input, channels)
    whole = graph.values[graph.outputs[0]].shape
    return whole[1:] if channels else whole[2:]


def ops_of(graph):
    """Everything about the ops that does not depend on how values are numbered."""
    return [
        (op.kind, op.target, dict(op.attributes), [graph.values[v].shape for v in op.inputs],
         [(graph.values[v].shape, graph.values[v].dtype) for v in op.outputs])
        for op in graph.ops
    ]  # fmt: skip


CAPTURED = [
    ("3x3", (3, 16, 16), nn.Conv2d(3, 3, 3, padding=1, bias=False)),
    ("7x7/2-8", (3, 33, 30), nn.Conv2d(3, 8, 7, 2, 3, bias=False)),
    ("5x1d2g2-4", (2, 20, 20), nn.Conv2d(2, 4, (5, 1), 1, (4, 0), 2, 2, bias=False)),
    ("3/2x1p0x1", (2, 20, 20), nn.Conv2d(2, 2, 3, (2, 1), (0, 1), bias=False)),
    ("3x3dw-8", (4, 9, 9), nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False)),
    ("max3/2", (2, 9, 9), nn.MaxPool2d(3, 2, 1)),
    ("max2x2/2", (2, 9, 9), nn.MaxPool2d(2, 2)),
    ("max3d2p0", (2, 9, 9), nn.MaxPool2d(3, 1, 0, 2)),
    ("avg2x3/2", (2, 9, 9), nn.AvgPool2d((2, 3), 2, (0, 1))),
    ("up2", (2, 9, 9), nn.Upsample(scale_factor=2)),
    ("up2x3", (2, 9, 9), nn.Upsample(scale_factor=(2, 3))),
    ("t4/2-4", (8, 9, 9), nn.ConvTranspose2d(8, 4, 4, 2, 1, bias=False)),
    ("t3/2", (2, 9, 9), nn.ConvTranspose2d(2, 2, 3, 2, 1, 1, bias=False)),
    ("t2/2p0g2-4", (2, 9, 9), nn.ConvTranspose2d(2, 4, 2, 2, 0, groups=2, bias=False)),
    ("t4", (2, 9, 9), nn.ConvTranspose2d(2, 2, 4, 1, 2, bias=False)),
    ("3x3x3/2-4", (2, 8, 8, 8), nn.Conv3d(2, 4, 3, 2, 1, bias=False)),
    ("max3x3x3/2", (2, 8, 8, 8), nn.MaxPool3d(3, 2, 1)),
    ("avg2x2x2/2", (2, 8, 8, 8), nn.AvgPool3d(2, 2)),
    ("up2x2x2", (2, 4, 4, 4), nn.Upsample(scale_factor=2)),
    ("t4x4x4/2", (2, 4, 4, 4), nn.ConvTranspose3d(2, 2, 4, 2, 1, bias=False)),
]


@pytest.mark.parametrize(("text", "size", "module"), CAPTURED, ids=[row[0] for row in CAPTURED])
def test_layer_is_the_op_that_a_capture_of_the_module_gives(text, size, module):
    graph = layers(text, size[1:], size[0])
    assert ops_of(graph) == ops_of(capture(module, torch.zeros(1, *size)))


def test_residual_branch_is_added_to_what_the_other_passes_on():
    graph = layers("(3x3,3x3|id)", 8, 4)
    assert [op.kind for op in graph.ops] == ["conv", "conv", "add"]
    assert graph.ops[2].inputs == (graph.ops[1].outputs[0], graph.inputs[0])
    assert graph.ops[2].target == "aten.add.Tensor"


def test_three_branches_are_added_one_after_the_other():
    graph = layers("(1x1|3x3|5x5)", 8, 4)
    ends = [op.outputs[0] for op in graph.ops]
    assert [op.kind for op in graph.ops] == ["conv", "conv", "conv", "add", "add"]
    assert graph.ops[3].inputs == (ends[0], ends[1])
    assert graph.ops[4].inputs == (ends[3], ends[2])


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("3x3*3", "3x3,3x3,3x3"),
        ("(3x3*2,max2/2)*2", "3x3,3x3,max2/2,3x3,3x3,max2/2"),
        ("(3,(1|id)*2)*2", "3,(1|id),(1|id),3,(1|id),(1|id)"),
        ("((3))", "3"),
        (" 3 x 3 / 2 ,\tmax 2\n/ 2 * 1", "3x3/2,max2/2"),
        ("3x3/1x1p1d1g1", "3"),
    ],
)
def test_repetition_blanks_and_defaults_change_nothing(short, long):
    assert ops_of(layers(short, 64, 2)) == ops_of(layers(long, 64, 2))


def test_graph_is_sound_named_and_saved():
    graph = layers("7x7/2-8,max3/2,(3x3|1x1),t4/2-4", "3x64x48")
    graph.check()
    assert Graph.from_json(graph.to_json()) == graph
    assert graph.name == "7x7/2-8,max3/2,(3x3|1x1),t4/2-4"
    assert graph.input_text == "1x3x64x48"
    assert [call.module for call in graph.calls] == ["", "1", "2", "3", "4", "5", "6"]
    assert [m.type for m in graph.modules[1:]] == ["7x7/2-8", "max3x3/2", "3x3", "1x1", "add",
                                                   "t4x4/2-4"]  # fmt: skip
    assert graph.notes == ()


def test_storages_live_from_their_op_to_the_last_reader():
    graph = layers("(3x3,3x3|id),max2/2", 8, 4)
    spans = {
        value.storage: (graph.storages[value.storage].born, graph.storages[value.storage].released)
        for value in graph.values
        if value.role == "activation"
    }
    assert list(spans.values()) == [(0, 1), (1, 2), (2, 3), (3, None), (3, 3)]


def test_weights_and_macs_are_the_products():
    graph = layers("3x3*3", 32, 16)
    assert parameters(graph).totals["params"] == 27 * 16**2
    assert operations(graph).totals["macs"] == 27 * 16**2 * 32**2
    assert parameters(layers("7x7", 32, 16)).totals["params"] == 49 * 16**2


@pytest.mark.parametrize(
    ("text", "products"),
    [
        ("3x3dw,1x1-32", [9 * 8, 8 * 32]),
        ("1x7-4,7x1", [7 * 8 * 4, 7 * 4 * 4]),
        ("3x3g4-16", [9 * 8 * 16 // 4]),
        ("t4/2-2", [16 * 8 * 2]),
        ("max2/2,up2", []),
    ],
)
def test_weights_of_a_layer_are_kernel_x_channels_over_groups(text, products):
    assert parameters(layers(text, 16, 8)).totals["params"] == sum(products)


@pytest.mark.parametrize(
    ("text", "out"),
    [("3", 32), ("5d2", 32), ("3/2", 16), ("7/2", 16), ("2", 31), ("max2/2", 16), ("3p0", 30),
     ("t3/2", 64), ("t4/2", 64), ("t2/2", 64), ("t8/4", 128), ("t1/2", 64), ("t4", 31),
     ("t4d2", 32), ("up3", 96)],
)  # fmt: skip
def test_same_padding_keeps_the_size_over_the_stride(text, out):
    assert shape(text, 32) == (out, out)


numbers = st.integers(1, 7)


@given(st.lists(st.tuples(numbers, st.integers(1, 3)), min_size=1, max_size=6))
def test_without_an_input_every_layer_has_room(chain):
    text = ",".join(f"{k}/{s}p0" for k, s in chain)
    graph = layers(text)
    field, step = 1, 1
    for k, s in chain:
        field, step = field + (k - 1) * step, step * s
    assert min(graph.values[graph.inputs[0]].shape[2:]) >= field
    assert graph.notes == ("no input was given: its size is assumed, large enough for every layer",)


@pytest.mark.parametrize("text", ["(3x3/2p0|2x2/2)", "(1x1/4|3x3/2,1/2)", "(3/3p0|4/3p0|5/3p0)"])
def test_size_is_assumed_so_that_branches_join(text):
    assert layers(text).ops[-1].kind == "add"


@pytest.mark.parametrize(
    ("text", "input", "sizes"),
    [
        ("3", 8, (8, 8)), ("3", "8", (8, 8)), ("3", "8x6", (8, 6)), ("3", [8, 6], (8, 6)),
        ("3", "3x8x6", (8, 6)), ("3x3x3", 8, (8, 8, 8)), ("3x3x3", "2x8x6x4", (8, 6, 4)),
    ],
)  # fmt: skip
def test_input_is_one_size_or_one_an_axis_after_channels(text, input, sizes):
    assert shape(text, input) == sizes


def test_channels_come_from_the_input_the_argument_or_the_groups():
    assert layers("3x3", "5x8x8").values[0].shape == (1, 5, 8, 8)
    assert layers("3x3", 8, 7).values[0].shape == (1, 7, 8, 8)
    assert layers("3x3g4,3x3g6").values[0].shape[1] == 12
    assert shape("3x3-9,max2/2,up2,3x3dw", 8, 4) == (9, 8, 8)


@pytest.mark.parametrize(
    ("input", "channels", "message"),
    [
        ("8x8x8x8", None, "'8x8x8x8' is not an input for a list with 2 axes"),
        ("8x", None, "is not a shape"),
        ("scalar", None, "is not an input"),
        (0, None, "from 1 to 2^31 - 1"),
        ((8, -1), None, "from 1 to 2^31 - 1"),
        ((8, 2.5), None, "from 1 to 2^31 - 1"),
        (8, 0, "0 channels"),
        (8, 2**40, "channels"),
        ("3x8x8", 4, "3 channels, not 4"),
    ],
)
def test_input_that_is_none_is_refused(input, channels, message):
    with pytest.raises(InputError) as caught:
        layers("3x3", input, channels)
    assert message in str(caught.value)


WRONG = [
    # text, the place (from 1), a part of the message
    (",3", 1, "expected a layer before ','"),
    ("3,,3", 3, "expected a layer before ','"),
    ("3,", 3, "expected a layer at the end"),
    ("()", 2, "expected a layer before ')'"),
    ("(3|)", 4, "expected a layer before ')'"),
    ("conv3", 1, "'c' does not begin a layer"),
    ("3x", 3, "expected a size after x, in digits 0 to 9, not the end"),
    ("3x,3", 3, "expected a size after x, in digits 0 to 9, not ','"),
    ("3x3q", 4, "unexpected 'q'"),
    ("3x3x3x3", 1, "at most 3 axes, not 4"),
    ("3x3,3x3x3", 5, "the layers before have 2 axes"),
    ("3/", 3, "expected a stride after /"),
    ("3/0", 3, "a stride after /, at least 1"),
    ("0x3", 1, "a kernel size, at least 1"),
    ("up0", 3, "a factor, at least 1"),
    ("3d0", 3, "a dilation after d, at least 1"),
    ("3g0", 3, "a number of groups after g, at least 1"),
    ("3-0", 3, "channels after -, at least 1"),
    ("3*0", 3, "a number of repetitions after *, at least 1"),
    ("3*", 3, "a number of repetitions"),
    ("3/2/2", 4, "already has its stride"),
    ("3dwg2", 4, "already has its groups"),
    ("max2dw", 5, "pooling has no groups"),
    ("avg2-8", 5, "pooling has no channels"),
    ("avg2d2", 5, "average pooling has no dilation"),
    ("max2p2", 1, "at most 1 of padding"),
    ("up2/2", 4, "unexpected '/'"),
    ("id3", 3, "unexpected '3'"),
    ("3)", 2, "no group is open"),
    ("(3,3", 5, "of the group at 1, which the end of the list leaves open"),
    ("(3 3)", 4, "of the group at 1, not '3'"),
    ("99999999", 1, "at most 1,000,000"),
    ("1000001", 1, "at most 1,000,000"),
    ("9" * 5000, 1, "at most 1,000,000"),
    ("(3x3*9999)*9999", 12, "99,980,001 layers; at most 10,000"),
    ("3*5001,3*5001", 14, "more than 10,000 layers"),
    ("3*2*2", 4, "unexpected '*'"),
    ("(" * 60, 51, "nested more than 50 deep"),
    ("3/1000000*10", 1, "multiply beyond 2^53"),
    ("up1000000*10", 1, "multiply beyond 2^53"),
    ("\uff13x3", 1, "does not begin a layer"),
    ("3x\u0663", 3, "in digits 0 to 9"),
    ("3\u00d73", 2, "unexpected"),
    ("3x3-6,3g4", 7, "6 channels enter, which 4 groups do not divide"),
    ("3x3g4-6", 1, "6 channels leave, which 4 groups do not divide"),
    ("(3p0|3)", 1, "sizes that differ"),
    ("(3/2|3)", 1, "sizes that differ"),
    ("3,(id|3-64)", 3, "1 and 64 channels; say how many enter the list"),
]


@pytest.mark.parametrize(("text", "place", "part"), WRONG, ids=[row[0][:20] for row in WRONG])
def test_error_points_at_the_character(text, place, part):
    with pytest.raises(LayerListError) as caught:
        layers(text)
    first, line, carets = str(caught.value).split("\n")
    assert first.startswith(f"layer list, character {place}: ")
    assert part in first
    if len(text) < 30:
        assert line == f"    {text}"
        wide = sum(character == "\uff13" for character in text[: place - 1])
        assert carets.index("^") == 4 + place - 1 + wide
    assert len(line) < 140


@pytest.mark.parametrize(
    ("text", "input", "part"),
    [
        ("3,7x7p0", 5, "a kernel of 7 is larger than its input of 5"),
        ("7d3p1", 5, "a kernel of 19 is larger than its input of 5 and 1 of padding on each side"),
        ("max2/2*3", 4, "a kernel of 2 is larger than its input of 1"),
        ("t3p4", 4, "nothing is left of an input of 4x4"),
        ("(3p0|id)", 8, "they end at 6x6 and 8x8"),
        ("up1000000", 2**31 - 1, ""),
        ("up1000000*2", 2**31 - 1, "the sizes multiply beyond 2^53"),
    ],
)
def test_layer_that_does_not_fit_the_input_is_named(text, input, part):
    if not part:
        assert shape(text, input) == ((2**31 - 1) * 10**6,) * 2
        return
    with pytest.raises(LayerListError) as caught:
        layers(text, input)
    assert part in str(caught.value)


def test_long_list_is_shown_around_the_place():
    text = ",".join(["3x3"] * 200) + ",oops," + ",".join(["3x3"] * 200)
    with pytest.raises(LayerListError) as caught:
        layers(text)
    _, line, carets = str(caught.value).split("\n")
    assert line.startswith("    ...") and line.endswith("...")
    assert line[carets.index("^")] == "o"


def test_control_characters_are_shown_as_one_mark_each():
    with pytest.raises(LayerListError) as caught:
        layers("3,\x1b[31m\n3")
    assert str(caught.value).split("\n")[1] == "    3,?[31m?3"


def test_too_long_a_list_is_not_even_read():
    with pytest.raises(LayerListError, match="has 200,001 characters"):
        layers("3," * 100_000 + "3")


PIECES = st.sampled_from([
    *("3", "3x3", "1", "7x1", "3x3x3", "max2", "avg3", "t4", "up2", "id", "0", "99999999"),
    *("/2", "/2x1", "p0", "p1", "d2", "g2", "dw", "-8", "*2", "*3", "*9999"),
    *(",", ",", ",", "(", ")", "|", " ", "x", "-", "\t", "é", "\x00", "\ud800", "\uff13"),
])  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=14).map("".join)),
       st.one_of(st.none(), st.integers(-1, 40)))  # fmt: skip
def test_any_text_is_a_graph_or_points_at_its_mistake(text, input):
    try:
        graph = layers(text, input)
    except (LayerListError, InputError) as error:
        assert len(str(error).split("\n")) in (1, 3)
        return
    graph.check()
    sizes = graph.values[graph.outputs[0]].shape
    assert min(sizes) >= 1


sizes_text = st.sampled_from(["1", "3", "5", "3x1", "1x5", "2"])
layer_text = st.one_of(
    st.builds(
        "".join,
        st.tuples(
            sizes_text,
            st.sampled_from(["", "/2", "/2x1"]),
            st.sampled_from(["", "p0", "p1"]),
            st.sampled_from(["", "d2"]),
            st.sampled_from(["", "dw", "-6"]),
        ),
    ),
    st.sampled_from(["max2/2", "avg3/2", "max3x3", "up2", "t4/2", "id"]),
)


@given(st.lists(layer_text, min_size=1, max_size=6))
def test_layer_as_shown_reads_back_as_the_same_layer(items):
    graph = layers(",".join(items), 4000, 6)
    shown = [module.type for module in graph.modules[1:]]
    assert ops_of(layers(",".join(shown) or "id", 4000, 6)) == ops_of(graph)


def test_parser_counts_layers_and_axes():
    parsed = parse_layers("(3x3*2,max2/2)*5,7x1")
    assert sum(node.count for node in parsed.nodes) == 16
    assert parsed.axes == 2


def test_layers_need_no_torch():
    code = "import sys; from archstat.frontends.layers import layers; layers('3x3*3'); " \
           "sys.exit(bool({'torch', 'numpy', 'pandas'} & set(sys.modules)))"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("blank", ["", " \n"])
def test_empty_list_is_named_as_such(blank):
    with pytest.raises(LayerListError, match=r"^the layer list is empty; a layer"):
        layers(blank)
