"""Parameters in use for one token, and bytes of a cache."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archstat.analyses.tokens import tokens
from archstat.graph import Graph, Op, Storage, Value

EXPERTS, WIDTH, INNER, TOKENS = 8, 4, 6, 10


def mixture(k, scores=EXPERTS):
    """A router, a grouped product with a weight of experts and its bias, and a dense weight."""
    shapes = {
        "router.weight": (scores, WIDTH),
        "experts.weight": (EXPERTS, WIDTH, INNER),
        "experts.bias": (EXPERTS, INNER),
        "experts.scale": (INNER,),
    }
    values = [Value((TOKENS, scores), "float32", "activation", 0),
              Value((TOKENS * k, WIDTH), "float32", "activation", 1)]  # fmt: skip
    values += [Value(shape, "float32", "parameter", i, name)
               for i, (name, shape) in enumerate(shapes.items(), 2)]  # fmt: skip
    storages = tuple(Storage(value.nbytes) for value in values)
    ops = (
        Op("other", "aten.topk.default", "router", "Router", (0,), (), {"k": k}),
        Op("matmul", "aten._grouped_mm.default", "experts", "Experts", (1, 3), ()),
    )
    return Graph("mixture", ops, tuple(values), storages, outputs=(1,))


@pytest.mark.parametrize("k", [1, 3, EXPERTS])
def test_experts_count_as_often_as_the_router_picks(k):
    dense = EXPERTS * WIDTH + INNER
    assert tokens(mixture(k)).totals["active_params"] == dense + k * (WIDTH * INNER + INNER)


def test_experts_without_a_router_are_unknown():
    analysis = tokens(mixture(2, scores=EXPERTS + 1))
    assert analysis.totals["active_params"] is None
    assert analysis.unknown == {"active_params"}
    assert [note.module for note in analysis.findings] == ["experts"]


def test_network_without_experts_uses_all_its_parameters():
    graph = replace(mixture(2), ops=())
    every = EXPERTS * WIDTH + EXPERTS * (WIDTH * INNER + INNER) + INNER
    assert tokens(graph).totals == {"active_params": every, "kv_cache_bytes": None}


def test_cache_is_what_the_graph_says():
    graph = replace(mixture(2), kv_cache_bytes=640)
    assert tokens(graph).totals["kv_cache_bytes"] == 640
    assert Graph.from_json(graph.to_json()).kv_cache_bytes == 640
