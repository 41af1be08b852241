"""Shape rules against torch: the same result, or no answer, for valid and for invalid arguments."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.frontends import shapes

FLOATS = (torch.float32, torch.float64, torch.bfloat16)
DTYPES = (*FLOATS, torch.int64, torch.bool)

dtypes = st.integers(0, 9).map(lambda roll: DTYPES[max(roll - 5, 0)])
checked = settings(max_examples=100, deadline=None)


@st.composite
def tensors(draw, shape=None, dtype=None, ranks=(0, 4)):
    """A small tensor, mostly contiguous and of a floating-point dtype."""
    if shape is None:
        shape = draw(st.lists(st.integers(0, 4), min_size=ranks[0], max_size=ranks[1]))
    tensor = torch.zeros(tuple(shape), dtype=draw(dtypes) if dtype is None else dtype)
    if draw(st.integers(0, 9)) == 9 and tensor.dim() > 1:
        order = draw(st.permutations(range(tensor.dim())))
        inverse = sorted(range(tensor.dim()), key=list(order).__getitem__)
        tensor = tensor.permute(order).contiguous().permute(inverse)
    return tensor


def around(ordinary, unusual):
    """Mostly an ordinary value, now and then one that torch may refuse."""
    return st.integers(0, 11).flatmap(lambda roll: unusual if roll == 11 else ordinary)


def per_axis(axes, low, high, odd):
    """A list of one size an axis; now and then of another length or with an odd value."""
    right = st.lists(st.integers(low, high), min_size=axes, max_size=axes)
    wrong = st.lists(st.one_of(st.integers(low, high), st.sampled_from(odd)), max_size=3)
    return around(right, wrong)


# -- convolution ---------------------------------------------------------------------------------


@st.composite
def convolutions(draw):
    axes, dtype = draw(st.integers(1, 3)), draw(st.sampled_from(FLOATS))
    groups, transposed = draw(st.integers(1, 3)), draw(st.booleans())
    inner, outer = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    channels = inner * groups + draw(around(st.just(0), st.integers(-1, 1)))
    kernel = draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    weight = (inner * groups, outer) if transposed else (outer * groups, inner)
    spatial = draw(st.lists(st.integers(1, 6), min_size=axes, max_size=axes))
    batch = draw(st.integers(0, 2))
    x = draw(tensors((batch, max(channels, 0), *spatial), dtype))
    out = outer * groups + draw(around(st.just(0), st.integers(-1, 1)))
    bias = draw(st.sampled_from([None, torch.zeros(max(out, 0), dtype=dtype)]))
    other = draw(around(st.just(dtype), st.sampled_from(FLOATS)))
    return [
        x,
        draw(tensors((*weight, *kernel), other)),
        bias,
        draw(per_axis(axes, 1, 3, (0,))),
        draw(per_axis(axes, 0, 2, (-1,))),
        draw(per_axis(axes, 1, 2, (0,))),
        transposed,
        draw(around(st.just([0] * axes), per_axis(axes, 0, 2, (-1,)))),
        draw(around(st.just(groups), st.integers(0, 4))),
    ]


@settings(max_examples=250, deadline=None)
@given(args=convolutions())
def test_convolution(args, agrees_with_torch):
    agrees_with_torch("aten.convolution.default", args)


@st.composite
def images_in_channels_last(draw):
    shape = draw(st.tuples(st.integers(1, 2), *[st.integers(1, 5)] * 3))
    dtype = draw(st.sampled_from(FLOATS))
    return torch.zeros(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)


@settings(max_examples=250, deadline=None)
@given(x=images_in_channels_last(), data=st.data())
def test_convolution_of_images_in_channels_last(x, data):
    channels, groups = x.shape[1], data.draw(st.sampled_from([1, x.shape[1]]))
    kernel = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    weight = torch.zeros(groups * data.draw(st.integers(1, 3)), channels // groups, *kernel)
    stride, padding = data.draw(per_axis(2, 1, 2, (0,))), data.draw(per_axis(2, 0, 1, (-1,)))
    args = [weight.to(x.dtype), None, stride, padding, [1, 1], False, [0, 0], groups]
    answer = shapes.convolution(x, *args)
    if answer is not None:
        made = torch.ops.aten.convolution.default(x, *args)
        ((shape, dtype, *strides),) = answer
        assert (shape, dtype) == (tuple(made.shape), made.dtype)
        if strides:  # of an axis of one place they tell nothing
            assert made.is_contiguous(memory_format=torch.channels_last)
            assert shapes.channels_last(shape) == strides[0]


@settings(max_examples=100, deadline=None)
@given(x=images_in_channels_last(), dims=st.sampled_from([[-1, -2], [2, 3], [1, 2]]),
       keepdim=st.booleans())  # fmt: skip
def test_mean_of_images_in_channels_last(x, dims, keepdim, agrees_with_torch):
    agrees_with_torch("aten.mean.dim", [x, dims, keepdim])


def test_convolution_of_channels_last_is_ruled():
    x = torch.empty(1, 4, 6, 5).contiguous(memory_format=torch.channels_last)
    args = (None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    expected = (((1, 7, 6, 5), torch.float32, (7 * 6 * 5, 1, 7 * 5, 7)),)
    assert shapes.convolution(x, torch.empty(7, 4, 3, 3), *args) == expected


# -- norms, softmax and functions of one tensor ---------------------------------------------------


@checked
@given(data=st.data())
def test_batch_norm(data, agrees_with_torch):
    x = data.draw(tensors(ranks=(1, 5)))
    channels = x.shape[1] if x.dim() > 1 else 1
    sizes = around(st.just(channels), st.integers(0, 4))
    vectors = [
        data.draw(st.one_of(st.none(), st.just(torch.zeros(data.draw(sizes), dtype=x.dtype))))
        for _ in range(2)
    ]
    statistics = [torch.zeros(data.draw(sizes), dtype=x.dtype) for _ in range(2)]
    if data.draw(around(st.just(False), st.just(True))):
        statistics[data.draw(st.integers(0, 1))] = None
    training = data.draw(around(st.just(False), st.just(True)))
    args = [x, *vectors, *statistics, training, 0.1, 1e-5]
    agrees_with_torch("aten.native_batch_norm.default", args)


@checked
@given(data=st.data())
def test_layer_norm(data, agrees_with_torch):
    x = data.draw(tensors(ranks=(1, 4)))
    axes = data.draw(st.integers(0, x.dim()))
    shape = list(x.shape[x.dim() - axes :])
    normalized = data.draw(around(st.just(shape), st.lists(st.integers(1, 3), max_size=2)))
    dtype = data.draw(around(st.just(x.dtype), st.sampled_from(FLOATS)))
    vectors = [
        data.draw(st.sampled_from([None, torch.zeros(tuple(normalized), dtype=dtype)]))
        for _ in range(2)
    ]
    agrees_with_torch("aten.native_layer_norm.default", [x, normalized, *vectors, 1e-5])


ELEMENTWISE = {
    **{f"aten.{name}.default": [] for name in ("relu", "hardswish", "hardsigmoid", "sigmoid")},
    **{f"aten.{name}.default": [] for name in ("tanh", "silu", "gelu")},
    "aten.hardtanh.default": [0.0, 6.0],
    "aten.leaky_relu.default": [0.01],
}


@checked
@given(x=tensors(ranks=(0, 5)), target=st.sampled_from(sorted(ELEMENTWISE)), extra=st.booleans())
def test_function_of_one_tensor(x, target, extra, agrees_with_torch):
    agrees_with_torch(target, [x, *(ELEMENTWISE[target] if extra else [])])


@checked
@given(x=tensors(), dim=st.integers(-5, 4), half=st.booleans())
@pytest.mark.parametrize("name", ["_softmax", "_safe_softmax"])
def test_softmax(name, x, dim, half, agrees_with_torch):
    args = [x, dim, half and x.dtype != torch.bfloat16] if name == "_softmax" else [x, dim]
    agrees_with_torch(f"aten.{name}.default", args)


# -- functions of several tensors ------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-2, 2), st.floats(-2, 2), st.booleans(), st.just(1j), st.just(complex(2, 1))
)


@settings(max_examples=250, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", ["add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor"])
def test_arithmetic_of_two_tensors(name, data, agrees_with_torch):
    a = data.draw(tensors())
    shape = [data.draw(around(st.just(size), st.sampled_from([1, 2]))) for size in a.shape]
    shape = shape[data.draw(st.integers(0, len(shape))) :]
    shape = [data.draw(st.integers(1, 3))] * (data.draw(st.integers(0, 4)) == 0) + shape
    dtype = data.draw(around(st.just(a.dtype), dtypes))
    b = data.draw(st.one_of(tensors(shape, dtype), NUMBERS))
    pair = [b, a] if isinstance(b, torch.Tensor) and data.draw(st.booleans()) else [a, b]
    agrees_with_torch(f"aten.{name}", pair)


@st.composite
def scaled_maps(draw):
    """A map with its axes in some order in memory; another, or a number a place of one axis."""
    shape = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    order = draw(st.permutations(range(len(shape))))
    inverse = sorted(range(len(shape)), key=list(order).__getitem__)
    x = torch.zeros(shape).permute(order).contiguous().permute(inverse)
    axis = draw(st.integers(0, len(shape) - 1))
    if draw(st.booleans()):
        return [x, x.clone()]
    named = draw(st.integers(len(shape) - axis, len(shape)))
    factors = [n if i == axis else 1 for i, n in enumerate(shape)][-named:]
    return draw(st.permutations([x, torch.zeros(factors)]))


@settings(max_examples=400, deadline=None)
@pytest.mark.parametrize("name", ["add", "mul"])
@given(args=scaled_maps())
def test_a_permuted_map_and_another_or_a_number_a_channel(name, args, agrees_with_torch):
    agrees_with_torch(f"aten.{name}.Tensor", args)


@checked
@pytest.mark.parametrize("name", ["add_", "mul_"])
@given(args=scaled_maps(), is_plain=st.booleans())
def test_arithmetic_in_place(name, args, is_plain, agrees_with_torch):
    a, b = args
    if is_plain and a.shape == b.shape:
        b = b.contiguous()
    if (a + b).shape == a.shape:  # else torch refuses, and the mode compares the shapes
        agrees_with_torch(f"aten.{name}.Tensor", [a, b])


@pytest.mark.parametrize("batch", [1, 2])
def test_layer_scale_of_a_channels_last_map_is_ruled(batch):
    x = torch.empty(batch, 7, 5, 3).permute(0, 3, 1, 2)
    strides = (105, 1, 15, 3)
    expected = (((batch, 3, 7, 5), torch.float32, strides),)
    assert shapes.broadcast(torch.empty(3, 1, 1), x) == expected


@checked
@given(x=tensors(), number=NUMBERS, target=st.sampled_from(["mul.Scalar", "pow.Tensor_Scalar"]))
def test_arithmetic_with_a_number(x, number, target, agrees_with_torch):
    agrees_with_torch(f"aten.{target}", [x, number])


@checked
@given(data=st.data())
def test_concatenation(data, agrees_with_torch):
    first = data.draw(tensors(ranks=(0, 4)))
    dim = data.draw(st.integers(-max(first.dim(), 1) - 1, first.dim()))
    parts = [first]
    for _ in range(data.draw(st.integers(0, 2))):
        shape = list(first.shape)
        if shape:
            axis = data.draw(st.integers(0, len(shape) - 1))
            shape[data.draw(around(st.just(dim % len(shape)), st.just(axis)))] += 1
        shape = data.draw(around(st.just(shape), st.sampled_from([[0], [2]])))
        parts.append(data.draw(tensors(shape, data.draw(around(st.just(first.dtype), dtypes)))))
    agrees_with_torch("aten.cat.default", [parts, dim])


@st.composite
def products(draw, batches):
    b, m, k, n = (draw(st.integers(0, 3)) for _ in range(4))
    dtype = draw(dtypes)
    left = [*([b] * batches), m, k]
    right = [*([b] * batches), k, n]
    right[draw(st.integers(0, len(right) - 1))] += draw(around(st.just(0), st.integers(0, 1)))
    other = draw(around(st.just(dtype), dtypes))
    rank = draw(around(st.just(0), st.integers(0, 1)))
    return [draw(tensors(left, dtype)), draw(tensors(right[rank:], other))]


@checked
@given(args=products(0))
def test_matrix_product(args, agrees_with_torch):
    agrees_with_torch("aten.mm.default", args)


@checked
@given(args=products(1))
def test_matrix_product_of_batches(args, agrees_with_torch):
    agrees_with_torch("aten.bmm.default", args)


@checked
@given(args=products(0), data=st.data())
def test_matrix_product_with_a_bias(args, data, agrees_with_torch):
    columns = args[1].shape[-1] if args[1].dim() else 0
    rows = args[0].shape[0]
    shape = data.draw(around(st.just([columns]), st.sampled_from([[1], [], [rows, columns]])))
    dtype = data.draw(around(st.just(args[0].dtype), dtypes))
    agrees_with_torch("aten.addmm.default", [data.draw(tensors(shape, dtype)), *args])


# -- pooling, padding, reductions ------------------------------------------------------------------


@st.composite
def poolings(draw, axes):
    leading = draw(around(st.sampled_from([[2], [1, 2]]), st.sampled_from([[], [0, 2], [1] * 4])))
    sizes = draw(
        st.lists(around(st.integers(3, 7), st.integers(0, 2)), min_size=axes, max_size=axes)
    )
    x = draw(tensors(leading + sizes))
    return [
        x,
        draw(per_axis(axes, 1, 4, (0,))),
        draw(around(per_axis(axes, 1, 3, (0,)), st.just([]))),
        draw(per_axis(axes, 0, 2, (-1,))),
    ]  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(args=poolings(2), dilation=per_axis(2, 1, 2, (0,)), ceil=st.booleans())
def test_max_pooling(args, dilation, ceil, agrees_with_torch):
    agrees_with_torch("aten.max_pool2d_with_indices.default", [*args, dilation, ceil])


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(), ceil=st.booleans(), include=st.booleans(),
    divisor=around(st.none(), st.sampled_from([0, 2, -3])),
)  # fmt: skip
@pytest.mark.parametrize("axes", [2, 3])
def test_average_pooling(axes, data, ceil, include, divisor, agrees_with_torch):
    args = [*data.draw(poolings(axes)), ceil, include, divisor]
    agrees_with_torch(f"aten.avg_pool{axes}d.default", args)


@checked
@given(x=around(tensors(ranks=(3, 4)), tensors(ranks=(2, 5))), size=per_axis(2, 1, 5, (0, -1)))
def test_adaptive_average_pooling(x, size, agrees_with_torch):
    agrees_with_torch("aten._adaptive_avg_pool2d.default", [x, size])


@checked
@given(
    x=tensors(ranks=(1, 4)),
    pads=around(
        st.sampled_from([2, 4]).flatmap(
            lambda n: st.lists(st.integers(-1, 2), min_size=n, max_size=n)
        ),
        st.lists(st.integers(-3, 3), max_size=9),
    ),
)
def test_constant_padding(x, pads, agrees_with_torch):
    agrees_with_torch("aten.constant_pad_nd.default", [x, pads, 0.5])


@checked
@given(
    x=tensors(ranks=(1, 5)),
    dims=around(
        st.lists(st.integers(-2, 1), min_size=1, max_size=2),
        st.one_of(st.none(), st.lists(st.integers(-5, 4), max_size=3)),
    ),
    keepdim=st.booleans(),
)
def test_mean(x, dims, keepdim, agrees_with_torch):
    agrees_with_torch("aten.mean.dim", [x, dims, keepdim])
