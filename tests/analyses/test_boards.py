"""Boards of the table, and a board of one's own from measurements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archstat.analyses.boards import BOARD, boards, like
from archstat.analyses.kernels import KINDS, Kernel, kernels
from archstat.analyses.prediction import Measured, predict, times, work_of
from archstat.models.pipeline import graph_of_spec

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


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_board_of_the_table_is_known_again_at_about_its_speed(factor):
    board = boards()[1][18]
    rows = measured(board.fit, factor)
    found = like(rows)
    assert board.name in found.basis
    for row in rows:
        assert sum(times(row.kernels, found, 1).values()) == pytest.approx(row.seconds, rel=0.1)


def test_interval_is_that_of_boards_left_out():
    typical, known = boards()
    assert like(measured(known[0].fit)).interval == typical.unseen
    assert typical.unseen.low < typical.calibrated.low < 1
    assert typical.unseen.high > typical.calibrated.high > 1


def test_network_of_the_table_takes_what_boards_took_for_it():
    alexnet = kernels(graph_of_spec("alexnet", "3x227x227"), "ncnn", "fp32")
    typical, known = boards()
    fit = like(measured(known[0].fit))
    assert predict(alexnet, fit).seconds == pytest.approx(fit.measured[work_of(alexnet)])
    assert predict(alexnet, replace(fit, measured={})).seconds != predict(alexnet, fit).seconds
    resnet = kernels(graph_of_spec("resnet50"), "ncnn", "fp32")
    assert predict(resnet, known[0].fit).interval == typical.calibrated
    assert predict(resnet, replace(known[0].fit, measured={})).interval == typical.interval


def test_board_as_fast_as_ones_own_weighs_more():
    board = boards()[1][18]
    same, slower = (like(measured(board.fit, factor)) for factor in (1.0, 8.0))
    assert board.name in same.basis
    assert board.name not in slower.basis


@pytest.mark.parametrize("spec", ["resnet50", "shufflenet_v2_x1_0", "mobilenet_v2", "vgg16"])
def test_networks_of_the_zoo_are_known_again(spec):
    found = kernels(graph_of_spec(spec), "ncnn", "fp32")
    assert work_of(found) in boards()[1][0].fit.measured
