"""The cost of single ops on Graphs drawn by hand, in three states."""

from __future__ import annotations

import pytest

from archstat.analyses import costs
from archstat.analyses.operations import cost, operations

CONV = "aten.convolution.default"


def cost_of(sketch):
    """The cost of the last op drawn."""
    return cost(sketch.ops[-1], tuple(sketch.values))


# -- products ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "weight", "out", "groups"),
    [
        ((1, 3, 8, 8), (6, 3, 3, 3), (1, 6, 6, 6), 1),
        ((2, 4, 8, 8), (6, 2, 3, 1), (2, 6, 6, 8), 2),
        ((1, 8, 9), (8, 1, 3), (1, 8, 7), 8),
        ((1, 2, 4, 5, 6), (3, 2, 2, 2, 2), (1, 3, 3, 4, 5), 1),
        ((3, 8, 8), (6, 3, 3, 3), (6, 6, 6), 1),
    ],
)
def test_each_weight_of_a_convolution_meets_each_output_position(x, weight, out, groups, sketch):
    inputs = (sketch.input(*x), sketch.weight(*weight))
    sketch.op("conv", CONV, inputs, out, transposed=False, groups=groups)
    axes = len(weight) - 2
    positions = (x[0] if len(x) == axes + 2 else 1) * product(out[-axes:])
    found = cost_of(sketch)
    assert found.state == "counted"
    assert found.macs == positions * product(weight)
    assert found.flops == 2 * found.macs
    assert found.activations == product(out)


def test_each_weight_of_a_transposed_convolution_meets_each_input_position(sketch):
    inputs = (sketch.input(2, 8, 5, 5), sketch.weight(8, 4, 3, 3), sketch.weight(16))
    sketch.op("conv", CONV, inputs, (2, 16, 11, 11), transposed=True, groups=4)
    found = cost_of(sketch)
    assert found.macs == 2 * 5 * 5 * (8 * 4 * 3 * 3)
    assert found.flops == 2 * found.macs + 2 * 16 * 11 * 11


def test_bias_adds_one_flop_an_output(sketch):
    inputs = (sketch.input(1, 3, 8, 8), sketch.weight(6, 3, 1, 1), sketch.weight(6))
    sketch.op("conv", CONV, inputs, (1, 6, 8, 8), transposed=False, groups=1)
    assert cost_of(sketch).flops == 2 * 6 * 3 * 8 * 8 + 6 * 8 * 8


PRODUCTS = [
    ("aten.mm.default", [(5, 8), (8, 4)], (5, 4), 5 * 8 * 4, 0),
    ("aten.bmm.default", [(3, 5, 8), (3, 8, 4)], (3, 5, 4), 3 * 5 * 8 * 4, 0),
    ("aten.mv.default", [(5, 8), (8,)], (5,), 5 * 8, 0),
    ("aten.dot.default", [(8,), (8,)], (), 8, 0),
    ("aten.addmm.default", [(4,), (5, 8), (8, 4)], (5, 4), 5 * 8 * 4, 5 * 4),
    ("aten.addmv.default", [(5,), (5, 8), (8,)], (5,), 5 * 8, 5),
    ("aten.baddbmm.default", [(3, 5, 4), (3, 5, 8), (3, 8, 4)], (3, 5, 4), 3 * 5 * 8 * 4, 60),
    ("aten.addbmm.default", [(5, 4), (3, 5, 8), (3, 8, 4)], (5, 4), 3 * 5 * 8 * 4, 20),
    ("aten.linear.default", [(2, 5, 8), (4, 8)], (2, 5, 4), 2 * 5 * 8 * 4, 0),
    ("aten.linear.default", [(2, 5, 8), (4, 8), (4,)], (2, 5, 4), 2 * 5 * 8 * 4, 2 * 5 * 4),
]


@pytest.mark.parametrize("kind", ["matmul", "linear"])
@pytest.mark.parametrize(("target", "inputs", "out", "macs", "sums"), PRODUCTS)
def test_matrix_product(kind, target, inputs, out, macs, sums, sketch):
    sketch.op(kind, target, tuple(sketch.input(*shape) for shape in inputs), out)
    found = cost_of(sketch)
    assert (found.state, found.macs, found.flops) == ("counted", macs, 2 * macs + sums)
    assert found.activations == product(out)


@pytest.mark.parametrize("target", ["aten.mm.default", "aten.bmm.default", "aten.linear.default"])
def test_product_of_nothing_costs_nothing(target, sketch):
    shapes = {"mm": [(0, 8), (8, 4)], "bmm": [(0, 5, 8), (0, 8, 4)], "linear": [(0, 8), (4, 8)]}
    inputs = tuple(sketch.input(*shape) for shape in shapes[target.split(".")[1]])
    sketch.op("matmul", target, inputs, (0, 4))
    assert cost_of(sketch).macs == 0


def test_fused_attention_takes_scores_softmax_and_their_product(sketch):
    inputs = (sketch.input(2, 4, 50, 16), sketch.input(2, 4, 30, 16), sketch.input(2, 4, 30, 24))
    target = "aten._scaled_dot_product_flash_attention_for_cpu.default"
    sketch.op("attention", target, inputs, (2, 4, 50, 24), (2, 4, 50))
    found = cost_of(sketch)
    assert found.macs == 2 * 4 * 50 * 30 * (16 + 24)
    assert found.flops == 2 * found.macs + 5 * 2 * 4 * 50 * 30
    assert found.activations == 2 * 4 * 50 * 30 + 2 * 4 * 50 * 24


def test_fused_lstm_layer_takes_both_weights_at_each_step(sketch):
    inputs = (sketch.input(10, 2, 32), sketch.weight(4 * 64, 32), sketch.weight(4 * 64, 64))
    sketch.op("recurrent", "aten.mkldnn_rnn_layer.default", inputs, (10, 2, 64), mode=2)
    assert cost_of(sketch).macs == 10 * 2 * 4 * 64 * (32 + 64)


def test_recurrent_op_without_a_formula_is_unknown(sketch):
    sketch.op("recurrent", "aten._cudnn_rnn.default", (sketch.input(10, 2, 32),), (10, 2, 64))
    assert cost_of(sketch).state == "unknown"


# -- everything else -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(costs.PER_OUTPUT))
@pytest.mark.parametrize("suffix", [".default", "_.default", ".Tensor", ".Scalar_out"])
def test_op_with_a_cost_an_output_is_counted_in_place_or_not(name, suffix, sketch):
    sketch.op("activation", f"aten.{name}{suffix}", (sketch.input(2, 3, 4),), (2, 3, 4))
    found = cost_of(sketch)
    assert found.state == "counted"
    assert found.flops == costs.PER_OUTPUT[name] * 2 * 3 * 4
    assert found.macs == found.activations == 0


@pytest.mark.parametrize("name", sorted(costs.FREE))
def test_free_op_costs_nothing_and_has_a_reason(name, sketch):
    sketch.op("reshape", f"aten.{name}.default", (sketch.input(2, 3),), (2, 3))
    found = cost_of(sketch)
    assert (found.state, found.macs, found.flops, found.activations) == ("free", 0, 0, 0)
    assert found.reason == costs.FREE[name] != ""


@pytest.mark.parametrize("name", sorted(costs.BATCH_NORMS))
@pytest.mark.parametrize(("training", "flops"), [(False, 2), (True, 5), (None, 2)])
def test_batch_norm_costs_two_in_eval_and_five_with_batch_statistics(name, training, flops, sketch):
    known = {} if training is None else {"training": training}
    sketch.op("norm", f"aten.{name}.default", (sketch.input(2, 3, 4, 4),), (2, 3, 4, 4), **known)
    eval_only = name == "_native_batch_norm_legit_no_training"
    assert cost_of(sketch).flops == (2 if eval_only else flops) * 2 * 3 * 4 * 4


@pytest.mark.parametrize(
    ("name", "kernel", "flops"),
    [
        ("max_pool2d_with_indices", (3, 3), 3 * 3 - 1),
        ("max_pool2d_with_indices", (3, 2), 3 * 2 - 1),
        ("max_pool3d_with_indices", (2, 2, 2), 2**3 - 1),
        ("max_pool1d", (5,), 5 - 1),
        ("avg_pool2d", (3, 3), 3 * 3),
        ("avg_pool3d", (1, 2, 3), 2 * 3),
        ("avg_pool1d", (4,), 4),
    ],
)
def test_pooling_costs_its_window(name, kernel, flops, sketch):
    x = sketch.input(2, 3, 9, 9)
    sketch.op("pool", f"aten.{name}.default", (x,), (2, 3, 4, 4), kernel=kernel)
    assert cost_of(sketch).flops == 2 * 3 * 4 * 4 * flops


@pytest.mark.parametrize(
    ("name", "flops"),
    [("mean", 24), ("sum", 24 - 4), ("amax", 24 - 4), ("histc", 4 * 24), ("bincount", 24)],
)
def test_reduction_costs_its_inputs(name, flops, sketch):
    sketch.op("reduce", f"aten.{name}.dim", (sketch.input(2, 2, 6),), (2, 2))
    assert cost_of(sketch).flops == flops


@pytest.mark.parametrize(
    ("target", "kind"),
    [("mylib.fancy.default", "other"), ("aten.fft_rfft.default", "other"),
     ("aten.cdist.default", "other")],
)  # fmt: skip
def test_op_in_no_table_is_unknown(target, kind, sketch):
    sketch.op(kind, target, (sketch.input(2, 3),), (2, 3))
    assert cost_of(sketch).state == "unknown"


def test_op_of_another_namespace_is_not_taken_for_torchs(sketch):
    sketch.op("other", "mylib.relu.default", (sketch.input(2, 3),), (2, 3))
    assert cost_of(sketch).state == "unknown"


# -- the whole -----------------------------------------------------------------------------------


def small_net(sketch):
    x = sketch.conv(sketch.input(1, 3, 4, 4), 8, "first")
    x = sketch.unary("activation", "relu", x)
    x = sketch.conv(x, 2, "second")
    return sketch.unary("reshape", "view", x, 1, 32)


def test_totals_are_the_sums_over_ops(sketch):
    graph = sketch.graph(small_net(sketch))
    analysis = operations(graph)
    assert analysis.totals == {
        "macs": 4 * 4 * (3 * 8 + 8 * 2),
        "flops": 2 * 4 * 4 * (3 * 8 + 8 * 2) + 8 * 4 * 4,
        "activations": 4 * 4 * (8 + 2),
        "unknown_ops": 0,
    }
    for key, numbers in analysis.per_op.items():
        assert len(numbers) == len(graph.ops)
        assert sum(numbers) == analysis.totals[key]


def test_net_of_known_ops_has_no_lower_bounds_and_no_findings(sketch):
    analysis = operations(sketch.graph(small_net(sketch)))
    assert analysis.lower_bounds == frozenset()
    assert analysis.findings == ()


def test_unknown_op_makes_lower_bounds_and_a_finding_that_names_its_module(sketch):
    x = small_net(sketch)
    fancy = sketch.op("other", "mylib.fancy.default", (x,), (1, 32),
                      module="head.fancy", module_type="Fancy")  # fmt: skip
    analysis = operations(sketch.graph(fancy))
    assert analysis.totals["unknown_ops"] == 1
    assert analysis.lower_bounds == {"macs", "flops", "activations"}
    (finding,) = analysis.findings
    assert (finding.topic, finding.module) == ("unknown_ops", "head.fancy")
    assert "mylib.fancy.default in head.fancy (Fancy)" in finding.text
    assert "lower bounds" in finding.text


def test_unknown_op_of_one_target_and_module_is_one_finding_with_its_number(sketch):
    x = sketch.input(1, 4)
    for module in ("a", "a", "b"):
        x = sketch.op("other", "mylib.fancy.default", (x,), (1, 4), module=module)
    x = sketch.op("other", "mylib.other.default", (x,), (1, 4), module="a")
    analysis = operations(sketch.graph(x))
    assert analysis.totals["unknown_ops"] == 4
    assert [(f.module, "(2 times)" in f.text) for f in analysis.findings] == [
        ("a", True),
        ("b", False),
        ("a", False),
    ]


def test_unknown_op_of_the_root_is_named_by_its_type(sketch):
    x = sketch.op("other", "mylib.fancy.default", (sketch.input(1),), (1,), module="",
                  module_type="Net")  # fmt: skip
    (finding,) = operations(sketch.graph(x)).findings
    assert "in Net is" in finding.text


def test_empty_graph_costs_nothing(sketch):
    assert set(operations(sketch.graph(sketch.input(1))).totals.values()) == {0}


def product(sizes):
    result = 1
    for size in sizes:
        result *= size
    return result
