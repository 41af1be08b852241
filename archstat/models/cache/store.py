"""Entries in a folder: whole or absent, checked when read, bounded in size, the user's alone.

An entry's name is the digest of its key. Its content says so, too, and carries a digest of its own:
what is cut short, damaged, of another schema or another's is dropped. Nothing here ever raises for
the disk's sake: an entry that cannot be read or written costs time, no figure.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import tempfile
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate, chain, pairwise, repeat
from pathlib import Path
from typing import Any, TypeVar, get_args

from archstat.errors import GraphFileError
from archstat.graph import KINDS, Graph, Module, ModuleCall, Op, Role, Storage, Value, record

_TYPES = ("B", "H", "I", "Q")


class Writer:
    """Columns one after the other; a text, and whatever JSON can hold, is kept once."""

    def __init__(self) -> None:
        self._columns: list[array[int]] = []
        self._texts: dict[str, int] = {}
        self._objects: dict[str, int] = {}

    def numbers(self, numbers: Iterable[int]) -> None:
        """A column of whole numbers from 0 up, each as wide as the largest needs.

        Raises:
            OverflowError, TypeError: one below 0 or beyond 64 bits, or no whole number.
        """
        listed = list(numbers)
        largest = max(listed, default=0)
        kinds = (kind for kind in _TYPES if largest < 256 ** array(kind).itemsize)
        self._columns.append(array(next(kinds, _TYPES[-1]), listed))

    def optional(self, numbers: Iterable[int | None]) -> None:
        """A column of numbers with None among them."""
        self.numbers(0 if number is None else number + 1 for number in numbers)

    def rows(self, rows: Iterable[Sequence[int]]) -> None:
        """A column of tuples of whole numbers."""
        listed = list(rows)
        self.numbers(map(len, listed))
        self.numbers(chain.from_iterable(listed))

    def distinct(self, rows: Iterable[Sequence[int]]) -> None:
        """The same for tuples of which there are few different ones."""
        places: dict[Sequence[int], int] = {}
        self.numbers([places.setdefault(row, len(places)) for row in rows])
        self.rows(places)

    def texts(self, texts: Iterable[str]) -> None:
        """A column of texts."""
        places = self._texts
        self.numbers([places.setdefault(text, len(places)) for text in texts])

    def names(self, names: Iterable[str | None]) -> None:
        """A column of texts with None among them."""
        places = self._texts
        self.optional([None if n is None else places.setdefault(n, len(places)) for n in names])

    def objects(self, objects: Iterable[Any]) -> None:
        """A column of what JSON can hold, with tuples for its lists.

        Raises:
            TypeError, ValueError: JSON cannot hold it.
        """
        places, listed = self._objects, list(objects)
        # Many are one and the same object: its text is made once.
        texts = {key: _dumped(item) for key, item in {id(item): item for item in listed}.items()}
        self.numbers([places.setdefault(texts[id(item)], len(places)) for item in listed])

    def to_bytes(self) -> bytes:
        """All of it: a line of JSON, which says what follows, and the numbers."""
        kinds = [(column.typecode, len(column)) for column in self._columns]
        head = {"byteorder": sys.byteorder, "columns": kinds, "texts": list(self._texts)}
        line = f'{_dumped(head)[:-1]},"objects":[{",".join(self._objects)}]}}\n'
        return b"".join([line.encode(), *(column.tobytes() for column in self._columns)])


class Reader:
    """What a Writer wrote, column by column in the same order.

    Raises:
        ValueError, LookupError, TypeError, StopIteration: it is damaged, in every method.
    """

    def __init__(self, content: bytes) -> None:
        line, _, _ = content.partition(b"\n")
        head = json.loads(line)
        if head["byteorder"] != sys.byteorder:
            raise ValueError("it was written by a machine of another byte order")
        self._columns = _columns(head["columns"], memoryview(content)[len(line) + 1 :])
        self._texts: list[str] = head["texts"]
        "".join(self._texts)  # raises where one is no text, sooner than a look at each
        self._objects = [as_tuples(item) for item in head["objects"]]
        self._next = iter(self._columns).__next__

    def numbers(self, below: int | None = None) -> list[int]:
        """The next column of whole numbers; with `below`, indices of so many things."""
        numbers = self._next()
        if below is not None and max(numbers, default=-1) >= below:
            raise ValueError("an index leads nowhere")
        return numbers

    def optional(self, below: int) -> list[int | None]:
        """The next column of indices with None among them."""
        return [number - 1 if number else None for number in self.numbers(below + 1)]

    def rows(self, below: int | None = None) -> list[tuple[int, ...]]:
        """The next column of tuples, of indices where `below` is given."""
        lengths, flat = self.numbers(), self.numbers(below)
        if sum(lengths) != len(flat):
            raise ValueError("a column of tuples has another length")
        size = max(lengths, default=0)
        if size and min(lengths) == size:
            return list(zip(*[iter(flat)] * size, strict=True))
        whole = tuple(flat)
        return [whole[a:b] for a, b in pairwise(accumulate(lengths, initial=0))]

    def distinct(self) -> list[tuple[int, ...]]:
        """The next column of tuples of which there are few different ones."""
        places, rows = self.numbers(), self.rows()
        return [rows[place] for place in places]

    def among(self, choices: Sequence[Any]) -> list[Any]:
        """The next column of indices, as the choices that they stand for."""
        listed = list(choices)  # Python is quickest with the items of a list
        return [listed[number] for number in self.numbers()]

    def names(self) -> list[str | None]:
        """The next column of texts with None among them."""
        return self.among((None, *self._texts))

    def texts(self) -> list[str]:
        """The next column of texts."""
        return self.among(self._texts)

    def mappings(self) -> list[Mapping[str, Any]]:
        """The next column of mappings; equal ones are the same one."""
        places = self.numbers()
        if not all(type(self._objects[place]) is dict for place in set(places)):
            raise ValueError("a mapping is none")
        objects = self._objects
        return [objects[place] for place in places]

    def groups(self) -> list[tuple[str, ...]]:
        """The next column of tuples of texts."""
        places = self.numbers()
        for place in set(places):
            group = self._objects[place]
            if type(group) is not tuple or not all(type(text) is str for text in group):
                raise ValueError("a group of texts is none")
        objects = self._objects
        return [objects[place] for place in places]


def _dumped(item: Any) -> str:
    return json.dumps(item, default=dict, separators=(",", ":"))


def _columns(kinds: Sequence[tuple[str, int]], content: memoryview) -> list[list[int]]:
    columns, start = [], 0
    for kind, count in kinds:
        if kind not in _TYPES or type(count) is not int or count < 0:
            raise ValueError("a column is of no known type")
        column = array(kind)
        end = start + count * column.itemsize
        column.frombytes(content[start:end])
        if len(column) != count:
            raise ValueError("a column ends early")
        columns.append(column.tolist())
        start = end
    if start != len(content):
        raise ValueError("there is more than its columns")
    return columns


def as_tuples(content: Any) -> Any:
    """What JSON gives, with tuples for its lists."""
    if isinstance(content, list):
        return tuple(as_tuples(item) for item in content)
    if isinstance(content, dict):
        return {key: as_tuples(item) for key, item in content.items()}
    return content


_ROLES: tuple[str, ...] = get_args(Role)
_FLAGS = (False, True)
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
    distinct = _records(Storage, len(sizes), sizes, of.optional(times), of.optional(times))
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


SCHEMA = 1
LIMIT = 256 * 1000**2  # bytes of all entries together
_MAGIC = b"archstat graph %d\n" % SCHEMA
_HEAD = len(_MAGIC) + 64
_ENTRY = re.compile(r"[0-9a-f]{64}\.graph")
_DRAFT = ".archstat-draft-"
_ABANDONED = 3600  # seconds after which nobody is still writing a draft
_DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of entries, made when the first is written; `limit` is in bytes."""

    folder: Path
    limit: int = LIMIT

    def read(self, digest: bytes) -> bytes | None:
        """The content kept under the digest of a key; None where there is none that is sound."""
        path = self._path(digest)
        try:
            # a pipe of that name must not be waited for
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(handle)
                if status.st_size > self.limit or not _is_ours(status):
                    return None
                entry = file.read()
        except (OSError, MemoryError):
            return None
        content = _content(entry, digest)
        if content is None:
            self.drop(digest)
        elif time.time() - status.st_mtime > _DAY:
            with suppress(OSError):
                os.utime(path)  # in use: not among the oldest
        return content

    def write(self, digest: bytes, content: bytes) -> bool:
        """Keep a content under the digest of a key; tell whether it is kept."""
        head = _MAGIC + digest + sha256(content).digest()
        if len(head) + len(content) > self.limit:
            return False
        draft = None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # made for the user alone, and under a name that nobody else has
            handle, draft = tempfile.mkstemp(prefix=_DRAFT, dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                file.write(head)
                file.write(content)
            os.replace(draft, self._path(digest))
        except OSError:
            if draft is not None:
                with suppress(OSError):
                    os.unlink(draft)
            return False
        self._shrink()
        return True

    def drop(self, digest: bytes) -> None:
        """Take an entry out, if it is there."""
        with suppress(OSError):
            self._path(digest).unlink(missing_ok=True)

    def clear(self) -> tuple[int, int]:
        """Take all entries out; how many there were, and their bytes."""
        count = size = 0
        for path, status in self._files():
            with suppress(OSError):
                os.unlink(path)
                if _is_entry(path):
                    count, size = count + 1, size + status.st_size
        return count, size

    def usage(self) -> tuple[int, int]:
        """How many entries there are, and their bytes."""
        sizes = [s.st_size for path, s in self._files() if _is_entry(path)]
        return len(sizes), sum(sizes)

    def _path(self, digest: bytes) -> Path:
        return self.folder / f"{digest.hex()}.graph"

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        """The entries and drafts that stand in the folder; nothing else there is ours."""
        with suppress(OSError), os.scandir(self.folder) as found:
            for item in found:
                if _is_entry(item.name) or item.name.startswith(_DRAFT):
                    with suppress(OSError):
                        yield item.path, item.stat(follow_symlinks=False)

    def _shrink(self) -> None:
        """Take the oldest entries out until the rest keeps the limit, and abandoned drafts."""
        files = sorted(self._files(), key=lambda item: item[1].st_mtime)
        total = sum(status.st_size for _, status in files)
        now = time.time()
        for path, status in files:
            is_draft = not _is_entry(path)
            # A draft that is still being written is its writer's.
            over = total > self.limit and not is_draft
            if over or (is_draft and now - status.st_mtime > _ABANDONED):
                with suppress(OSError):
                    os.unlink(path)
                total -= status.st_size


def _content(entry: bytes, digest: bytes) -> bytes | None:
    """The content of an entry, if it is whole and the one that was asked for."""
    content = entry[_HEAD:]
    head = _MAGIC + digest + sha256(content).digest()
    return content if entry[:_HEAD] == head else None


def _is_entry(path: str) -> bool:
    return _ENTRY.fullmatch(os.path.basename(path)) is not None


def _is_ours(status: os.stat_result) -> bool:
    if not stat.S_ISREG(status.st_mode):
        return False
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
