"""Products in every disguise: packed, sparse, complex; and what holds none."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import archstat
from archstat.analyses import costs
from archstat.analyses.operations import cost
from archstat.analyses.products import NO_PRODUCT
from archstat.graph import Op, Value


class Calls(nn.Module):
    """A forward written as a function, after a linear layer of 4 into 4."""

    def __init__(self, function):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.function = function

    def forward(self, *tensors):
        return self.layer(tensors[0].reshape(-1, 4)), self.function(*tensors)


LAYER = 4 * 4


def counted(function, *tensors):
    return archstat.analyze(archstat.capture(Calls(function), *tensors))


def marked(x):
    with torch.profiler.record_function("stem"):
        return x + 1


FREE = {
    "a profiler's marker": marked,
    "an assertion on the device": lambda x: torch._assert_async((x == x).all()),
    "an assertion of a function": lambda x: torch.ops.aten._functional_assert_async.msg(
        (x == x).all(), "", x.sum() > 0),
    "is all true": lambda x: torch.ops.aten._is_all_true(x > 0),
    "is any true": lambda x: torch.ops.aten._is_any_true(x > 0),
    "an index without a check": lambda x: torch.ops.aten._unsafe_index(x, [torch.tensor([0])]),
    "a block diagonal": lambda x: torch.block_diag(x, x),
    "the way back from unfold": lambda x: torch.ops.aten.unfold_backward(
        x.unfold(0, 1, 1), [2, 4], 0, 1, 1),
    "the common dtype": lambda x: x.to(torch.promote_types(torch.float16, torch.float32)),
    "a packed sequence": lambda x: nn.utils.rnn.pack_padded_sequence(
        x[None], torch.tensor([2]), batch_first=True).data,
    "a sequence packed and padded": lambda x: nn.utils.rnn.pad_packed_sequence(
        nn.utils.rnn.pack_padded_sequence(x[None], torch.tensor([2]), batch_first=True))[0],
    "numbers made sparse": lambda x: x.to_sparse(),
    "numbers made sparse and dense": lambda x: x.to_sparse().to_dense(),
    "compressed rows": lambda x: x.to_sparse_csr().values(),
    "the consecutive ones": lambda x: torch.unique_consecutive(x > 0),
}  # fmt: skip


@pytest.mark.parametrize("function", FREE.values(), ids=FREE)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_what_computes_nothing_leaves_every_total_exact(function):
    report = counted(function, torch.rand(2, 4))
    assert report.totals["macs"] == 2 * LAYER
    assert report.totals["unknown_ops"] == 0
    assert not {"macs", "flops", "activations"} & report.lower_bounds


def labels(x):
    return torch.zeros(len(x), dtype=torch.long, device=x.device)


NO_PRODUCTS = {
    "lgamma": torch.lgamma,
    "digamma": torch.digamma,
    "bessel": torch.i0,
    "squared error": lambda x: F.mse_loss(x, x),
    "huber": lambda x: F.huber_loss(x, x),
    "smooth l1": lambda x: F.smooth_l1_loss(x, x),
    "cross entropy": lambda x: F.cross_entropy(x, labels(x)),
    "binary cross entropy": lambda x: F.binary_cross_entropy(x, x),
    "soft margin": lambda x: F.soft_margin_loss(x, x),
    "multi margin": lambda x: F.multi_margin_loss(x, labels(x)),
    "affine grid": lambda x: F.affine_grid(x[:, :3][None], [1, 1, 3, 3], align_corners=False),
    "fake quantised": lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 0, -128, 127),
    "fake quantised by channel": lambda x: torch.fake_quantize_per_channel_affine(
        x, torch.ones(2), torch.zeros(2, dtype=torch.int32), 0, -128, 127),
    "renormed": lambda x: torch.renorm(x, 2, 0, 1.0),
    "a sigmoid's gradient": lambda x: torch.ops.aten.sigmoid_backward(x, x),
    "a ReLU's gradient": lambda x: torch.ops.aten.threshold_backward(x, x, 0),
}  # fmt: skip


@pytest.mark.parametrize("function", NO_PRODUCTS.values(), ids=NO_PRODUCTS)
def test_what_holds_no_product_leaves_macs_exact_and_only_flops_a_lower_bound(function):
    report = counted(function, torch.rand(2, 4))
    assert report.totals["macs"] == 2 * LAYER
    assert report.totals["unknown_ops"] == 1
    assert {"macs", "flops", "activations"} & report.lower_bounds == {"flops"}
    assert "macs is exact" in " ".join(note.text for note in report.findings)


def test_a_decomposition_may_hold_products_and_bounds_macs():
    report = counted(lambda x: torch.linalg.svd(x), torch.rand(2, 4))
    assert {"macs", "flops", "activations"} <= report.lower_bounds


def test_no_op_without_products_is_counted_or_free_as_well():
    assert not costs.WITHOUT_PRODUCTS & {*costs.FREE, *costs.PER_OUTPUT, *costs.PER_INPUT}


SPARSE = {
    "coordinates": lambda a: a.to_sparse(),
    "compressed rows": lambda a: a.to_sparse_csr(),
    "compressed columns": lambda a: a.to_sparse_csc(),
}


@pytest.mark.parametrize("layout", SPARSE.values(), ids=SPARSE)
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_a_sparse_product_takes_each_number_once_a_column(layout, columns):
    adjacency = torch.zeros(5, 6)
    adjacency[0, 1] = adjacency[2, 3] = adjacency[4, 0] = 1
    module = Calls(lambda _, a, x: a @ x)
    graph = archstat.capture(module, torch.rand(1, 4), layout(adjacency), torch.rand(6, columns))
    assert archstat.analyze(graph).totals["macs"] == LAYER + 3 * columns


@pytest.mark.filterwarnings("ignore:Sparse")
def test_a_sparse_buffer_is_a_factor_and_no_parameter():
    class Propagation(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 8)
            self.register_buffer("adjacency", torch.eye(5).to_sparse())

        def forward(self, x):
            return torch.sparse.mm(self.adjacency, self.layer(x))

    totals = archstat.analyze(archstat.capture(Propagation(), torch.rand(5, 4))).totals
    assert (totals["params"], totals["macs"]) == (8 * 4 + 8, 5 * 4 * 8 + 5 * 8)


@given(numbers=st.integers(0, 50), rows=st.integers(1, 9), inner=st.integers(1, 9),
       columns=st.integers(1, 9), left=st.booleans())  # fmt: skip
def test_a_sparse_factor_on_either_side(numbers, rows, inner, columns, left):
    values = (Value((rows, inner), "float32", "input", 0),
              Value((inner, columns), "float32", "input", 1),
              Value((rows, columns), "float32", "activation", 2))  # fmt: skip
    nnz = (numbers, None) if left else (None, numbers)
    op = Op("matmul", "aten.mm.default", "", "", (0, 1), (2,), {"nnz": nnz})
    assert cost(op, values).macs == numbers * (columns if left else rows)


COMPLEX = {
    "2-D": (nn.Conv2d(3, 4, 3, dtype=torch.complex64), (2, 3, 8, 8), 2 * 6 * 6 * 4 * 3 * 9, 1),
    "without bias": (nn.Conv2d(3, 4, 3, bias=False, dtype=torch.complex64), (1, 3, 8, 8),
                     6 * 6 * 4 * 3 * 9, 0),
    "1-D": (nn.Conv1d(3, 4, 5, dtype=torch.complex64), (1, 3, 8), 4 * 4 * 3 * 5, 1),
    "3-D": (nn.Conv3d(2, 4, 2, dtype=torch.complex64), (1, 2, 4, 4, 4), 27 * 4 * 2 * 8, 1),
    "grouped": (nn.Conv2d(4, 4, 3, groups=4, dtype=torch.complex64), (1, 4, 8, 8), 36 * 4 * 9, 1),
    "strided": (nn.Conv2d(3, 4, 3, stride=2, dtype=torch.complex64), (1, 3, 9, 9),
                16 * 4 * 3 * 9, 1),
    "transposed": (nn.ConvTranspose2d(3, 4, 3, dtype=torch.complex64), (1, 3, 8, 8),
                   64 * 3 * 4 * 9, 1),
}  # fmt: skip


@pytest.mark.parametrize(("module", "shape", "macs", "bias"), COMPLEX.values(), ids=COMPLEX)
def test_a_complex_convolution_counts_a_complex_number_as_one(module, shape, macs, bias):
    graph = archstat.capture(module, torch.rand(shape, dtype=torch.complex64))
    totals = archstat.analyze(graph).totals
    outputs = graph.values[graph.outputs[0]].numel
    assert totals["macs"] == macs
    assert totals["flops"] == 2 * macs + bias * outputs
    assert totals["activations"] == outputs


def test_two_complex_convolutions_in_a_row_count_both():
    twice = nn.Sequential(nn.Conv2d(1, 2, 3, dtype=torch.complex64),
                          nn.Conv2d(2, 3, 3, dtype=torch.complex64))  # fmt: skip
    graph = archstat.capture(twice, torch.rand(1, 1, 8, 8, dtype=torch.complex64))
    assert archstat.analyze(graph).totals["macs"] == 36 * 2 * 9 + 16 * 3 * 2 * 9


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_an_embedding_bag_adds_the_rows_it_reads(mode):
    bag = nn.EmbeddingBag(1000, 64, mode=mode)
    totals = archstat.analyze(archstat.capture(bag, torch.zeros(3, 10, dtype=torch.long))).totals
    assert totals["flops"] == 3 * 10 * 64


def test_an_embedding_bag_with_weights_multiplies_them_first():
    graph = archstat.capture(nn.EmbeddingBag(1000, 64, mode="sum"),
                             torch.zeros(3, 10, dtype=torch.long),
                             per_sample_weights=torch.ones(3, 10))  # fmt: skip
    assert archstat.analyze(graph).totals["flops"] == 2 * 3 * 10 * 64


@given(groups=st.integers(1, 9), width=st.integers(1, 9), weighted=st.booleans())
def test_a_fused_rms_norm_costs_what_its_parts_do(groups, width, weighted):
    values = (Value((groups, width), "float32", "input", 0),
              Value((width,), "float32", "parameter", 1),
              Value((groups, width), "float32", "activation", 2),
              Value((groups, 1), "float32", "activation", 3))  # fmt: skip
    op = Op("norm", "aten._fused_rms_norm.default", "", "", (0, 1) if weighted else (0,), (2, 3),
            {"normalized_shape": (width,), "eps": None})  # fmt: skip
    norm = nn.RMSNorm(width, elementwise_affine=weighted)
    parts = archstat.analyze(archstat.capture(norm, torch.rand(groups, width))).totals
    assert cost(op, values).flops == parts["flops"] == groups * (width * (3 + weighted) + 2)


@pytest.mark.parametrize("mask", [(True, True, True), (True, False, False), (False, True, False)])
def test_a_convolutions_gradients_cost_what_forward_does_each(mask):
    def back(x):
        weight = torch.zeros(8, 2, 3, 3, device=x.device)
        gradient = torch.zeros(1, 8, 6, 6, device=x.device)
        return [made for made in torch.ops.aten.convolution_backward(
            gradient, torch.zeros(1, 2, 8, 8, device=x.device), weight, [8], [1, 1], [0, 0], [1, 1],
            False, [0, 0], 1, mask) if made is not None]  # fmt: skip

    totals = counted(back, torch.rand(1, 4)).totals
    assert totals["macs"] == LAYER + (mask[0] + mask[1]) * 36 * 8 * 2 * 9


def test_a_distance_between_many_points_counts_each_coordinate():
    totals = counted(lambda x: torch.cdist(x, x), torch.rand(64, 4)).totals
    assert totals["flops"] == 64 * (2 * LAYER + 4) + 3 * 64 * 64 * 4


def test_an_integer_product_is_one():
    totals = counted(lambda x: torch._int_mm(x.to(torch.int8), x.to(torch.int8).T),
                     torch.rand(32, 4)).totals  # fmt: skip
    assert totals["macs"] == 32 * LAYER + 32 * 4 * 32


def test_weights_packed_to_four_bits_are_a_product_and_hide_their_number():
    values = (Value((16, 64), "bfloat16", "input", 0),
              Value((32, 32), "uint8", "parameter", 1, "weight"),
              Value((16, 32), "bfloat16", "activation", 2))  # fmt: skip
    op = Op("matmul", "aten._weight_int4pack_mm_for_cpu.default", "", "", (0, 1), (2,), {})
    assert cost(op, values).macs == 16 * 64 * 32


def test_tensors_that_fit_no_formula_are_unknown():
    op = Op("conv", "aten.convolution.default", "", "", (), (), {})
    assert cost(op, ()).state == "unknown"


def test_a_loss_is_known_to_hold_no_product():
    values = (Value((2, 4), "float32", "input", 0), Value((), "float32", "activation", 1))
    op = Op("other", "aten.mse_loss.default", "", "", (0, 0), (1,), {})
    assert cost(op, values) is NO_PRODUCT


def test_a_sparse_tensor_made_on_meta_leaves_a_product_unknown():
    values = (Value((5, 6), "float32", "input", 0), Value((6, 3), "float32", "input", 1),
              Value((5, 3), "float32", "activation", 2))  # fmt: skip
    op = Op("matmul", "aten.mm.default", "", "", (0, 1), (2,), {"nnz": (-1, None)})
    assert cost(op, values).state == "unknown"


def test_two_sparse_factors_are_unknown():
    values = (Value((5, 6), "float32", "input", 0), Value((6, 3), "float32", "input", 1),
              Value((5, 3), "float32", "activation", 2))  # fmt: skip
    op = Op("matmul", "aten.mm.default", "", "", (0, 1), (2,), {"nnz": (4, 5)})
    assert cost(op, values).state == "unknown"
