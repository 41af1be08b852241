"""Which module owns which op, and the calls that a forward makes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from archstat.frontends.module import capture

IMAGE = torch.rand(1, 3, 8, 8)
MACS_1X1 = 4 * 3 * 8 * 8


class Nested(nn.Module):
    """Ops at three depths, one of them a functional call."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return torch.sigmoid(self.head(self.stem(x)))


def test_op_belongs_to_the_innermost_module_that_runs_it():
    graph = capture(Nested(), IMAGE)
    assert [(op.name, op.module, op.module_type) for op in graph.ops] == [
        ("convolution", "stem.0", "Conv2d"),
        ("relu", "stem.1", "ReLU"),
        ("convolution", "head", "Conv2d"),
        ("sigmoid", "", "Nested"),
    ]


def test_calls_are_spans_of_ops_with_parents_inputs_and_outputs():
    graph = capture(Nested(), IMAGE)
    calls = graph.calls
    assert [(c.module, c.module_type, c.first, c.last, c.parent) for c in calls] == [
        ("", "Nested", 0, 4, None),
        ("stem", "Sequential", 0, 2, 0),
        ("stem.0", "Conv2d", 0, 1, 1),
        ("stem.1", "ReLU", 1, 2, 1),
        ("head", "Conv2d", 2, 3, 0),
    ]
    assert calls[0].inputs == graph.inputs
    assert calls[0].outputs == graph.outputs
    assert calls[2].outputs == calls[3].inputs == graph.ops[0].outputs
    assert calls[1].outputs == calls[4].inputs == graph.ops[1].outputs


def test_keyword_inputs_of_an_inner_call_are_its_inputs(as_module):
    inner = as_module(lambda a, *, b: a + b)
    graph = capture(as_module(lambda x, y: inner(x, b=y), inner=inner), IMAGE, IMAGE * 2)
    assert graph.calls[1].inputs == graph.inputs


def test_every_module_is_listed_called_or_not():
    graph = capture(Nested(), IMAGE)
    assert [(m.path, m.type) for m in graph.modules] == [
        ("", "Nested"),
        ("stem", "Sequential"),
        ("stem.0", "Conv2d"),
        ("stem.1", "ReLU"),
        ("head", "Conv2d"),
    ]


def test_module_that_is_never_called_has_parameters_and_no_ops(totals):
    class WithSpare(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Conv2d(3, 4, 1), nn.Linear(10, 10)

        def forward(self, x):
            return self.used(x)

    graph = capture(WithSpare(), IMAGE)
    assert [call.module for call in graph.calls] == ["", "used"]
    assert [module.path for module in graph.modules] == ["", "used", "spare"]
    assert totals(WithSpare(), IMAGE)["params"] == 4 * 3 + 4 + 10 * 10 + 10
    assert totals(WithSpare(), IMAGE)["macs"] == MACS_1X1


def test_parameter_used_without_its_modules_call_is_counted_where_it_is_used(totals):
    class Borrowing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return F.conv2d(x, self.conv.weight)

    graph = capture(Borrowing(), IMAGE)
    assert graph.ops[0].module == ""
    assert totals(Borrowing(), IMAGE)["macs"] == MACS_1X1


def test_forward_that_is_called_directly_belongs_to_the_caller(as_module):
    conv = nn.Conv2d(3, 4, 1)
    graph = capture(as_module(lambda x: conv.forward(x), conv=conv), IMAGE)
    assert [(op.kind, op.module) for op in graph.ops] == [("conv", "")]


def test_module_that_calls_itself_through_a_child_ends():
    class Ring(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.again = self
            self.turns = 0

        def forward(self, x):
            self.turns += 1
            return self.again(self.conv(x)) if self.turns < 3 else x

    ring = Ring()
    graph = capture(ring, IMAGE)
    assert [call.module for call in graph.calls] == ["", "conv", "", "conv", ""]
    assert [m.aliases for m in graph.modules] == [("again",), ()]
    assert ring.turns == 0
