"""Depth on Graphs drawn by hand: the longest path, without the branches that compute a gate."""

from __future__ import annotations

import pytest

from archstat.analyses.depth import depth


def depth_of(graph):
    return depth(graph).totals["depth"]


def test_chain_is_as_deep_as_its_layers(sketch):
    x = sketch.input(1, 4, 8, 8)
    for name in ("a", "b", "c"):
        x = sketch.unary("activation", "relu", sketch.conv(x, 4, name))
    assert depth_of(sketch.graph(x)) == 3


def test_net_without_layers_has_depth_zero(sketch):
    assert depth_of(sketch.graph(sketch.unary("activation", "relu", sketch.input(1, 4)))) == 0


def test_net_without_outputs_has_depth_zero(sketch):
    sketch.conv(sketch.input(1, 4, 8, 8), 4)
    assert depth_of(sketch.graph()) == 0


@pytest.mark.parametrize("kind", ["matmul", "norm", "pool", "embedding"])
def test_other_kinds_are_no_layers(kind, sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4)
    assert depth_of(sketch.graph(sketch.unary(kind, "anything", x))) == 1


def test_linear_layer_is_a_layer(sketch):
    x = sketch.input(1, 4)
    y = sketch.op(
        "linear", "aten.addmm.default", (sketch.weight(3), x, sketch.weight(4, 3)), (1, 3)
    )
    assert depth_of(sketch.graph(y)) == 1


def test_residual_takes_the_longer_of_body_and_shortcut(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "stem")
    body = sketch.conv(sketch.conv(x, 4, "first"), 4, "second")
    assert depth_of(sketch.graph(sketch.binary("add", body, x))) == 1 + 2
    projected = sketch.conv(x, 4, "projection")
    assert depth_of(sketch.graph(sketch.binary("add", body, projected))) == 1 + 2
    assert depth_of(sketch.graph(sketch.binary("add", projected, x))) == 1 + 1


def test_concatenation_takes_the_deepest_branch(sketch):
    x = sketch.input(1, 4, 8, 8)
    short, long = sketch.conv(x, 4, "short"), sketch.conv(sketch.conv(x, 4, "one"), 4, "two")
    both = sketch.op("concat", "aten.cat.default", (short, long), (1, 8, 8, 8))
    assert depth_of(sketch.graph(sketch.conv(both, 4, "last"))) == 2 + 1


def test_several_outputs_give_the_deepest(sketch):
    x = sketch.input(1, 4, 8, 8)
    early = sketch.conv(x, 4, "early")
    late = sketch.conv(early, 4, "late")
    assert depth_of(sketch.graph(early, late)) == depth_of(sketch.graph(late, early)) == 2


def test_branch_that_leads_to_no_output_does_not_count(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "main")
    sketch.conv(sketch.conv(x, 4, "lost"), 4, "lost too")
    assert depth_of(sketch.graph(x)) == 1


def squeeze_and_excite(sketch, x, squash="sigmoid"):
    """x times a gate of two layers; the gate comes first or second as the caller multiplies."""
    pooled = sketch.unary("reduce", "mean", x, 1, 4, 1, 1)
    hidden = sketch.unary("activation", "relu", sketch.conv(pooled, 2, "reduce"))
    return sketch.unary("activation", squash, sketch.conv(hidden, 4, "expand"))


@pytest.mark.parametrize("squash", ["sigmoid", "hardsigmoid"])
@pytest.mark.parametrize("gate_first", [True, False])
def test_squeeze_and_excite_gate_is_not_on_the_path(squash, gate_first, sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "stem")
    gate = squeeze_and_excite(sketch, x, squash)
    y = sketch.binary("mul", *((gate, x) if gate_first else (x, gate)))
    assert depth_of(sketch.graph(y)) == 1


def test_gate_that_is_reshaped_before_it_multiplies_is_still_a_gate(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "stem")
    gate = squeeze_and_excite(sketch, x)
    viewed = sketch.unary("reshape", "view", gate, 1, 4, 1, 1)
    expanded = sketch.unary("reshape", "expand", viewed, 1, 4, 8, 8)
    assert depth_of(sketch.graph(sketch.binary("mul", x, expanded))) == 1


def test_gate_of_a_shortcut_leaves_the_bodys_depth(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "stem")
    body = sketch.conv(sketch.conv(x, 4, "first"), 4, "second")
    gated = sketch.binary("mul", body, squeeze_and_excite(sketch, body))
    y = sketch.conv(sketch.binary("add", gated, x), 4, "next")
    assert depth_of(sketch.graph(y)) == 1 + 2 + 1


def test_channel_gate_then_spatial_gate_leave_the_depth(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "stem")
    x = sketch.binary("mul", x, squeeze_and_excite(sketch, x))
    pooled = sketch.op("concat", "aten.cat.default", (
        sketch.unary("reduce", "mean", x, 1, 1, 8, 8), sketch.unary("reduce", "amax", x, 1, 1, 8, 8)
    ), (1, 2, 8, 8))  # fmt: skip
    spatial = sketch.unary("activation", "sigmoid", sketch.conv(pooled, 1, "spatial"))
    assert depth_of(sketch.graph(sketch.binary("mul", x, spatial))) == 1


def test_highway_continues_through_the_transformed_branch(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "stem")
    transformed = sketch.unary("activation", "relu", sketch.conv(x, 4, "transform"))
    gate = sketch.unary("activation", "sigmoid", sketch.conv(x, 4, "gate"))
    carry = sketch.unary("add", "rsub", gate)
    y = sketch.binary(
        "add", sketch.binary("mul", transformed, gate), sketch.binary("mul", x, carry)
    )
    assert depth_of(sketch.graph(y)) == 1 + 1


def test_silu_written_as_a_product_is_on_the_path(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "conv")
    y = sketch.binary("mul", x, sketch.unary("activation", "sigmoid", x))
    assert depth_of(sketch.graph(sketch.conv(y, 4, "next"))) == 2


def test_gated_linear_unit_takes_one_layer(sketch):
    x = sketch.input(1, 4, 8, 8)
    value, gate = sketch.conv(x, 4, "value"), sketch.conv(x, 4, "gate")
    y = sketch.binary("mul", value, sketch.unary("activation", "sigmoid", gate))
    assert depth_of(sketch.graph(y)) == 1


def test_activation_that_ends_an_ordinary_layer_is_no_gate_beside_a_sigmoid(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "stem")
    body = sketch.unary("activation", "hardtanh", sketch.conv(x, 4, "body"))
    gate = squeeze_and_excite(sketch, body)
    assert depth_of(sketch.graph(sketch.binary("mul", body, gate))) == 2


def test_product_with_a_weight_stays_on_the_path(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "conv")
    scale = sketch.weight(4, 1, 1, name="scale")
    assert depth_of(sketch.graph(sketch.binary("mul", scale, x))) == 1


def test_product_with_a_number_stays_on_the_path(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "conv")
    assert depth_of(sketch.graph(sketch.unary("mul", "mul", x))) == 1


def test_sigmoid_at_the_end_is_an_output_like_any_other(sketch):
    x = sketch.conv(sketch.input(1, 4, 8, 8), 4, "conv")
    assert depth_of(sketch.graph(sketch.unary("activation", "sigmoid", x))) == 1


def test_layer_called_twice_counts_twice(sketch):
    x = sketch.input(1, 4, 8, 8)
    x = sketch.conv(sketch.conv(x, 4, "shared"), 4, "shared")
    assert depth_of(sketch.graph(x)) == 2


def test_fused_recurrent_layer_is_as_deep_as_its_steps(sketch):
    x, w, v = sketch.input(10, 1, 4), sketch.weight(16, 4), sketch.weight(16, 4)
    y = sketch.op("recurrent", "aten.mkldnn_rnn_layer.default", (x, w, v), (10, 1, 4), mode=2)
    assert depth_of(sketch.graph(y)) == 10
