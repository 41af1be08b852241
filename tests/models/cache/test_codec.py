"""Graphs as bytes and back: equal, of the same types, and refused where damaged."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from archstat import zoo
from archstat.errors import GraphFileError
from archstat.frontends.layers import layers
from archstat.graph import Graph
from archstat.models.cache.store import graph_from_bytes, graph_to_bytes
from archstat.models.pipeline import graph_of_spec


def edited(content: bytes, **changes: object) -> bytes:
    """The bytes with other entries in their first line."""
    line, _, numbers = content.partition(b"\n")
    return json.dumps({**json.loads(line), **changes}).encode() + b"\n" + numbers


def test_graph_comes_back_equal_and_of_the_same_types(graph):
    back = graph_from_bytes(graph_to_bytes(graph))
    assert back == graph
    assert repr([*back.ops, *back.values, *back.storages, *back.calls, *back.modules]) == repr(
        [*graph.ops, *graph.values, *graph.storages, *graph.calls, *graph.modules]
    )


@pytest.mark.parametrize("text", ["3x3,3x3/2,3x3d2", "7x7/2,max3x3/2,(3x3,3x3|id)*2"])
def test_graph_of_a_layer_list_comes_back(text):
    graph = layers(text)
    assert graph_from_bytes(graph_to_bytes(graph)) == graph


@pytest.mark.parametrize("name", ["vgg16", "shufflenet_v2_x1_0", "vit_b_16", "densenet121"])
def test_graph_of_a_network_comes_back(name):
    graph = graph_of_spec(name)
    back = graph_from_bytes(graph_to_bytes(graph))
    assert back.to_json() == graph.to_json()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(zoo.catalogue()))
def test_graph_of_every_network_comes_back(name):
    graph = graph_of_spec(name)
    assert graph_from_bytes(graph_to_bytes(graph)).to_json() == graph.to_json()


def test_empty_graph_comes_back():
    graph = Graph("empty", (), (), ())
    assert graph_from_bytes(graph_to_bytes(graph)) == graph


@pytest.mark.parametrize("number", [0.1, 1e-300, -0.0, 1e22, float("inf"), 2**70, -(2**70), True])
def test_numbers_of_attributes_are_exact(graph, number):
    op = graph.ops[0]._replace(attributes={"number": number})
    back = graph_from_bytes(graph_to_bytes(replace(graph, ops=(op, *graph.ops[1:]))))
    assert repr(back.ops[0].attributes["number"]) == repr(number)


@pytest.mark.parametrize("nbytes", [255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 1])
def test_numbers_of_columns_are_exact_at_every_width(graph, nbytes):
    storages = (graph.storages[0]._replace(nbytes=nbytes), *graph.storages[1:])
    back = graph_from_bytes(graph_to_bytes(replace(graph, storages=storages)))
    assert back.storages[0].nbytes == nbytes


@pytest.mark.parametrize("thing", [float("nan"), [1, 2], {1, 2}, {1: 2}, object()])
def test_what_would_not_come_back_is_refused(graph, thing):
    op = graph.ops[0]._replace(attributes={"thing": thing})
    with pytest.raises(GraphFileError, match="small cannot be kept"):
        graph_to_bytes(replace(graph, ops=(op, *graph.ops[1:])))


@pytest.mark.parametrize("nbytes", [-1, 2**64])
def test_numbers_that_no_column_holds_are_refused(graph, nbytes):
    storages = (graph.storages[0]._replace(nbytes=nbytes), *graph.storages[1:])
    with pytest.raises(GraphFileError, match="cannot be kept"):
        graph_to_bytes(replace(graph, storages=storages))


@pytest.mark.parametrize(
    "change",
    [
        {"ops": lambda g: (g.ops[0]._replace(inputs=(9,)), *g.ops[1:])},
        {"values": lambda g: (*g.values[:3], g.values[3]._replace(storage=7))},
        {"storages": lambda g: (*g.storages[:2], g.storages[2]._replace(born=8))},
        {"calls": lambda g: (g.calls[0], g.calls[1]._replace(parent=5))},
        {"calls": lambda g: (g.calls[0]._replace(last=4), g.calls[1])},
        {"outputs": lambda g: (4,)},
        {"modules": lambda g: (g.modules[0]._replace(aliases=(3,)), g.modules[1])},
    ],
    ids=["no such input", "no such storage", "no such time", "no such call",
         "no such op", "no such output", "alias that is no text"],
)  # fmt: skip
def test_graph_whose_indices_lead_nowhere_is_refused(graph, change):
    ((name, wrong),) = change.items()
    with pytest.raises(GraphFileError, match="damaged"):
        graph_to_bytes(replace(graph, **{name: wrong(graph)}))


@pytest.mark.parametrize("changes", [
    {"byteorder": "middle"}, {"texts": []}, {"texts": [1, 2]}, {"objects": []}, {"columns": []},
    {"columns": [["B", -1]]}, {"columns": [["d", 1]]}, {"objects": [[[]]] * 9}, {"texts": None},
])  # fmt: skip
def test_first_line_that_does_not_fit_is_refused(graph, changes):
    with pytest.raises(GraphFileError, match="damaged"):
        graph_from_bytes(edited(graph_to_bytes(graph), **changes))


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n"])
def test_bytes_that_are_no_graph_are_refused(content):
    with pytest.raises(GraphFileError, match="damaged"):
        graph_from_bytes(content)


def test_bytes_cut_short_are_refused_at_every_length(graph):
    content = graph_to_bytes(graph)
    for length in range(len(content)):
        with pytest.raises(GraphFileError):
            graph_from_bytes(content[:length])


def test_damaged_bytes_give_a_graph_or_the_error_and_nothing_else(graph):
    content, random_ = graph_to_bytes(graph), random.Random(9)
    for _ in range(2000):
        damaged = bytearray(content)
        damaged[random_.randrange(len(content))] = random_.randrange(256)
        try:
            graph_from_bytes(bytes(damaged))
        except GraphFileError:
            continue
