"""The largest batch whose training step fits a budget, by few runs.

The peak is nearly affine in the batch, so that a line through two runs points at the answer, and so
does whoever foresees the peak by the runs that there are; the answer is verified: it fits, and one
sample more does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from archstat.errors import CaptureError, InputError, Option

# No budget of a machine that exists leaves room for more samples than this.
_MOST = 2**30
_SECANTS = 12


@dataclass(frozen=True, slots=True)
class Fit:
    """The largest batch (0: not even the smallest fits), its peak and that of one sample more.

    `smallest` is the smallest batch that runs, and `beyond` is None where no step runs there. Of a
    grid, it is of the `next` larger batch; None if there is none. It took so many `runs`.
    """

    batch: int
    peak: int
    beyond: int | None
    smallest: int
    next: int | None
    runs: int


def largest_batch(
    peak_of: Callable[[int], int],
    budget: int,
    foreseen: Callable[[int], Callable[[int], int] | None] = lambda low: None,
) -> Fit:
    """The largest batch with ``peak_of(batch) <= budget``; `peak_of` grows with the batch.

    `foreseen` gives what stands for `peak_of` beyond a batch that ran, where something can.

    Raises:
        CaptureError, InputError: what `peak_of` raises at a batch of one and of two.
        InputError: the peak does not depend on the batch.
    """
    runs: list[int] = []

    def run(batch: int) -> int:
        runs.append(batch)
        return peak_of(batch)

    smallest, first = _smallest(run)
    if first > budget:
        return Fit(0, first, first, smallest, smallest, len(runs))
    peaks = {smallest: first}
    low = _last(run, peaks, (smallest, None), budget, foreseen)
    return Fit(low, peaks[low], peaks.get(low + 1), smallest, low + 1, len(runs))


def _last(
    peak_of: Callable[[int], int],
    peaks: dict[int, int],
    ends: tuple[int, int | None],
    budget: int,
    foreseen: Callable[[int], Callable[[int], int] | None],
) -> int:
    """The last batch that fits, from one that does to before one that does not; adds to `peaks`."""
    low, high = ends
    fitted, moved = None, 0
    for run in range(200):
        if high is not None and high - low == 1:
            break
        cheap = foreseen(low) if 0 < run < _SECANTS else None
        if cheap is not None:
            batch = max(low + 1, _last(cheap, {**peaks}, (low, high), budget, lambda low: None))
        else:
            push = 2 ** max(0, moved - 2) if run < _SECANTS or high is None else high
            batch = _next(peaks, low, high, budget, push)
        found = _or_too_much(peak_of, batch)
        if found is not None:
            peaks[batch] = found
        fits = found is not None and found <= budget
        low, high = (batch, high) if fits else (low, batch)
        # Where the same end moves again and again, it goes beyond the line, twice as far each time.
        moved, fitted = (moved + 1 if fits is fitted else 0), fits
        if low >= _MOST:
            raise InputError(f"a batch of {low} still fits: give a smaller {Option('fits')}, or "
                             f"{Option('batch')} if the peak hardly grows with it.")  # fmt: skip
    return low


def largest_of(peak_of: Callable[[int], int], budget: int, grid: Iterable[int]) -> Fit:
    """The largest batch of a grid that fits; of n batches at most 2 + log2 n run.

    Raises:
        CaptureError, InputError: what `peak_of` raises at the smallest.
    """
    batches = sorted(set(grid))
    peaks: dict[int, int | None] = {}
    first = peaks[0] = peak_of(batches[0])
    if first > budget:
        return Fit(0, first, first, batches[0], batches[0], 1)
    low, high = 0, len(batches)
    while high - low > 1:
        middle = (low + high) // 2
        found = peaks[middle] = _or_too_much(peak_of, batches[middle])
        low, high = (middle, high) if found is not None and found <= budget else (low, middle)
    peak = peaks[low]
    assert peak is not None
    more = batches[high] if high < len(batches) else None
    return Fit(batches[low], peak, peaks.get(high), batches[0], more, len(peaks))


def _smallest(peak_of: Callable[[int], int]) -> tuple[int, int]:
    try:
        return 1, peak_of(1)
    except CaptureError:
        # Batch norm over single pixels needs two samples.
        return 2, peak_of(2)


def _or_too_much(peak_of: Callable[[int], int], batch: int) -> int | None:
    try:
        return peak_of(batch)
    except (CaptureError, InputError):
        return None  # more elements than a tensor can have


def _next(peaks: dict[int, int], low: int, high: int | None, budget: int, push: int) -> int:
    """The batch to try: where the line through the two nearest runs meets the budget.

    It is at least `push` from either end, or halfway between them.
    """
    known = sorted(peaks)
    place = known.index(low)
    other = known[place + 1] if place + 1 < len(known) else known[max(0, place - 1)]
    if other == low:
        return low + 1
    slope = (peaks[other] - peaks[low]) / (other - low)
    step = (budget - peaks[low]) / slope if slope > 0 else 64 * low
    guess = low + max(1, min(int(step), 1024 * low))
    if high is None:
        return min(max(guess, low + push), _MOST)
    if push > (high - low) // 2:
        return (low + high) // 2
    return min(max(guess, low + push), high - push)
