"""Relations along one axis beside a direct enumeration of what each op reads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional

from archstat.analyses.field import relations
from archstat.analyses.field.relations import IDENTITY, Relation
from archstat.analyses.field.rows import bits, read_by

SIZES = st.integers(1, 12)


def read(relation: Relation, index: int, size: int) -> tuple[int, ...]:
    """The input indices that one output index reads, inside the input."""
    return tuple(bits(read_by(relation, 1 << index, size)[0]))


@given(st.integers(1, 5), st.integers(1, 4), st.integers(-3, 4), st.integers(1, 3),
       st.integers(0, 9), SIZES)  # fmt: skip
def test_window_reads_its_taps(kernel, stride, padding, dilation, index, size):
    relation = relations.window(kernel, stride, padding, dilation)
    assume(relation is not IDENTITY or index < size)
    taps = [index * stride - padding + tap * dilation for tap in range(kernel)]
    assert read(relation, index, size) == tuple(i for i in taps if 0 <= i < size)
    if relation is not IDENTITY:
        outside = any(not 0 <= i < size for i in taps)
        assert read_by(relation, 1 << index, size)[1] == outside


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3),
       st.integers(0, 14), SIZES)  # fmt: skip
def test_transposed_window_reads_the_inputs_that_reach_it(
    kernel, stride, padding, dilation, index, size
):
    relation = relations.transposed(kernel, stride, padding, dilation)
    reaching = [
        i
        for i in range(size)
        if any(i * stride - padding + tap * dilation == index for tap in range(kernel))
    ]
    assert read(relation, index, size) == tuple(reaching)


@given(st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_nearest_resizing_reads_what_torch_reads(size, out, centred):
    mode = "nearest-exact" if centred else "nearest"
    picked = functional.interpolate(torch.arange(float(size))[None, None], size=out, mode=mode)
    relation = relations.nearest(size, out, None, centred)
    indices = [read(relation, o, size) for o in range(out)]
    assert indices == [(int(i),) for i in picked.flatten().tolist()]


@given(st.integers(1, 20), st.integers(1, 30), st.booleans(), st.sampled_from(["linear"]))
def test_linear_resizing_reads_what_torch_weighs(size, out, corners, mode):
    x = torch.arange(size, dtype=torch.float64)
    relation = relations.interpolated(size, out, None, corners)
    for index in range(size):
        one = (x == index).double()[None, None]
        weights = functional.interpolate(one, size=out, mode=mode, align_corners=corners)[0, 0]
        for o in range(out):
            if weights[o] > 1e-6:
                assert index in read(relation, o, size)


@given(SIZES, SIZES)
def test_adaptive_pooling_reads_what_torch_averages(size, out):
    relation = relations.adaptive(size, out)
    ones = torch.eye(size)[None]
    weights = functional.adaptive_avg_pool1d(ones, out)[0]
    for o in range(out):
        assert read(relation, o, size) == tuple(torch.nonzero(weights[:, o]).flatten().tolist())


@given(st.integers(2, 9), st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_bordered_padding_reads_what_torch_repeats(size, before, after, reflects):
    mode = "reflection" if reflects else "replication"
    before, after = min(before, size - 1), min(after, size - 1)
    name = {"reflection": "reflect", "replication": "replicate"}[mode]
    padded = functional.pad(torch.arange(float(size))[None, None], (before, after), mode=name)
    relation = relations.bordered(size, before, after, mode)
    found = [read(relation, o, size) for o in range(size + before + after)]
    assert found == [(int(i),) for i in padded.flatten().tolist()]


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        (relations.flipped(4), [3, 2, 1, 0]),
        (relations.rolled(4, 1), [3, 0, 1, 2]),
        (relations.rolled(4, -1), [1, 2, 3, 0]),
        (relations.tiled(2, 2), [0, 1, 0, 1]),
        (relations.repeated(2), [0, 0, 1, 1]),
        (relations.sliced(1, 2), [1, 3]),
    ],
)
def test_moves_read_one_index_each(relation, expected):
    assert [read(relation, o, 4) for o in range(len(expected))] == [(i,) for i in expected]


def test_dilated_window_on_a_border_reads_only_what_is_inside():
    # taps -3, -1 and 1
    assert read(relations.window(3, 1, 3, 2), 0, 8) == (1,)
