"""What measuring on a real module needs: the module itself, and its inputs."""

from __future__ import annotations

import torch
from torch import nn

from archstat.analyses.field import Fields, receptive_field
from archstat.analyses.field.layouts import LOST, Layout
from archstat.analyses.field.rows import FieldRow
from archstat.analyses.field.steps import row_label
from archstat.errors import CaptureError, InputError, Option
from archstat.frontends.probing import probe
from archstat.hints import shortened
from archstat.models.real import given_tensors, ordinary


def refuse_unknown(fields: Fields, row: FieldRow) -> None:
    """Raise where there is nothing to hold a measurement against, or nothing to measure with.

    Raises:
        InputError: the field of the row is unknown, or the input holds whole numbers.
    """
    if not row.known:
        raise InputError(
            f"The field of {row_label(row)} is unknown, since an operation before it has no rule; "
            f"measure an earlier layer: give it with {Option('at')}."
        )
    if not fields.graph.values[fields.root].dtype.startswith(("float", "bfloat")):
        raise InputError(
            f"{fields.graph.name}: the field is measured with NaNs and gradients, and its input "
            f"{fields.graph.input_text} holds whole numbers."
        )


def positions_on(layout: Layout, axis: int, shape: torch.Size) -> torch.Tensor:
    """The position on one axis of every element of a value."""
    positions = torch.zeros(shape, dtype=torch.long)
    for dim, digits in enumerate(layout):
        index, inner = torch.arange(shape[dim]), 1
        part = torch.zeros_like(index)
        for owner, multiplier, size in reversed(digits or ()):
            if owner in (axis, LOST):
                part += index // inner % size * (multiplier if owner == axis else 1)
            inner *= size
        positions += part.view([-1 if other == dim else 1 for other in range(len(shape))])
    return positions


def as_it_runs(root: nn.Module, fields: Fields, row: FieldRow) -> tuple[Fields, FieldRow]:
    """The fields and row of the ops that a run on cpu makes, where these are not the same.

    Attention, and little else, arrives as other ops on cpu than on the meta device.

    Raises:
        CaptureError: forward raised on cpu.
    """
    given = given_tensors(fields.graph, root, ordinary(root))
    try:
        ran = probe(root, *given, {}, {})
    except Exception as error:
        raise CaptureError(
            f"{fields.graph.name} does not run on cpu: {shortened(error)}"
        ) from error
    before = slice(0, (row.op or 0) + 1)
    counted, made = fields.graph.ops[before], ran.ops[before]
    if [op.target for op in counted] == [op.target for op in made]:
        return fields, row
    theirs = receptive_field(ran)
    places = zip(_told(fields), _told(theirs), strict=False)
    found = next((theirs.of_value(value) for mine, value in places if mine == row.value), None)
    if found is None:
        raise CaptureError(
            f"{fields.graph.name}: {row.module or row.name} runs other operations on cpu than "
            "were counted; measure another layer."
        )
    return theirs, found


def _told(fields: Fields) -> list[int]:
    """The values that a Graph tells of whatever the ops: the final one, outputs, calls' outputs."""
    graph = fields.graph
    return [fields.final.value, *graph.outputs, *(v for c in graph.calls for v in c.outputs)]
