"""The search for the largest batch, on peaks that are functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat import zoo
from archstat.errors import CaptureError, InputError
from archstat.measure.training.largest_batch import largest_batch, largest_of
from archstat.measure.training.rows import memory_row
from archstat.measure.training.step import Settings


@given(
    fixed=st.integers(1, 10**9),
    each=st.integers(16, 10**7),  # a sample is a few numbers at least
    flat=st.integers(0, 10**9),
    budget=st.integers(1, 10**10),
)
def test_answer_fits_and_one_more_does_not(fixed, each, flat, budget):
    runs = []

    def peak(batch):
        runs.append(batch)
        # the optimizer's phase needs the same at any batch
        return max(fixed + each * batch, fixed + flat)

    fit = largest_batch(peak, budget)
    assert fit.runs == len(runs) <= 80
    if fit.batch == 0:
        assert peak(1) > budget
        return
    assert peak(fit.batch) == fit.peak <= budget
    assert peak(fit.batch + 1) == fit.beyond > budget


def test_affine_peak_needs_few_runs():
    runs = []
    fit = largest_batch(lambda batch: runs.append(batch) or 1000 + 7 * batch, 10**6)
    assert fit.batch == (10**6 - 1000) // 7
    assert len(runs) <= 5


def test_steps_that_are_foreseen_save_runs():
    runs = []

    def peak(batch):
        # segments of an allocator: far from affine
        return 2048 * (1 + 7 * batch // 2048)

    fit = largest_batch(lambda n: runs.append(n) or peak(n), 10**5, lambda low: peak)
    assert peak(fit.batch) <= 10**5 < peak(fit.batch + 1) == fit.beyond
    assert len(runs) <= 6


@given(batches=st.sets(st.integers(1, 4096), min_size=1), budget=st.integers(1, 40_000))
def test_largest_of_a_grid_is_found_by_few_runs(batches, budget):
    runs = []
    fit = largest_of(lambda n: runs.append(n) or 10 * n, budget, batches)
    assert fit.batch == max((n for n in batches if 10 * n <= budget), default=0)
    assert fit.next == min((n for n in batches if 10 * n > budget), default=None)
    assert fit.beyond == (None if fit.next is None else 10 * fit.next)
    assert len(runs) <= 2 + len(batches).bit_length()


def test_batch_norm_starts_at_two():
    def peak(batch):
        if batch == 1:
            raise CaptureError("expected more than 1 value per channel")
        return 10 * batch

    assert largest_batch(peak, 100).batch == 10
    nothing = largest_batch(peak, 5)
    assert (nothing.batch, nothing.smallest, nothing.peak) == (0, 2, 20)


def test_batch_that_no_tensor_can_have_does_not_fit():
    def peak(batch):
        if batch > 1000:
            raise InputError("larger than any tensor")
        return batch

    fit = largest_batch(peak, 10**9)
    assert (fit.batch, fit.beyond) == (1000, None)


def test_peak_that_does_not_grow_is_refused():
    with pytest.raises(InputError, match="hardly grows"):
        largest_batch(lambda batch: 100, 1000)


def runs_of(name, kernels, size):
    found = memory_row(name, Settings(kernels=kernels), budget=size)
    assert found.fit.batch == 0 or found.fit.peak <= size < found.fit.beyond
    return found.fit.runs


@pytest.mark.parametrize("name", ["lenet_caffe", "alexnet", "nin_cifar10", "squeezenet1_1"])
def test_four_steps_find_the_batch_where_operations_do_not_depend_on_it(name):
    assert runs_of(name, "cpu", 24 * 2**30) == 4
    assert 4 <= runs_of(name, "cuda", 8 * 2**30) <= 8


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["cpu", "cuda"])
@pytest.mark.parametrize("name", sorted(zoo.catalogue())[::6])
def test_at_most_eight_steps_find_the_batch_of_a_network(name, kernels):
    sizes = (8 * 2**30, 24 * 2**30, 80 * 2**30)
    assert max(runs_of(name, kernels, size) for size in sizes) <= 8
