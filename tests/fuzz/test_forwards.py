"""Forwards made at random: counted as written down by hand, module and inputs left as they were."""

from __future__ import annotations

import copy
import os
from collections import UserDict, deque
from types import SimpleNamespace
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archstat.analyses.depth import ANALYZER as DEPTH
from archstat.analyses.operations import ANALYZER as OPERATIONS
from archstat.frontends.module import capture
from archstat.graph import Graph

WIDTH, LENGTH = 4, 3
EXAMPLES = int(os.environ.get("ARCHSTAT_FUZZ_EXAMPLES", "30"))

# A step takes and gives (batch, length, width); those with a layer come first.
LAYERS = ("linear", "copy", "shallow", "data", "inference", "kept")
STEPS = (*LAYERS, "transpose_", "unsqueeze_", "relu_", "add", "cat", "list", "dict", "global")
programs = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, 2), st.integers(0, 3)), max_size=8
)
KEPT: dict[str, Any] = {}


class Program(nn.Module):
    def __init__(self, steps):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.steps, self.seen, self.memo = steps, [], {}

    def forward(self, x):
        made = [x]
        for name, layer, earlier in self.steps:
            y = self.step(name, self.layers[layer], made[-1], made[earlier % len(made)])
            made.append(y)
        return made[-1]

    def step(self, name, layer, x, other):
        if name in LAYERS:
            return self.product(name, layer, x)
        if name == "transpose_":
            return x.clone().transpose_(0, 1).transpose_(0, 1)
        if name == "unsqueeze_":
            return x.clone().unsqueeze_(0).squeeze_(0)
        if name == "relu_":
            return torch.relu_(x.clone())
        if name == "add":
            return x + other
        if name == "cat":
            return torch.cat([x, other], 1)[:, :LENGTH]
        if name == "list":
            self.seen.append(x)
            return self.seen[-1]
        if name == "dict":
            return self.memo.setdefault("x", x) * 1
        KEPT["x"] = x
        return KEPT["x"]

    def product(self, name, layer, x):
        if name == "copy":
            return copy.deepcopy(layer)(x)
        if name == "shallow":
            return copy.copy(layer)(x)
        if name == "data":
            return layer(x).data
        if name == "inference":
            with torch.inference_mode():
                return layer(x)
        self.kept = layer(x) if name == "kept" else None
        return layer(x) if self.kept is None else self.kept


@settings(max_examples=EXAMPLES, deadline=None)
@given(programs, st.integers(1, 3), st.booleans())
def test_program_counts_as_written_and_leaves_everything(steps, batch, real):
    net = Program(steps).eval()
    x = torch.rand(batch, LENGTH, WIDTH)
    before, keys = x.clone(), set(vars(net))
    if real:
        net.register_forward_pre_hook(
            lambda module, inputs: None if float(inputs[0].sum()) > -1 else ()
        )
    graph = capture(net, x)
    assert graph.device == ("cpu" if real else "meta")
    assert OPERATIONS.run(graph).totals["macs"] == (
        sum(name in LAYERS for name, _, _ in steps) * batch * LENGTH * WIDTH * WIDTH
    )
    assert DEPTH.run(graph).totals["depth"] <= sum(name in LAYERS for name, _, _ in steps)
    assert torch.equal(x, before)
    assert set(vars(net)) == keys
    assert (net.seen, net.memo, KEPT) == ([], {}, {})
    assert capture(net, x) == graph
    assert Graph.from_json(graph.to_json()) == graph


@settings(max_examples=EXAMPLES, deadline=None)
@given(programs, st.integers(1, 3))
def test_meta_and_a_real_run_count_the_same(steps, batch):
    net = Program(steps).eval()
    x = torch.rand(batch, LENGTH, WIDTH)
    found = []
    for real in (False, True):
        if real:
            net.register_forward_pre_hook(
                lambda module, inputs: None if float(inputs[0].sum()) > -1 else ()
            )
        graph = capture(net, x)
        totals = OPERATIONS.run(graph).totals
        found.append((totals["macs"], DEPTH.run(graph).totals["depth"]))
    assert found[0] == found[1]


values: Any = st.recursive(
    st.sampled_from(["tensor", "number", "none"]),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["list", "tuple", "deque", "set"]), st.lists(inner, max_size=3)),
        st.tuples(st.sampled_from(["dict", "space", "user"]), st.lists(inner, max_size=3)),
    ),
    max_leaves=8,
)


def built(shape, tensors):
    """An argument of this shape; its tensors are added to the list."""
    if shape == "tensor":
        tensors.append(torch.rand(2))
        return tensors[-1]
    if isinstance(shape, str):
        return 3 if shape == "number" else None
    kind, items = shape
    made = [built(item, tensors) for item in items]
    if kind == "set":
        return {item for item in made if isinstance(item, (torch.Tensor, int))}
    if kind in ("dict", "space", "user"):
        named = {f"k{n}": item for n, item in enumerate(made)}
        makers: Any = {"dict": dict, "space": SimpleNamespace, "user": UserDict}
        return makers[kind](**named)
    return {"list": list, "tuple": tuple, "deque": deque}[kind](made)


def spoilt(one):
    """Change everything that can be changed, as deep as it goes."""
    if isinstance(one, torch.Tensor):
        one.mul_(0)
    elif isinstance(one, (tuple, set)):
        for item in list(one):
            spoilt(item)
    elif isinstance(one, (list, deque)):
        for item in one:
            spoilt(item)
        one.append(1)
    elif isinstance(one, (dict, UserDict)):
        for item in one.values():
            spoilt(item)
        one["new"] = 1
    elif isinstance(one, SimpleNamespace):
        for item in vars(one).values():
            spoilt(item)
        one.new = 1


class Spoiling(nn.Module):
    def forward(self, x, given):
        spoilt(given)
        return x * 2


@settings(max_examples=EXAMPLES, deadline=None)
@given(values)
def test_arguments_of_any_nesting_are_only_read(shape):
    tensors: list[torch.Tensor] = []
    argument = built(shape, tensors)
    before, text = [t.clone() for t in tensors], repr(argument)
    graph = capture(Spoiling(), torch.rand(2), argument)
    assert graph.device == "meta"
    assert repr(argument) == text
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))
