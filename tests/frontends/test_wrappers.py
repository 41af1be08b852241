"""Compiled, parallel and scripted modules: what is inside is captured, and nothing is compiled."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import CaptureError
from archstat.frontends.module import capture, unwrapped

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


class CompiledTooEarly(AssertionError):
    """Raised by a compiler that must not be asked."""


def refuse_to_compile(graph_module, example_inputs):
    raise CompiledTooEarly


def test_compiled_module_is_captured_without_being_compiled():
    net = nn.Conv2d(3, 4, 1)
    wrapped = torch.compile(net, backend=refuse_to_compile)
    assert capture(wrapped, IMAGE) == capture(net, IMAGE)


def test_compiled_call_of_a_module_is_captured_without_being_compiled(unchanged):
    net = Nested()
    plain = capture(net, IMAGE)
    net.compile(backend=refuse_to_compile)
    net.head.compile(backend=refuse_to_compile)
    with unchanged(net):
        assert capture(net, IMAGE) == plain
    with pytest.raises(Exception, match="refuse_to_compile"):
        net(IMAGE)


def test_compiled_child_is_captured_without_being_compiled():
    net = nn.Sequential(torch.compile(nn.Conv2d(3, 4, 1), backend=refuse_to_compile))
    graph = capture(net, IMAGE)
    assert [op.kind for op in graph.ops] == ["conv"]
    assert graph.device == "meta"


def test_data_parallel_wrapper_is_taken_off():
    net = nn.Conv2d(3, 4, 1)
    assert capture(nn.DataParallel(net), IMAGE) == capture(net, IMAGE)
    assert unwrapped(nn.DataParallel(nn.DataParallel(net))) is net


@pytest.mark.parametrize("thing", [None, "resnet50", 3, nn.Conv2d, lambda x: x])
def test_what_is_no_module_is_refused(thing):
    with pytest.raises(CaptureError, match=r"not a torch\.nn\.Module; give a module"):
        capture(thing, IMAGE)


@pytest.mark.filterwarnings("ignore:`?torch.jit")
@pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m, IMAGE)])
def test_script_module_gives_parameters_and_multiply_accumulates(make, totals):
    script = make(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))
    script.train()
    found = totals(script, IMAGE)
    assert found["params"] == 4 * 3 + 4
    assert found["macs"] == MACS_1X1


@pytest.mark.filterwarnings("ignore:`?torch.jit")
def test_script_module_keeps_its_mode():
    script = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout()))
    for mode in (True, False):
        script.train(mode)
        capture(script, IMAGE)
        assert [module.training for module in script.modules()] == [mode] * 3
