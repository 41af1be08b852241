"""Graphs as bytes and back: equal, of the same types, and refused where damaged."""

from __future__ import annotations

import marshal
from dataclasses import replace
from pathlib import Path

import pytest

from archstat import zoo
from archstat.errors import GraphFileError
from archstat.frontends.layers import layers
from archstat.graph import Graph
from archstat.models.cache.store import graph_from_bytes, graph_to_bytes
from archstat.models.pipeline import graph_of_spec


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


@pytest.mark.parametrize("nbytes", [255, 2**32, 2**63, 2**64, 2**70])
def test_sizes_are_exact(graph, nbytes):
    storages = (graph.storages[0]._replace(nbytes=nbytes), *graph.storages[1:])
    back = graph_from_bytes(graph_to_bytes(replace(graph, storages=storages)))
    assert back.storages[0].nbytes == nbytes


@pytest.mark.parametrize("thing", [float("nan"), object(), Path("x"), lambda: 0])
def test_what_would_not_come_back_is_refused(graph, thing):
    op = graph.ops[0]._replace(attributes={"thing": thing})
    with pytest.raises(GraphFileError, match="small cannot be kept"):
        graph_to_bytes(replace(graph, ops=(op, *graph.ops[1:])))


@pytest.mark.parametrize(
    "content", [1, None, {}, {"ops": 1}, {"name": "x"}, [], (lambda: 0).__code__]
)
def test_what_is_no_graph_is_refused(content):
    with pytest.raises(GraphFileError, match="damaged"):
        graph_from_bytes(marshal.dumps(content))


def test_bytes_cut_short_are_refused_at_every_length(graph):
    content = graph_to_bytes(graph)
    for length in range(len(content)):
        with pytest.raises(GraphFileError):
            graph_from_bytes(content[:length])
