"""The Graph: what a forward pass did, without torch and without weights.

Front ends make Graphs, analyses read them. Everything is a named tuple of plain things, so a
Graph can be built by hand in a test, saved to JSON and loaded where torch is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache, cached_property
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from archstat.errors import CaptureError, GraphFileError, InputError, Option
from archstat.units import format_shape

SCHEMA_VERSION = 1

_T = TypeVar("_T")
Kind = Literal[
    "conv", "linear", "matmul", "attention", "norm", "activation", "pool", "add", "mul", "concat",
    "split", "reshape", "pad", "resize", "reduce", "softmax", "embedding", "recurrent", "other",
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(Kind)
# Attributes of an op with a registered formula: its flops; its macs, by default half of them; why
# it is free.
REGISTERED = "registered flops"
REGISTERED_MACS = "registered macs"
REGISTERED_FREE = "registered as free"
# The target of an op that stands for all that other threads did, which nobody saw.
UNSEEN = "python.thread"
Role = Literal["input", "parameter", "buffer", "constant", "activation"]

ITEM_SIZES = {
    **{"float64": 8, "int64": 8, "complex64": 8, "uint64": 8, "complex128": 16, "complex32": 4},
    **{"float32": 4, "int32": 4, "uint32": 4, "float16": 2, "bfloat16": 2, "int16": 2, "uint16": 2},
    **{"int8": 1, "uint8": 1, "bool": 1, "qint8": 1, "quint8": 1, "qint32": 4},
    **{"float8_e4m3fn": 1, "float8_e5m2": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1},
}
# Bits of an element; those of less than a byte are packed.
BITS = {
    **{dtype: 8 * size for dtype, size in ITEM_SIZES.items()},
    **{"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2, "float8_e8m0fnu": 8},
    **{"float6_e2m3fn": 6, "float6_e3m2fn": 6, "float4_e2m1fn_x2": 8},
}


def bytes_of(elements: int, dtype: str) -> int:
    """Bytes of so many elements, packed; of four each where the dtype has no size."""
    bits = BITS.get(dtype, 32)
    return elements * (bits // 8) if bits >= 8 else -(-elements * bits // 8)


# record(Op, fields) is Op(*fields) in half the time: a named tuple's own constructor runs a line of
# Python, and a Graph has as many records as it has operations, tensors and modules.
record: Any = tuple.__new__


class Storage(NamedTuple):
    """A block of memory that one or more values live in.

    `born` is the op that made it (None: it was there before the first op) and `released` the op
    after which eager Python let go of it (None: still alive when forward returned).
    """

    nbytes: int
    born: int | None = None
    released: int | None = None


class Value(NamedTuple):
    """A tensor at one moment: shape, dtype, role and the index of the storage it lives in.

    A view, and the result of an in-place op, is a new value on the same storage. `name` and
    `aliases` are the paths of a parameter or buffer, or the argument name of an input.
    """

    shape: tuple[int, ...]
    dtype: str
    role: Role
    storage: int
    name: str | None = None
    aliases: tuple[str, ...] = ()
    trainable: bool = False

    @property
    def numel(self) -> int:
        """Elements; 1 for a scalar."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements, whatever the storage holds beside them."""
        return bytes_of(self.numel, self.dtype)


class Op(NamedTuple):
    """One operation: its kind, exact target, owning module, value indices and attributes.

    `attributes` holds every non-tensor argument under its schema name (a tensor argument that was
    left out appears as None), and `kernel`, one size per spatial axis, where the op has a window.
    """

    kind: Kind
    target: str
    module: str
    module_type: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: Mapping[str, Any] = MappingProxyType({})

    @property
    def name(self) -> str:
        """The target without namespace, overload and in-place underscore: ``relu``."""
        return _name_of(self.target)


@cache
def _name_of(target: str) -> str:
    parts = target.split(".")
    name = parts[1] if len(parts) > 1 else parts[0]
    return name if name.startswith("__") else name.rstrip("_")


class ModuleCall(NamedTuple):
    """One call of a module: the ops `first` to `last` (exclusive), with inputs and outputs.

    `parent` is the index of the enclosing call, None for the root.
    """

    module: str
    module_type: str
    first: int
    last: int
    parent: int | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Module(NamedTuple):
    """A module of the tree, called or not; `aliases` are the further paths of a shared one.

    `library` is the package that its class comes from: ``torch`` for torch's own layers.
    """

    path: str
    type: str
    aliases: tuple[str, ...] = ()
    library: str = ""


@dataclass(frozen=True)
class Graph:
    """A captured forward pass: ops in execution order, values, storages, module calls.

    `device` is where it ran: ``meta`` (shapes only) or ``cpu`` (a real run). `notes` holds what a
    reader of any figure must be told. `kv_cache_bytes` is the size of the cache of keys and values
    that forward was given or has left, `batch` the samples that it was given; None where nobody
    tells. `layout` has a letter an axis of an input (see `parse_layout`), or nothing. `call` has
    the inputs as `units.parse_input` reads them where shapes do not say what forward was given.
    """

    name: str
    ops: tuple[Op, ...]
    values: tuple[Value, ...]
    storages: tuple[Storage, ...]
    calls: tuple[ModuleCall, ...] = ()
    modules: tuple[Module, ...] = ()
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    device: str = "meta"
    torch_version: str = ""
    notes: tuple[str, ...] = ()
    kv_cache_bytes: int | None = None
    layout: str = ""
    call: tuple[str, ...] = ()
    batch: int | None = None

    @property
    def has_forward(self) -> bool:
        """Whether a forward pass was seen; a file of weights has none."""
        return bool(self.ops or self.outputs)

    def need_forward(self) -> None:
        """Refuse a Graph without a forward pass.

        Raises:
            CaptureError: it has none.
        """
        if not self.has_forward:
            raise CaptureError(
                f"{self.name} holds tensors without a forward pass, which this needs: give the "
                "model as FILE.py:NAME, or export it with torch.export.save to a .pt2 file."
            )

    @cached_property
    def producers(self) -> tuple[int | None, ...]:
        """For each value, the index of the op that made it; None for what forward was given."""
        made: list[int | None] = [None] * len(self.values)
        for index, op in enumerate(self.ops):
            for output in op.outputs:
                made[output] = index
        return tuple(made)

    @cached_property
    def held(self) -> tuple[list[int], list[int]]:
        """For each value the distinct elements that it can hold, and their bytes.

        No more than its storage has: an expanded value names the same elements many times.
        """
        storages = self.storages
        elements, nbytes = [], []
        for shape, dtype, _, storage, *_ in self.values:
            size = bytes_of(number := prod(shape), dtype)
            if size > storages[storage][0]:
                number = 8 * storages[storage][0] // BITS.get(dtype, 32)
                size = bytes_of(number, dtype)
            elements.append(number)
            nbytes.append(size)
        return elements, nbytes

    def once(self, name: str, make: Callable[[], _T]) -> _T:
        """What `make` gives, made once for all analyses; no part of a saved Graph."""
        made: dict[str, _T] = self.__dict__.setdefault("made", {})
        if name not in made:
            made[name] = make()
        return made[name]

    @property
    def input_text(self) -> str:
        """The inputs as text, batch included: ``1x3x224x224``, ``tokens=1x128:int64``."""
        texts = []
        for index in self.inputs:
            value = self.values[index]
            name = f"{value.name}=" if value.name else ""
            dtype = "" if value.dtype.startswith(("float", "bfloat")) else f":{value.dtype}"
            texts.append(f"{name}{format_shape(value.shape)}{dtype}")
        return ", ".join(texts)

    def parameters(self) -> Iterator[Value]:
        """The model's parameters, a shared one once, used in forward or not."""
        return (v for v in self.values if v.role == "parameter" and v.name is not None)

    def buffers(self) -> Iterator[Value]:
        """The model's buffers, a shared one once."""
        return (v for v in self.values if v.role == "buffer" and v.name is not None)

    def to_json(self) -> str:
        """The whole Graph as JSON; `from_json` gives an equal Graph back."""
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        document = {"archstat_graph": SCHEMA_VERSION, **content}
        return json.dumps(document, separators=(",", ":"), default=dict)

    def save(self, path: str | Path) -> None:
        """Write `to_json` to a file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def from_json(cls, text: str) -> Graph:
        """The Graph that `to_json` wrote.

        Raises:
            GraphFileError: not a Graph, damaged, or of another schema version.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GraphFileError(f"This is not a saved Graph: not JSON ({error}).") from error
        version = document.get("archstat_graph") if isinstance(document, dict) else None
        if version != SCHEMA_VERSION:
            raise GraphFileError(
                f"This is not a Graph of schema {SCHEMA_VERSION} but of {version}; "
                "capture the model again with this version of archstat."
            )
        try:
            # Older files lack some, and their storages have a fourth field, which was always empty.
            document = {"kv_cache_bytes": None, "layout": "", "call": [], "batch": None, **document}
            content = {entry.name: document[entry.name] for entry in fields(cls)}
            content["storages"] = [row[:3] for row in content["storages"]]
            for name, row_type in _ROW_TYPES.items():
                content[name] = tuple(row_type(*map(_tuples, row)) for row in content[name])
            graph = cls(**{name: _tuples(value) for name, value in content.items()})
            graph.check()
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise GraphFileError(f"This Graph is damaged: {error}.") from error
        return graph

    @classmethod
    def load(cls, path: str | Path) -> Graph:
        """The Graph that `save` wrote.

        Raises:
            GraphFileError: the file cannot be read, or see `from_json`.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise GraphFileError(f"{path} cannot be read as a Graph: {error}.") from error
        return cls.from_json(text)

    def check(self) -> None:
        """Raise ValueError for an unknown kind, an index outside the values or to a later one."""
        known = len(self.values)
        if not all(0 <= value < known for value in (*self.inputs, *self.outputs)):
            raise ValueError("an input or output is not a value")
        for value in self.values:
            sizes = isinstance(value.shape, tuple) and all(type(n) is int for n in value.shape)
            if not (sizes and isinstance(value.dtype, str)):
                raise ValueError(f"value {value} has no shape or dtype")
            if not 0 <= value.storage < len(self.storages):
                raise ValueError(f"value {value} lives in no storage")
        if not (self.batch is None or (type(self.batch) is int and self.batch > 0)):
            raise ValueError(f"its batch is {self.batch!r}")
        if any(type(storage.nbytes) is not int for storage in self.storages):
            raise ValueError("a storage has no bytes")
        times = {None, *range(max(1, len(self.ops)))}
        if any(s.born not in times or s.released not in times for s in self.storages):
            raise ValueError("a storage lives at no op")
        for index, op in enumerate(self.ops):
            if op.kind not in KINDS:
                raise ValueError(f"op {index} has the unknown kind {op.kind!r}")
            if not (isinstance(op.target, str) and isinstance(op.attributes, Mapping)):
                raise ValueError(f"op {index} has no target or attributes")
            if not all(0 <= value < known for value in (*op.inputs, *op.outputs)):
                raise ValueError(f"op {index} ({op.target}) points outside the values")
            for read in op.inputs:
                producer = self.producers[read]
                if producer is not None and producer > index:
                    raise ValueError(f"op {index} ({op.target}) reads a value made later")

    def __repr__(self) -> str:
        counts = f"{len(self.ops)} ops, {len(self.values)} values, "
        counts += f"{sum(1 for _ in self.parameters())} parameters, {len(self.calls)} module calls"
        return f"<Graph {self.name}: {counts}, on {self.device}>"


_ROW_TYPES: dict[str, Any] = {
    "ops": Op, "values": Value, "storages": Storage, "calls": ModuleCall, "modules": Module,
}  # fmt: skip


def _tuples(content: Any) -> Any:
    if isinstance(content, list):
        return tuple(_tuples(item) for item in content)
    is_dict = isinstance(content, dict)
    return {key: _tuples(item) for key, item in content.items()} if is_dict else content


def is_batch(letter: str) -> bool:
    """Whether a letter of a layout is the batch's."""
    return letter in "NB"


def positions(layout: str) -> tuple[int, ...]:
    """The axes of a layout that hold positions, in space or time."""
    return tuple(axis for axis, letter in enumerate(layout) if letter in "TDHWL")


def parse_layout(text: str) -> str:
    """A letter an axis, in capitals: ``NHWC`` for ``nhwc``.

    Raises:
        InputError: other letters than those of batch, channels, time and space, or one twice.
    """
    layout = text.strip().upper()
    found = "".join("B" if is_batch(one) else "C" if one == "F" else one for one in layout)
    if not layout or len(set(found)) < len(found) or not set(found) <= set("BCTDHWL"):
        raise InputError(
            f"{Option('layout', text[:40])} is not a layout; write one letter per axis: N or B for "
            "the batch, C or F for channels or features, T for time, D, H, W or L for space, such "
            "as NHWC, BTF or BTCHW."
        )
    return layout
