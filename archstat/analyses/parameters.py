"""Parameters, trainable parameters, buffers, and the bytes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from archstat.analyses import costs
from archstat.graph import BITS, Graph, Op, Role, Value, bytes_of
from archstat.result import Analysis, Analyzer, Cell, Column, Note

COLUMNS = (
    Column("params", "count", "parameter elements, a shared tensor once", "lower"),
    Column("trainable_params", "count", "elements of parameters that require a gradient", "lower"),
    Column("buffers", "count", "buffer elements, running statistics among them", "lower"),
    Column("param_bytes", "bytes", "bytes of the parameters in their own dtype", "lower"),
    Column("weight_dtypes", "text", "bytes of parameters and buffers by dtype, the most first",
           of="place"),
)  # fmt: skip


def parameters(graph: Graph) -> Analysis:
    """Element counts of a Graph's parameters and buffers, each attributed to its first owner.

    Tensors that share memory count once: what several of them hold together is at most their
    storage. A module's own share is what stands directly under its path.
    """
    return graph.once("parameters", lambda: _counted(graph))


def _counted(graph: Graph) -> Analysis:
    own: dict[str, dict[str, int]] = {}
    dtypes: dict[tuple[str, str], int] = {}
    filled: dict[int, int] = {}
    for value, elements in _with_new_elements(graph, "parameter", filled):
        _, dtype, _, _, name, _, trainable = value
        owner = _owner(name)
        row = own.setdefault(owner, {"params": 0, "trainable_params": 0, "param_bytes": 0})
        row["params"] += elements
        row["trainable_params"] += elements if trainable else 0
        nbytes = bytes_of(elements, dtype)
        row["param_bytes"] += nbytes
        dtypes[owner, dtype] = dtypes.get((owner, dtype), 0) + nbytes
    for value, elements in _with_new_elements(graph, "buffer", filled):
        owner = _owner(value.name)
        row = own.setdefault(owner, {})
        row["buffers"] = row.get("buffers", 0) + elements
        place = owner, value.dtype
        dtypes[place] = dtypes.get(place, 0) + bytes_of(elements, value.dtype)
    figures = [column.key for column in COLUMNS if column.unit != "text"]
    totals: dict[str, Cell] = {key: sum([r.get(key, 0) for r in own.values()]) for key in figures}
    placed = _by_dtype(dtypes)
    hidden = [op for op in graph.ops if _hides_weights(graph, op)]
    return Analysis(
        totals={**totals, **placed[""]},
        per_module=own,
        at_module=placed,
        lower_bounds=_OF_PARAMETERS if hidden else frozenset(),
        findings=tuple(dict.fromkeys(_finding(op) for op in hidden)),
    )


def _by_dtype(own: Mapping[tuple[str, str], int]) -> dict[str, dict[str, Cell]]:
    """What each module holds with everything below it: ``float16=512 float32=64``."""
    sums: dict[str, dict[str, int]] = {"": {}}
    for (path, dtype), nbytes in own.items():
        while True:
            held = sums.setdefault(path, {})
            held[dtype] = held.get(dtype, 0) + nbytes
            if not path:
                break
            path = path.rpartition(".")[0]
    return {path: {"weight_dtypes": _told(held)} for path, held in sums.items()}


def _told(held: Mapping[str, int]) -> str | None:
    if len(held) > 1:
        held = dict(sorted(held.items(), key=lambda item: (-item[1], item[0])))
    return " ".join([f"{dtype}={nbytes}" for dtype, nbytes in held.items()]) or None


_OF_PARAMETERS = frozenset({"params", "trainable_params", "param_bytes"})


def _hides_weights(graph: Graph, op: Op) -> bool:
    """Whether an op reads an object that nobody can look into, or several weights in one number."""
    name = costs.key(op.target)
    if "sealed" in op.attributes:
        return name not in costs.FREE
    if name not in costs.PACKED_PRODUCTS or len(op.inputs) < 2:
        return False
    x, packed, out = (graph.values[i] for i in (op.inputs[0], op.inputs[1], op.outputs[0]))
    return packed.role == "parameter" and packed.numel < x.shape[-1] * out.shape[-1]


def _finding(op: Op) -> Note:
    where = f"{op.module} ({op.module_type})" if op.module else op.module_type
    text = f"{op.target} in {where} reads packed weights: params is a lower bound."
    return Note("packed_weights", op.module, text)


def _owner(name: str | None) -> str:
    return name.rpartition(".")[0] if name else ""


def _with_new_elements(
    graph: Graph, role: Role, filled: dict[int, int]
) -> Iterator[tuple[Value, int]]:
    """Each named value of a role with the elements that its storage still has for it."""
    storages = graph.storages
    for value, elements in zip(graph.values, graph.held[0], strict=True):
        _, dtype, own, storage, name, _, _ = value
        if own != role or name is None:
            continue
        taken = filled.get(storage)
        if taken is not None:
            room = 8 * storages[storage][0] // BITS.get(dtype, 32) - taken
            elements = min(elements, room)
        filled[storage] = (taken or 0) + elements
        yield value, elements


ANALYZER = Analyzer("parameters", COLUMNS, parameters)
