"""What ran is laid onto a Graph's ops, module by module, in order."""

from __future__ import annotations

import pytest

from archstat.graph import Graph, Op, Storage, Value
from archstat.measure.latency.profiling import Profile, RanOp, Share, attributed, matched


def graph_of(*ops):
    """A Graph of (module, kind, name) whose ops all have one value."""
    value = Value((1, 4, 2, 2), "float32", "activation", 0)
    made = tuple(
        Op(kind, f"aten.{name}.default", module, "M", (0,), (0,)) for module, kind, name in ops
    )
    return Graph("g", made, (value,), (Storage(64),))


def ran(module, *names, cpu=1.0, gpu=None):
    return RanOp(module, names, cpu, gpu)


def profile_of(*passes, dispatch=None):
    return Profile(passes, 1.0, dispatch, 2.0)


def test_op_is_found_among_the_names_inside_a_call():
    graph = graph_of(("a", "conv", "convolution"), ("b", "norm", "native_batch_norm"))
    calls = [ran("a", "conv2d", "convolution", "mkldnn_convolution", "empty"),
             ran("b", "batch_norm", "_batch_norm_impl_index", "native_batch_norm")]  # fmt: skip
    assert matched(graph, calls) == [0, 1]


def test_second_call_of_a_module_is_its_next_op():
    graph = graph_of(("a", "activation", "relu"), ("b", "add", "add"), ("a", "activation", "relu"))
    assert matched(graph, [ran("a", "relu"), ran("b", "add"), ran("a", "relu")]) == [0, 1, 2]


def test_linear_layer_is_its_product_not_its_transposition():
    graph = graph_of(("fc", "reshape", "t"), ("fc", "linear", "addmm"))
    assert matched(graph, [ran("fc", "linear", "t", "transpose", "addmm")]) == [1]


def test_equal_ops_in_a_row_are_told_apart():
    graph = graph_of(("", "add", "add"), ("", "add", "add"), ("", "concat", "cat"))
    assert matched(graph, [ran("", "add"), ran("", "add"), ran("", "cat")]) == [0, 1, 2]


def test_view_that_did_not_run_is_passed_over():
    graph = graph_of(("", "reshape", "view"), ("", "matmul", "bmm"))
    assert matched(graph, [ran("", "bmm")]) == [1]


def test_unknown_name_is_no_op_and_takes_none():
    graph = graph_of(("", "add", "add"))
    assert matched(graph, [ran("", "dropout"), ran("", "add")]) == [None, 0]


def test_fused_attention_is_no_single_op_of_the_graph():
    graph = graph_of(("", "reshape", "transpose"), ("", "matmul", "bmm"))
    (only,) = attributed(
        graph, profile_of((ran("", "scaled_dot_product_attention", "transpose", "empty"),))
    )
    assert (only.op, only.kind) == (None, "matrix product")


def test_time_is_the_median_over_passes():
    graph = graph_of(("a", "activation", "relu"))
    passes = [(ran("a", "relu", cpu=time),) for time in (1.0, 9.0, 2.0)]
    assert attributed(graph, profile_of(*passes)) == [Share(0, "a", "element-wise", 2.0, None)]


def test_time_on_a_gpu_is_of_kernels_and_calls_stand_apart():
    graph = graph_of(("a", "activation", "relu"))
    (only,) = attributed(graph, profile_of((ran("a", "relu", cpu=3.0, gpu=0.5),), dispatch=3.5))
    assert (only.time_ms, only.dispatch_ms) == (0.5, 3.0)


def test_what_ran_twice_in_a_pass_outside_the_graph_adds_up():
    graph = graph_of(("a", "activation", "relu"))
    shares = attributed(graph, profile_of((ran("a", "dropout"), ran("a", "dropout", cpu=2.0))))
    assert [share.time_ms for share in shares] == [pytest.approx(3.0)]
