"""Boards of the table, and a board of one's own from measurements."""

from __future__ import annotations

import pytest

from archstat.analyses.boards import BOARD, boards, like
from archstat.analyses.kernels import KINDS, Kernel
from archstat.analyses.prediction import Measured, times

MIXES = (
    {Kernel("conv_3x3", 10**9, 10**6, 10**5): 10},
    {
        Kernel("conv_depthwise", 10**6, 10**6, 10**3): 30,
        Kernel("conv_1x1", 10**8, 10**6, 10**5): 30,
    },
    {Kernel("concat", 0, 10**5, 0): 100, Kernel("conv_1x1", 10**6, 10**5, 10**4): 100},
)


def measured(fit, factor=1.0):
    return [Measured(mix, 1, factor * sum(times(mix, fit, 1).values())) for mix in MIXES]


def test_every_board_has_rates_for_all_kinds():
    typical, known = boards()
    assert typical.device == BOARD
    assert len({board.name for board in known}) == 60
    for board in known:
        assert set(board.fit.rates) == {*KINDS}
        assert board.threads >= 1
        assert min(min(rate) for rate in board.fit.rates.values()) > 0


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_board_of_the_table_is_known_again_at_any_speed(factor):
    board = boards()[1][18]
    rows = measured(board.fit, factor)
    found = like(rows)
    assert board.name in found.basis
    for row in rows:
        assert sum(times(row.kernels, found, 1).values()) == pytest.approx(row.seconds, rel=0.1)


def test_interval_is_that_of_boards_left_out():
    typical, known = boards()
    assert like(measured(known[0].fit)).interval == typical.calibrated
    assert typical.calibrated.low < 1 < typical.calibrated.high
