"""Columns of whole numbers, texts and records as bytes, and back, every index checked."""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

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
