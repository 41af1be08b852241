"""Rules of reductions against torch on meta and cpu: the same result, or no answer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archstat.frontends import aten
from archstat.frontends.module import capture

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool)
checked = settings(max_examples=100, deadline=None)
tensors = st.builds(
    lambda shape, dtype, strided: (
        torch.zeros(shape, dtype=dtype).transpose(0, -1)
        if strided and shape
        else torch.zeros(shape, dtype=dtype)
    ),
    st.lists(st.integers(0, 4), max_size=4),
    st.sampled_from(DTYPES),
    st.integers(0, 9).map(lambda roll: roll == 9),
)
axes = st.one_of(
    st.lists(st.integers(-2, 1), min_size=1, max_size=2), st.lists(st.integers(-5, 4), max_size=3)
)


def compare(target, *args):
    _, name, overload = target.split(".")
    operator = getattr(getattr(torch.ops.aten, name), overload)
    try:
        answer = aten._RULES[target](*args)
    except (TypeError, AttributeError, IndexError, ValueError):
        return
    if answer is None:
        return
    for place in ("cpu", "meta"):
        try:
            result = operator(args[0].to(place), *args[1:])
        except NotImplementedError:
            continue  # a kernel that this device lacks for a dtype, whatever the arguments
        results = result if isinstance(result, tuple) else (result,)
        assert [(tuple(r.shape), r.dtype) for r in results] == [made[:2] for made in answer]
        for tensor, (_, _, *strides) in zip(results, answer, strict=True):
            # Where an axis has one element, its stride means nothing.
            long = [axis for axis, size in enumerate(tensor.shape) if size > 1]
            assert tensor.is_contiguous() or all(
                tensor.stride()[axis] == strides[0][axis] for axis in long
            )


@checked
@given(x=tensors, dims=axes, keepdim=st.booleans())
def test_sum(x, dims, keepdim):
    compare("aten.sum.dim_IntList", x, dims, keepdim)


@checked
@given(x=tensors, dims=axes, keepdim=st.booleans())
def test_maximum(x, dims, keepdim):
    compare("aten.amax.default", x, dims, keepdim)


@checked
@given(x=tensors, size=st.lists(st.integers(0, 5), min_size=1, max_size=3))
def test_adaptive_maximum(x, size):
    compare("aten.adaptive_max_pool2d.default", x, size)


@checked
@given(x=tensors, number=st.one_of(st.integers(-2, 2), st.floats(-2, 2), st.booleans()))
def test_number_minus_tensor(x, number):
    compare("aten.rsub.Scalar", x, number)


@pytest.mark.parametrize("dtype", [None, torch.float64])
def test_sum_into_another_dtype_is_left_to_torch(as_module, dtype):
    graph = capture(as_module(lambda x: x.sum((1, 2), dtype=dtype)), torch.empty(2, 3, 4))
    (output,) = graph.outputs
    assert graph.values[output].shape == (2,)
    assert graph.values[output].dtype == ("float32" if dtype is None else "float64")
