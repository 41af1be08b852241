"""Figures written out: each with its formula, the formula with numbers filled in, and its value.

No formula is written a second time here. The functions that count are given dimensions that
remember how they are added and multiplied (`arithmetic`), and what they did is what is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

from archstat.analyses import costs
from archstat.analyses.accesses import alone
from archstat.analyses.arithmetic import Term, written
from archstat.analyses.dimension_names import named_op, named_parameters
from archstat.analyses.feature_maps import elements_made
from archstat.analyses.field import FieldRow, Fields
from archstat.analyses.gemm import convolution_as_product
from archstat.analyses.operations import cost, operations
from archstat.analyses.parameters import parameters
from archstat.graph import Graph, Op
from archstat.result import Cell, Number
from archstat.units import format_shape

OF_PARAMETERS = ("params", "trainable_params", "param_bytes", "buffers")
OF_OPS = ("macs", "flops", "activations", "feature_maps", "memory_access", "memory_access_bytes")


class Line(NamedTuple):
    """One figure: how it is computed by names and by numbers, and what comes out.

    `formula` says why, where there is nothing to compute, and `arithmetic` is empty then.
    """

    figure: str
    formula: str
    arithmetic: str
    value: Cell


def parameter_lines(graph: Graph, module: str) -> Iterator[Line]:
    """The parameters and buffers that stand directly under a module's path."""
    own = parameters(named_parameters(graph, module)).per_module.get(module, {})
    for figure in OF_PARAMETERS:
        number = own.get(figure, 0)
        if number:
            yield _computed(figure, number)
        elif figure == "params":
            yield Line(figure, "it has none", "", 0)


def op_lines(graph: Graph, index: int) -> Iterator[Line]:
    """The figures of one op that add up over ops: macs, flops, activations, maps and access.

    One that is unknown has no value; one that is free says why.
    """
    small, op = named_op(graph, index)
    found, access = cost(op, small.values), alone(small)[0]
    if found.state == "counted" and operations(graph).per_op["flops"][index] != found.flops:
        yield Line("flops", "counted with the first part of the complex convolution", "", 0)
    elif found.state == "free":
        yield Line("flops", f"free: {found.reason}", "", 0)
    else:
        yield from _cost_lines(small)
    made = elements_made(op, small)
    if made:
        yield _computed("feature_maps", made)
    if access.state == "free":
        yield Line("memory_access", f"free: {access.reason}", "", 0)
    else:
        yield _computed("memory_access", access.elements)
        yield _computed("memory_access_bytes", access.nbytes)


def _cost_lines(small: Graph) -> Iterator[Line]:
    op = small.ops[0]
    found = cost(op, small.values)
    if found.state == "unknown":
        holds = f"; {found.reason}" if found.reason else ""
        unknown = f"unknown: {op.target} is neither counted nor known to be free{holds}"
        yield Line("flops", unknown, "", None)
        return
    if found.macs:
        yield _computed("macs", found.macs)
    if costs.key(op.target) in costs.TRANSFORMS:
        yield _transform(small)
    else:
        yield _computed("flops", found.flops, {id(found.macs): "macs"})
    if found.activations:
        yield _computed("activations", found.activations)


def _computed(figure: str, number: Number, known: Mapping[int, str] | None = None) -> Line:
    formula, arithmetic = (written(number, names=names, known=known) for names in (True, False))
    return Line(figure, formula, arithmetic, int(number))


def _transform(small: Graph) -> Line:
    """A Fourier transform: n log2(n) is no product of integers."""
    op = small.ops[0]
    x = small.values[op.inputs[0] if op.name == "_fft_r2c" else op.outputs[0]]
    points = prod(x.shape[axis] for axis in op.attributes["dim"])
    times = costs.TRANSFORMS[costs.key(op.target)]
    formula, arithmetic = (
        f"round({times} * {written(x.numel, names=names)} * log2({written(points, names=names)}))"
        for names in (True, False)
    )
    return Line("flops", formula, arithmetic, int(cost(op, small.values).flops))


def shape_lines(graph: Graph, index: int) -> Iterator[Line]:
    """The sizes that a window leaves, and im2col's matrix, of one op."""
    op = graph.ops[index]
    if not op.outputs:
        return
    out = graph.values[op.outputs[0]].shape
    for axis, side in enumerate(_sides(graph, op)):
        yield Line(f"output_{'size' if axis < 0 else _AXES[len(_sides(graph, op))][axis]}",
                   written(side, names=True), written(side, names=False), int(side))  # fmt: skip
    yield Line("output", "shape of its output", "", format_shape(out))
    if op.kind == "conv" and op.name != "conv_tbc" and len(graph.values[op.inputs[1]].shape) > 2:
        yield from _im2col(graph, index)


_AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_SIDES = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}
_KERNELS = {1: ("K",), 2: ("K_h", "K_w"), 3: ("K_d", "K_h", "K_w")}


def _sides(graph: Graph, op: Op) -> Sequence[Term]:
    """The sizes after a window, where the formula for them gives what there is."""
    kernel = op.attributes.get("kernel")
    if not isinstance(kernel, tuple) or len(kernel) not in _SIDES or not op.inputs:
        return ()
    axes = len(kernel)
    before, after = (graph.values[v].shape[-axes:] for v in (op.inputs[0], op.outputs[0]))
    padding, dilation = _per_axis(op, "padding", axes, 0), _per_axis(op, "dilation", axes, 1)
    stride = _per_axis(op, "stride", axes, 0)
    more = _per_axis(op, "output_padding", axes, 0)
    found = []
    for axis in range(axes):
        size = Term(before[axis], _SIDES[axes][axis])
        window = Term(kernel[axis], _KERNELS[axes][axis])
        step = Term(stride[axis] or kernel[axis], "S")
        pad, spread = Term(padding[axis], "P"), Term(dilation[axis], "d")
        if op.attributes.get("transposed"):
            side = (size - 1) * step - 2 * pad + spread * (window - 1)
            side = side + Term(more[axis], "P_out") + 1
        elif dilation[axis] > 1:
            side = (size + 2 * pad - spread * (window - 1) - 1) // step + 1
        else:
            side = (size + 2 * pad - window) // step + 1
        found.append(side)
    return found if tuple(found) == tuple(after) else ()


def _per_axis(op: Op, key: str, axes: int, default: int) -> tuple[int, ...]:
    given = op.attributes.get(key)
    if isinstance(given, int) and not isinstance(given, bool):
        return (given,) * axes
    if not isinstance(given, tuple) or not given or not all(isinstance(n, int) for n in given):
        return (default,) * axes
    return given * axes if len(given) == 1 else given[-axes:]


def _im2col(graph: Graph, index: int) -> Iterator[Line]:
    small, op = named_op(graph, index)
    x, weight, out = (small.values[v].shape for v in (*op.inputs[:2], op.outputs[0]))
    groups = Term(op.attributes.get("groups", 1), "g")
    transposed = bool(op.attributes.get("transposed"))
    found = convolution_as_product(x, weight, out, groups, transposed)
    if found.im2col is None or found.copy_factor is None:
        return
    names, numbers = (
        " x ".join(written(side, names=names) for side in found.im2col) for names in (True, False)
    )
    yield Line("im2col", names, numbers, tuple(map(int, found.im2col)))
    copied = prod(out if transposed else x)
    rows, columns = (Term(side, name) for side, name in
                     zip(found.im2col, ("rows", "columns"), strict=True))  # fmt: skip
    names, numbers = (
        f"{written(groups * rows * columns, names=n)} / ({written(copied, names=n)})"
        for n in (True, False)
    )
    yield Line("im2col_copy_factor", names, numbers, found.copy_factor)


def field_lines(fields: Fields, index: int) -> Iterator[Line]:
    """The receptive field and stride of what an op makes, from those of what it reads.

    One line for all axes where they are alike.
    """
    op = fields.graph.ops[index]
    row = fields.of_value(op.outputs[0]) if op.outputs else None
    if row is None or not row.known:
        return
    before = fields.of_value(op.inputs[0]) if op.inputs else None
    pairs = [_field(row, before, axis) for axis in range(fields.axes)]
    alike = len(set(pairs)) == 1
    for axis, lines in enumerate(pairs[:1] if alike else pairs):
        suffix = "" if alike else f"[{axis}]"
        yield from (line._replace(figure=line.figure + suffix) for line in lines)


def _field(row: FieldRow, before: FieldRow | None, axis: int) -> tuple[Line, ...]:
    reached, step = row.receptive_field[axis], row.effective_stride[axis]
    if reached is None:
        since = f", since {row.global_from}" if row.global_from else ""
        return (Line("receptive_field", f"the whole input{since}", "", None),)
    lines = []
    known = _from_before(row, before, axis)
    for figure, number, term in zip(("receptive_field", "effective_stride"), (reached, step),
                                    known, strict=True):  # fmt: skip
        if term is not None and term == number:
            lines.append(Line(figure, written(term, names=True), written(term, names=False),
                              int(term)))  # fmt: skip
        elif number is not None:
            lines.append(Line(figure, "the most over all paths from the input", "", number))
    return tuple(lines)


def _from_before(
    row: FieldRow, before: FieldRow | None, axis: int
) -> tuple[Term | None, Term | None]:
    """The field and stride by those of the input: r + (K - 1)*D*j, and j*S."""
    if before is None or not before.known:
        return None, None
    reached, step = before.receptive_field[axis], before.effective_stride[axis]
    if not isinstance(reached, int) or not isinstance(step, int):
        return None, None
    r, j = Term(reached, "r"), Term(step, "j")
    if row.kernel is None or row.stride is None:
        return r, j
    dilation = (row.dilation or (1,) * len(row.kernel))[axis]
    wider = (Term(row.kernel[axis], "K") - 1) * j
    wider = wider if dilation == 1 else (Term(row.kernel[axis], "K") - 1) * Term(dilation, "d") * j
    return r + wider, j * Term(row.stride[axis], "S")
