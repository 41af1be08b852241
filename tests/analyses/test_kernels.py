"""Kernels of hand-built Graphs: kinds, bytes with the dtype, casts, what a compiler merges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archstat.analyses.kernels import Kernel, kernels, samples
from archstat.errors import CaptureError, InputError
from archstat.graph import Graph


def test_convolution_reads_map_and_weights_and_writes_its_map(sketch):
    x = sketch.input(1, 8, 6, 6)
    y = sketch.conv(x, 16)
    found = kernels(sketch.graph(y), "eager", "fp32")
    activations, weights = 4 * (8 + 16) * 6 * 6, 4 * 16 * 8
    assert found == {Kernel("conv_1x1", 16 * 8 * 6 * 6, activations, weights): 1}


def test_channels_of_a_product_are_padded_to_eight(sketch):
    x = sketch.input(1, 3, 6, 6)
    y = sketch.conv(x, 16)
    (kernel,) = kernels(sketch.graph(y), "eager", "fp32")
    assert kernel.macs == 16 * 8 * 6 * 6


def test_equal_kernels_are_one_with_a_number(sketch):
    x = sketch.input(1, 8, 6, 6)
    y = sketch.conv(sketch.conv(sketch.conv(x, 8), 8), 8)
    assert list(kernels(sketch.graph(y), "eager", "fp32").values()) == [3]


def test_autocast_halves_products_and_casts_what_they_read(sketch):
    x = sketch.input(1, 8, 6, 6)
    y = sketch.conv(x, 16)
    found = kernels(sketch.graph(y), "eager", "amp")
    product = Kernel("conv_1x1", 16 * 8 * 6 * 6, (4 * 8 + 2 * 16) * 6 * 6, 4 * 16 * 8)
    of_map = Kernel("move", 0, (4 + 2) * 8 * 6 * 6, 0)
    of_weights = Kernel("move", 0, (4 + 2) * 16 * 8, 0, shared=True)
    assert found == {product: 1, of_map: 1, of_weights: 1}


def test_autocast_keeps_halves_through_activations(sketch):
    x = sketch.input(1, 8, 6, 6)
    y = sketch.unary("activation", "relu", sketch.conv(x, 16))
    found = kernels(sketch.graph(y), "eager", "amp")
    assert Kernel("activation", 0, 2 * 2 * 16 * 6 * 6, 0) in found


def test_compiler_merges_activations_but_not_into_convolutions(sketch):
    x = sketch.input(1, 8, 6, 6)
    y = sketch.unary("activation", "relu", sketch.conv(x, 16))
    z = sketch.unary("activation", "sigmoid", y)
    kinds = [kernel.kind for kernel in kernels(sketch.graph(z), "compile", "fp32")]
    assert kinds == ["conv_1x1", "activation"]
    alone = [kernel.kind for kernel in kernels(sketch.graph(z), "eager", "fp32")
             for _ in range(kernels(sketch.graph(z), "eager", "fp32")[kernel])]  # fmt: skip
    assert alone == ["conv_1x1", "activation", "activation"]


def test_compiler_lets_a_norm_read_what_its_kernel_has_made(sketch):
    x = sketch.input(1, 8, 16)
    y = sketch.unary("norm", "native_layer_norm", sketch.unary("activation", "gelu", x))
    (kernel,) = kernels(sketch.graph(y), "compile", "fp32")
    assert (kernel.kind, kernel.activations) == ("layer_norm", 4 * (2 + 1) * 8 * 16)


def test_compiler_writes_a_concat_before_it_goes_on(sketch):
    x = sketch.input(1, 8, 6, 6)
    y = sketch.unary("activation", "relu", sketch.op("concat", "cat", [x, x], (1, 16, 6, 6)))
    kinds = {kernel.kind for kernel in kernels(sketch.graph(y), "compile", "fp32")}
    assert kinds == {"concat", "activation"}


def test_ncnn_folds_an_activation_into_its_convolution(sketch):
    x = sketch.input(1, 8, 6, 6)
    y = sketch.unary("activation", "relu", sketch.conv(x, 16))
    (kernel,) = kernels(sketch.graph(y), "ncnn", "fp32")
    filling = 1 + 16 / 8
    assert kernel == ("conv_1x1", 16 * 8 * 6 * 6 * filling, 4 * (8 + 16) * 6 * 6, 4 * 16 * 8, False)


def test_ncnn_runs_swish_in_a_kernel_of_its_own(sketch):
    x = sketch.input(1, 8, 6, 6)
    y = sketch.unary("activation", "silu", sketch.conv(x, 16))
    found = kernels(sketch.graph(y), "ncnn", "fp32")
    assert Kernel("activation", 0, 4 * 2 * 16 * 6 * 6, 0) in found


def test_ncnn_runs_the_groups_of_a_convolution_one_by_one(sketch):
    x, weight = sketch.input(1, 8, 6, 6), sketch.weight(16, 8 // 2, 1, 1)
    y = sketch.op("conv", "aten.convolution.default", (x, weight), (1, 16, 6, 6), groups=2,
                  kernel=(1, 1), transposed=False)  # fmt: skip
    ((kernel, times),) = kernels(sketch.graph(y), "ncnn", "fp32").items()
    assert times == 2
    assert kernel.macs == 16 // 2 * 8 // 2 * 6 * 6
    assert kernel.weights == 4 * 16 // 2 * 8 // 2
    ((_, at_once),) = kernels(sketch.graph(y), "eager", "fp32").items()
    assert at_once == 1


def test_what_depends_on_no_input_runs_once_a_batch(sketch):
    table = sketch.unary("activation", "tanh", sketch.weight(8, 4))
    x = sketch.input(1, 8, 4)
    y = sketch.binary("add", x, table)
    found = {kernel.kind: kernel for kernel in kernels(sketch.graph(y), "eager", "fp32")}
    assert found["activation"].shared
    assert not found["add"].shared
    assert found["add"].weights == 4 * 8 * 4


def test_graph_without_forward_pass_is_refused():
    with pytest.raises(CaptureError):
        kernels(Graph("Net", (), (), ()))


def test_weights_are_shared_by_the_samples_of_a_batch(sketch):
    y = sketch.conv(sketch.input(16, 8, 6, 6), 24)
    found = kernels(sketch.graph(y), "eager", "fp32")
    activations, weights = 4 * (8 + 24) * 6 * 6, 4 * 24 * 8
    assert found == {Kernel("conv_1x1", 24 * 8 * 6 * 6, activations, weights): 1}


def test_each_sample_looks_up_rows_of_its_own(sketch):
    table, ids = sketch.weight(1000, 8), sketch.input(16, 4)
    y = sketch.op("embedding", "aten.embedding.default", (table, ids), (16, 4, 8))
    (kernel,) = kernels(sketch.graph(y), "eager", "fp32")
    assert kernel.activations + kernel.weights == 4 * (4 + 2 * 4 * 8)


@pytest.mark.parametrize(("layout", "expected"), [("", 16), ("BTC", 16), ("TBC", 8), ("TC", None)])
def test_recurrence_over_the_second_axis_leaves_the_first_unless_a_layout_tells(
    sketch, layout, expected
):
    x, weight = sketch.input(16, 8, 4), sketch.weight(12, 4)
    y = sketch.op("recurrent", "aten.gru.input", (x, weight), (16, 8, 3), batch_first=True)
    assert samples(replace(sketch.graph(y), layout=layout)) == expected


def test_attention_between_rows_makes_them_no_samples(sketch):
    x = sketch.input(16, 8)
    y = sketch.op("matmul", "aten.mm.default", (x, x), (16, 16))
    assert samples(sketch.graph(y)) == 1


def test_rows_that_nothing_mixes_are_samples(sketch):
    y = sketch.op("linear", "aten.addmm.default", (sketch.input(16, 8), sketch.weight(4, 8)),
                  (16, 4))  # fmt: skip
    assert samples(sketch.graph(y)) == 16


def test_layout_without_a_batch_is_one_sample(sketch):
    y = sketch.unary("activation", "relu", sketch.input(16, 8))
    assert samples(replace(sketch.graph(y), layout="TC")) == 1


def test_graph_whose_batch_nothing_tells_is_refused(sketch):
    x, weight = sketch.input(16, 8, 4), sketch.weight(12, 4)
    y = sketch.op("recurrent", "aten.gru.input", (x, weight), (16, 8, 3), batch_first=False)
    with pytest.raises(InputError, match=r"16x8x4: .*layout"):
        kernels(sketch.graph(y))
