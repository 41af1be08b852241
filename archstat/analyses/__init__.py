"""Analyses: Graph -> Analysis, with the standard library only."""

from __future__ import annotations

from collections.abc import Mapping

from archstat.analyses import depth, field, memory, memory_access, operations, parameters, tokens
from archstat.analyses.fusion import Fusion
from archstat.errors import ArchstatError
from archstat.graph import Graph, Op
from archstat.hints import shortened
from archstat.result import Analysis, Analyzer, Column, Note

ANALYSES: tuple[Analyzer, ...] = (
    parameters.ANALYZER,
    operations.ANALYZER,
    depth.ANALYZER,
    memory_access.ANALYZER,
    memory.ANALYZER,
    field.ANALYZER,
    tokens.ANALYZER,
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


def analyzed(analyzer: Analyzer, graph: Graph) -> Analysis:
    """What an analysis says of a Graph; where it fails, that its figures are unknown, and why.

    The other analyses' figures stay whole. Without a forward pass there are parameters alone.
    """
    if not graph.has_forward and analyzer is not parameters.ANALYZER:
        keys = frozenset(column.key for column in analyzer.columns)
        return Analysis(dict.fromkeys(keys), unknown=keys)
    try:
        return analyzer.run(graph)
    except ArchstatError:
        raise
    except Exception as error:
        op = _op_of(error)
        where = f" at {op.target} in {op.module or 'the model'} ({op.module_type})" if op else ""
        text = f"the analysis {analyzer.name} failed{where} ({shortened(error)})"
        keys = frozenset(column.key for column in analyzer.columns)
        finding = Note("failed", op.module if op else "", f"{text}: its figures are unknown.")
        return Analysis(dict.fromkeys(keys), unknown=keys, findings=(finding,))


def _op_of(error: Exception) -> Op | None:
    """The op that the innermost function of an analysis was at when an error was raised."""
    found, frame = None, error.__traceback__
    while frame is not None:
        held = frame.tb_frame.f_locals.get("op")
        found = held if isinstance(held, Op) else found
        frame = frame.tb_next
    return found
