"""An op nobody has a formula for: never a silent zero."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archstat
from archstat.analyses.operations import operations
from archstat.frontends.module import capture

IMAGE = torch.rand(1, 3, 8, 8)


@pytest.fixture(scope="module")
def fancy():
    """A custom op with a kernel for cpu and one for meta."""
    library = torch.library.Library("archstat_tests", "DEF")
    library.define("fancy(Tensor x, float scale=2.0) -> Tensor")
    library.impl("fancy", lambda x, scale=2.0: x * scale, "CPU")
    library.impl("fancy", lambda x, scale=2.0: torch.empty_like(x), "Meta")
    yield torch.ops.archstat_tests.fancy
    library._destroy()


class Fancy(nn.Module):
    def __init__(self, operator):
        super().__init__()
        self.operator = operator

    def forward(self, x):
        return self.operator(x, 3.0)


@pytest.fixture
def net(fancy):
    return nn.Sequential(nn.Conv2d(3, 4, 1), Fancy(fancy), Fancy(fancy), nn.ReLU())


def test_custom_op_is_captured_with_its_name_and_arguments(net):
    op = capture(net, IMAGE).ops[1]
    assert (op.kind, op.target) == ("other", "archstat_tests.fancy.default")
    assert op.attributes == {"scale": 3.0}
    assert (op.module, op.module_type) == ("1", "Fancy")


def test_custom_op_is_unknown_and_named_with_its_module(net):
    analysis = operations(capture(net, IMAGE))
    assert analysis.totals["unknown_ops"] == 2
    assert analysis.totals["macs"] == 4 * 3 * 8 * 8
    assert [finding.module for finding in analysis.findings] == ["1", "2"]
    assert all("archstat_tests.fancy.default" in f.text for f in analysis.findings)


def test_custom_op_makes_the_report_a_lower_bound(net):
    report = archstat.analyze(net, input="3x8x8")
    held = {"memory_access", "memory_access_bytes", "peak_memory_bytes", "ideal_peak_bytes"}
    assert report.lower_bounds == {"macs", "flops", "activations", *held}
    assert ">= " in repr(report)
    assert "params" not in report.lower_bounds


def test_custom_op_in_a_real_run_is_unknown_too(net, looking):
    graph = capture(looking(net), IMAGE)
    assert graph.device == "cpu"
    assert operations(graph).totals["unknown_ops"] == 2


def test_op_without_a_meta_kernel_falls_back_to_a_real_run():
    library = torch.library.Library("archstat_tests_cpu", "DEF")
    library.define("only_cpu(Tensor x) -> Tensor")
    library.impl("only_cpu", lambda x: x * 2, "CPU")
    try:
        graph = capture(Fancy(lambda x, _: torch.ops.archstat_tests_cpu.only_cpu(x)), IMAGE)
    finally:
        library._destroy()
    assert graph.device == "cpu"
    assert "cannot run on meta" in graph.notes[0]
    assert [op.target for op in graph.ops] == ["archstat_tests_cpu.only_cpu.default"]


def test_custom_autograd_function_is_seen_through(as_module, totals):
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(context, gradient):
            (x,) = context.saved_tensors
            return 2 * x * gradient

    found = totals(as_module(lambda x: Square.apply(x)), IMAGE)
    assert found["flops"] == 3 * 8 * 8
    assert found["unknown_ops"] == 0
