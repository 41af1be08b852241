"""Which positions of a value an input index reaches: a real module run on inputs with a NaN."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import prod

import torch
from torch import nn

from archstat.analyses.field import Fields
from archstat.analyses.field.layouts import LOST, Layout
from archstat.analyses.field.rows import FieldRow
from archstat.errors import CaptureError
from archstat.frontends.probing import Cuts, StopProbe, probe
from archstat.frontends.trees import tensors
from archstat.measure.field.real_runs import positions_on
from archstat.models.real import given_tensors, ordinary
from archstat.units import format_shape

# Elements of the largest activation over all the inputs that run at once: 256 MiB.
_MOST_ELEMENTS = 2**26

# Positions times input indices of which each is looked at by itself.
_MOST_PLACES = 2**18

_Make = Callable[[int, tuple[int, ...], torch.dtype], torch.Tensor]


Watch = Callable[[float], None]


def ignored(share: float) -> None:
    """Tell nobody which share is done."""


class Poisoning:
    """Runs a module with one input index NaN after the other, many in one batch where it can."""

    def __init__(self, root: nn.Module, fields: Fields, row: FieldRow) -> None:
        graph = fields.graph
        self.root, self.fields, self.row = root, fields, row
        self.ordinary = ordinary(root)
        last = (row.op or 0) if row.written is None else row.written
        self.targets = [op.target for op in graph.ops[: last + 1]]
        self.number = graph.inputs.index(fields.root)
        self.batch = graph.values[graph.inputs[self.number]].shape[0]
        largest = max(
            (value.numel for value in graph.values if value.role == "activation"), default=1
        )
        self.most = max(1, _MOST_ELEMENTS * self.batch // max(1, largest) - 1)
        shape = graph.values[row.value].shape
        # The batch is a dimension of its own, before those of the axes.
        apart = 0 not in fields.dims and row.layout[:1] == (None,)
        self.together = apart and shape[0] == self.batch
        # Where positions are few each is looked at, else those of one index on the axis together.
        self.each = prod(row.size) * max(fields.input_sizes) <= _MOST_PLACES

    def seen(self, axis: int, cuts: Cuts, watch: Watch = ignored) -> torch.Tensor:
        """Input indices of one axis x positions of the value: whether these see those.

        Positions are all of them, in order, or only those along the axis: see `each`. `watch` is
        told which share is done.

        Raises:
            CaptureError: forward raised, or gives NaN for an ordinary input.
        """
        reached = self._reached_together(axis, cuts, watch) if self.together else None
        if reached is None:
            self.together = False
            if self._one(axis, None, cuts).any():
                raise CaptureError(
                    f"{self.fields.graph.name} gives NaN for an ordinary input on cpu, so where "
                    "a NaN from the input arrives cannot be told."
                )
            size = self.fields.input_sizes[axis]
            rows = []
            for index in range(size):
                rows.append(self._one(axis, index, cuts))
                watch((index + 1) / size)
            reached = torch.stack(rows)
        return reached

    def _reached_together(self, axis: int, cuts: Cuts, watch: Watch) -> torch.Tensor | None:
        """Input indices x positions; None if the entries of a batch do not run apart."""
        parts = []
        size = self.fields.input_sizes[axis]
        for first in range(0, size, self.most):
            indices = range(first, min(first + self.most, size))
            try:
                nan = self._run(self._batch_maker(axis, indices), cuts)
            except Exception:  # forward may do with one batch size alone; the single runs tell
                return None
            # The last entry is clean: a NaN there has come over from another.
            if nan.shape[0] != len(indices) + 1 or nan[-1].any():
                return None
            parts.append(self._by_position(nan[:-1], axis, self.row.layout[1:]))
            watch(indices.stop / size)
        return torch.cat(parts)

    def _batch_maker(self, axis: int, indices: range) -> _Make:
        def make(number: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
            one = self.ordinary(number, shape, dtype)
            if not shape or shape[0] != self.batch:
                return one
            many = one[:1].repeat(len(indices) + 1, *[1] * (len(shape) - 1))
            if number == self.number:
                for entry, index in enumerate(indices):
                    many[entry].select(self.fields.dims[axis] - 1, index).fill_(torch.nan)
            return many

        return make

    def _one(self, axis: int, index: int | None, cuts: Cuts) -> torch.Tensor:
        def make(number: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
            one = self.ordinary(number, shape, dtype)
            if number == self.number and index is not None:
                one.select(self.fields.dims[axis], index).fill_(torch.nan)
            return one

        nan = self._run(make, cuts).unsqueeze(0)
        return self._by_position(nan, axis, self.row.layout)[0]

    def _run(self, make: _Make, cuts: Cuts) -> torch.Tensor:
        """Where the watched value is NaN; the run ends there."""
        graph, row = self.fields.graph, self.row
        args, kwargs = given_tensors(graph, self.root, make)
        if row.op is None:
            given = list(tensors((args, kwargs)))
            return given[self.number].isnan()
        kept: list[torch.Tensor] = []

        def keep(tensor: torch.Tensor) -> None:
            if tensor.shape[1:] != graph.values[row.value].shape[1:]:
                raise CaptureError(
                    f"{graph.name}: the module makes {format_shape(tensor.shape)} where "
                    f"{format_shape(graph.values[row.value].shape)} was counted; give that module."
                )
            kept.append(tensor)
            if row.written is None:
                raise StopProbe

        def stop(_: torch.Tensor) -> None:
            raise StopProbe

        watched: dict[tuple[int, int], Callable[[torch.Tensor], None]] = {
            (row.op, graph.ops[row.op].outputs.index(row.value)): keep
        }
        if row.written is not None:
            watched[row.written, 0] = stop
        with suppress(StopProbe):
            probe(self.root, args, kwargs, watched, cuts, targets=self.targets)
        return kept[0].isnan()

    def _by_position(self, nan: torch.Tensor, axis: int, layout: Layout) -> torch.Tensor:
        """Runs x positions: whether anything there is NaN."""
        sizes = self.row.size
        axes = range(len(sizes)) if self.each or self.row.joined else (axis,)
        for dim, digits in enumerate(layout, 1):
            if not any(digit[0] in (*axes, LOST) for digit in digits or ()):
                nan = nan.any(dim, keepdim=True)
        place = torch.zeros(nan.shape[1:], dtype=torch.long)
        for one in axes:
            place = place * sizes[one] + positions_on(layout, one, nan.shape[1:])
        found = torch.zeros(nan.shape[0], prod(sizes[one] for one in axes))
        return found.index_add_(1, place.flatten(), nan.flatten(1).float()) > 0
