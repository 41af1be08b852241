"""The peak of inference by module: the most bytes alive while it runs.

Weights and buffers of the whole model count, and so do activations that wait elsewhere (the input
of a shortcut, the maps of a dense block): it is the model's memory at its largest during the call.
Peaks do not add up; that of the root is the model's, and the module that holds it is where to save.
"""

from __future__ import annotations

from dataclasses import replace

from archstat.analyses.memory import live_bytes
from archstat.graph import Graph
from archstat.result import Analysis, Cell, Column, Report

COLUMNS = (
    Column("peak_memory_bytes", "bytes", "inference: the most bytes alive while the module runs, "
           "the whole model's weights among them", "lower", of="place"),
)  # fmt: skip


def module_peaks(graph: Graph) -> Analysis:
    """The peak of each module in bytes; of several calls, the largest."""
    live = live_bytes(graph)
    peaks: dict[str, int] = {}
    for call in graph.calls:
        # A call without ops holds what there is when it begins; the first entry is before any op.
        held = live[call.first + 1 : call.last + 1] or live[call.first : call.first + 1]
        peaks[call.module] = max(peaks.get(call.module, 0), *held)
    cells: dict[str, dict[str, Cell]] = {
        module: {"peak_memory_bytes": peak} for module, peak in peaks.items()
    }
    return Analysis(totals={}, at_module=cells)


def with_module_peaks(report: Report) -> Report:
    """The Report with the column of this analysis, which is run on request only."""
    others = tuple(column for column in report.columns if column.key != "peak_memory_bytes")
    return replace(
        report,
        columns=(*others, *COLUMNS),
        analyses=(*report.analyses, module_peaks(report.graph)),
    )
