"""GEMM shapes and im2col matrices: M N K are the macs, and im2col is what unfold makes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archstat.analyses.gemm import gemm, gemm_of
from archstat.analyses.operations import cost
from archstat.frontends.module import capture
from archstat.models.pipeline import graph_of_spec


def only(layer, *shape):
    """The one product of a layer."""
    graph = capture(layer.to("meta"), torch.empty(shape, device="meta"))
    (found,) = filter(None, (gemm_of(op, graph.values) for op in graph.ops))
    return found


def test_first_layer_of_the_227_example():
    found = only(nn.Conv2d(3, 96, 11, stride=4), 1, 3, 227, 227)
    assert found.im2col == (363, 3025) == (11 * 11 * 3, 55 * 55)
    assert (found.m, found.n, found.k) == (96, 3025, 363)
    assert found.copy_factor == 363 * 3025 / (3 * 227 * 227)
    graph = capture(nn.Conv2d(3, 96, 11, 4).to("meta"), torch.empty(1, 3, 227, 227, device="meta"))
    assert gemm(graph).at_module[""]["im2col_weight"] == (96, 363)


@given(
    batch=st.integers(1, 2), groups=st.integers(1, 3), a=st.integers(1, 3), b=st.integers(1, 3),
    size=st.integers(4, 9), kernel=st.integers(1, 3), stride=st.integers(1, 2),
    padding=st.integers(0, 1),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_im2col_is_the_matrix_that_unfold_makes(batch, groups, a, b, size, kernel, stride, padding):
    layer = nn.Conv2d(groups * a, groups * b, kernel, stride, padding, groups=groups)
    found = only(layer, batch, groups * a, size, size)
    columns = F.unfold(torch.empty(batch, groups * a, size, size), kernel, 1, padding, stride)
    rows, positions = found.im2col
    assert groups * rows == columns.shape[1]
    assert positions == batch * columns.shape[2]
    assert found.copy_factor == columns.numel() / (batch * groups * a * size * size)
    assert (found.batch, found.m, found.n, found.k) == (groups, b, positions, rows)


@given(
    groups=st.integers(1, 3), a=st.integers(1, 3), b=st.integers(1, 3), size=st.integers(2, 5),
    kernel=st.integers(1, 3), stride=st.integers(1, 2),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_transposed_convolution_makes_the_columns_that_fold_adds_up(
    groups, a, b, size, kernel, stride
):
    layer = nn.ConvTranspose2d(groups * a, groups * b, kernel, stride, groups=groups)
    found = only(layer, 1, groups * a, size, size)
    side = (size - 1) * stride + kernel
    columns = torch.empty(1, groups * b * kernel**2, size * size)
    assert F.fold(columns, side, kernel, stride=stride).shape == (1, groups * b, side, side)
    assert groups * found.im2col[0] == columns.shape[1]
    assert (found.batch, found.m, found.n, found.k) == (groups, b * kernel**2, size * size, a)
    assert found.copy_factor == columns.numel() / (groups * b * side * side)


NETWORKS = ["alexnet", "mobilenet_v2", "shufflenet_v1", "vit_b_16", "resnext50_32x4d"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("batch", [1, 3])
def test_products_have_the_macs_of_their_ops(name, batch):
    graph = graph_of_spec(name, batch=batch)
    ops = [op for op in graph.ops if op.kind != "attention"]  # two products by one kernel
    found = [(gemm_of(op, graph.values), cost(op, graph.values).macs) for op in ops]
    assert all(product is not None for product, macs in found if macs)
    for product, macs in found:
        assert product is None or product.macs == macs


@given(st.lists(st.integers(1, 4), max_size=2), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_linear_layer_is_a_product_of_its_weight(lead, before, after):
    found = only(nn.Linear(before, after), *lead, 1, before)
    assert (found.m, found.k, found.batch, found.im2col) == (after, before, 1, None)
    assert found.n == torch.Size(lead).numel()
