"""Receptive fields: which input pixels every value of a Graph sees, per spatial axis.

The axes are the dimensions after batch and channel of the first floating-point input. Every op
says how an index of its output comes from indices of its inputs; `receptive_field` composes these
into a size, a stride and a padding a value, and `FieldRow.interval` walks them back, clipped at
every layer, from one output position to the input.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from archstat.graph import Graph, Op
from archstat.result import Finding

Step = int | float | None
Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """What one value sees of the input; `op` is the index of the op that made it.

    A row for the input itself has no op. Tuples hold one entry an axis.
    """

    op: int | None
    value: int
    module: str
    module_type: str
    name: str
    kind: str
    _op: Op | None = field(repr=False)
    _state: Any = field(repr=False)

    @property
    def kernel(self) -> tuple[int, ...] | None:
        """The window of the op itself; None where it has none."""
        raise NotImplementedError

    @property
    def stride(self) -> tuple[int, ...] | None:
        """The stride of the op itself; None where it has no window."""
        raise NotImplementedError

    @property
    def dilation(self) -> tuple[int, ...] | None:
        """The dilation of the op itself; None where it has no window."""
        raise NotImplementedError

    @property
    def padding(self) -> tuple[int, ...] | None:
        """The padding of the op itself, before the first index; None where it has no window."""
        raise NotImplementedError

    @property
    def receptive_field(self) -> tuple[int | None, ...]:
        """The largest field over positions, pixels; None on an axis that sees everything."""
        raise NotImplementedError

    @property
    def smallest(self) -> tuple[int | None, ...]:
        """The smallest field over positions, pixels; None on an axis that sees everything."""
        raise NotImplementedError

    @property
    def effective_stride(self) -> tuple[Step, ...]:
        """Input pixels from one position to the next; None where it is global or uneven."""
        raise NotImplementedError

    @property
    def effective_padding(self) -> tuple[Step, ...]:
        """Pixels by which position 0 reaches before the input; None where global or uneven."""
        raise NotImplementedError

    @property
    def size(self) -> tuple[int, ...]:
        """The number of positions."""
        raise NotImplementedError

    @property
    def aligned(self) -> bool:
        """Whether every position has the same field, phases of an upsampling aside."""
        raise NotImplementedError

    @property
    def global_from(self) -> str | None:
        """The first layer or gate on the way here that sees everything: module path or op name."""
        raise NotImplementedError

    def interval(
        self, position: tuple[int, ...], gates: bool = False
    ) -> tuple[Interval | None, ...]:
        """The first and last input index that one output position sees, clipped at every layer.

        Multiplicative gates that see everything are left out unless `gates`. All are None where
        the position sees nothing of the input.

        Raises:
            InputError: no such position.
        """
        raise NotImplementedError

    def support(
        self, position: tuple[int, ...], gates: bool = False
    ) -> tuple[tuple[int, ...], ...]:
        """Every input index that one output position sees, holes left out.

        Raises:
            InputError: no such position.
        """
        raise NotImplementedError

    def reads_padding(self, position: tuple[int, ...], gates: bool = False) -> bool:
        """Whether anything between the input and this position reads padding, on any path.

        Raises:
            InputError: no such position.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Fields:
    """The receptive fields of a whole Graph, over `axes` spatial axes of `input_sizes`.

    `final` is the value that feeds the first global pooling or flatten, or else the output.
    """

    graph: Graph
    axes: int
    input_sizes: tuple[int, ...]
    rows: tuple[FieldRow, ...]
    final: FieldRow
    global_from: str | None
    findings: tuple[Finding, ...]

    @cached_property
    def layers(self) -> tuple[FieldRow, ...]:
        """The rows that have a geometry of their own: windows, pads, resizes, crops, joins."""
        raise NotImplementedError


def receptive_field(graph: Graph) -> Fields:
    """The receptive field of every value of a Graph.

    Raises:
        SpatialAxesError: no floating-point input has a dimension after batch and channels.
    """
    raise NotImplementedError
