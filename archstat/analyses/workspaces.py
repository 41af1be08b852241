"""Bytes that kernels of cpu take while they run, and that oneDNN keeps of a layer for backward.

The formulas were held against torch's allocator: flash attention's byte for byte, oneDNN's LSTM
(fp32, AVX-512) to within 1 kB. A cpu with other vectors has other blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Pass = Literal["inference", "forward", "backward"]

_PAGE, _LINE = 4096, 64
_LAYOUTS = 4664  # what stands in a scratchpad beside its numbers


def attention_workspace(query: Sequence[int], source: int, width: int, *, backward: bool) -> int:
    """Bytes that one thread of cpu's flash kernel takes for a block of scores.

    The block is up to 256 (64, 32 for less than 768, 192) of the l queries of (b, h, l, e) by 512
    of the `source` keys; backward holds its gradient too, forward a maximum, a sum and the output
    of each query. `width` is that of a number that accumulates.
    """
    length = query[-2]
    rows = min(length, 256 if length >= 768 else 64 if length >= 192 else 32)
    scores = rows * min(source, 512)
    return width * (2 * scores if backward else scores + rows * (2 + query[-1]))


def lstm_reserve(x: Sequence[int], hidden: int, width: int = 4) -> int:
    """Bytes that oneDNN keeps of one LSTM layer and direction until backward.

    For x (t, b, i) of `width` bytes a number: gates and states of each step; and the states and
    cells before and after the layer, with room for their gradients.
    """
    steps, batch, features = x
    rows, both = steps * batch, 2 * (steps + 1) * batch
    widest = max(features, hidden)
    steps_own = rows * _row(4 * hidden, width), rows * _row(hidden, width)
    states = both * _row(widest, width), both * hidden * width
    gradients = both * _row(widest, 4), both * _row(widest, 4), both * hidden * 4
    return _pages(*steps_own, *states, *gradients)


def lstm_scratch(x: Sequence[int], hidden: int, during: Pass, width: int = 4) -> int:
    """Bytes that oneDNN takes while one LSTM layer and direction runs.

    For x (t, b, i) of `width` bytes a number: weights in an order of its own, the sum of the
    biases, and a scratchpad.
    """
    steps, batch, features = x
    state, biases = batch * _row(hidden, width), 4 * hidden * width
    columns = features + hidden
    if during == "inference":  # of the gates only one step's, unless one sample runs alone
        weights = 4 * columns * -(-hidden // 32) * 32 * width
        both = 2 * (steps + 1) * batch
        gates = (steps if batch == 1 else 1) * batch * _row(4 * hidden, width)
        held = both * _row(max(features, hidden), width), both * hidden * width
        return weights + biases + _pages(*held, gates, state) + _LAYOUTS + 288
    merged = during == "backward" or batch < 128
    gates = (steps if merged else 1) * batch * _row(4 * hidden, width)
    taken = columns * _row(4 * hidden, width) + _pages(gates, state, state) + _LAYOUTS
    if during == "forward":
        return taken + biases
    padded = (_row(n, width) for n in (features, hidden) if _row(n, width) != n * width)
    return taken + 2 * biases + sum(4 * hidden * row for row in padded)


def _row(numbers: int, width: int) -> int:
    """Bytes of a row as oneDNN stores it: whole cache lines, and no multiple of 256 numbers."""
    row = -(-numbers * width // _LINE) * _LINE
    return row + _LINE if row % (256 * width) == 0 else row


def _pages(*sizes: int) -> int:
    return sum(-(-size // _PAGE) * _PAGE for size in sizes)
