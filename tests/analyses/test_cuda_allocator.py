"""Torch's caching allocator: hand-made sequences, and what holds for every sequence."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.analyses.cuda_allocator import (
    BLOCK,
    MIB,
    CudaAllocator,
    OutOfMemoryError,
    Reserved,
    reserved_for,
)

KIB = 1024
# Sizes on both sides of every limit of the rules.
SIZES = st.one_of(
    st.sampled_from([1, BLOCK, BLOCK + 1, MIB, MIB + 1, 2 * MIB, 10 * MIB - 1, 10 * MIB]),
    st.integers(1, 4 * MIB),
    st.integers(4 * MIB, 60 * MIB),
)


@st.composite
def sequences(draw):
    """Allocations, each freed later or never, in any order."""
    sizes = draw(st.lists(SIZES, min_size=1, max_size=40))
    events, alive = [], []
    for owner, size in enumerate(sizes):
        events.append((owner, size))
        alive.append((owner, size))
        for _ in range(draw(st.integers(0, 2))):
            if alive:
                freed, its = alive.pop(draw(st.integers(0, len(alive) - 1)))
                events.append((freed, -its))
    return events, alive


def played(allocator, events):
    for owner, size in events:
        if size > 0:
            allocator.allocate(owner, size)
        else:
            allocator.free(owner)
        yield


@given(sequences(), st.booleans())
def test_blocks_never_overlap_and_lie_in_what_is_reserved(sequence, expandable):
    allocator = CudaAllocator(expandable=expandable)
    wanted = {}
    for (owner, size), _ in zip(sequence[0], played(allocator, sequence[0]), strict=True):
        wanted[owner] = max(size, 0)
        held = allocator.held()
        assert all(a + n <= b for (a, n), (b, _) in pairwise(held))
        assert sum(wanted.values()) <= allocator.allocated == sum(n for _, n in held)
        assert allocator.allocated <= allocator.reserved
        assert all(n % BLOCK == 0 for _, n in held)


@given(sequences(), st.booleans(), st.randoms())
def test_nothing_is_held_after_all_was_freed_in_any_order(sequence, expandable, chance):
    events, alive = sequence
    allocator = CudaAllocator(expandable=expandable)
    list(played(allocator, events))
    chance.shuffle(alive)
    list(played(allocator, [(owner, -size) for owner, size in alive]))
    assert allocator.allocated == 0
    allocator.release_free_segments()
    assert allocator.reserved == 0


@given(sequences(), st.booleans())
def test_the_same_sequence_takes_the_same(sequence, expandable):
    runs = [reserved_for(sequence[0], expandable=expandable) for _ in range(2)]
    assert runs[0] == runs[1]
    assert 0 <= runs[0].fragmentation < 1


@given(sequences(), st.booleans())
def test_a_sequence_fits_what_it_reserves_without_a_limit(sequence, expandable):
    free = reserved_for(sequence[0], expandable=expandable)
    assert reserved_for(sequence[0], free.reserved_bytes, expandable=expandable) == free


@given(sequences())
def test_never_more_is_reserved_than_the_capacity(sequence):
    half = reserved_for(sequence[0]).reserved_bytes // 2
    allocator = CudaAllocator(half)
    try:
        for _ in played(allocator, sequence[0]):
            assert allocator.reserved <= half
    except OutOfMemoryError:
        assert allocator.reserved <= half


@pytest.mark.parametrize(
    ("size", "allocated", "reserved"),
    [
        (1, 512, 2 * MIB),
        (513, 1024, 2 * MIB),
        (MIB, MIB, 2 * MIB),
        (MIB + 1, MIB + 512, 20 * MIB),
        (10 * MIB - 512, 10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB, 10 * MIB),
        # What remains of 12 MiB is not more than 1 MiB, so that it stays in the block.
        (11 * MIB + 1, 12 * MIB, 12 * MIB),
        (10 * MIB + 1, 10 * MIB + 512, 12 * MIB),
        # cuBLAS's workspace, as torch.cuda.memory_snapshot() shows it: 8519680 of 20971520 bytes.
        (8519680, 8519680, 20971520),
    ],
)
def test_one_allocation_takes_a_segment_by_its_size(size, allocated, reserved):
    assert reserved_for([(0, size)]) == Reserved(allocated, reserved)


def test_small_tensors_share_a_segment():
    # As in a snapshot of torch: 40000 + 40 + 4000 + 40 bytes in one segment.
    events = list(enumerate([40000, 40, 4000, 40]))
    assert reserved_for(events) == Reserved(40448 + 512 + 4096 + 512, 2 * MIB)


def test_the_smallest_block_that_holds_it_is_taken():
    allocator = CudaAllocator()
    for owner, size in enumerate([40 * MIB, 30 * MIB, 50 * MIB]):
        allocator.allocate(owner, size)
    for owner in range(3):
        allocator.free(owner)
    assert allocator.allocate(3, 25 * MIB) == 40 * MIB  # in the second segment
    assert allocator.reserved == (40 + 30 + 50) * MIB


def test_freed_neighbours_serve_what_neither_could_alone():
    apart = [(0, 8 * MIB), (1, 8 * MIB), (2, 3 * MIB)]
    together = [*apart, (0, -8 * MIB), (1, -8 * MIB), (3, 16 * MIB)]
    # What remains of 4 MiB beside 3 is not more than 1 MiB: the block stays whole.
    assert reserved_for(together) == Reserved(20 * MIB, 20 * MIB)


def test_a_hole_between_tensors_is_of_no_use_to_a_larger_one():
    events = [(0, 8 * MIB), (1, 8 * MIB), (0, -8 * MIB), (2, 9 * MIB)]
    assert reserved_for(events) == Reserved(17 * MIB, 40 * MIB)
    assert reserved_for(events).fragmentation == pytest.approx(1 - 17 / 40)


def test_free_segments_are_given_back_before_it_fails():
    events = [(0, 30 * MIB), (0, -30 * MIB), (1, 40 * MIB)]
    assert reserved_for(events).reserved_bytes == 70 * MIB
    assert reserved_for(events, 40 * MIB).reserved_bytes == 40 * MIB
    with pytest.raises(OutOfMemoryError):
        reserved_for(events, 38 * MIB)


def test_a_segment_with_a_tensor_is_not_given_back():
    events = [(0, 8 * MIB), (1, 8 * MIB), (0, -8 * MIB), (2, 30 * MIB)]
    with pytest.raises(OutOfMemoryError):
        reserved_for(events, 40 * MIB)


def test_an_expandable_segment_grows_from_what_is_free_at_its_end():
    events = [(0, 30 * MIB), (0, -30 * MIB), (1, 50 * MIB)]
    assert reserved_for(events).reserved_bytes == 80 * MIB
    assert reserved_for(events, expandable=True).reserved_bytes == 60 * MIB
