"""Analyses: Graph -> Analysis, with the standard library only."""

from __future__ import annotations

from archstat.analyses import depth, operations, parameters, receptive_field
from archstat.result import Analyzer, Column

ANALYSES: tuple[Analyzer, ...] = (
    parameters.ANALYZER,
    operations.ANALYZER,
    depth.ANALYZER,
    receptive_field.ANALYZER,
)

COLUMNS: tuple[Column, ...] = tuple(column for a in ANALYSES for column in a.columns)
