"""Graphs as files come back equal; one that contradicts itself is refused."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archstat import zoo
from archstat.analyses import ANALYSES
from archstat.errors import GraphFileError
from archstat.frontends.module import capture
from archstat.graph import KINDS, Graph, Module, ModuleCall, Op, Storage, Value
from archstat.models.pipeline import report


def hand_built(**changes):
    """Two ops: a convolution and an in-place ReLU on its storage."""
    graph = Graph(
        name="Net",
        ops=(
            Op("conv", "aten.convolution.default", "0", "Conv2d", (0, 1), (2,),
               {"stride": (1, 1), "bias": None, "transposed": False, "kernel": (1, 1)}),
            Op("activation", "aten.relu_.default", "1", "ReLU", (2,), (3,)),
        ),
        values=(
            Value((1, 3, 4, 4), "float32", "input", 0, "image"),
            Value((6, 3, 1, 1), "float32", "parameter", 1, "0.weight", ("2.weight",), True),
            Value((1, 6, 4, 4), "float32", "activation", 2),
            Value((1, 6, 4, 4), "float32", "activation", 2),
        ),
        storages=(Storage(192), Storage(72), Storage(384, 0, None)),
        calls=(
            ModuleCall("", "Net", 0, 2, None, (0,), (3,)),
            ModuleCall("0", "Conv2d", 0, 1, 0, (0,), (2,)),
            ModuleCall("1", "ReLU", 1, 2, 0, (2,), (3,)),
        ),
        modules=(Module("", "Net"), Module("0", "Conv2d", ("2",)), Module("1", "ReLU")),
        inputs=(0,),
        outputs=(3,),
        torch_version="2.13.0",
        notes=("a note with \"quotes\", a ünïcode and a\nline break",),
    )  # fmt: skip
    return dataclasses.replace(graph, **changes)


class Keywords(nn.Module):
    def forward(self, *, tokens, mask):
        return torch.where(mask, tokens * 2, -1), float("-inf") * mask


def captured(name):
    if name == "lstm":
        return capture(nn.LSTM(8, 16, 2), torch.rand(5, 1, 8))
    if name == "transformer":
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        return capture(layer, torch.rand(1, 5, 16))
    if name == "keywords":
        tokens = torch.zeros(1, 4, dtype=torch.int64)
        return capture(Keywords(), tokens=tokens, mask=tokens > 0)
    if name == "attention by masks":
        attention = nn.MultiheadAttention(8, 2, batch_first=True)
        x, mask = torch.rand(1, 4, 8), torch.ones(4, 4, dtype=torch.bool).tril()
        return capture(attention, x, x, x, attn_mask=mask)
    if name == "tied":
        net = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5, bias=False))
        net[1].weight = net[0].weight
        return capture(net, torch.zeros(1, 2, dtype=torch.int64))
    with torch.device("meta"):
        return capture(zoo.build(name), torch.empty(1, 3, 227, 227))


NETWORKS = ["alexnet", "vgg11_bn", "resnet18", "mobilenet_v1", "lstm", "transformer", "keywords",
            "attention by masks", "tied"]  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_captured_graph_comes_back_equal_and_gives_the_same_analyses(name):
    graph = captured(name)
    again = Graph.from_json(graph.to_json())
    assert again == graph
    assert [analyzer.run(again) for analyzer in ANALYSES] == [a.run(graph) for a in ANALYSES]
    assert repr(report(again, name)) == repr(report(graph, name))
    assert again.to_json() == graph.to_json()


def test_graph_comes_back_from_a_file(tmp_path):
    path = tmp_path / "net.json"
    graph = hand_built()
    graph.save(path)
    assert Graph.load(path) == graph
    assert Graph.load(str(path)) == graph


def test_sequences_come_back_as_tuples_and_records_as_themselves():
    again = Graph.from_json(hand_built().to_json())
    assert again.ops[0].attributes["stride"] == (1, 1)
    assert type(again.ops[0]) is Op
    assert type(again.values[0]) is Value
    assert again.values[1].aliases == ("2.weight",)
    assert type(again.calls[0]) is ModuleCall
    assert again.storages[2] == Storage(384, 0, None)


@pytest.mark.parametrize("number", [math.inf, -math.inf, 1e308, 0.1, -0.0, 2**63])
def test_number_among_the_attributes_survives(number):
    op = Op("other", "aten.masked_fill.Scalar", "", "Net", (0,), (3,), {"value": number})
    again = Graph.from_json(hand_built(ops=(op,)).to_json())
    assert repr(again.ops[0].attributes["value"]) == repr(number)


def test_mask_of_minus_infinity_survives_the_round_trip():
    net = nn.Module()
    net.forward = lambda x: x.masked_fill(x > 0, float("-inf"))
    graph = capture(net, torch.rand(2, 2))
    assert graph.ops[-1].attributes["value"] == -math.inf
    assert Graph.from_json(graph.to_json()) == graph


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(attributes=st.dictionaries(st.text(), plain, max_size=4), text=st.text())
def test_any_plain_attributes_and_names_survive(attributes, text):
    op = Op("other", text, text, text, (0,), (3,), attributes)
    graph = hand_built(ops=(op,), name=text, notes=(text, text))
    assert Graph.from_json(graph.to_json()) == graph


# -- check ---------------------------------------------------------------------------------------


def op(inputs, outputs, kind="other"):
    return Op(kind, "aten.thing.default", "", "Net", inputs, outputs)


REFUSED = [
    ("kind nobody knows", {"ops": (op((0,), (3,), "magic"),)}, "unknown kind 'magic'"),
    ("op reads no value", {"ops": (op((4,), (3,)),)}, "outside the values"),
    ("op writes no value", {"ops": (op((0,), (9,)),)}, "outside the values"),
    ("negative index", {"ops": (op((-1,), (3,)),)}, "outside the values"),
    ("op reads what is made later", {"ops": (op((3,), (2,)), op((0,), (3,)))}, "made later"),
    ("value lives nowhere", {"values": (*hand_built().values[:3],
                                        Value((1,), "float32", "activation", 7))}, "no storage"),
    ("output is not a value", {"outputs": (4,)}, "value"),
    ("input is not a value", {"inputs": (-1,)}, "value"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_graph_that_contradicts_itself_is_refused(changes, said):
    graph = hand_built(**changes)
    with pytest.raises(ValueError, match=said):
        graph.check()
    with pytest.raises(GraphFileError, match=f"damaged.*{said}"):
        Graph.from_json(graph.to_json())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes(kind):
    hand_built(ops=(op((0,), (3,), kind),)).check()


# -- what a Graph knows --------------------------------------------------------------------------


def test_producers_are_the_ops_that_made_the_values():
    assert hand_built().producers == (None, None, 0, 1)


def test_parameters_and_buffers_are_those_with_a_name():
    view = Value((3, 6), "float32", "parameter", 1)
    buffer = Value((6,), "float32", "buffer", 1, "running_mean")
    graph = hand_built(values=(*hand_built().values, view, buffer))
    assert [v.name for v in graph.parameters()] == ["0.weight"]
    assert [v.name for v in graph.buffers()] == ["running_mean"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value((1, 3, 224, 224), "float32", "input", 0), "1x3x224x224"),
        (Value((1, 128), "int64", "input", 0, "tokens"), "tokens=1x128:int64"),
        (Value((), "bfloat16", "input", 0), "scalar"),
        (Value((2, 4), "bool", "input", 0), "2x4:bool"),
        (Value((2, 4), "float16", "input", 0, "x"), "x=2x4"),
    ],
)
def test_input_is_written_with_batch_name_and_unusual_dtype(value, text):
    graph = hand_built(values=(value, *hand_built().values[1:]))
    assert graph.input_text == text
    assert dataclasses.replace(graph, inputs=(0, 0)).input_text == f"{text}, {text}"


@pytest.mark.parametrize(
    ("shape", "dtype", "numel", "nbytes"),
    [((2, 3), "float32", 6, 24), ((), "int64", 1, 8), ((0, 5), "float32", 0, 0),
     ((3,), "bfloat16", 3, 6), ((3,), "bool", 3, 3), ((2,), "complex128", 2, 32)],
)  # fmt: skip
def test_value_knows_its_elements_and_bytes(shape, dtype, numel, nbytes):
    value = Value(shape, dtype, "activation", 0)
    assert (value.numel, value.nbytes) == (numel, nbytes)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("aten.relu.default", "relu"),
        ("aten.relu_.default", "relu"),
        ("aten.add_.Tensor", "add"),
        ("aten._softmax.default", "_softmax"),
        ("aten.__lshift__.Scalar", "__lshift__"),
        ("conv", "conv"),
    ],
)
def test_name_of_an_op_is_its_target_without_namespace_overload_and_underscore(target, name):
    assert Op("other", target, "", "Net", (), ()).name == name


def test_graph_is_frozen():
    graph = hand_built()
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.name = "Other"
    with pytest.raises(AttributeError):
        graph.ops[0].kind = "linear"
    with pytest.raises(TypeError):
        graph.ops[1].attributes["stride"] = 3


def test_repr_says_what_is_in_the_graph():
    assert repr(hand_built()) == (
        "<Graph Net: 2 ops, 4 values, 1 parameters, 3 module calls, on meta>"
    )


def test_value_holds_no_more_than_its_storage():
    graph = Graph(
        name="Net",
        ops=(),
        values=(Value((4, 1), "float32", "input", 0), Value((4, 9), "float32", "input", 0)),
        storages=(Storage(16),),
    )
    assert graph.held == ([4, 4], [16, 16])


@pytest.mark.parametrize("life", [(7, None), (None, 7), (-1, 0), (0, "later")])
def test_storage_that_lives_at_no_op_is_refused(life):
    damaged = hand_built(storages=(Storage(4), Storage(4, *life), *hand_built().storages[2:]))
    with pytest.raises(ValueError, match="a storage lives at no op"):
        damaged.check()
