"""Formulas against loops that take the definition one multiply-add at a time."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archstat.analyses.operations import operations
from archstat.frontends.module import capture

CONVS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE_POOLS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def count(function, *shapes):
    """Totals of a function of tensors with these shapes."""
    arguments = [torch.empty(shape, device="meta") for shape in shapes]
    analysis = operations(capture(Function(function), *arguments))
    assert analysis.totals["unknown_ops"] == 0
    return analysis.totals


def windows(size, kernel, stride, padding, dilation):
    """First positions of the windows that fit into a padded axis."""
    reach = dilation * (kernel - 1) + 1
    return list(range(-padding, size + padding - reach + 1, stride))


@st.composite
def axis(draw, transposed):
    """size, kernel, stride, padding, dilation and output padding of one axis."""
    kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    dilation, padding = draw(st.integers(1, 2)), draw(st.integers(0, 2))
    if transposed:
        size = draw(st.integers(1, 4))
        extra = draw(st.integers(0, max(stride, dilation) - 1))
        made = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1
        # Too much padding leaves no output.
        padding = padding if made >= 1 else 0
        return size, kernel, stride, padding, dilation, extra
    size = draw(st.integers(dilation * (kernel - 1) + 1, 7))
    return size, kernel, stride, padding, dilation, 0


@st.composite
def convolutions(draw):
    axes, transposed = draw(st.integers(1, 3)), draw(st.booleans())
    groups, batch = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    before, after = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    sizes = [draw(axis(transposed)) for _ in range(axes)]
    return transposed, batch, before, after, groups, sizes, draw(st.booleans())


def multiply_adds(transposed, batch, before, after, groups, sizes):
    """One for each input channel, output channel, tap and position that meet.

    A transposed convolution spreads each input position over the taps; what padding crops away
    was computed all the same. An ordinary one gathers the taps of each window, padding included.
    """
    found = 0
    for _ in range(batch):
        positions = [
            range(size) if transposed else windows(size, kernel, stride, padding, dilation)
            for size, kernel, stride, padding, dilation, _ in sizes
        ]
        taps = [range(kernel) for _, kernel, *_ in sizes]
        for _ in product(*positions):
            for _ in product(*taps):
                for group in range(groups):
                    mine = [c for c in range(before) if c * groups // before == group]
                    found += sum(1 for _ in product(mine, range(after // groups)))
    return found


@settings(max_examples=120, deadline=None)
@given(convolutions())
def test_convolution_takes_the_multiply_adds_of_its_loops(case):
    transposed, batch, before, after, groups, sizes, bias = case
    size, kernel, stride, padding, dilation, extra = (list(row) for row in zip(*sizes, strict=True))
    if transposed:
        weight = (before, after // groups, *kernel)

        def function(x, w, *b):
            return TRANSPOSED[len(size)](x, w, *b or (None,), stride, padding, extra, groups,
                                         dilation)  # fmt: skip
    else:
        weight = (after, before // groups, *kernel)

        def function(x, w, *b):
            return CONVS[len(size)](x, w, *b or (None,), stride, padding, dilation, groups)

    shapes = [(batch, before, *size), weight, *([(after,)] if bias else [])]
    found = count(function, *shapes)
    out = function(*(torch.empty(shape, device="meta") for shape in shapes)).numel()
    macs = multiply_adds(transposed, batch, before, after, groups, sizes)
    assert found["macs"] == macs
    assert found["flops"] == 2 * macs + (out if bias else 0)
    assert found["activations"] == out


@settings(max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.parametrize("layers", [MAX_POOLS, AVERAGE_POOLS], ids=["max", "average"])
def test_pooling_visits_its_window_at_each_position(layers, data):
    axes = data.draw(st.integers(1, 3))
    sizes = [data.draw(axis(transposed=False)) for _ in range(axes)]
    size, kernel, stride, padding, dilation, _ = (list(row) for row in zip(*sizes, strict=True))
    padding = [min(p, k // 2) for p, k in zip(padding, kernel, strict=True)]
    options = {"dilation": dilation} if layers is MAX_POOLS else {}
    dilation = dilation if layers is MAX_POOLS else [1] * axes
    if axes == 1:
        kernel1, stride1, padding1 = kernel[0], stride[0], padding[0]
        options = {key: value[0] for key, value in options.items()}
        layer = layers[1](kernel1, stride1, padding1, **options)
    else:
        layer = layers[axes](tuple(kernel), tuple(stride), tuple(padding), **options)
    visits = 0
    for _ in product(
        *(windows(*row) for row in zip(size, kernel, stride, padding, dilation, strict=True))
    ):
        visits += sum(1 for _ in product(*map(range, kernel)))
        visits -= layers is MAX_POOLS  # k^2 elements take k^2 - 1 comparisons
    assert count(layer, (2, 3, *size))["flops"] == 2 * 3 * visits


shapes = st.lists(st.integers(1, 3), max_size=2)
side = st.integers(1, 5)


@st.composite
def broadcasting(draw):
    """Leading axes of two operands that broadcast, and of their product."""
    whole = draw(shapes)
    pair = []
    for _ in range(2):
        kept = whole[draw(st.integers(0, len(whole))) :]
        pair.append([draw(st.sampled_from([1, size])) for size in kept])
    return (*pair, list(torch.broadcast_shapes(*pair)))


@settings(max_examples=80, deadline=None)
@given(broadcasting(), side, side, side)
def test_matrix_product_takes_one_multiply_add_for_each_row_column_and_inner_index(lead, m, k, n):
    first, second, result = lead
    expected = sum(1 for _ in product(*map(range, [*result, m, n, k])))
    found = count(torch.matmul, (*first, m, k), (*second, k, n))
    assert found["macs"] == expected
    assert found["activations"] == expected // k


@settings(max_examples=40, deadline=None)
@given(shapes, side, side, st.booleans())
def test_linear_layer_takes_one_multiply_add_for_each_position_weight(lead, before, after, bias):
    expected = sum(1 for _ in product(*map(range, [*lead, before, after])))
    found = count(F.linear, (*lead, before), (after, before), *([(after,)] if bias else []))
    out = expected // before
    assert found["macs"] == expected
    assert found["flops"] == 2 * expected + (out if bias else 0)


LETTERS = "abcd"
EINSUMS = st.tuples(
    st.lists(st.sampled_from(LETTERS), unique=True, min_size=1, max_size=3),
    st.lists(st.sampled_from(LETTERS), unique=True, min_size=1, max_size=3),
    st.sets(st.sampled_from(LETTERS)),
)


@settings(max_examples=80, deadline=None)
@given(EINSUMS, st.lists(side, min_size=4, max_size=4))
def test_einsum_that_contracts_takes_one_multiply_add_for_each_combination_of_indices(case, sizes):
    first, second, kept = case
    size = dict(zip(LETTERS, sizes, strict=True))
    both = set(first) & set(second)
    # An index of one operand alone that is not kept is summed before the product.
    kept = sorted((kept & (set(first) | set(second))) | ((set(first) | set(second)) - both))
    contracted = [letter for letter in both - set(kept) if size[letter] > 1]
    equation = f"{''.join(first)},{''.join(second)}->{''.join(kept)}"
    found = count(
        lambda a, b: torch.einsum(equation, a, b),
        [size[letter] for letter in first],
        [size[letter] for letter in second],
    )
    indices = sorted(set(first) | set(second))
    expected = sum(1 for _ in product(*(range(size[letter]) for letter in indices)))
    if contracted:
        assert found["macs"] == expected
    else:
        assert found["macs"] in (0, expected)


@settings(max_examples=40, deadline=None)
@given(
    batch=side, heads=side, queries=side, keys=side, width=st.integers(1, 4),
    values=st.integers(1, 4), causal=st.booleans(),
)  # fmt: skip
def test_attention_takes_two_products(batch, heads, queries, keys, width, values, causal):
    expected = 0
    for _ in product(range(batch), range(heads), range(queries), range(keys)):
        expected += width + values
    found = count(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
        (batch, heads, queries, width), (batch, heads, keys, width), (batch, heads, keys, values),
    )  # fmt: skip
    assert found["macs"] == expected


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 4), batch=side, before=side, hidden=side, layers=st.integers(1, 2),
    both_ways=st.booleans(), gates=st.sampled_from([(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)]),
)  # fmt: skip
def test_recurrent_layer_takes_its_gates_at_each_step(
    steps, batch, before, hidden, layers, both_ways, gates
):
    layer, number = gates
    ways, expected = 1 + both_ways, 0
    for _, _, depth, _, _ in product(
        range(steps), range(batch), range(layers), range(ways), range(number * hidden)
    ):
        expected += (before if depth == 0 else ways * hidden) + hidden
    with torch.device("meta"):
        net = layer(before, hidden, layers, bidirectional=both_ways)
    graph = capture(net, torch.empty(steps, batch, before, device="meta"))
    assert operations(graph).totals["macs"] == expected
