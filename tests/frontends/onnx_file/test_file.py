"""ONNX models: the Graph by their operators, without weights and without running anything."""

from __future__ import annotations

import json
from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archstat import analyze
from archstat.analyses.field import receptive_field
from archstat.errors import ArchstatError, InputError, LookupFailedError
from archstat.frontends.onnx_file.file import onnx_file
from archstat.frontends.onnx_file.inference import LISTS
from archstat.frontends.onnx_file.ops import OF_SHAPES, RULES
from archstat.graph import Graph
from archstat.tables.summary import remarks

onnx = pytest.importorskip("onnx")
helper, FLOAT, INT64, INT8 = (
    onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.INT8,
)  # fmt: skip
INT32, UINT8 = onnx.TensorProto.INT32, onnx.TensorProto.UINT8


def tensor(name, shape, dtype=FLOAT):
    """A tensor that a graph keeps; its numbers are zeros."""
    width = {FLOAT: 4, INT32: 4, INT64: 8, INT8: 1, UINT8: 1}[dtype]
    count = 1
    for size in shape:
        count *= size
    return helper.make_tensor(name, dtype, shape, bytes(width * count), raw=True)


def model(nodes, inputs, kept=(), numbers=(), outputs=("y",), opset=20):
    """A model; `inputs` are names with shapes, `numbers` names with whole numbers."""
    given = [helper.make_tensor_value_info(n, FLOAT, shape) for n, shape in inputs.items()]
    made = [helper.make_tensor_value_info(n, FLOAT, None) for n in outputs]
    held = [tensor(*one) for one in kept]
    held += [helper.make_tensor(n, INT64, [len(v)] if v.__class__ is list else [],
                                v if v.__class__ is list else [v]) for n, v in numbers]  # fmt: skip
    graph = helper.make_graph(nodes, "g", given, made, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


@pytest.fixture
def totals(tmp_path):
    """The totals of a model of some nodes."""

    def of(*args, made=None, **kwargs):
        onnx.save(made or model(*args, **kwargs), tmp_path / "m.onnx")
        return analyze(str(tmp_path / "m.onnx")).totals

    return of


def node(kind, *inputs, outputs=("y",), **attributes):
    return helper.make_node(kind, inputs, outputs, **attributes)


IMAGE = {"x": [1, 3, 16, 16]}


def test_convolution_counts_its_products_and_parameters(totals):
    found = totals(
        [node("Conv", "x", "w", "b", pads=[1, 1, 1, 1], kernel_shape=[3, 3])], IMAGE,
        [("w", [8, 3, 3, 3]), ("b", [8])],
    )  # fmt: skip
    assert found["macs"] == 8 * 3 * 9 * 16**2
    assert found["flops"] == 2 * 8 * 3 * 9 * 16**2 + 8 * 16**2
    assert found["params"] == 8 * 3 * 9 + 8
    assert found["receptive_field"] == (3, 3)


def test_tensor_under_further_names_is_what_its_readers_take_it_for(totals):
    # As torch's older exporter writes equal tensors: once, and copies of it.
    copies = [node("Identity", name, outputs=(f"copy_{name}",)) for name in ("s", "m", "copy_m")]
    layers = [
        node("BatchNormalization", "x", "copy_s", "copy_s", "copy_m", "copy_m", outputs=("a",)),
        node("BatchNormalization", "a", "s", "s", "m", "copy_copy_m"),
    ]
    found = totals([*copies, *layers], IMAGE, [("s", [3]), ("m", [3])])
    assert (found["params"], found["buffers"], found["unknown_ops"]) == (3, 3, 0)
    assert found["memory_access"] == 2 * (2 * 3 * 16**2 + 3 + 3)


@pytest.mark.parametrize("batch", [2, 300])  # its numbers are kept, or cut from the file
@pytest.mark.parametrize("number", [0.0, 0.5])
def test_initial_state_that_an_exporter_computed_is_no_parameter(totals, batch, number):
    given = model(
        [node("Slice", "zeros", "first", "second", outputs=("h",)),
         node("GRU", "x", "gru.w", "gru.r", "", "", "h", hidden_size=8)],
        {"x": [5, batch, 4]}, [("gru.w", [1, 3 * 8, 4]), ("gru.r", [1, 3 * 8, 8])],
        [("first", [0]), ("second", [1])],
    )  # fmt: skip
    state = onnx.numpy_helper.from_array(np.full((2, batch, 8), number, np.float32), "zeros")
    given.graph.initializer.append(state)
    noted = given.graph.value_info.add(name="gru.w")
    noted.metadata_props.add(key="pkg.torch.onnx.InputSpec.kind", value="PARAMETER")
    assert totals(made=given)["params"] == 3 * 8 * (4 + 8) + (2 * batch * 8 if number else 0)


def test_zeros_that_a_node_holds_are_no_bias(totals):
    zeros = node("Constant", outputs=("zeros",), value=tensor("zeros", [8]))
    kept = [("w", [8, 3, 3, 3])]
    assert totals([zeros, node("Conv", "x", "w", "zeros")], IMAGE, kept)["params"] == 8 * 3 * 9


@pytest.mark.parametrize(
    ("padding", "side"), [("SAME_UPPER", 8), ("SAME_LOWER", 8), ("VALID", 7), ("NOTSET", 7)]
)
def test_automatic_padding_is_computed(totals, padding, side):
    found = totals([node("Conv", "x", "w", strides=[2, 2], auto_pad=padding)], IMAGE,
                   [("w", [8, 3, 3, 3])])  # fmt: skip
    assert found["macs"] == 8 * 3 * 9 * side**2


PRODUCTS = [
    ("transposed convolution", [node("ConvTranspose", "x", "w", strides=[2, 2])],
     IMAGE, [("w", [3, 8, 2, 2])], 3 * 8 * 4 * 16**2),
    ("grouped convolution", [node("Conv", "x", "w", group=3)],
     IMAGE, [("w", [6, 1, 3, 3])], 6 * 9 * 14**2),
    ("gemm", [node("Gemm", "x", "w", "b", transB=1)],
     {"x": [4, 10]}, [("w", [5, 10]), ("b", [5])], 4 * 10 * 5),
    ("gemm of a transposed input", [node("Gemm", "x", "w", transA=1)],
     {"x": [10, 4]}, [("w", [10, 5])], 4 * 10 * 5),
    ("matmul with a weight", [node("MatMul", "x", "w")],
     {"x": [2, 7, 10]}, [("w", [10, 5])], 2 * 7 * 10 * 5),
    ("matmul of a batch that is spread", [node("MatMul", "x", "z")],
     {"x": [7, 10], "z": [3, 10, 5]}, [], 3 * 7 * 10 * 5),
    ("einsum", [node("Einsum", "x", "z", equation="bhqd,bhkd->bhqk")],
     {"x": [2, 4, 7, 8], "z": [2, 4, 9, 8]}, [], 2 * 4 * 7 * 9 * 8),
    ("quantised convolution",
     [node("QuantizeLinear", "x", "s", "z", outputs=("q",)),
      node("QLinearConv", "q", "s", "z", "w", "s", "z", "s", "z", outputs=("r",)),
      node("DequantizeLinear", "r", "s", "z")],
     IMAGE, [("s", []), ("z", [], INT8), ("w", [8, 3, 3, 3], INT8)],
     8 * 3 * 9 * 14**2),
    ("lstm", [node("LSTM", "x", "w", "r", outputs=("y",), hidden_size=6)],
     {"x": [9, 2, 5]}, [("w", [1, 24, 5]), ("r", [1, 24, 6])], 9 * 2 * 24 * (5 + 6)),
    ("gru both ways", [node("GRU", "x", "w", "r", hidden_size=6, direction="bidirectional")],
     {"x": [9, 2, 5]}, [("w", [2, 18, 5]), ("r", [2, 18, 6])], 2 * 9 * 2 * 18 * (5 + 6)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "inputs", "kept", "macs"), [row[1:] for row in PRODUCTS],
    ids=[row[0] for row in PRODUCTS],
)  # fmt: skip
def test_product_is_counted(totals, nodes, inputs, kept, macs):
    assert totals(nodes, inputs, kept)["macs"] == macs


def test_weights_quantised_to_codes_are_parameters(totals):
    found = totals(
        [node("DequantizeLinear", "w", "s", outputs=("v",)), node("Conv", "x", "v")], IMAGE,
        [("w", [8, 3, 3, 3], INT8), ("s", [])],
    )  # fmt: skip
    assert (found["macs"], found["params"]) == (8 * 3 * 9 * 14**2, 8 * 3 * 9)
    assert found["param_bytes"] == 8 * 3 * 9


def test_running_statistics_are_buffers(totals):
    kept = [(name, [3]) for name in ("scale", "shift", "mean", "var")]
    found = totals([node("BatchNormalization", "x", "scale", "shift", "mean", "var")], IMAGE, kept)
    assert (found["params"], found["buffers"]) == (2 * 3, 2 * 3)


def test_shape_that_the_model_computes_costs_nothing(totals):
    found = totals(
        [node("Shape", "x", outputs=("s",)), node("Gather", "s", "zero", outputs=("n",)),
         node("Concat", "n", "rest", outputs=("to",), axis=0), node("Reshape", "x", "to"),
         ],
        IMAGE, numbers=[("zero", [0]), ("rest", [-1])],
    )  # fmt: skip
    assert found["flops"] == 0
    assert found["unknown_ops"] == 0


def test_axes_that_the_model_computes_of_constants_are_known(totals):
    found = totals(
        [node("Reshape", "axis", "flat", outputs=("axes",)), node("ReduceMean", "x", "axes")],
        IMAGE, numbers=[("axis", 2), ("flat", [-1])],
    )  # fmt: skip
    assert (found["flops"], found["unknown_ops"]) == (3 * 16**2, 0)


def test_slice_to_an_end_computed_of_a_shape_is_known(totals):
    found = totals(
        [node("Conv", "x", "w", outputs=("c",)), node("Shape", "c", outputs=("s",)),
         node("Gather", "s", "three", outputs=("n",)), node("Div", "n", "two", outputs=("half",)),
         node("Slice", "c", "zero", "half", "three", outputs=("cut",)),
         node("Conv", "cut", "v")],
        IMAGE, [("w", [8, 3, 3, 3]), ("v", [5, 8, 1, 1])],
        numbers=[("three", [3]), ("two", [2]), ("zero", [0])],
    )  # fmt: skip
    assert (found["macs"], found["unknown_ops"]) == (8 * 27 * 14**2 + 5 * 8 * 14 * 7, 0)
    assert found["receptive_field"] == (3, 3)


@pytest.mark.parametrize("sizes", [3, [3, 5], [2, 2, 4]])
def test_parts_of_a_list_are_those_of_a_split(totals, sizes):
    found = totals(
        [node("Conv", "x", "w", outputs=("c",)),
         node("SplitToSequence", "c", "sizes", outputs=("parts",), axis=1),
         node("SequenceAt", "parts", "last", outputs=("part",)), node("Relu", "part")],
        IMAGE, [("w", [8, 3, 3, 3])], numbers=[("sizes", sizes), ("last", -1)],
    )  # fmt: skip
    channels = sizes[-1] if isinstance(sizes, list) else 8 % 3
    assert found["activations"] == 8 * 14**2
    assert found["flops"] - 2 * 8 * 27 * 14**2 == channels * 14**2
    assert found["unknown_ops"] == 0


def test_list_of_single_places_has_tensors_without_that_axis(totals):
    found = totals(
        [node("SplitToSequence", "x", outputs=("parts",), axis=2, keepdims=0),
         node("SequenceAt", "parts", "first", outputs=("part",)), node("Relu", "part")],
        IMAGE, numbers=[("first", 0)],
    )  # fmt: skip
    assert (found["flops"], found["unknown_ops"]) == (3 * 16, 0)


def test_number_scales_without_ending_the_path(totals):
    kept = [("w", [10, 5]), ("a", [])]
    found = totals([node("MatMul", "x", "w", outputs=("t",)), node("Tanh", "t", outputs=("u",)),
                    node("Mul", "u", "a")], {"x": [4, 10]}, kept)  # fmt: skip
    assert found["depth"] == 1


def test_numbers_that_were_cut_are_not_read(totals):
    indices = helper.make_tensor("i", INT64, [2000], bytes(8 * 2000), raw=True)
    made = model([node("Gather", "x", "i", axis=0)], {"x": [8, 4]})
    made.graph.initializer.append(indices)
    assert totals(made=made)["flops"] == 0


def test_node_that_reads_a_later_value_is_refused(tmp_path):
    circle = [node("Add", "x", "b", outputs=("a",)), node("Relu", "a", outputs=("b",)),
              node("Relu", "b")]  # fmt: skip
    onnx.save(model(circle, IMAGE), tmp_path / "m.onnx")
    with pytest.raises(LookupFailedError, match="reads b"):
        onnx_file(tmp_path / "m.onnx")


def test_inputs_that_do_not_fit_are_refused(tmp_path):
    onnx.save(
        model([node("MatMul", "x", "w")], {"x": [4, 9]}, [("w", [10, 5])]), tmp_path / "m.onnx"
    )
    with pytest.raises(LookupFailedError, match="MatMul"):
        onnx_file(tmp_path / "m.onnx")


def ours(kind, *inputs, outputs=("y",), **attributes):
    """A node of onnxruntime's own operators."""
    return node(kind, *inputs, outputs=outputs, domain="com.microsoft", **attributes)


TOKENS, LENGTHS = {"q": [1, 5, 32], "k": [1, 5, 16], "v": [1, 5, 16]}, [("l", [1], INT32)]
FUSED = [
    ("matrices, one of them turned", [ours("FusedMatMul", "x", "z", transB=1)],
     {"x": [2, 4, 7, 8], "z": [2, 4, 9, 8]}, [], 2 * 4 * 7 * 9 * 8),
    ("convolution, sum and activation", [ours("FusedConv", "x", "w", "b", "z", activation="Relu")],
     IMAGE | {"z": [1, 8, 14, 14]}, [("w", [8, 3, 3, 3]), ("b", [8])], 8 * 27 * 14**2),
    ("linear and activation", [ours("FusedGemm", "x", "w", "b", activation="Relu", transB=1)],
     {"x": [4, 10]}, [("w", [5, 10]), ("b", [5])], 4 * 10 * 5),
    ("linear of codes", [ours("DynamicQuantizeMatMul", "x", "w", "s", "z", "b")], {"x": [4, 10]},
     [("w", [10, 5], UINT8), ("s", []), ("z", [], UINT8), ("b", [5])], 4 * 10 * 5),
    ("attention that projects", [ours("Attention", "x", "w", "b", num_heads=2)],
     {"x": [1, 5, 8]}, [("w", [8, 24]), ("b", [24])], 5 * 8 * 24 + 2 * 5 * 5 * 8),
    ("attention of stacked heads", [ours("MultiHeadAttention", "x", num_heads=2)],
     {"x": [1, 5, 2, 3, 4]}, [], 2 * 5 * 5 * 8),
    ("attention of groups",
     [ours("GroupQueryAttention", "q", "k", "v", "", "", "l", "l", outputs=("y", "u", "t"),
           num_heads=4, kv_num_heads=2)], TOKENS, LENGTHS, 2 * 5 * 5 * 32),
    ("attention of groups in one tensor",
     [ours("GroupQueryAttention", "x", "", "", "", "", "l", "l", outputs=("y", "u", "t"),
           num_heads=4, kv_num_heads=2)], {"x": [1, 5, 64]}, LENGTHS, 2 * 5 * 5 * 32),
    ("attention to tokens before",
     [ours("GroupQueryAttention", "q", "k", "v", "pk", "pv", "l", "l", outputs=("y", "u", "t"),
           num_heads=4, kv_num_heads=2)],
     {"q": [1, 1, 32], "k": [1, 1, 16], "v": [1, 1, 16], "pk": [1, 2, 100, 8],
      "pv": [1, 2, 100, 8]}, LENGTHS, 2 * 101 * 32),
    ("packed linear", [helper.make_node("MatMulNBits", ["x", "w", "s"], ["t"], K=64, N=32, bits=4,
                                        block_size=32, domain="com.microsoft"), node("Relu", "t")],
     {"x": [1, 7, 64]}, [("w", [32, 2, 16], INT8), ("s", [64])], 7 * 64 * 32),
    ("convolution with its activation",
     [helper.make_node("FusedConv", ["x", "w"], ["t"], activation="Relu", domain="com.microsoft"),
      node("Relu", "t")], IMAGE, [("w", [8, 3, 3, 3])], 8 * 27 * 14**2),
    ("attention of two heads", [helper.make_node("MultiHeadAttention", ["x", "x", "x"], ["y"],
                                                 num_heads=2, domain="com.microsoft")],
     {"x": [1, 5, 8]}, [], 2 * 5 * 5 * 8),
]  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "inputs", "kept", "macs"), [row[1:] for row in FUSED], ids=[row[0] for row in FUSED]
)
def test_operator_of_onnxruntime_is_counted(totals, nodes, inputs, kept, macs):
    made = model(nodes, inputs, kept)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    found = totals(made=made)
    assert (found["macs"], found["unknown_ops"]) == (macs, 0)


FREE_OF_PRODUCTS = [
    ("sum, bias and norm", [ours("SkipLayerNormalization", "x", "x", "g", "g", "g")],
     [("g", [8])], (2 + 5) * 2 * 5 * 8),
    ("sum that is read again",
     [ours("SkipSimplifiedLayerNormalization", "x", "x", "g", outputs=("n", "", "", "s")),
      node("Relu", "s")], [("g", [8])], (1 + 4 + 1) * 2 * 5 * 8 + 2 * 2 * 5),
    ("bias and gelu", [ours("BiasGelu", "x", "g")], [("g", [8])], (1 + 8) * 2 * 5 * 8),
    ("gelu with a bias", [ours("FastGelu", "x", "g")], [("g", [8])], (1 + 8) * 2 * 5 * 8),
    ("codes and back",
     [node("QuantizeLinear", "x", "s", "z", outputs=("q",)),
      node("DequantizeLinear", "q", "s", "z")],
     [("s", []), ("z", [], INT8)], (4 + 2) * 2 * 5 * 8),
    ("sum of codes",
     [node("QuantizeLinear", "x", "s", "z", outputs=("q",)),
      ours("QLinearAdd", "q", "s", "z", "q", "s", "z", "s", "z", outputs=("a",)),
      ours("QLinearConcat", "s", "z", "a", "s", "z", "a", "s", "z", outputs=("c",), axis=1),
      node("DequantizeLinear", "c", "s", "z")],
     [("s", []), ("z", [], INT8)], (4 + 1 + 2 * 2) * 2 * 5 * 8),
    ("softsign", [node("Softsign", "x")], [], 3 * 2 * 5 * 8),
    ("sum of sizes", [node("ReduceL1", "x", keepdims=0)], [], 2 * 2 * 5 * 8 - 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "kept", "flops"), [row[1:] for row in FREE_OF_PRODUCTS],
    ids=[row[0] for row in FREE_OF_PRODUCTS],
)  # fmt: skip
def test_operator_without_products_is_counted(totals, nodes, kept, flops):
    made = model(nodes, {"x": [2, 5, 8]}, kept)
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    found = totals(made=made)
    assert (found["macs"], found["flops"], found["unknown_ops"]) == (0, flops, 0)


@pytest.mark.parametrize(("bits", "packed"), [(4, 16), (2, 8), (8, 32)])
def test_packed_weights_are_as_many_as_the_layer_has(totals, bits, packed):
    made = model(
        [ours("MatMulNBits", "x", "w", "s", "z", K=64, N=32, bits=bits, block_size=32)],
        {"x": [1, 7, 64]}, [("w", [32, 2, packed], UINT8), ("s", [64]), ("z", [64], UINT8)],
    )  # fmt: skip
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    found = totals(made=made)
    assert found["params"] == 32 * 64 + 64 + 64
    assert found["param_bytes"] == 32 * 64 * bits // 8 + 64 * 4 + 64 * bits // 8


def test_bias_of_codes_is_a_parameter(totals):
    found = totals(
        [node("DequantizeLinear", "w", "s", outputs=("v",)),
         node("DequantizeLinear", "b", "s", outputs=("c",)), node("Conv", "x", "v", "c")], IMAGE,
        [("w", [8, 3, 3, 3], INT8), ("b", [8], INT32), ("s", [])],
    )  # fmt: skip
    assert (found["params"], found["unknown_ops"]) == (8 * 27 + 8, 0)
    assert found["param_bytes"] == 8 * 27 + 4 * 8


# What no table says anything of: lists of any length, texts, training, signals.
UNKNOWN = frozenset({
    "CausalConvWithState", "CenterCropPad", "DFT", "GlobalLpPool", "ImageDecoder",
    "LinearAttention", "LpNormalization", "LpPool", "MeanVarianceNormalization",
    "MelWeightMatrix", "NegativeLogLikelihoodLoss", "Optional", "OptionalGetElement",
    "OptionalHasElement", "RegexFullMatch", "STFT", "SequenceEmpty", "SequenceErase",
    "SequenceInsert", "SequenceLength", "SequenceMap", "SoftmaxCrossEntropyLoss",
    "StringConcat", "StringNormalizer", "StringSplit", "SwiGLU", "TfIdfVectorizer",
})  # fmt: skip
NO_OPS = frozenset({"Constant", "If", "Loop", "Scan"})


def test_every_operator_of_every_opset_is_counted_free_or_unknown():
    named = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
    told = set(RULES) | OF_SHAPES | LISTS | NO_OPS
    assert named - told <= UNKNOWN
    assert not told & UNKNOWN


@pytest.mark.parametrize("opset", [11, 13, 18, 21, 23])
def test_axes_are_read_as_each_opset_has_them(totals, opset):
    late = opset >= 18
    reduced = node("ReduceMean", "x", *["axes"] * late, outputs=("r",), keepdims=1,
                   **({} if late else {"axes": [2]}))  # fmt: skip
    squeezed = node("Squeeze", "r", *["axes"] * (opset >= 13), outputs=("y",),
                    **({} if opset >= 13 else {"axes": [2]}))  # fmt: skip
    found = totals([reduced, squeezed], IMAGE, numbers=[("axes", [2])], opset=opset)
    assert (found["flops"], found["unknown_ops"]) == (3 * 16 * 16, 0)


OWN = helper.make_opsetid("mine", 1)


def calls(name, callee, domain="mine"):
    """A function of the model's own that calls another one twice."""
    nodes = [helper.make_node(callee, [a], [b], domain=domain) for a, b in ("at", "tb")]
    return helper.make_function("mine", name, ["a"], ["b"], nodes,
                                [OWN, helper.make_opsetid("", 20)])  # fmt: skip


@pytest.mark.parametrize(
    "functions",
    [[calls("F0", "F0")],
     [calls(f"F{k}", f"F{k + 1}") for k in range(30)] + [calls("F30", "Relu", "")]],
    ids=["calls itself", "2^31 operators"],
)  # fmt: skip
def test_functions_without_end_are_refused(tmp_path, functions):
    made = model([helper.make_node("F0", ["x"], ["y"], domain="mine")], IMAGE)
    made.functions.extend(functions)
    made.opset_import.append(OWN)
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(LookupFailedError):
        onnx_file(tmp_path / "m.onnx")


def test_functions_count_where_they_are_called(tmp_path):
    made = model([helper.make_node("F0", ["x"], ["y"], domain="mine")], IMAGE)
    made.functions.append(calls("F0", "Relu", ""))
    made.opset_import.append(OWN)
    onnx.save(made, tmp_path / "m.onnx")
    assert analyze(str(tmp_path / "m.onnx")).totals["flops"] == 2 * 3 * 16**2


@pytest.mark.parametrize("shape", [[1, -3, 16], [10**9, 10**9, 10**9]])
def test_shape_that_no_tensor_has_is_refused(tmp_path, shape):
    onnx.save(model([node("Relu", "x")], {"x": shape}), tmp_path / "m.onnx")
    with pytest.raises(LookupFailedError):
        onnx_file(tmp_path / "m.onnx")


def test_file_of_a_million_parts_is_refused(tmp_path):
    parts = b"\x0a\x00" * 1_000_001
    size = len(parts)
    length = bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21])
    (tmp_path / "m.onnx").write_bytes(b"\x3a" + length + parts)
    with pytest.raises(LookupFailedError):
        onnx_file(tmp_path / "m.onnx")


def test_recurrent_layer_of_many_directions_is_unknown(totals):
    kept = [("w", [10**3, 24, 5]), ("r", [10**3, 24, 6])]
    found = totals([node("LSTM", "x", "w", "r", hidden_size=6)], {"x": [9, 2, 5]}, kept)
    assert found["unknown_ops"] == 1


RECURRENCE = [("w", [1, 24, 5]), ("r", [1, 24, 6])]


def test_bias_of_a_recurrent_layer_takes_part(totals, tmp_path):
    made = node("LSTM", "x", "w", "r", "b", hidden_size=6)
    found = totals([made], {"x": [9, 2, 5]}, [*RECURRENCE, ("b", [1, 48])])
    assert found["params"] == 24 * (5 + 6) + 48
    assert not list(remarks(onnx_file(tmp_path / "m.onnx")))


def states(number):
    return helper.make_tensor("h", FLOAT, [1, 2, 6], [float(number)] * 12)


@pytest.mark.parametrize(("number", "params"), [(0, 24 * (5 + 6)), (1, 24 * (5 + 6) + 2 * 6)])
def test_initial_state_is_a_parameter_unless_of_zeros(totals, number, params):
    made = model([node("LSTM", "x", "w", "r", "", "", "h", "h", hidden_size=6)],
                 {"x": [9, 2, 5]}, RECURRENCE)  # fmt: skip
    made.graph.initializer.append(states(number))
    assert totals(made=made)["params"] == params


def test_numbers_in_the_text_of_a_model_with_weights_are_no_parameters(totals):
    nodes = [node("Constant", outputs=("c",), value=states(1)),
             node("Expand", "c", "s", outputs=("h",)),
             node("LSTM", "x", "w", "r", "", "", "h", "h", hidden_size=6)]  # fmt: skip
    found = totals(nodes, {"x": [9, 2, 5]}, RECURRENCE, [("s", [1, 2, 6])])
    assert found["params"] == 24 * (5 + 6)
    alone = [node("Constant", outputs=("c",), value=states(1)), node("Add", "x", "c")]
    assert totals(alone, {"x": [1, 2, 6]})["params"] == 2 * 6


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize(
    ("direction", "seen"),
    [("forward", (0, 3)), ("reverse", (3, 8)), ("bidirectional", (0, 8))],
)
def test_recurrence_sees_what_its_direction_says(tmp_path, direction, seen, layout):
    ways = 2 if direction == "bidirectional" else 1
    made = node("GRU", "x", "w", "r", hidden_size=6, direction=direction, layout=layout)
    shape = [2, 9, 5] if layout else [9, 2, 5]
    kept = [("w", [ways, 18, 5]), ("r", [ways, 18, 6])]
    onnx.save(model([made], {"x": shape}, kept), tmp_path / "m.onnx")
    graph = onnx_file(tmp_path / "m.onnx")
    fields = receptive_field(graph)
    assert graph.values[graph.outputs[0]].shape == (*(shape[:2] if layout else (9,)), ways, *(
        (6,) if layout else (2, 6)))  # fmt: skip
    assert fields.layers[0].interval((3,)) == (seen,)
    assert (fields.global_from is not None) == (direction == "bidirectional")
    assert analyze(graph).totals["depth"] == 9


def test_last_states_of_a_recurrence_see_all_of_it(totals):
    made = [node("LSTM", "x", "w", "r", outputs=("", "h"), hidden_size=6),
            node("MatMul", "h", "m")]  # fmt: skip
    found = totals(made, {"x": [9, 2, 5]}, [*RECURRENCE, ("m", [6, 7])])
    assert found["macs"] == 9 * 2 * 24 * (5 + 6) + 2 * 6 * 7
    assert found["receptive_field"] == (None,)
    assert found["depth"] == 9 + 1


@pytest.mark.parametrize(("activation", "flops"), [("Tanh", 3 + 4), ("Relu", 3 + 1)])
def test_activation_of_a_recurrence_is_counted(totals, activation, flops):
    made = node("RNN", "x", "w", "r", hidden_size=6, activations=[activation])
    found = totals([made], {"x": [9, 2, 5]}, [("w", [1, 6, 5]), ("r", [1, 6, 6])])
    assert found["flops"] == 9 * 2 * 6 * (2 * (5 + 6) + flops)


def test_matrix_computed_of_numbers_is_multiplied_by(totals):
    nodes = [node("Constant", outputs=("c",), value=states(1)),
             node("Squeeze", "c", "a", outputs=("m",)), node("MatMul", "x", "m", outputs=("z",)),
             node("MatMul", "z", "w")]  # fmt: skip
    found = totals(nodes, {"x": [5, 2]}, [("w", [6, 7])], [("a", [0])])
    assert found["macs"] == 5 * 2 * 6 + 5 * 6 * 7


def test_scope_is_one_call_named_after_its_costliest_operator(tmp_path):
    nodes = [node("Transpose", "x", outputs=("t",), perm=[1, 0, 2], name="/net/rnn/Transpose"),
             node("LSTM", "t", "onnx::LSTM_9", "r", outputs=("z",), hidden_size=6,
                  name="/net/rnn/LSTM"),
             node("Relu", "z", name="/net/Relu")]  # fmt: skip
    kept = [("onnx::LSTM_9", [1, 24, 5]), ("r", [1, 24, 6])]
    onnx.save(model(nodes, {"x": [2, 9, 5]}, kept), tmp_path / "m.onnx")
    report = analyze(str(tmp_path / "m.onnx"))
    graph = report.graph
    assert [(call.module, call.module_type) for call in graph.calls] == [
        ("", "m.onnx"), ("net", ""), ("net.rnn", "LSTM")]  # fmt: skip
    assert {op.module_type for op in graph.ops} == {"", "LSTM"}
    params = {row["module"]: row["params"] for row in report.layers.records()}
    assert params["net.rnn"] == 24 * 5  # a name of the network's own stays where it stands
    assert params[""] == 24 * 6


def test_operator_without_a_rule_makes_totals_lower_bounds(tmp_path):
    nodes = [helper.make_node("Twist", ["x"], ["t"], domain="mine"), node("Relu", "t")]
    made = model(nodes, IMAGE)
    made.opset_import.append(helper.make_opsetid("mine", 1))
    onnx.save(made, tmp_path / "m.onnx")
    report = analyze(str(tmp_path / "m.onnx"))
    assert {"macs", "flops"} <= report.lower_bounds
    assert "onnx.Twist" in report.findings[0].text


def test_branch_counts_once_and_says_so(tmp_path):
    def body(name):
        made = [helper.make_node("MatMul", ["x", "w"], [name])]
        return helper.make_graph(made, name, [], [helper.make_tensor_value_info(name, FLOAT, None)])

    given = [helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, []),
             helper.make_tensor_value_info("x", FLOAT, [4, 10])]  # fmt: skip
    chosen = helper.make_node("If", ["c"], ["y"], then_branch=body("a"), else_branch=body("b"))
    graph = helper.make_graph([chosen], "g", given,
                              [helper.make_tensor_value_info("y", FLOAT, None)],
                              [tensor("w", [10, 5])])  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]),
              tmp_path / "m.onnx")  # fmt: skip
    found = onnx_file(tmp_path / "m.onnx")
    assert analyze(found).totals["macs"] == 4 * 10 * 5
    assert "one branch counts" in found.notes[0]


def test_size_that_may_change_is_the_batch(tmp_path):
    onnx.save(model([node("Conv", "x", "w")], {"x": ["N", 3, 16, 16]}, [("w", [8, 3, 3, 3])]),
              tmp_path / "m.onnx")  # fmt: skip
    assert analyze(str(tmp_path / "m.onnx"), batch=4).totals["macs"] == 4 * 8 * 27 * 14**2
    found = analyze(str(tmp_path / "m.onnx"), input="x=3x16x16")
    assert found.totals["macs"] == 8 * 27 * 14**2


def test_further_sizes_that_may_change_are_asked_for(tmp_path):
    onnx.save(model([node("Relu", "x")], {"x": ["N", 3, "h", "w"]}), tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"1?\?x3x\?x\?\) may change; give its shape"):
        onnx_file(tmp_path / "m.onnx")


def test_size_that_is_fixed_is_said(tmp_path):
    onnx.save(model([node("Relu", "x")], IMAGE), tmp_path / "m.onnx")
    with pytest.raises(InputError, match="takes x of 1x3x16x16; 1x3x20x20 was given"):
        analyze(str(tmp_path / "m.onnx"), input="3x20x20")


def test_input_that_the_model_lacks_is_said(tmp_path):
    onnx.save(model([node("Relu", "x")], IMAGE), tmp_path / "m.onnx")
    with pytest.raises(InputError, match="has no input 'z'; it takes x"):
        analyze(str(tmp_path / "m.onnx"), input="z=3x16x16")


def test_long_weights_are_not_kept(tmp_path):
    kept = [("w", [100, 2000])]
    onnx.save(model([node("MatMul", "x", "w")], {"x": [4, 100]}, kept), tmp_path / "m.onnx")
    from archstat.frontends.onnx_file.reading import model_of

    found = model_of(tmp_path / "m.onnx")
    assert found.ByteSize() < 4096
    assert list(found.graph.initializer[0].dims) == [100, 2000]


def test_data_beside_the_file_is_never_opened(tmp_path):
    made = model([node("MatMul", "x", "w")], {"x": [4, 10]}, [("w", [10, 5])])
    held = made.graph.initializer[0]
    held.ClearField("raw_data")
    held.data_location = onnx.TensorProto.EXTERNAL
    held.external_data.add(key="location", value="../../etc/passwd")
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    assert analyze(str(tmp_path / "m.onnx")).totals["macs"] == 4 * 10 * 5


def test_graph_is_saved_and_loaded(tmp_path):
    onnx.save(model([node("Conv", "x", "w")], IMAGE, [("w", [8, 3, 3, 3])]), tmp_path / "m.onnx")
    found = onnx_file(tmp_path / "m.onnx")
    found.check()
    assert Graph.from_json(json.dumps(json.loads(found.to_json()))).ops == found.ops


def test_missing_file_is_said(tmp_path):
    with pytest.raises(LookupFailedError, match="cannot be read"):
        onnx_file(tmp_path / "none.onnx")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_file_gives_one_error_or_a_graph(tmp_path, at, byte, cut):
    nodes = [node("Conv", "x", "w", outputs=("t",), pads=[1, 1, 1, 1]), node("Relu", "t")]
    whole = model(nodes, IMAGE, [("w", [8, 3, 3, 3])]).SerializeToString()
    place = min(int(at * len(whole)), len(whole) - 1)
    path = tmp_path / "m.onnx"
    path.write_bytes(whole[:place] if cut else whole[:place] + bytes([byte]) + whole[place + 1 :])
    try:
        analyze(onnx_file(path))
    except ArchstatError as error:
        assert len(str(error)) < 1000


@pytest.mark.parametrize(
    ("nodes", "inputs", "kept"),
    [
        ([node("LSTM", "x", "w", "r", hidden_size=2)], {"x": [10**9, 1, 3]},
         [("w", [1, 4 * 2, 3]), ("r", [1, 4 * 2, 2])]),
        ([node("Concat", *["x"] * 100, axis=2)], {"x": [1, 1, 10**7, 4]}, ()),
        ([node("Pad", "x", mode="reflect", pads=[0, 0, 1, 0, 0, 0, 1, 0])],
         {"x": [1, 1, 10**9, 4]}, ()),
    ],
    ids=["steps", "parts", "borders"],
)  # fmt: skip
def test_a_thousand_million_positions_are_not_followed_one_by_one(totals, nodes, inputs, kept):
    found = totals(nodes, inputs, kept, opset=10)
    assert found["params"] == sum(prod(shape) for _, shape in kept)
    assert found["receptive_field"] is None


def test_more_operators_than_any_network_has_are_refused(tmp_path):
    body = model([node("Relu", "x")], IMAGE).graph
    body.node.extend([body.node[0]] * 100_000)
    onnx.save(model([node("If", "x", then_branch=body)], IMAGE), tmp_path / "m.onnx")
    with pytest.raises(LookupFailedError, match="more than 100,000 operators"):
        onnx_file(tmp_path / "m.onnx")
