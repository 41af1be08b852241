"""Parameters on Graphs drawn by hand: shared storage once, bytes by dtype, each with its owner."""

from __future__ import annotations

import pytest

from archstat.analyses.parameters import parameters


def test_elements_of_every_parameter_and_buffer_are_added(sketch):
    sketch.weight(6, 4, 3, 3, name="conv.weight")
    sketch.weight(6, name="conv.bias")
    sketch.value(6, role="buffer", name="norm.running_mean")
    sketch.value(role="buffer", name="norm.steps", dtype="int64")
    assert parameters(sketch.graph()).totals == {
        "params": 6 * 4 * 3 * 3 + 6,
        "trainable_params": 6 * 4 * 3 * 3 + 6,
        "buffers": 6 + 1,
        "param_bytes": 4 * (6 * 4 * 3 * 3 + 6),
        "weight_dtypes": f"float32={4 * (6 * 4 * 3 * 3 + 6 + 6)} int64=8",
    }


def test_net_without_parameters_has_zeros(sketch):
    sketch.unary("activation", "relu", sketch.input(1, 4))
    assert set(parameters(sketch.graph()).totals.values()) == {0, None}


def test_frozen_parameter_is_a_parameter_and_not_trainable(sketch):
    sketch.weight(3, 5)
    sketch.value(7, role="parameter", name="frozen", trainable=False)
    totals = parameters(sketch.graph()).totals
    assert totals["params"] == 3 * 5 + 7
    assert totals["trainable_params"] == 3 * 5


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("float64", 8), ("float32", 4), ("bfloat16", 2), ("float16", 2), ("int8", 1), ("bool", 1)],
)
def test_bytes_of_a_parameter_follow_its_dtype(dtype, size, sketch):
    sketch.value(3, 5, role="parameter", name="weight", dtype=dtype)
    assert parameters(sketch.graph()).totals["param_bytes"] == 3 * 5 * size


def test_bytes_of_a_module_go_by_dtype_with_those_below_it(sketch):
    sketch.value(4, 6, role="parameter", name="block.proj.codes", dtype="int4")
    sketch.value(4, role="parameter", name="block.proj.scales", dtype="float16")
    sketch.value(7, 5, role="buffer", name="block.packed", dtype="int32")
    sketch.value(3, role="parameter", name="bias")
    analysis = parameters(sketch.graph())
    inside = f"int4={4 * 6 // 2} float16={2 * 4}"
    assert {path: cells["weight_dtypes"] for path, cells in analysis.at_module.items()} == {
        "": f"int32={4 * 7 * 5} float32={4 * 3} int4={4 * 6 // 2} float16={2 * 4}",
        "block": f"int32={4 * 7 * 5} {inside}",
        "block.proj": inside,
    }
    assert analysis.totals["weight_dtypes"] == analysis.at_module[""]["weight_dtypes"]


def test_two_parameters_on_one_storage_count_once(sketch):
    first = sketch.weight(3, 5, name="embed.weight")
    storage = sketch.values[first].storage
    sketch.value(3, 5, role="parameter", name="head.weight", storage=storage, trainable=True)
    totals = parameters(sketch.graph()).totals
    assert totals["params"] == totals["trainable_params"] == 3 * 5
    assert totals["param_bytes"] == 4 * 3 * 5


def test_two_halves_of_one_storage_count_as_the_whole(sketch):
    whole = sketch.value(8, role="parameter", name="whole")
    storage = sketch.values[whole].storage
    for name in ("upper", "lower"):
        sketch.value(4, role="parameter", name=name, storage=storage)
    assert parameters(sketch.graph()).totals["params"] == 8


def test_view_of_a_parameter_that_an_op_made_is_no_further_parameter(sketch):
    weight = sketch.weight(3, 5)
    storage = sketch.values[weight].storage
    view = sketch.value(5, 3, role="parameter", storage=storage)
    sketch.op("linear", "aten.mm.default", (sketch.input(1, 5), view), (1, 3))
    assert parameters(sketch.graph()).totals["params"] == 3 * 5


def test_buffer_that_is_also_a_parameters_memory_counts_as_the_parameter(sketch):
    weight = sketch.weight(3, 5)
    storage = sketch.values[weight].storage
    sketch.value(3, 5, role="buffer", name="copy", storage=storage)
    totals = parameters(sketch.graph()).totals
    assert (totals["params"], totals["buffers"]) == (15, 0)


def test_each_module_owns_what_stands_directly_under_its_path(sketch):
    sketch.weight(4, name="scale")
    sketch.weight(6, 4, name="blocks.0.conv.weight")
    sketch.weight(6, name="blocks.0.conv.bias")
    sketch.value(6, role="buffer", name="blocks.0.norm.running_mean")
    assert parameters(sketch.graph()).per_module == {
        "": {"params": 4, "trainable_params": 4, "param_bytes": 16},
        "blocks.0.conv": {"params": 30, "trainable_params": 30, "param_bytes": 120},
        "blocks.0.norm": {"buffers": 6},
    }


def test_modules_add_up_to_the_totals(sketch):
    for index in range(5):
        sketch.weight(index + 1, 3, name=f"layer{index}.weight")
        sketch.value(index, role="buffer", name=f"layer{index}.mean")
    analysis = parameters(sketch.graph())
    for key in ("params", "trainable_params", "buffers", "param_bytes"):
        rows = analysis.per_module.values()
        assert sum(row.get(key, 0) for row in rows) == analysis.totals[key]


def test_parameter_without_elements_counts_nothing(sketch):
    sketch.weight(0, 5)
    assert parameters(sketch.graph()).totals["params"] == 0


def test_large_counts_stay_exact(sketch):
    sketch.weight(2**31, 2**10)
    totals = parameters(sketch.graph()).totals
    assert totals["params"] == 2**41
    assert totals["param_bytes"] == 2**43
