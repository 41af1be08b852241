"""A Graph as bytes, in columns: one of ten thousand operations loads in milliseconds.

Every column of numbers is one array of the narrowest width that holds it, texts and attributes are
kept once, and records are made without a line of Python for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any, TypeVar, get_args

from archstat.cache.columns import Reader, Writer
from archstat.errors import GraphFileError
from archstat.graph import KINDS, Graph, Module, ModuleCall, Op, Role, Storage, Value, record

_ROLES: tuple[str, ...] = get_args(Role)
_FLAGS = (False, True)
_SAVED = (None, False, True)
_Record = TypeVar("_Record", bound=tuple[Any, ...])


def graph_to_bytes(graph: Graph) -> bytes:
    """The bytes from which `graph_from_bytes` makes an equal Graph.

    Raises:
        GraphFileError: the Graph holds what cannot be kept exactly.
    """
    try:
        content = _written(graph)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise GraphFileError(f"{graph.name} cannot be kept: {error}.") from error
    # What JSON would turn into something else, not-a-number say, is found here.
    if graph_from_bytes(content) != graph:
        raise GraphFileError(f"{graph.name} cannot be kept: it does not come back as it was.")
    return content


def graph_from_bytes(content: bytes) -> Graph:
    """The Graph that `graph_to_bytes` wrote, every index checked.

    Raises:
        GraphFileError: it is damaged.
    """
    try:
        return _read(Reader(content))
    except (ValueError, LookupError, TypeError, StopIteration, RecursionError) as error:
        raise GraphFileError(f"This Graph is damaged: {error}.") from error


def _written(graph: Graph) -> bytes:
    to = Writer()
    ops, values, storages, calls = graph.ops, graph.values, graph.storages, graph.calls
    to.numbers(map(len, (ops, values, storages, calls)))
    to.texts((graph.name, graph.device, graph.torch_version, *graph.notes))
    to.rows((graph.inputs, graph.outputs))
    to.numbers(KINDS.index(op.kind) for op in ops)
    to.texts(op.target for op in ops)
    to.texts(op.module for op in ops)
    to.texts(op.module_type for op in ops)
    to.rows(op.inputs for op in ops)
    to.rows(op.outputs for op in ops)
    to.objects(op.attributes for op in ops)
    to.distinct(value.shape for value in values)
    to.texts(value.dtype for value in values)
    to.numbers(_ROLES.index(value.role) for value in values)
    to.numbers(value.storage for value in values)
    to.names(value.name for value in values)
    to.objects(value.aliases for value in values)
    to.numbers(_FLAGS.index(value.trainable) for value in values)
    # Parameters of one size have storages that are all alike.
    places = {storage: place for place, storage in enumerate(dict.fromkeys(storages))}
    to.numbers(map(places.__getitem__, storages))
    to.numbers(storage.nbytes for storage in places)
    to.optional(storage.born for storage in places)
    to.optional(storage.released for storage in places)
    to.numbers(_SAVED.index(storage.saved) for storage in places)
    to.texts(call.module for call in calls)
    to.texts(call.module_type for call in calls)
    to.numbers(call.first for call in calls)
    to.numbers(call.last for call in calls)
    to.optional(call.parent for call in calls)
    to.rows(call.inputs for call in calls)
    to.rows(call.outputs for call in calls)
    to.texts(module.path for module in graph.modules)
    to.texts(module.type for module in graph.modules)
    to.objects(module.aliases for module in graph.modules)
    return to.to_bytes()


def _read(of: Reader) -> Graph:
    n_ops, n_values, n_storages, n_calls = of.numbers()
    name, device, torch_version, *notes = of.texts()
    inputs, outputs = of.rows(n_values)
    ops = _records(Op, n_ops, of.among(KINDS), of.texts(), of.texts(), of.texts(),
                   of.rows(n_values), of.rows(n_values), of.mappings())  # fmt: skip
    values = _records(Value, n_values, of.distinct(), of.texts(), of.among(_ROLES),
                      of.numbers(n_storages), of.names(), of.groups(),
                      of.among(_FLAGS))  # fmt: skip
    times = max(1, n_ops)
    places, sizes = of.numbers(), of.numbers()
    distinct = _records(Storage, len(sizes), sizes, of.optional(times), of.optional(times),
                        of.among(_SAVED))  # fmt: skip
    storages = tuple([distinct[place] for place in places])
    if len(storages) != n_storages:
        raise ValueError(f"there are not {n_storages} storages")
    calls = _records(ModuleCall, n_calls, of.texts(), of.texts(), of.numbers(n_ops + 1),
                     of.numbers(n_ops + 1), of.optional(n_calls), of.rows(n_values),
                     of.rows(n_values))  # fmt: skip
    paths = of.texts()
    modules = _records(Module, len(paths), paths, of.texts(), of.groups())
    return Graph(name, ops, values, storages, calls, modules, inputs, outputs, device,
                 torch_version, tuple(notes))  # fmt: skip


def _records(kind: type[_Record], count: int, *columns: Sequence[Any]) -> tuple[_Record, ...]:
    if len(columns[0]) != count:
        raise ValueError(f"there are not {count} records of {kind.__name__}")
    return tuple(map(record, repeat(kind), zip(*columns, strict=True)))
