"""Whether Python ran what a source says, or byte code of what it said before.

Python knows stale byte code by the second and the size of the source: of two edits in one second
that keep the size, it misses the later. Such a capture must not be kept under the later's key.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterable
from pathlib import Path


def any_may_be_stale(paths: Iterable[Path]) -> bool:
    """Whether byte code that Python accepts for one of the sources is older than the source."""
    return any(_may_be_stale(path) for path in paths)


def _may_be_stale(path: Path) -> bool:
    try:
        compiled = Path(importlib.util.cache_from_source(str(path)))
        written = compiled.stat().st_mtime_ns
        with compiled.open("rb") as file:
            head = file.read(16)
    except (OSError, NotImplementedError):
        return False  # there is none
    source = path.stat()
    if len(head) < 16 or written > source.st_mtime_ns:
        return False
    flags, modified, size = struct.unpack("<4xIII", head)
    if flags:  # checked by the digest of the source, or never
        return bool(flags & 0b10 == 0)
    return (modified, size) == (int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF)
