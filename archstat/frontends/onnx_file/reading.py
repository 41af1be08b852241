"""The protobuf of an ONNX model without its weights, and what it says of its inputs.

Weights are most of a file and say nothing that is counted, so the file is cut before it is parsed:
what initializers hold is skipped, unless it is short, since shapes may hang on it. Data beside the
file is never opened.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from archstat.errors import InputError, LookupFailedError, MissingExtraError
from archstat.graph import Role
from archstat.hints import shortened
from archstat.units import InputSpec, format_bytes, format_shape, is_batched

# Without weights the largest known model takes 60 MB.
_MOST_BYTES = 1 << 28
_MOST_NODES, _MOST_FIELDS = 100_000, 1_000_000
# A thousand whole numbers: the indices that a model picks by are no longer.
_SHORT = 8 * 1024
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
# Fields of TensorProto that hold numbers.
_DATA, _RAW = frozenset({4, 5, 6, 7, 9, 10, 11}), 9
# What is left of a long tensor of zeros: this as its doc_string, field 12.
ZEROS = "archstat: zeros"
_MARK = bytes([12 << 3 | 2, len(ZEROS)]) + ZEROS.encode()
_GROUP = (3, 4)


class Given(NamedTuple):
    """An input of the graph; None stands for a size that may change."""

    name: str
    dtype: str
    sizes: tuple[int | None, ...]


def model_of(path: Path) -> Any:
    """The ModelProto of a file, its functions put in place of their calls.

    Raises:
        LookupFailedError: the file cannot be read, or is no whole ONNX model.
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx
        import onnx.inliner
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{path}: ONNX models need {error.name}, which is not installed: "
            'python -m pip install "archstat[onnx]"'
        ) from error
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            model = onnx.ModelProto.FromString(_without_weights(whole))
        if model.functions:
            _check_calls(model)
            model = onnx.inliner.inline_local_functions(model)
    except OSError as error:
        raise LookupFailedError(f"{path} cannot be read: {error.strerror}.") from error
    except LookupFailedError as error:
        raise LookupFailedError(f"{path} is not read: {error}") from error
    except Exception as error:  # what a damaged file raises has no bounds
        raise LookupFailedError(
            f"{path} is not a complete ONNX model: {shortened(error)}."
        ) from error
    if next(islice(_nodes(model.graph.node), _MOST_NODES, None), None) is not None:
        raise LookupFailedError(f"{path} has more than {_MOST_NODES:,} operators; it is not read.")
    if not model.graph.node:
        raise LookupFailedError(f"{path} is not an ONNX model with operators.")
    return model


def _check_calls(model: Any) -> None:
    """Refuse functions that call themselves, or would fill the memory in place of their calls."""
    functions = {(f.domain, f.name): f for f in model.functions}
    sizes: dict[tuple[str, str], int | None] = {}

    def size(key: tuple[str, str]) -> int:
        if key not in functions:
            return 1
        if key not in sizes:
            sizes[key] = None
            sizes[key] = sum(size((n.domain, n.op_type)) for n in _nodes(functions[key].node))
        found = sizes[key]
        if found is None:
            raise LookupFailedError(f"Its function {key[1]} calls itself.")
        return found

    count = sum(size((node.domain, node.op_type)) for node in _nodes(model.graph.node))
    if count > _MOST_NODES:
        raise LookupFailedError(f"Its functions have {count} operators in place of their calls.")


def _nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """Nodes, and those of their bodies."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from _nodes(body.node)


def _without_weights(whole: Any) -> bytes:
    kept = b"".join(_rewritten(whole, 0, len(whole), (_MODEL_GRAPH, _GRAPH_INITIALIZER)))
    if len(kept) > _MOST_BYTES:
        raise LookupFailedError(f"It holds {format_bytes(len(kept))} beside its weights.")
    return kept


def _rewritten(whole: Any, at: int, end: int, path: tuple[int, ...]) -> Iterator[bytes]:
    """The fields between two places; those of tensors at `path` without their numbers."""
    for number, begin, inside, after in _fields(whole, at, end):
        if path and number == path[0] and after - inside > _SHORT:
            inner = b"".join(_rewritten(whole, inside, after, path[1:]))
            yield whole[begin : begin + _width(whole, begin)] + _varint(len(inner)) + inner
        elif not path and number in _DATA and after - inside > _SHORT:
            if number == _RAW and _is_zero(whole, inside, after):
                yield _MARK
        else:
            yield whole[begin:after]


def _is_zero(whole: Any, begin: int, end: int) -> bool:
    """Whether bytes are all zero; those of a weight are not from the first on."""
    return not any(any(whole[at : min(at + _SHORT, end)]) for at in range(begin, end, _SHORT))


def _fields(whole: Any, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, and where a field, its content and the next field begin."""
    count = 0
    while at < end:
        begin, count = at, count + 1
        if count > _MOST_FIELDS:
            raise LookupFailedError(f"It has more than {_MOST_FIELDS} parts.")
        key, at = _read_varint(whole, at, end)
        wire = key & 7
        inside = at
        if wire == 0:
            _, at = _read_varint(whole, at, end)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            length, inside = _read_varint(whole, at, end)
            at = inside + length
        else:
            raise LookupFailedError("It is not a complete ONNX model: a field has no known type.")
        if at > end:
            raise LookupFailedError("It is not a complete ONNX model: it is cut.")
        yield key >> 3, begin, inside, at


def _read_varint(whole: Any, at: int, end: int) -> tuple[int, int]:
    number = shift = 0
    while at < end and shift < 64:
        byte = whole[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
    raise LookupFailedError("It is not a complete ONNX model: a number does not end.")


def _width(whole: Any, at: int) -> int:
    return _read_varint(whole, at, len(whole))[1] - at


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def dtype_of(element: int) -> str:
    """torch's name of an ONNX element type; ``unknown`` of one that has none."""
    return _DTYPES.get(element, "unknown")


_DTYPES: Mapping[int, str] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    8: "string", 9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
    14: "complex64", 15: "complex128", 16: "bfloat16", 17: "float8_e4m3fn",
    18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4_e2m1fn", 24: "float8_e8m0fnu", 25: "uint2", 26: "int2",
}  # fmt: skip


def given_of(model: Any) -> tuple[Given, ...]:
    """The inputs of a model, initializers apart."""
    held = {tensor.name for tensor in model.graph.initializer}
    found = []
    for one in model.graph.input:
        if one.name in held:
            continue
        kind = one.type.tensor_type
        sizes = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
        found.append(Given(one.name, dtype_of(kind.elem_type), sizes))
    return tuple(found)


def roles_told(graph: Any) -> dict[str, Role]:
    """Which tensors are parameters and which buffers, where torch's exporter noted it."""
    roles: Mapping[str, Role] = {
        "PARAMETER": "parameter", "BUFFER": "buffer", "CONSTANT_TENSOR": "constant",
    }  # fmt: skip
    told = {}
    for entry in graph.value_info:
        for note in entry.metadata_props:
            if note.key.endswith("InputSpec.kind") and note.value in roles:
                told[entry.name] = roles[note.value]
    return told


def own_inputs(path: Path, given: tuple[Given, ...]) -> tuple[InputSpec, ...]:
    """The inputs that a file tells.

    Raises:
        InputError: further sizes may change, and nobody said which to take.
    """
    batched = is_batched(one.sizes for one in given)
    open_sizes = [one for one in given if None in one.sizes[1 if batched else 0 :]]
    if open_sizes:
        one = open_sizes[0]
        sizes = "x".join("?" if size is None else str(size) for size in one.sizes)
        from archstat.frontends.inputs import Call

        usual = Call((InputSpec((3, 224, 224), None, one.name),))
        raise InputError(
            f"{path}: sizes of its input {one.name} ({sizes}) may change; give its shape, such as "
            f"{usual}."
        )
    return tuple(
        InputSpec(
            tuple(size or 1 for size in (one.sizes[1:] if batched else one.sizes)),
            None if one.dtype == "float32" else one.dtype,
            one.name,
            batched,
        )
        for one in given
    )


def sized(path: Path, model: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Fix the shapes of the inputs of a model.

    Raises:
        InputError: a shape is missing, or does not fit what the file says.
    """
    for one in given_of(model):
        shape = shapes.get(one.name)
        if shape is None:
            raise InputError(f"{path} needs the input {one.name}: give its shape.")
        fits = len(shape) == len(one.sizes) or not one.sizes
        if not fits or any(s not in (None, n) for s, n in zip(one.sizes, shape, strict=False)):
            wanted = "x".join("?" if size is None else str(size) for size in one.sizes)
            raise InputError(
                f"{path} takes {one.name} of {wanted}; {format_shape(shape)} was given."
            )
    for entry in model.graph.input:
        if entry.name in shapes:
            kind = entry.type.tensor_type
            kind.shape.ClearField("dim")
            for size in shapes[entry.name]:
                kind.shape.dim.add().dim_value = size
