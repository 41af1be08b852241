"""What the dimensions of an op's tensors are called: N, C_in, H, W, K_h, L, heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from archstat.analyses.arithmetic import Term
from archstat.graph import Graph, Op, Value

_SPACE = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}
_WINDOW = {1: ("K",), 2: ("K_h", "K_w"), 3: ("K_d", "K_h", "K_w")}
_BY_RANK = {0: (), 1: ("C",), 2: ("N", "C"), 3: ("N", "L", "C"), 4: ("N", "C", "H", "W"),
            5: ("N", "C", "D", "H", "W")}  # fmt: skip
_LEADING = {0: (), 1: ("N",), 2: ("N", "L"), 3: ("N", "H", "W")}
_ATTENTION = (("L", "E"), ("T", "E"), ("T", "E_v"))

Names = tuple[str, ...]


def named_op(graph: Graph, index: int) -> tuple[Graph, Op]:
    """One op of a Graph, alone, in a Graph whose shapes are Terms by name.

    A name stands for one size only: another size is called ``C_2``, or ``C_out`` where the op
    makes it.
    """
    op = graph.ops[index]
    order = list(dict.fromkeys((*op.inputs, *op.outputs)))
    place = {value: number for number, value in enumerate(order)}
    known: dict[str, int] = {}
    values: list[Value] = []
    wanted = dict(_wanted(graph, op))
    for value in order:
        shape, makes = graph.values[value].shape, value in op.outputs and value not in op.inputs
        names = wanted.get(value) or _generic(len(shape))
        terms = (_term(*pair, known, makes) for pair in zip(shape, names, strict=True))
        values.append(graph.values[value]._replace(shape=tuple(terms)))
    alone = op._replace(
        inputs=tuple(place[value] for value in op.inputs),
        outputs=tuple(place[value] for value in op.outputs),
        attributes={**op.attributes, **_window(op, known)},
    )
    return replace(graph, ops=(alone,), values=tuple(values), calls=(), modules=(), inputs=(),
                   outputs=()), alone  # fmt: skip


def named_parameters(graph: Graph, module: str) -> Graph:
    """The Graph with the shapes of a module's own parameters and buffers as Terms by name."""
    readers = {value: index for index, op in enumerate(graph.ops) for value in op.inputs}
    known: dict[str, int] = {}
    values = list(graph.values)
    for number, value in enumerate(graph.values):
        if value.name is None or value.name.rpartition(".")[0] != module:
            continue
        if value.role not in ("parameter", "buffer"):
            continue
        names: Names = ()
        if number in readers:
            names = dict(_wanted(graph, graph.ops[readers[number]])).get(number, ())
        names = names or _of_weight(len(value.shape))
        terms = (_term(*pair, known, False) for pair in zip(value.shape, names, strict=True))
        values[number] = value._replace(shape=tuple(terms))
    return replace(graph, values=tuple(values))


def _term(size: int, name: str, known: dict[str, int], makes: bool) -> Term:
    candidates = [name, *([f"{name}_out"] if makes else []), *(f"{name}_{n}" for n in range(2, 99))]
    for candidate in candidates:
        if known.setdefault(candidate, size) == size:
            return Term(size, candidate)
    return Term(size, "")


def _generic(rank: int) -> Names:
    return _BY_RANK.get(rank) or tuple(f"d{n}" for n in range(1, rank + 1))


def _of_weight(rank: int) -> Names:
    if rank < 2:
        return _generic(rank)
    return ("C_out", "C_in", *_WINDOW.get(rank - 2, tuple(f"K_{n}" for n in range(rank - 2))))


def _window(op: Op, known: dict[str, int]) -> dict[str, tuple[Term, ...]]:
    kernel = op.attributes.get("kernel")
    if not isinstance(kernel, tuple) or len(kernel) not in _WINDOW:
        return {}
    names = _WINDOW[len(kernel)]
    return {"kernel": tuple(_term(*pair, known, False) for pair in zip(kernel, names, strict=True))}


def _wanted(graph: Graph, op: Op) -> Iterator[tuple[int, Names]]:
    """The names of those values whose role in the op is known."""
    shapes = [graph.values[value].shape for value in op.inputs]
    if op.kind == "conv":
        yield from _convolution(op, shapes)
    elif op.kind in ("linear", "matmul"):
        yield from _product(graph, op, shapes)
    elif op.kind == "attention" and len(shapes) > 2 and len(shapes[0]) > 2:
        leading = ("N", "heads")[: len(shapes[0]) - 2]
        for value, names in zip(op.inputs, _ATTENTION, strict=False):
            yield value, (*leading, *names)
        yield op.outputs[0], (*leading, "L", "E_v")
    elif op.kind == "embedding" and len(shapes) > 1:
        leading = _LEADING.get(len(shapes[1]), _generic(len(shapes[1])))
        yield op.inputs[0], ("V", "E")
        yield op.inputs[1], leading
        if op.name == "embedding":
            yield op.outputs[0], (*leading, "E")


def _convolution(op: Op, shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[int, Names]]:
    x, weight = shapes[:2]
    axes = len(weight) - 2
    if axes not in _SPACE or op.name == "conv_tbc" or len(x) not in (axes + 1, axes + 2):
        return
    batch = ("N",) if len(x) == axes + 2 else ()
    groups = op.attributes.get("groups", 1)
    transposed = bool(op.attributes.get("transposed"))
    part = "" if groups == 1 else "/g"
    channels = ("C_in", f"C_out{part}") if transposed else ("C_out", f"C_in{part}")
    yield op.inputs[0], (*batch, "C_in", *_SPACE[axes])
    yield op.inputs[1], (*channels, *_WINDOW[axes])
    if len(shapes) > 2:
        yield op.inputs[2], ("C_out",)
    yield op.outputs[0], (*batch, "C_out", *(f"{side}_out" for side in _SPACE[axes]))


def _product(
    graph: Graph, op: Op, shapes: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, Names]]:
    adds = op.name.startswith(("add", "badd", "_addmm"))
    first = 1 if adds else 0
    if len(shapes) < first + 2 or op.name == "_trilinear":
        return
    x, weight = shapes[first : first + 2]
    leading = _LEADING.get(len(x) - 1, _generic(len(x) - 1))
    straight = op.name.startswith(("linear", "mkldnn_linear"))
    if len(weight) == 2 and (straight or _is_parameter(graph, op.inputs[first + 1])):
        yield op.inputs[first], (*leading, "C_in")
        yield op.inputs[first + 1], ("C_out", "C_in") if straight else ("C_in", "C_out")
        yield op.outputs[0], (*leading, "C_out")
        bias = 0 if adds else 2
        if len(shapes) > bias and len(shapes[bias]) == 1:
            yield op.inputs[bias], ("C_out",)
    elif len(x) in (2, 3) and len(weight) == len(x):
        batch = ("b",) * (len(x) - 2)
        yield op.inputs[first], (*batch, "m", "k")
        yield op.inputs[first + 1], (*batch, "k", "n")
        yield op.outputs[0], (*batch, "m", "n")


def _is_parameter(graph: Graph, value: int) -> bool:
    """Whether a value is a parameter, or a view of one."""
    while True:
        maker = graph.producers[value]
        if maker is None:
            return graph.values[value].role == "parameter"
        if graph.ops[maker].kind != "reshape" or not graph.ops[maker].inputs:
            return False
        value = graph.ops[maker].inputs[0]
