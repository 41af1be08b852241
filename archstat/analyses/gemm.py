"""Convolutions and linear layers as matrix products, and what im2col copies for them.

A convolution of c1 into c2 channels in g groups is, for each group, the product of its weights
(c2/g x k) and a matrix with a column for every output position of the batch and a row for each of
the k = kernel x c1/g elements below a window: im2col writes that matrix. A transposed convolution
goes the other way: the product makes the columns and col2im adds them up. A linear layer or a
matrix product is one as it stands. M x N x K x batch are its multiply-accumulates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from archstat.graph import Graph, Op, Value
from archstat.result import Analysis, Analyzer, Cell, Column, Report

Shape = tuple[int, ...]

COLUMNS = (
    Column("im2col", "pixels", "im2col matrix: rows x columns, of one group", of="place"),
    Column("im2col_weight", "pixels", "weight matrix that im2col's is multiplied with", of="place"),
    Column("im2col_copy_factor", "number", "elements of im2col's matrices over those of the map",
           "lower", of="place"),
    Column("gemm_batch", "number", "products of the layer's matrices: groups", of="place"),
    Column("gemm_m", "number", "rows of the product: output channels of a group", of="place"),
    Column("gemm_n", "number", "columns of the product: output positions", of="place"),
    Column("gemm_k", "number", "length of the sums: window elements of a group", of="place"),
)  # fmt: skip


class Gemm(NamedTuple):
    """`batch` products of an M x K and a K x N matrix; of a convolution also its im2col matrix.

    `im2col` is rows x columns of one group, `copy_factor` the elements of all groups' matrices
    over those of the feature map they are copied from (transposed: added up into).
    """

    batch: int
    m: int
    n: int
    k: int
    im2col: tuple[int, int] | None = None
    copy_factor: float | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all products."""
        return self.batch * self.m * self.n * self.k


def gemm_of(op: Op, values: tuple[Value, ...]) -> Gemm | None:
    """An op as matrix products; None where it is none (attention and recurrent ops among them)."""
    shapes = [values[index].shape for index in op.inputs]
    if op.kind == "conv" and op.name != "conv_tbc":
        groups = op.attributes.get("groups", 1)
        transposed = op.attributes.get("transposed", False)
        return _convolution(shapes[0], shapes[1], values[op.outputs[0]].shape, groups, transposed)
    if op.kind in ("linear", "matmul"):
        return _product(op.name, shapes)
    return None


def convolution_as_product(
    x: Shape, weight: Shape, out: Shape, groups: int, transposed: bool
) -> Gemm:
    """The products that a convolution of these shapes is, one a group."""
    axes = len(weight) - 2
    copied, side = (out, x) if transposed else (x, out)
    batch = side[0] if len(side) == axes + 2 else 1
    columns = batch * prod(side[-axes:])
    window = prod(weight[1:])  # c1/g x kernel; of a transposed one c2/g x kernel
    others = weight[0] // groups
    elements = prod(copied)
    factor = groups * window * columns / elements if elements else None
    m, k = (window, others) if transposed else (others, window)
    return Gemm(groups, m, columns, k, (window, columns), factor)


_convolution = lru_cache(maxsize=4096)(convolution_as_product)  # networks repeat their layers


def _product(name: str, shapes: list[Shape]) -> Gemm | None:
    if name in ("linear", "mkldnn_linear"):
        x, weight = shapes[0], shapes[1]
        return Gemm(1, weight[0], prod(x[:-1]), weight[1])
    adds = name.startswith(("add", "badd", "_addmm"))
    a, b = shapes[1:3] if adds else shapes[:2]
    if name == "_trilinear" or len(b) > 3:
        return None
    if len(b) == 1:
        return Gemm(1, 1, prod(a[:-1]), a[-1])
    batch = a[0] if len(a) == 3 else 1
    return Gemm(batch, b[-1], a[-2], a[-1])


def gemm(graph: Graph) -> Analysis:
    """The matrix products of every layer, at the module that runs it; of several, the last."""
    cells: dict[str, Mapping[str, Cell]] = {}
    for op in graph.ops:
        found = gemm_of(op, graph.values)
        if found is not None:
            cells[op.module] = _cells(found)
    return Analysis(totals={}, at_module=cells)


@lru_cache(maxsize=4096)
def _cells(found: Gemm) -> Mapping[str, Cell]:
    batch, m, n, k, im2col, factor = found
    cells: dict[str, Cell] = {"gemm_batch": batch, "gemm_m": m, "gemm_n": n, "gemm_k": k}
    if im2col is not None:
        rows = im2col[0]
        others = m if k == rows else k
        cells |= {"im2col": im2col, "im2col_weight": (others, rows), "im2col_copy_factor": factor}
    return MappingProxyType(cells)


ANALYZER = Analyzer("gemm", COLUMNS, gemm)


def with_gemm(report: Report) -> Report:
    """The Report with the columns of this analysis, which is run on request only."""
    return replace(
        report,
        columns=(*report.columns, *COLUMNS),
        analyses=(*report.analyses, gemm(report.graph)),
    )
