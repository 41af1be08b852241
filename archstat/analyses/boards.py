"""Boards that run ncnn: what each does, and which of them one's own is like."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from math import exp
from statistics import mean
from typing import NamedTuple

from archstat.analyses.kernels import KINDS
from archstat.analyses.prediction import (
    Fit,
    Measured,
    Rate,
    Work,
    errors,
    fit_of_entry,
    for_rows,
    mean_of,
    slowed,
)

BOARD = "board"
"""The name of a device that is known by measurements alone."""
WAYS: Mapping[str, Sequence[str]] = {
    "conv_3x3": ("conv_3x3",),
    "conv": ("conv",),
    "conv_1x1": ("conv_1x1",),
    "conv_depthwise": ("conv_depthwise", "conv_depthwise_large"),
    "conv_grouped": ("conv_grouped",),
    "linear": ("linear", "matmul", "attention"),
}
"""The kinds of kernel in whose rates boards differ together; all share one bandwidth."""
# Measurements of networks scatter so much about what a board of the table would need. A board as
# fast as one's own is more likely like it: a factor of e between them counts as one measurement
# that is off by `SPEED`. The least weight keeps the mean of all where no board is like one's own.
SCATTER, SPEED, LEAST_WEIGHT = 0.1, 0.1, 1e-4
_NAMED = 3


class Board(NamedTuple):
    """A board with so many threads, and its rates."""

    name: str
    threads: int
    fit: Fit


@cache
def boards() -> tuple[Fit, tuple[Board, ...]]:
    """The typical board, and all boards of the table."""
    text = resources.files("archstat.analyses").joinpath("boards.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    typical = fit_of_entry(document["typical"], document["sources"])
    keys, networks = document["columns"], [Work(*work) for work in document["networks"].values()]
    return typical, tuple(
        Board(name, threads, replace(_differing(typical, dict(zip(keys, ratios, strict=True))),
                                     measured=dict(zip(networks, seconds, strict=True))))
        for name, threads, ratios, seconds in document["boards"]
    )  # fmt: skip


def _differing(typical: Fit, ratios: Mapping[str, float]) -> Fit:
    """The typical board with rates so many times as high."""
    faster = {kind: ratios[way] for way, kinds in WAYS.items() for kind in kinds}
    rates = {
        kind: Rate(typical.rates[kind].macs * faster.get(kind, 1.0),
                   typical.rates[kind].nbytes * ratios["bytes"]
                   * (ratios["activation"] if kind == "activation" else 1.0))
        for kind in KINDS
    }  # fmt: skip
    return replace(typical, rates=rates, launch=typical.launch / ratios["launch"])


def like(rows: Sequence[Measured]) -> Fit:
    """The rates of a board from measurements of networks on it.

    A board of the table weighs the more, the better its times agree with the measurements up to
    one factor, and the nearer that factor is to 1. Its times are those measured, of networks of the
    table, and what its rates say of all others.
    """
    typical, known = boards()
    found = []
    for board in known:
        off = errors(board.fit, rows)
        middle = mean(off)
        apart = sum((one - middle) ** 2 for one in off) + (SPEED * middle) ** 2
        weight = exp(-apart / SCATTER**2 / 2) + LEAST_WEIGHT
        found.append((weight, slowed(board.fit, exp(middle)), board))
    total = sum(weight for weight, *_ in found)
    nearest = sorted(found, key=lambda one: -one[0])[:_NAMED]
    names = ", ".join(dict.fromkeys(board.name for *_, board in nearest))
    adapted = replace(
        mean_of([(fit, weight / total) for weight, fit, _ in found]),
        basis=f"boards weighted by their likeness to your {len(rows)} measurements, above all "
        f"{names}; {typical.basis}",
        interval=typical.unseen,
        assurance="the interval comes from boards held out of the table, with three measured "
        "networks each",
    )  # fmt: skip
    return for_rows(adapted, rows)
