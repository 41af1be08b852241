"""Shape rules against torch: the same result, or no answer, for valid and for invalid arguments."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from archstat import zoo
from archstat.frontends import aten
from archstat.frontends.module import capture

FLOATS = (torch.float32, torch.float64, torch.bfloat16)
DTYPES = (*FLOATS, torch.int64, torch.bool)
REFUSALS = (TypeError, AttributeError, IndexError, ValueError)

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


def compare(target, args):
    """The rule of an overload answers as torch does on cpu and on meta, or not at all.

    The statistics that norms return on meta are those of another device: cpu has the say there.
    """
    namespace, name, overload = target.split(".")
    operator = getattr(getattr(getattr(torch.ops, namespace), name), overload)
    answer = answer_of(target, args)
    if answer is None:
        return
    for place in ("cpu",) if "_norm" in name else ("cpu", "meta"):
        try:
            result = operator(*(on(place, argument) for argument in args))
        except NotImplementedError:
            continue  # a kernel that this device lacks for a dtype, whatever the arguments
        results = result if isinstance(result, (tuple, list)) else (result,)
        assert [(tuple(r.shape), r.dtype) for r in results] == list(answer)
        assert all(r.is_contiguous() for r in results)


def answer_of(target, args):
    try:
        return aten._RULES[target](*args)
    except REFUSALS:
        return None


def on(place, argument):
    if isinstance(argument, torch.Tensor):
        return argument.to(place)
    if isinstance(argument, list):
        return [on(place, item) for item in argument]
    return argument


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
@given(convolutions())
def test_convolution(args):
    compare("aten.convolution.default", args)


# -- norms, softmax and functions of one tensor ---------------------------------------------------


@checked
@given(st.data())
def test_batch_norm(data):
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
    compare("aten.native_batch_norm.default", args)


@checked
@given(st.data())
def test_layer_norm(data):
    x = data.draw(tensors(ranks=(1, 4)))
    axes = data.draw(st.integers(0, x.dim()))
    shape = list(x.shape[x.dim() - axes :])
    normalized = data.draw(around(st.just(shape), st.lists(st.integers(1, 3), max_size=2)))
    dtype = data.draw(around(st.just(x.dtype), st.sampled_from(FLOATS)))
    vectors = [
        data.draw(st.sampled_from([None, torch.zeros(tuple(normalized), dtype=dtype)]))
        for _ in range(2)
    ]
    compare("aten.native_layer_norm.default", [x, normalized, *vectors, 1e-5])


ELEMENTWISE = {
    **{f"aten.{name}.default": [] for name in ("relu", "hardswish", "hardsigmoid", "sigmoid")},
    **{f"aten.{name}.default": [] for name in ("tanh", "silu", "gelu")},
    "aten.hardtanh.default": [0.0, 6.0],
    "aten.leaky_relu.default": [0.01],
}


@checked
@given(x=tensors(ranks=(0, 5)), target=st.sampled_from(sorted(ELEMENTWISE)), extra=st.booleans())
def test_function_of_one_tensor(x, target, extra):
    compare(target, [x, *(ELEMENTWISE[target] if extra else [])])


@checked
@given(x=tensors(), dim=st.integers(-5, 4), half=st.booleans())
@pytest.mark.parametrize("name", ["_softmax", "_safe_softmax"])
def test_softmax(name, x, dim, half):
    args = [x, dim, half and x.dtype != torch.bfloat16] if name == "_softmax" else [x, dim]
    compare(f"aten.{name}.default", args)


# -- functions of several tensors ------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-2, 2), st.floats(-2, 2), st.booleans(), st.just(1j), st.just(complex(2, 1))
)


@settings(max_examples=250, deadline=None)
@given(st.data())
@example(None)
@pytest.mark.parametrize("name", ["add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor"])
def test_arithmetic_of_two_tensors(name, data):
    if data is None:
        compare(f"aten.{name}", [torch.zeros(3), 1j])
        return
    a = data.draw(tensors())
    shape = [data.draw(around(st.just(size), st.sampled_from([1, 2]))) for size in a.shape]
    shape = shape[data.draw(st.integers(0, len(shape))) :]
    shape = [data.draw(st.integers(1, 3))] * (data.draw(st.integers(0, 4)) == 0) + shape
    dtype = data.draw(around(st.just(a.dtype), dtypes))
    b = data.draw(st.one_of(tensors(shape, dtype), NUMBERS))
    pair = [b, a] if isinstance(b, torch.Tensor) and data.draw(st.booleans()) else [a, b]
    compare(f"aten.{name}", pair)


@checked
@given(x=tensors(), number=NUMBERS, target=st.sampled_from(["mul.Scalar", "pow.Tensor_Scalar"]))
def test_arithmetic_with_a_number(x, number, target):
    compare(f"aten.{target}", [x, number])


@checked
@given(st.data())
def test_concatenation(data):
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
    compare("aten.cat.default", [parts, dim])


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
@given(products(0))
def test_matrix_product(args):
    compare("aten.mm.default", args)


@checked
@given(products(1))
def test_matrix_product_of_batches(args):
    compare("aten.bmm.default", args)


@checked
@given(args=products(0), data=st.data())
def test_matrix_product_with_a_bias(args, data):
    columns = args[1].shape[-1] if args[1].dim() else 0
    rows = args[0].shape[0]
    shape = data.draw(around(st.just([columns]), st.sampled_from([[1], [], [rows, columns]])))
    dtype = data.draw(around(st.just(args[0].dtype), dtypes))
    compare("aten.addmm.default", [data.draw(tensors(shape, dtype)), *args])


# -- pooling, padding, reductions ------------------------------------------------------------------


@st.composite
def poolings(draw, axes):
    leading = draw(around(st.sampled_from([[2], [1, 2]]), st.sampled_from([[], [0, 2], [1] * 4])))
    sizes = draw(st.lists(around(st.integers(3, 7), st.integers(0, 2)), min_size=axes,
                          max_size=axes))
    x = draw(tensors(leading + sizes))
    return [
        x,
        draw(per_axis(axes, 1, 4, (0,))),
        draw(around(per_axis(axes, 1, 3, (0,)), st.just([]))),
        draw(per_axis(axes, 0, 2, (-1,))),
    ]  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(args=poolings(2), dilation=per_axis(2, 1, 2, (0,)), ceil=st.booleans())
def test_max_pooling(args, dilation, ceil):
    compare("aten.max_pool2d_with_indices.default", [*args, dilation, ceil])


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(), ceil=st.booleans(), include=st.booleans(),
    divisor=around(st.none(), st.sampled_from([0, 2, -3])),
)  # fmt: skip
@pytest.mark.parametrize("axes", [2, 3])
def test_average_pooling(axes, data, ceil, include, divisor):
    args = [*data.draw(poolings(axes)), ceil, include, divisor]
    compare(f"aten.avg_pool{axes}d.default", args)


@checked
@given(x=around(tensors(ranks=(3, 4)), tensors(ranks=(2, 5))), size=per_axis(2, 1, 5, (0, -1)))
def test_adaptive_average_pooling(x, size):
    compare("aten._adaptive_avg_pool2d.default", [x, size])


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
def test_constant_padding(x, pads):
    compare("aten.constant_pad_nd.default", [x, pads, 0.5])


@checked
@given(
    x=tensors(ranks=(1, 5)),
    dims=around(
        st.lists(st.integers(-2, 1), min_size=1, max_size=2),
        st.one_of(st.none(), st.lists(st.integers(-5, 4), max_size=3)),
    ),
    keepdim=st.booleans(),
)
def test_mean(x, dims, keepdim):
    compare("aten.mean.dim", [x, dims, keepdim])


# -- the table as a whole ---------------------------------------------------------------------------

ORDINARY = {
    "aten.convolution.default": [torch.zeros(1, 4, 8, 8), torch.zeros(6, 2, 3, 3), torch.zeros(6),
                                 [2, 1], [1, 0], [1, 2], False, [0, 0], 2],
    "aten.native_batch_norm.default": [torch.zeros(1, 4, 8, 8), *[torch.zeros(4)] * 4, False,
                                       0.1, 1e-5],
    "aten.native_layer_norm.default": [torch.zeros(2, 5, 4), [4], *[torch.zeros(4)] * 2, 1e-5],
    **{target: [torch.zeros(2, 3), *extra] for target, extra in ELEMENTWISE.items()},
    "aten._softmax.default": [torch.zeros(2, 3), -1, False],
    "aten._safe_softmax.default": [torch.zeros(2, 3), -1],
    **{f"aten.{name}.Tensor": [torch.zeros(2, 1, 3), torch.zeros(4, 1)]
       for name in ("add", "sub", "mul", "div")},
    "aten.mul.Scalar": [torch.zeros(2, 3), 0.5],
    "aten.rsub.Scalar": [torch.zeros(2, 3), 1],
    "aten.pow.Tensor_Scalar": [torch.zeros(2, 3), 2],
    "aten.cat.default": [[torch.zeros(2, 3), torch.zeros(2, 4)], 1],
    "aten.mm.default": [torch.zeros(2, 3), torch.zeros(3, 4)],
    "aten.bmm.default": [torch.zeros(5, 2, 3), torch.zeros(5, 3, 4)],
    "aten.addmm.default": [torch.zeros(4), torch.zeros(2, 3), torch.zeros(3, 4)],
    "aten.max_pool2d_with_indices.default": [torch.zeros(1, 2, 9, 9), [3, 3], [2, 2], [1, 1]],
    "aten.avg_pool2d.default": [torch.zeros(1, 2, 9, 9), [3, 3]],
    "aten.avg_pool3d.default": [torch.zeros(1, 2, 4, 4, 4), [2, 2, 2]],
    "aten.constant_pad_nd.default": [torch.zeros(1, 2, 4, 4), [1, 1, 0, 2], 0.0],
    "aten._adaptive_avg_pool2d.default": [torch.zeros(1, 2, 9, 9), [3, 2]],
    "aten.mean.dim": [torch.zeros(1, 2, 4, 4), [2, 3], True],
    "aten.sum.dim_IntList": [torch.zeros(1, 2, 4, 4), [2, 3]],
    "aten.amax.default": [torch.zeros(1, 2, 4, 4), [1], True],
    "aten.adaptive_max_pool2d.default": [torch.zeros(1, 2, 9, 9), [3, 2]],
}  # fmt: skip


@pytest.mark.parametrize("target", sorted(aten._RULES))
def test_every_rule_answers_ordinary_arguments_and_is_right(target):
    args = ORDINARY[target]
    assert answer_of(target, args) is not None
    compare(target, args)


@pytest.mark.parametrize("target", sorted(aten._RULES))
def test_every_rule_leaves_other_memory_formats_to_torch(target):
    first = ORDINARY[target][0]
    if isinstance(first, list) or target in ("aten.mm.default", "aten.bmm.default"):
        pytest.skip("a product is contiguous whatever its operands are; cat takes a list")
    if first.dim() == 1:
        pytest.skip("a vector has one memory format")
    strided = first.transpose(0, -1).contiguous().transpose(0, -1)
    assert strided.is_contiguous() or answer_of(target, [strided, *ORDINARY[target][1:]]) is None


@pytest.fixture
def torch_has_the_say(monkeypatch):
    """Take every rule away but that of batch norm, so that torch makes each shape."""
    kept = "aten.native_batch_norm.default"
    monkeypatch.setattr(aten, "_RULES", {kept: aten._RULES[kept]})
    aten.signature.cache_clear()
    yield
    aten.signature.cache_clear()


def network(name):
    if name in ("vgg16_bn", "resnet50", "mobilenet_v1", "alexnet"):
        with torch.device("meta"):
            return zoo.build(name), torch.empty(2, 3, 227, 227, device="meta")
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
    return encoder, torch.rand(2, 5, 16)


NETWORKS = ["alexnet", "vgg16_bn", "resnet50", "mobilenet_v1", "transformer"]
CAPTURED = {}


@pytest.mark.parametrize("name", NETWORKS)
def test_network_captured_with_rules(name):
    net, x = network(name)
    CAPTURED[name] = capture(net, x)
    assert CAPTURED[name].device == "meta"


@pytest.mark.parametrize("name", NETWORKS)
def test_network_has_the_graph_that_torch_alone_makes(name, torch_has_the_say):
    net, x = network(name)
    assert capture(net, x) == CAPTURED[name]
