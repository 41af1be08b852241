"""Memory access: every formula against a count of the distinct tensors that an op touches."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archstat.analyses.accesses import alone
from archstat.analyses.memory_access import accesses, memory_access
from archstat.frontends.module import capture
from archstat.models.pipeline import analyze


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def moved(function, *tensors):
    """The accesses of a function of tensors that are not free."""
    graph = capture(Function(function), *(t.to("meta") for t in tensors))
    return [access for access in alone(graph) if access.state != "free"]


def touched(*tensors):
    """The elements of these tensors, each element of memory once."""
    seen = set()
    for tensor in tensors:
        places = torch.arange(tensor.untyped_storage().nbytes() // tensor.element_size())
        own = places.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())
        seen |= {(tensor.untyped_storage().data_ptr(), int(place)) for place in own.flatten()}
    return len(seen)


side = st.integers(1, 5)


# -- convolutions and linear layers ----------------------------------------------------------------


@given(h=st.integers(1, 60), w=st.integers(1, 60), c1=st.integers(1, 64), c2=st.integers(1, 64))
@settings(max_examples=40, deadline=None)
def test_pointwise_convolution_takes_the_papers_formula(h, w, c1, c2):
    (access,) = moved(F.conv2d, torch.empty(1, c1, h, w), torch.empty(c2, c1, 1, 1))
    assert access.elements == h * w * (c1 + c2) + c1 * c2
    assert access.nbytes == 4 * access.elements


@given(h=side, w=side, g=side, a=side, b=side, bias=st.booleans())
@settings(max_examples=40, deadline=None)
def test_grouped_pointwise_convolution_takes_its_weights_over_the_groups(h, w, g, a, b, bias):
    c1, c2 = g * a, g * b
    shift = [torch.empty(c2)] if bias else []

    def function(x, weight, *shift):
        return F.conv2d(x, weight, *shift, groups=g)

    (access,) = moved(function, torch.empty(1, c1, h, w), torch.empty(c2, a, 1, 1), *shift)
    assert access.elements == h * w * (c1 + c2) + c1 * c2 // g + (c2 if bias else 0)


TABLE_1 = [(128, 128, 819_200), (90, 180, 862_920), (52, 312, 1_157_728), (36, 432, 1_483_200)]


@pytest.mark.parametrize(("c1", "c2", "expected"), TABLE_1)
def test_convolutions_of_table_1_take_the_papers_access(c1, c2, expected):
    (access,) = moved(F.conv2d, torch.empty(1, c1, 56, 56), torch.empty(c2, c1, 1, 1))
    (back,) = moved(F.conv2d, torch.empty(1, c2, 56, 56), torch.empty(c1, c2, 1, 1))
    assert access.elements == back.elements == expected


@given(
    batch=side, before=side, after=side, size=st.integers(3, 9), kernel=st.integers(1, 3),
    stride=st.integers(1, 3), axes=st.integers(1, 3), transposed=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_convolution_touches_its_input_weight_and_output_once(
    batch, before, after, size, kernel, stride, axes, transposed
):
    x = torch.empty(batch, before, *[size] * axes)
    shape = (before, after) if transposed else (after, before)
    weight, bias = torch.empty(*shape, *[kernel] * axes), torch.empty(after)
    functions = [F.conv1d, F.conv2d, F.conv3d]
    if transposed:
        functions = [F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d]

    def function(*args):
        return functions[axes - 1](*args, stride)

    (access,) = moved(function, x, weight, bias)
    assert access.elements == touched(x, weight, bias, function(x, weight, bias))


@given(lead=st.lists(side, max_size=2), before=side, after=side, bias=st.booleans())
@settings(max_examples=40, deadline=None)
def test_linear_layer_touches_its_input_weight_and_output_once(lead, before, after, bias):
    x, weight = torch.empty(*lead, 1, before), torch.empty(after, before)
    shift = [torch.empty(after)] if bias else []
    (access,) = moved(F.linear, x, weight, *shift)
    assert access.elements == touched(x, weight, *shift, F.linear(x, weight, *shift))


# -- operands --------------------------------------------------------------------------------------

BINARY = [torch.add, torch.mul, torch.sub, torch.maximum, torch.div]


@given(st.sampled_from(BINARY), st.lists(side, min_size=1, max_size=3), st.data())
@settings(max_examples=60, deadline=None)
def test_element_wise_op_touches_its_operands_and_its_result(function, shape, data):
    other = [data.draw(st.sampled_from([1, size])) for size in shape]
    a, b = torch.empty(shape), torch.empty(other)
    (access,) = moved(function, a, b)
    assert access.elements == touched(a, b, function(a, b))


@given(st.lists(side, min_size=1, max_size=3))
@settings(max_examples=20, deadline=None)
def test_operand_named_twice_is_read_once(shape):
    x = torch.empty(shape)
    (access,) = moved(lambda x: x * x, x)
    assert access.elements == 2 * touched(x)


@given(rows=side, columns=side)
@settings(max_examples=20, deadline=None)
def test_two_views_of_one_tensor_hold_no_more_than_it_does(rows, columns):
    x = torch.empty(rows, columns)
    (access,) = moved(lambda x: torch.mm(x, x.t()), x)
    assert access.elements == touched(x) + rows * rows


@given(rows=side, times=side)
@settings(max_examples=20, deadline=None)
def test_expanded_tensor_is_read_where_it_lies(rows, times):
    x = torch.empty(rows, 1)
    (access,) = moved(lambda x: x.expand(rows, times).clone(), x)
    assert access.elements == rows + rows * times


@given(st.lists(side, min_size=2, max_size=4), st.data())
@settings(max_examples=60, deadline=None)
def test_copies_read_and_write_and_views_do_neither(shape, data):
    x = torch.empty(shape)
    copies = [torch.clone, lambda x: torch.cat([x, x * 1], 1), lambda x: torch.roll(x, 1, 0),
              lambda x: torch.flip(x, [0]), lambda x: torch.stack([x, x.abs()])]  # fmt: skip
    views = [
        lambda x: x.reshape(-1),
        lambda x: x.transpose(0, 1),
        lambda x: x[:, :1],
        lambda x: x.unsqueeze(0),
        lambda x: x.expand(2, *shape),
        lambda x: x.split(1, 0),
    ]
    assert moved(data.draw(st.sampled_from(views)), x) == []
    copy = data.draw(st.sampled_from(copies))
    assert moved(copy, x)[-1].elements == 2 * copy(x).numel()


def test_channel_shuffle_is_one_copy():
    def shuffle(x):
        return x.view(1, 3, 4, 5, 5).transpose(1, 2).reshape(1, 12, 5, 5)

    (access,) = moved(shuffle, torch.empty(1, 12, 5, 5))
    assert access.elements == 2 * 12 * 5 * 5


@given(st.lists(side, min_size=1, max_size=3))
@settings(max_examples=20, deadline=None)
def test_op_in_place_reads_and_writes(shape):
    x = torch.empty(shape)
    assert [a.elements for a in moved(lambda x: x.clone().relu_().add_(x), x)] == [
        2 * x.numel(), 2 * x.numel(), 3 * x.numel()
    ]  # fmt: skip


def test_what_is_overwritten_is_not_read_and_what_is_reserved_not_touched():
    x = torch.empty(4, 6)
    assert [a.elements for a in moved(lambda x: torch.empty_like(x).copy_(x), x)] == [48]
    assert [a.elements for a in moved(lambda x: x.new_empty(3).fill_(1.0), x)] == [3]


@given(words=side, width=side, tokens=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_embedding_reads_the_rows_looked_up_only(words, width, tokens):
    weight, ids = torch.empty(words, width), torch.zeros(tokens, dtype=torch.int64)
    (access,) = moved(F.embedding, ids, weight)
    rows = min(words, tokens)
    assert access.elements == rows * width + tokens + tokens * width
    assert access.nbytes == 4 * (rows * width + tokens * width) + 8 * tokens


def test_scatter_in_place_touches_what_the_source_brings():
    x, index, source = torch.empty(9, 9), torch.zeros(2, 9, dtype=torch.int64), torch.empty(2, 9)
    (_, plain) = moved(lambda x, i, s: x.clone().scatter_(0, i, s), x, index, source)
    (_, adding) = moved(lambda x, i, s: x.clone().scatter_add_(0, i, s), x, index, source)
    assert plain.elements == 18 + 18 + 18
    assert adding.elements == plain.elements + 18


def test_max_pooling_writes_its_indices_too():
    x = torch.empty(1, 4, 8, 8)
    (access,) = moved(lambda x: F.max_pool2d(x, 2), x)
    made = 4 * 4 * 4
    assert access.elements == 4 * 8 * 8 + 2 * made
    assert access.nbytes == 4 * (4 * 8 * 8 + made) + 8 * made


def test_bytes_follow_the_dtype():
    half = moved(torch.relu, torch.empty(8, dtype=torch.float16))
    double = moved(torch.relu, torch.empty(8, dtype=torch.float64))
    assert (half[0].nbytes, double[0].nbytes) == (2 * 16, 8 * 16)


# -- states and totals -----------------------------------------------------------------------------


def test_unknown_op_counts_with_its_tensors_and_makes_a_lower_bound(sketch):
    x = sketch.input(1, 4, 8, 8)
    out = sketch.op("other", "mylib.fancy.default", (x,), (1, 2, 8, 8))
    graph = sketch.graph(out)
    assert [(a.state, a.elements) for a in accesses(graph)] == [("unknown", 6 * 64)]
    assert memory_access(graph).lower_bounds == {"memory_access", "memory_access_bytes"}


def test_free_ops_say_why(sketch):
    x = sketch.input(1, 4, 8)
    sketch.values.append(sketch.values[x]._replace(shape=(4, 8), role="activation"))
    sketch.unary("reshape", "view", x)
    op = sketch.ops[0]._replace(outputs=(x + 1,))
    sketch.ops[0] = op
    (access,) = accesses(sketch.graph(x + 1))
    assert (access.state, access.elements, access.reason) == ("free", 0, "a view")


NETWORKS = ["shufflenet_v2_x0_5", "mobilenet_v2", "densenet121", "vit_b_16", "alexnet"]


@pytest.mark.parametrize("fusion", ["none", "inference"])
@pytest.mark.parametrize("name", NETWORKS)
def test_sums_by_module_and_kind_are_the_totals(name, fusion):
    report = analyze(name, fusion=fusion)
    for key in ("memory_access", "memory_access_bytes"):
        assert sum(report.layers.column(key)) == report.totals[key] > 0
        assert sum(kind.get(key, 0) for kind in report.by_kind.values()) == report.totals[key]


def test_intensity_is_flops_over_bytes():
    totals = analyze("alexnet").totals
    assert totals["arithmetic_intensity"] == totals["flops"] / totals["memory_access_bytes"]


def test_batch_reads_weights_once():
    one, four = (analyze("mobilenet_v2", batch=batch).totals["memory_access"] for batch in (1, 4))
    maps = (four - one) // 3
    assert four == one + 3 * maps
    assert one - maps > analyze("mobilenet_v2").totals["params"]
