"""Memory access cost: the elements and bytes that every op reads and writes.

Each op reads its inputs and weights once and writes its outputs once, as if caches were large
enough and forgot everything between two ops (the "MAC" of ShuffleNet V2, arXiv:1807.11164). A 1x1
convolution of c1 into c2 channels in g groups on h x w positions takes h w (c1 + c2) + c1 c2 / g
elements, and c2 more where it has a bias (the paper leaves biases out).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast, get_args

from archstat.analyses.accesses import Access, alone
from archstat.analyses.fusion import Fusion, fused
from archstat.errors import SpecError
from archstat.graph import Graph
from archstat.hints import did_you_mean
from archstat.result import Analysis, Analyzer, Column

COLUMNS = (
    Column("memory_access", "count", "elements that all ops read and write", "lower"),
    Column("memory_access_bytes", "bytes", "bytes that all ops read and write", "lower"),
)
FUSIONS: Mapping[str, str] = {
    "none": "each op by itself reads its inputs and weights and writes its outputs, views are "
    "free (fusion none)",
    "inference": "batch norm folded, activations and element-wise ops merged into their producer, "
    "shuffle and split into the concat before them (fusion inference)",
}


def memory_access(graph: Graph, fusion: Fusion = "none") -> Analysis:
    """The elements and bytes that every op of a Graph reads and writes.

    An unknown op counts with the tensors it names, and makes the totals lower bounds.
    """
    found = accesses(graph, fusion)
    elements, nbytes = [a.elements for a in found], [a.nbytes for a in found]
    bounds = COLUMNS if any(a.state == "unknown" for a in found) else ()
    return Analysis(
        totals={"memory_access": sum(elements), "memory_access_bytes": sum(nbytes)},
        per_op={"memory_access": elements, "memory_access_bytes": nbytes},
        lower_bounds=frozenset(column.key for column in bounds),
        conventions={"memory_access": FUSIONS[fusion]},
    )


def accesses(graph: Graph, fusion: Fusion = "none") -> list[Access]:
    """What each op moves by itself or, with `fusion`, after it was merged into its producer."""
    separate = alone(graph)
    return separate if fusion == "none" else fused(graph, separate).accesses


def checked_fusion(name: str) -> Fusion:
    """The fusion of a name.

    Raises:
        SpecError: no such fusion.
    """
    for known in get_args(Fusion):
        if known == name.lower():
            return cast(Fusion, known)
    hint = did_you_mean(name, FUSIONS)
    raise SpecError(f"There is no fusion {name!r}.{hint} Known: {', '.join(FUSIONS)}.")


def analyzer(fusion: Fusion) -> Analyzer:
    """The analysis of memory access under a fusion."""
    return Analyzer("memory_access", COLUMNS, partial(memory_access, fusion=fusion))


ANALYZER = analyzer("none")
