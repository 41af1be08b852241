"""The key of a Graph: a digest of all that decides what a capture finds.

These are the spec as typed, the inputs and the batch; archstat's sources that capture, those of the
network's family or of the user's own files with all that they import; and the versions of archstat,
Python, torch and, where they are used, timm and torchvision.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from archstat import zoo
from archstat.errors import ArchstatError
from archstat.graph import SCHEMA_VERSION
from archstat.models.cache.sources import Files, user_sources
from archstat.models.specs import Resolution, Spec, parse_spec
from archstat.version import __version__


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


# Settings of these packages that change what a model does, fused attention say.
_VARIABLES = ("TORCH", "PYTORCH", "TIMM")
Settings = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Key:
    """What a Graph depends on: parts by name, and the files whose digests are among them."""

    parts: Mapping[str, Any]
    files: frozenset[Path]

    @property
    def digest(self) -> bytes:
        """32 bytes that no other parts have."""
        return sha256(json.dumps(self.parts, sort_keys=True).encode()).digest()


def settings() -> Settings:
    """The environment variables that may change what torch or timm do."""
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(_VARIABLES)))


def key_of(text: str, input: Any, batch: int | None, files: Files, chosen: Settings) -> Key | None:
    """The key of the Graph that a spec has at an input; None where it cannot be known.

    Args:
        input: texts, as a command line has them, a Resolution, or None.
        files: those already read.
        chosen: `settings` as they were before torch was imported, which adds some of its own.
    """
    if not (input is None or isinstance(input, (str, Resolution)) or _are_texts(input)):
        return None
    try:
        spec = parse_spec(text)
        made = _sources(spec, files)
        if made is None:
            return None
        paths, packages = made
        versions = {name: _version(name) for name in ("torch", *packages)}
        if versions["torch"] is None or any(versions[name] == "" for name in packages):
            return None
        digests, network = files.digests(paths), _network(spec)
    except (ArchstatError, OSError, ValueError):
        return None  # the capture will say what is wrong, if anything is
    parts = {
        "schema": SCHEMA_VERSION,
        "spec": text,
        "network": network,
        "input": repr(input),
        "batch": batch or 1,
        "sources": digests,
        "versions": versions,
        "archstat": __version__,
        "python": (sys.version, sys.platform, sys.byteorder, sys.flags.optimize),
        "settings": chosen,
    }
    return Key(parts, frozenset(paths))


def _are_texts(input: Any) -> bool:
    return isinstance(input, Sequence) and all(isinstance(item, str) for item in input)


def _sources(spec: Spec, files: Files) -> tuple[Iterable[Path], Sequence[str]] | None:
    """The files and the installed packages that a spec's model comes from."""
    if spec.scheme == "zoo":
        return files.capturing(f"zoo.{zoo.entry(spec.target).file}"), ()
    if spec.scheme != "python":
        # timm may use torchvision, where there is one
        return files.capturing(), ("timm", "torchvision")[spec.scheme != "timm" :]
    found = user_sources(files, spec.target, Path.cwd())
    if found is None:
        return None
    return files.capturing(*found.own) | found.files, sorted(found.packages)


def _network(spec: Spec) -> Any:
    """What the catalogue says of the input of a network of the zoo."""
    if spec.scheme != "zoo":
        return str(Path.cwd()) if spec.scheme == "python" else ""
    entry = zoo.entry(spec.target)
    return entry.file, entry.input, dict(entry.inputs)


@cache
def _version(package: str) -> str | None:
    """An installed package's version file; None without the package, "" for one in development."""
    found = importlib.machinery.PathFinder.find_spec(package)
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    if package != "torch" and folder.parent.name not in ("site-packages", "dist-packages"):
        return ""
    return (folder / "version.py").read_text(encoding="utf-8")
