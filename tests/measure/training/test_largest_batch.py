"""The search for the largest batch, on peaks that are functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.errors import CaptureError, InputError
from archstat.measure.training.largest_batch import largest_batch


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
    assert len(runs) <= 80
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
