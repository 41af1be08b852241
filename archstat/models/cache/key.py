"""The key of a Graph: a digest of all that decides what a capture finds.

These are the spec as typed, the inputs and the batch; archstat's sources; and the versions of
archstat, Python, torch and, where they are used, timm and torchvision. A model of the user's own
files has no key: what arbitrary Python depends on cannot be known.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from archstat import zoo
from archstat.errors import ArchstatError
from archstat.graph import SCHEMA_VERSION
from archstat.models.asked import asked_of
from archstat.models.specs import Resolution, Spec, parse_spec
from archstat.version import __version__

# Settings of these packages that change what a model does, fused attention say.
_VARIABLES = ("TORCH", "PYTORCH", "TIMM")
Settings = tuple[tuple[str, str], ...]
# The installed packages that a scheme's models come from; timm may use torchvision.
_PACKAGES = {"zoo": (), "timm": ("timm", "torchvision"), "torchvision": ("torchvision",)}
_PACKAGE = Path(__file__).parents[2]


def settings() -> Settings:
    """The environment variables that may change what torch or timm do."""
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(_VARIABLES)))


def key_of(text: str, input: Any, batch: int | None, chosen: Settings) -> bytes | None:
    """The key of the Graph that a spec has at an input, 32 bytes; None where it cannot be known.

    Args:
        input: texts, as a command line has them, a Resolution, or None.
        chosen: `settings` as they were before torch was imported, which adds some of its own.
    """
    if not (input is None or isinstance(input, (str, Resolution)) or _are_texts(input)):
        return None
    try:
        spec = parse_spec(text)
        if spec.example or asked_of(input).example:
            return None  # code of the user's
        packages = _PACKAGES[spec.scheme]
        versions = {name: _version(name) for name in ("torch", *packages)}
        if versions["torch"] is None or any(versions[name] == "" for name in packages):
            return None
        network, sources = _network(spec), _sources()[0]
    except (ArchstatError, OSError, KeyError):
        return None  # the capture will say what is wrong, if anything is
    parts = {
        "schema": SCHEMA_VERSION,
        "spec": text,
        "network": network,
        "input": repr(input),
        "batch": batch or 1,
        "sources": sources,
        "versions": versions,
        "archstat": __version__,
        "python": (sys.version, sys.platform, sys.byteorder, sys.flags.optimize),
        "settings": chosen,
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).digest()


def _are_texts(input: Any) -> bool:
    return isinstance(input, Sequence) and all(isinstance(item, str) for item in input)


def sources_are_unchanged() -> bool:
    """Whether archstat's sources are still those of the keys: what was imported, is of them."""
    try:
        return _sources()[1] == _stamps()
    except OSError:
        return False


_Stamp = tuple[str, int, int]


@cache
def _sources() -> tuple[str, list[_Stamp]]:
    """One digest of all of archstat's sources, and what the files looked like when it was made."""
    stamps, digest = _stamps(), sha256()
    for path, _, size in stamps:
        digest.update(f"{path}\n{size}\n".encode())
        digest.update((_PACKAGE / path).read_bytes())
    return digest.hexdigest(), stamps


def _stamps() -> list[_Stamp]:
    """Path within the package, time of the last change and size of each source; sorted."""
    found, folders = [], [_PACKAGE]
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    path = os.path.relpath(entry.path, _PACKAGE)
                    found.append((path, status.st_mtime_ns, status.st_size))
                elif entry.is_dir() and not entry.name.startswith(("__", ".")):
                    folders.append(Path(entry.path))
    return sorted(found)


def _network(spec: Spec) -> Any:
    """What the catalogue says of the input of a network of the zoo."""
    if spec.scheme != "zoo":
        return ""
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
