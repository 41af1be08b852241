"""Formulas of rarer ops, against the products they are made of, through a real capture."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import archstat  # noqa: E402
from archstat.analyses.operations import cost  # noqa: E402


class Calls(nn.Module):
    """A module around one function of its input."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def found(function, *shape):
    """The costs of the ops of a function of one tensor, by op name."""
    graph = archstat.capture(Calls(function), torch.empty(shape, device="meta"))
    return {op.name: cost(op, graph.values) for op in graph.ops}


def zeros(*sizes, device):
    return torch.zeros(sizes, dtype=torch.long, device=device)


FLOPS = {
    "a fold adds every element of every patch": (
        lambda x: nn.functional.fold(x, (4, 4), 2), (1, 3 * 4, 9), "col2im", 3 * 4 * 9,
    ),
    "a scattered sum adds every element of its source": (
        lambda x: x.scatter_add(1, zeros(2, 3, device=x.device), x[:, :3]), (2, 5),
        "scatter_add", 2 * 3,
    ),
    "an indexed sum adds every element of its source": (
        lambda x: x.index_add(0, zeros(4, device=x.device), x[:1].expand(4, -1)), (2, 5),
        "index_add", 4 * 5,
    ),
    "a scattered reduction folds every element of its source": (
        lambda x: x.scatter_reduce(1, zeros(2, 3, device=x.device), x[:, :3], "amax"), (2, 5),
        "scatter_reduce", 2 * 3,
    ),
    "an accumulating assignment adds every value": (
        lambda x: x.index_put((zeros(4, device=x.device),), x[:1].expand(4, -1), accumulate=True),
        (2, 5), "index_put", 4 * 5,
    ),
    "an assignment by index is free": (
        lambda x: x.index_put((zeros(4, device=x.device),), x[:1].expand(4, -1)), (2, 5),
        "index_put", 0,
    ),
    "a distance takes three flops a coordinate of a pair": (
        lambda x: torch.cdist(x, x[:2], p=1), (5, 7), "_cdist_forward", 5 * 2 * 7 * 3,
    ),
    "a real transform takes 2.5 n log2 n": (
        lambda x: torch.fft.rfft(x).real, (3, 16), "_fft_r2c", 3 * 5 * 16 * 4 // 2,
    ),
    "a transform over two axes has their product of points": (
        lambda x: torch.fft.rfft2(x).real, (3, 8, 16), "_fft_r2c", 3 * 5 * 8 * 16 * 7 // 2,
    ),
    "the way back from a real transform costs the same": (
        lambda x: torch.fft.irfft(torch.fft.rfft(x)), (3, 16), "_fft_c2r", 3 * 5 * 16 * 4 // 2,
    ),
    "a complex transform takes 5 n log2 n": (
        lambda x: torch.fft.fft(torch.complex(x, x)).real, (3, 16), "_fft_c2c", 3 * 5 * 16 * 4,
    ),
    "putting a complex number together is free": (
        lambda x: torch.complex(x, x).real, (3, 16), "complex", 0,
    ),
    "a cross product takes three flops an element": (
        lambda x: torch.linalg.cross(x, x), (5, 3), "linalg_cross", 5 * 3 * 3,
    ),
    "an added outer product takes a product and a sum for each pair": (
        lambda x: torch.addr(x, x[:, 0], x[0]), (5, 3), "addr", 2 * 5 * 3,
    ),
    "a window is a constant": (
        lambda x: x * torch.kaiser_window(3, device=x.device), (5, 3), "kaiser_window", 0,
    ),
    "frequencies are a constant": (
        lambda x: x * torch.fft.fftfreq(3, device=x.device), (5, 3), "fft_fftfreq", 0,
    ),
    "a shift of bits is free": (
        lambda x: x.int().bitwise_left_shift(1), (5, 3), "bitwise_left_shift", 0,
    ),
    "a copied part is a move": (
        lambda x: torch.narrow_copy(x, 0, 1, 2), (5, 3), "narrow_copy", 0,
    ),
    "a median compares": (lambda x: x.median(1).values, (5, 3), "median", 0),
    "a maximum so far compares once an element": (
        lambda x: x.cummax(1).values, (5, 3), "cummax", 15,
    ),
    "a sum that skips nan is a sum": (lambda x: x.nansum(), (5, 3), "nansum", 14),
}  # fmt: skip


@pytest.mark.parametrize("case", FLOPS)
def test_flops_of_a_rarer_op(case):
    function, shape, name, flops = FLOPS[case]
    result = found(function, *shape)[name]
    assert (result.flops, result.macs) == (flops, 0)
    assert result.state == ("counted" if flops else "free")
    assert bool(result.reason) == (flops == 0)


def test_time_first_convolution_meets_every_weight_at_every_step():
    steps, batch, channels, filters, kernel = 10, 2, 4, 6, 3

    def convolve(x):
        weight = torch.zeros(kernel, channels, filters, device=x.device)
        return torch.conv_tbc(x, weight, torch.zeros(filters, device=x.device), 1)

    result = found(convolve, steps, batch, channels)["conv_tbc"]
    assert result.macs == steps * batch * kernel * channels * filters
    assert result.flops == 2 * result.macs + steps * batch * filters


@pytest.mark.parametrize(("use_gelu", "flops"), [(False, 1), (True, 8)])
def test_product_fused_with_an_activation_counts_both(use_gelu, flops):
    def product(x):
        return torch._addmm_activation(x[0], x, x, use_gelu=use_gelu)

    result = found(product, 4, 4)["_addmm_activation"]
    assert result.flops == 2 * 4 * 4 * 4 + (1 + flops) * 4 * 4


@pytest.mark.parametrize("name", ["digamma", "lgamma", "i0"])
def test_special_function_without_a_formula_stays_unknown(name):
    assert found(getattr(torch, name), 4)[name].state == "unknown"


@pytest.mark.parametrize(
    ("a", "b", "offsets", "macs", "shape"),
    [
        ((8, 16), (2, 16, 32), (3, 8), 8 * 16 * 32, (8, 32)),
        ((2, 8, 16), (16, 32), (16, 32), 8 * 16 * 32, (8, 32)),
        ((8, 16), (16, 32), (8, 16), 8 * 16 * 32, (2, 8, 32)),
        ((2, 8, 16), (2, 16, 32), None, 2 * 8 * 16 * 32, (2, 8, 32)),
    ],
)
def test_grouped_product_in_single_precision_meets_each_matrix_with_its_rows(
    a, b, offsets, macs, shape
):
    ends = None if offsets is None else torch.tensor(offsets, dtype=torch.int32)
    right = torch.rand(b)
    real = torch._grouped_mm(torch.rand(a), right, offs=ends)
    graph = archstat.capture(
        Calls(lambda x: torch._grouped_mm(x, right.to(x.device), offs=ends)), torch.rand(a)
    )
    (op,) = [op for op in graph.ops if op.name == "_grouped_mm"]
    assert (graph.device, tuple(real.shape)) == ("meta", shape)
    assert graph.values[op.outputs[0]].shape == shape
    assert cost(op, graph.values).macs == macs
