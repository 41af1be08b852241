"""Entries in a folder: whole or absent, checked when read, bounded in size, the user's alone.

An entry's name is the digest of its key. Its content says so, too, and carries a digest of its own:
what is cut short, damaged, of another schema, another's, or open to others is not looked at.
Nothing here ever raises for the disk's sake: an entry that cannot be read or written costs time,
no figure.

A Graph is kept by `marshal`, which loads as fast as columns of our own did. It makes plain tuples,
numbers and texts, and runs nothing; but it trusts its bytes, so it is only ever given those that
this user wrote and that their digest covers. The key names the Python that they are for.
"""

from __future__ import annotations

import marshal
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import Any

from archstat.errors import GraphFileError
from archstat.files import write_whole
from archstat.graph import Graph, Module, ModuleCall, Op, Storage, Value, record

_RECORDS = {"ops": Op, "values": Value, "storages": Storage, "calls": ModuleCall, "modules": Module}


def graph_to_bytes(graph: Graph) -> bytes:
    """The bytes from which `graph_from_bytes` makes an equal Graph.

    Raises:
        GraphFileError: the Graph holds what cannot be kept exactly.
    """
    content = {entry.name: getattr(graph, entry.name) for entry in fields(graph)}
    content["ops"] = [(*op[:-1], dict(op.attributes)) for op in graph.ops]
    content |= {name: tuple(zip(*content[name], strict=True)) for name in _RECORDS}
    try:
        kept = marshal.dumps(content)
    except ValueError as error:
        raise GraphFileError(f"{graph.name} cannot be kept: {error}.") from error
    # What is no plain tuple, number or text comes back as something else.
    if graph_from_bytes(kept) != graph:
        raise GraphFileError(f"{graph.name} cannot be kept: it does not reload as it was.")
    return kept


def graph_from_bytes(content: bytes) -> Graph:
    """The Graph that `graph_to_bytes` wrote; give it nothing else, see above.

    Raises:
        GraphFileError: it is no Graph.
    """
    try:
        found: dict[str, Any] = marshal.loads(content)
        for name, kind in _RECORDS.items():
            found[name] = tuple(map(record, repeat(kind), zip(*found[name], strict=True)))
        return Graph(**found)
    except (ValueError, LookupError, TypeError, EOFError) as error:
        raise GraphFileError(f"This Graph is damaged: {error}.") from error


SCHEMA = 2
LIMIT = 256 * 1000**2  # bytes of all entries together
_MAGIC = b"archstat graph %d\n" % SCHEMA
_HEAD = len(_MAGIC) + 64
_ENTRY = re.compile(r"[0-9a-f]{64}\.graph")
_DRAFT = re.compile(r"\.[0-9a-f]{64}\.graph\.draft\..*")
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
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path(digest), head + content, private=True)
        except OSError:
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
                if _is_entry(item.name) or _DRAFT.fullmatch(item.name):
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
    """Whether a file is the user's own, and nobody else may write it."""
    if not stat.S_ISREG(status.st_mode):
        return False
    if not hasattr(os, "geteuid"):
        return True  # on Windows the folder of a user is open to that user alone
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
