"""Fully convolutional networks beside their originals: one pass against sliding over the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from archstat.analyses.memory_access import checked_fusion
from archstat.errors import CaptureError, InputError
from archstat.models.pipeline import analyze, graph_of_spec, report
from archstat.models.specs import Resolution
from archstat.result import Cell, Column, Note, Report, Table
from archstat.units import format_count, format_ratio, format_shape

SLIDING_COLUMNS = (
    Column("score_map", "pixels", "places that one pass scores, per axis"),
    Column("evaluations", "number", "places in all: runs of the original that one pass replaces"),
    Column("sliding_macs", "count", "macs of the original, run once at each of these places"),
    Column("sliding_ratio", "ratio", "macs of the one pass over sliding_macs", "lower"),
)


def fully_convolutional_reports(
    model: str, resolution: Resolution | None, batch: int | None, fusion: str = "none"
) -> tuple[Report, Report]:
    """The Report of a model at its native size, and of its fully convolutional form at another.

    Raises:
        SpecError: it does not end in dense layers behind a flatten or a global pooling.
        InputError: the resolution leaves nothing for its last convolutions; see also `analyze`.
    """
    from archstat.models.fully_convolutional import FullyConvolutional

    chosen = checked_fusion(fusion)
    native = analyze(model, None, batch, fusion=chosen)
    title = f"{model} (fully convolutional)"
    larger = replace(resolution, overrides=True) if resolution is not None else None
    change = FullyConvolutional(native.graph)
    try:
        graph = graph_of_spec(model, larger, batch, change, title)
    except (CaptureError, InputError) as error:
        if larger is None:
            raise
        sizes = format_shape(larger.sizes)
        raise InputError(
            f"{title} does not run at {sizes}, its native input being {native.input}: {error}"
        ) from error
    made = report(graph, title, chosen)
    findings = (*made.findings, *(Note("note", "", text) for text in _notes(native, made)))
    return native, replace(made, findings=findings)


def with_sliding(table: Table, groups: Sequence[Sequence[Report]]) -> Table:
    """The comparison with `SLIDING_COLUMNS` behind; originals have none of their figures."""
    cells: list[tuple[Cell, ...]] = []
    for native, made in groups:
        cells += [(None,) * len(SLIDING_COLUMNS), tuple(_figures(native, made))]
    rows = tuple((*row, *more) for row, more in zip(table.rows, cells, strict=True))
    return replace(table, columns=(*table.columns, *SLIDING_COLUMNS), rows=rows)


def _figures(native: Report, made: Report) -> Iterator[Cell]:
    places = _score_map(made)
    sliding = prod(places) * native.totals["macs"]
    yield places
    yield prod(places)
    yield sliding
    yield made.totals["macs"] / sliding if sliding else None


def _score_map(made: Report) -> tuple[int, ...]:
    return made.graph.values[made.graph.outputs[0]].shape[2:]


def _notes(native: Report, made: Report) -> Iterator[str]:
    _, count, sliding, ratio = _figures(native, made)
    assert isinstance(sliding, int) and isinstance(ratio, float)
    yield (
        f"{made.model}: a score map of {format_shape(_score_map(made))}, {count} "
        f"evaluation{'s'[: count != 1]} in one pass; as many runs at {native.input} take "
        f"{format_count(sliding)} macs, and the one pass {format_ratio(ratio)}. Each crop pads its "
        "own borders; the one pass pads only the input's."
    )
    if any(_is_gate(made, index) for index in range(len(made.graph.ops))):
        yield f"{made.model}: its gates see the whole input; those of a crop see only the crop."


def _is_gate(made: Report, index: int) -> bool:
    """Whether an op pools whole maps: the pooling of the last layers has become a window."""
    op = made.graph.ops[index]
    if not op.inputs or op.kind not in ("pool", "reduce"):
        return False
    before, after = (made.graph.values[v].shape for v in (op.inputs[0], op.outputs[0]))
    whole = op.name == "mean" or "adaptive" in op.name
    return whole and len(before) == 4 and prod(before[2:]) > 1 and prod(after[2:]) == 1
