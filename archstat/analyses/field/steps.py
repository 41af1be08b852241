"""Each layer of `Fields` beside what enters it: sizes, and what its stride leaves unread."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from archstat.analyses.field import FieldRow, Fields
from archstat.graph import Graph, Op
from archstat.units import format_shape

Sizes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LayerStep:
    """A row of `Fields.layers` with its op and, where its input has a row, what entered.

    `before` is the spatial size of the input and `reached` the field that the input has already.
    """

    row: FieldRow
    op: Op | None
    before: Sizes | None
    reached: tuple[int | None, ...] | None

    @property
    def label(self) -> str:
        """The layer by a name that tells something."""
        return row_label(self.row)

    @property
    def is_transposed(self) -> bool:
        """Whether it is a convolution that enlarges."""
        return self.op is not None and bool(self.op.attributes.get("transposed"))

    @property
    def is_conv(self) -> bool:
        """Whether it is an ordinary convolution."""
        return self.row.kind == "conv" and self.row.kernel is not None and not self.is_transposed

    @property
    def is_pool(self) -> bool:
        """Whether it pools over windows smaller than its input."""
        kernel = self.row.kernel
        local = kernel is not None and None not in self.row.receptive_field
        local = local and self.row.kind == "pool" and kernel != self.before
        return local and max(kernel or (1,)) > 1

    @property
    def is_idle(self) -> bool:
        """Whether it pads, pools or crops other axes only: channels, for a local response norm."""
        row = self.row
        same = self.before == row.size and self.reached == row.receptive_field
        windowed = row.kernel is not None and max(row.kernel) > 1
        return row.kind in ("pad", "pool", "reshape", "split") and same and not windowed

    @property
    def span(self) -> Sizes:
        """From the first to the last pixel of its window, per axis, dilation included."""
        kernel = self.row.kernel or ()
        dilation = self.row.dilation or (1,) * len(kernel)
        return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))

    @property
    def lost(self) -> Sizes | None:
        """Per axis, the last pixels of the padded input that no window reaches.

        None where the question has no sense: no stride, no window, or sizes rounded up.
        """
        row, before = self.row, self.before
        windowed = self.is_conv or self.is_pool
        if not windowed or before is None or row.stride is None or row.padding is None:
            return None
        if self.op is not None and self.op.attributes.get("ceil_mode"):
            return None
        axes = zip(before, row.padding, self.span, row.stride, strict=True)
        return tuple((size + 2 * pad - span) % step for size, pad, span, step in axes)

    @property
    def lost_text(self) -> str:
        """Why something is lost: ``(224 - 7 + 2*3)/2 = 111.5``, of the first axis that loses."""
        row, before, lost = self.row, self.before, self.lost
        if not (lost and any(lost) and before and row.stride and row.padding):
            return ""
        axis = next(axis for axis, left in enumerate(lost) if left)
        size, span, pad, step = before[axis], self.span[axis], row.padding[axis], row.stride[axis]
        exact = (size - span + 2 * pad) / step
        padded = f" + 2*{pad}" if pad else ""
        return f"({size} - {span}{padded})/{step} = {exact:.4g}"

    @property
    def kernel_text(self) -> str:
        """The kernel as ``3x3``."""
        return format_shape(self.row.kernel or ())


def layer_steps(fields: Fields) -> tuple[LayerStep, ...]:
    """Every layer of a network with what enters it, in order of execution."""
    graph = fields.graph
    rows = {row.value: row for row in fields.rows}
    inputs = dict.fromkeys(graph.inputs, fields.input_sizes)
    steps = []
    for row in fields.layers:
        op = graph.ops[row.op] if row.op is not None else None
        source = op.inputs[0] if op is not None and op.inputs else -1
        before, reached = inputs.get(source), None
        if source in rows:
            before, reached = rows[source].size, rows[source].receptive_field
        elif before is not None:
            reached = (1,) * fields.axes
        steps.append(LayerStep(row, op, before, reached))
    return tuple(steps)


def positions_of(graph: Graph, row: FieldRow) -> Sizes:
    """The positions of a value: per axis, or its tokens where each of them sees everything."""
    shape = graph.values[row.value].shape
    mixed = prod(row.size) == 1 and set(row.receptive_field) == {None}
    is_tokens = len(shape) == _TOKENS or row.kind == "attention"
    return shape[-2:-1] if mixed and is_tokens else row.size


_TOKENS = 3


def row_label(row: FieldRow) -> str:
    """The module, with its type where its path is a mere number, or the op of the root itself."""
    if row.module.isdigit():
        return f"{row.module} ({row.module_type})"
    return row.module or row.name


def some(names: list[str], most: int | None = 3) -> str:
    """The names in a row, no more than `most` of them spelled out."""
    names = list(dict.fromkeys(names))
    if most is None or len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
