"""Analyses: Graph -> Analysis, with the standard library only."""

from __future__ import annotations

from collections.abc import Mapping

from archstat.analyses import depth, field, memory, memory_access, operations, parameters
from archstat.analyses.fusion import Fusion
from archstat.result import Analyzer, Column

ANALYSES: tuple[Analyzer, ...] = (
    parameters.ANALYZER,
    operations.ANALYZER,
    depth.ANALYZER,
    memory_access.ANALYZER,
    memory.ANALYZER,
    field.ANALYZER,
)

QUOTIENTS: tuple[Column, ...] = (
    Column("arithmetic_intensity", "number", "flops for each byte read or written", "higher",
           of="place", quotient=("flops", "memory_access_bytes")),
)  # fmt: skip
COLUMNS: tuple[Column, ...] = (*(column for a in ANALYSES for column in a.columns), *QUOTIENTS)

# What the counts of a model go by.
CONVENTION: Mapping[str, str] = {
    "macs": "multiply-accumulates of conv, linear, matmul and attention, without bias",
    "flops": "2 x macs, plus bias, norm, activation, pooling and element-wise operations",
    "mode": "inference, per batch as given",
}


def analyses_with(fusion: Fusion) -> tuple[Analyzer, ...]:
    """`ANALYSES`, memory access counted under a fusion."""
    chosen = memory_access.analyzer(fusion)
    return tuple(chosen if known is memory_access.ANALYZER else known for known in ANALYSES)
