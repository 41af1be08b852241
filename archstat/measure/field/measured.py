"""The measured receptive field: NaNs in a real module, against the intervals of the theory.

One row, column or plane of the input is NaN, over all channels; where a value is NaN, it sees
that index. A NaN passes every convolution (also where a weight is zero), normalisation, pooling
and the activations, so neither a weight's sign nor a saturated ReLU6 hides anything. What it does
not pass is a comparison (`argmax`, `x > 0` as a mask): behind one of those too little is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch import nn

from archstat.analyses.field import Fields
from archstat.analyses.field.rows import FieldRow, Interval
from archstat.frontends.exported.program import ProgramModule
from archstat.graph import Graph
from archstat.measure.field.poisoning import Poisoning, Watch, ignored
from archstat.measure.field.real_runs import as_it_runs, refuse_unknown
from archstat.models.real import real_module

Seen = tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A position of one axis that sees other input indices than it should; None sees nothing."""

    axis: int
    position: int
    gates: bool
    expected: Interval | None
    measured: Interval | None

    def __str__(self) -> str:
        what = "with gates" if self.gates else "gates cut"
        return (
            f"axis {self.axis}, position {self.position} ({what}): sees "
            f"{_text(self.measured)}, expected {_text(self.expected)}"
        )


@dataclass(frozen=True, slots=True)
class FieldCheck:
    """A measurement beside the theory, one entry an axis in `positions`, `exact` and `seen`.

    `exact` counts the positions whose interval is the expected one to the pixel; the others lie
    within it and read padding. `seen` holds the input indices that each position sees with the
    gates cut, holes left out; where `gates` were cut, `seen_through_gates` is with them.
    """

    model: str
    at: str
    sizes: tuple[int, ...]
    positions: tuple[int, ...]
    exact: tuple[int, ...]
    gates: tuple[str, ...]
    disagreements: tuple[Disagreement, ...]
    seen: tuple[Seen, ...]
    seen_through_gates: tuple[Seen, ...]

    @property
    def agrees(self) -> bool:
        """Whether every position sees what it should."""
        return not self.disagreements

    def lines(self) -> list[str]:
        """The verdict in sentences, the first disagreements after it."""
        count, exact = sum(self.positions), sum(self.exact)
        verdict = "agrees with" if self.agrees else "DIFFERS from"
        lines = [
            f"{self.model}: the field measured at {self.at} {verdict} the theory; {exact} of "
            f"{count} intervals are exactly the expected ones."
        ]
        if self.gates:
            names = ", ".join(self.gates[:3]) + (", ..." if len(self.gates) > 3 else "")
            lines.append(f"Measured with {len(self.gates)} gates cut ({names}), and with them.")
        return [*lines, *map(str, self.disagreements[:5])]


def measured_field(
    model: nn.Module | str, fields: Fields, row: FieldRow | None = None, watch: Watch = ignored
) -> FieldCheck:
    """What one value sees on the real module, on cpu, compared with what `fields` says.

    Args:
        model: the module, which is left untouched, or the spec that it is built from.
        fields: the receptive fields of its Graph, whose input shapes are used.
        row: the value to watch; by default the final one of the fields.
        watch: is told which share is done.

    Raises:
        BuildError: the spec does not build for real.
        CaptureError: forward raised on cpu, or gives NaN for an ordinary input.
    """
    row = row or fields.final
    refuse_unknown(fields, row)
    root = real_module(model)
    if isinstance(root, ProgramModule):
        root.fixed_batch = False  # entries of a batch are looked at for whether they run apart
    theirs, watched = as_it_runs(root, fields, row)
    poisoning = Poisoning(root, theirs, watched)
    found: list[Disagreement] = []
    positions, exact = [0] * fields.axes, [0] * fields.axes
    local: list[Seen] = []
    through: list[Seen] = []
    names: dict[str, None] = {}
    for axis in range(fields.axes):
        cuts = gates_of(theirs, axis)
        names.update(dict.fromkeys(_named(theirs.graph, op) for op in cuts))
        passes = (False, True) if cuts else (False,)
        for number, gates in enumerate(passes):
            before, parts = axis * len(passes) + number, fields.axes * len(passes)
            reached = poisoning.seen(
                axis, {} if gates else cuts, partial(_of_all, watch, before, parts)
            )
            seen = _along(row, axis, reached, poisoning.each)
            (through if gates else local).append(seen)
            wrong, same = _compared(row, axis, seen, gates)
            if poisoning.each and not row.joined:
                wrong += _each_compared(row, axis, reached, gates, {d.position for d in wrong})
            found += wrong
            positions[axis] += len(seen)
            exact[axis] += same
    title = model if isinstance(model, str) else fields.graph.name
    return FieldCheck(title, row.module or row.name, fields.input_sizes, tuple(positions),
                      tuple(exact), tuple(names), tuple(found), tuple(local),
                      tuple(through))  # fmt: skip


def _of_all(watch: Watch, before: int, parts: int, share: float) -> None:
    watch((before + share) / parts)


def _named(graph: Graph, op: int) -> str:
    return graph.ops[op].module or graph.ops[op].name


def gates_of(fields: Fields, axis: int) -> dict[int, int]:
    """The products that only scale along an axis: op index to the place of the gate's operand.

    A gate sees everything on the axis, and what it multiplies does not.
    """
    cuts: dict[int, int] = {}
    for index, op in enumerate(fields.graph.ops):
        if op.kind == "mul" and not _sees_all(fields, op.outputs[0], axis):
            operands = [_sees_all(fields, value, axis) for value in op.inputs]
            if any(operands):
                cuts[index] = operands.index(True)
    return cuts


def _sees_all(fields: Fields, value: int, axis: int) -> bool:
    row = fields.of_value(value)
    return row is not None and row.receptive_field[axis] is None


def _along(row: FieldRow, axis: int, reached: torch.Tensor, each: bool) -> Seen:
    """For each index of positions on an axis, the input indices that they see together."""
    if each and not row.joined:
        others = [k + 1 for k in range(len(row.size)) if k != axis]
        reached = reached.view(-1, *row.size)
        reached = reached.any(others) if others else reached
    return tuple(frozenset(column.nonzero().flatten().tolist()) for column in reached.unbind(1))


def _each_compared(
    row: FieldRow, axis: int, reached: torch.Tensor, gates: bool, known: set[int]
) -> list[Disagreement]:
    """Single positions that see what they should not, one for each index on the axis."""
    wrong = []
    for place, column in zip(product(*map(range, row.size)), reached.unbind(1), strict=True):
        if place[axis] in known:
            continue
        indices = column.nonzero().flatten().tolist()
        measured = (min(indices), max(indices)) if indices else None
        expected = row.interval(place, gates)[axis]
        exact = measured is not None and not row.reads_padding(place, gates)
        if measured != expected and (exact or not _within(measured, expected)):
            wrong.append(Disagreement(axis, place[axis], gates, expected, measured))
            known.add(place[axis])
    return wrong


def _compared(row: FieldRow, axis: int, seen: Seen, gates: bool) -> tuple[list[Disagreement], int]:
    """The positions that see what they should not, and how many see exactly what they should.

    Every position sees no more than its interval, and one that reads no padding sees all of it.
    """
    wrong, exact = [], 0
    for position, indices in enumerate(seen):
        centre = tuple(position if k == axis else n // 2 for k, n in enumerate(row.size))
        if row.joined:
            centre = (position,)
        measured = (min(indices), max(indices)) if indices else None
        expected = row.interval(centre, gates)[axis]
        if measured != expected and not row.joined:
            # A join may read something elsewhere on this row, and nothing at its centre.
            expected = _hull(row, axis, position, gates)
        if measured == expected:
            exact += 1
        elif not _within(measured, expected) or not row.reads_padding(centre, gates):
            wrong.append(Disagreement(axis, position, gates, expected, measured))
    return wrong, exact


def _hull(row: FieldRow, axis: int, position: int, gates: bool) -> Interval | None:
    """What all positions with this index on an axis see of it."""
    ranges = [(position,) if k == axis else range(size) for k, size in enumerate(row.size)]
    found = [pair for place in product(*ranges) if (pair := row.interval(place, gates)[axis])]
    if not found:
        return None
    return min(first for first, _ in found), max(last for _, last in found)


def _within(inner: Interval | None, outer: Interval | None) -> bool:
    if inner is None or outer is None:
        return inner is None
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _text(interval: Interval | None) -> str:
    return "nothing" if interval is None else f"{interval[0]}..{interval[1]}"
