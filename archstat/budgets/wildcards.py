"""Wildcards in a budget's model: ``resnet*``, ``nets/mine.py:*Net``, ``nets.*:build``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from archstat import zoo
from archstat.errors import SpecError
from archstat.models.users_code import candidates, check_names_are_told, models_told

_SIGNS = frozenset("*?[")


def has_wildcard(model: str) -> bool:
    """Whether a model stands for several; options after the comma have no wildcards."""
    return not _SIGNS.isdisjoint(model.partition(",")[0])


def matching(model: str, folder: Path) -> list[str]:
    """The specs that a model with wildcards stands for, its options behind each of them.

    Names of the zoo come in the catalogue's order. Of a file or module these are the public classes
    and functions that it defines, and what else it assigns and may be a model, read without running
    it, in their order.

    Raises:
        SpecError: nothing matches, or wildcards are not known for this kind of model.
        LookupFailedError: a file that it reaches cannot be read: what is in it is not known.
    """
    head, comma, options = model.partition(",")
    before, colon, after = head.strip().rpartition(":")
    if colon and before in ("timm", "torchvision"):
        raise SpecError(f"{model!r}: wildcards match zoo networks, files and modules only.")
    if not colon:
        names = [name for name in zoo.catalogue() if fnmatchcase(name, after)]
    else:
        names = [
            f"{module}:{name}"
            for module, path in _modules(before, folder)
            for name in _reached(path, after)
        ]
    if not names:
        where = f"in {before}" if colon else "of the zoo"
        if colon and after == "*":
            raise SpecError(f"{model!r} matches nothing: no class {where} has a base, and no "
                            "function an annotation as a model; name one.")  # fmt: skip
        raise SpecError(f"{model!r} matches nothing: no name {where} is like {after!r}.")
    return [f"{name}{comma}{options}" for name in names]


def silent(model: str, folder: Path) -> list[str]:
    """The files or modules that a wildcard reaches, in which no name is like it.

    Raises:
        SpecError, LookupFailedError: see `matching`.
    """
    before, _, after = model.partition(",")[0].strip().rpartition(":")
    return [
        module
        for module, path in (_modules(before, folder) if before else ())
        if not _reached(path, after)
    ]


def _reached(path: Path, pattern: str) -> list[str]:
    """The names of a file that are like a pattern; ``*`` by itself stands for its models."""
    check_names_are_told(path)
    if pattern == "*":
        return models_told(path)
    return [name for name in candidates(path) if fnmatchcase(name, pattern)]


def _modules(pattern: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The files that a path, or modules that a dotted name, stands for, with their source."""
    if pattern.endswith(".py") or "/" in pattern:
        for path in _found(folder, pattern):
            yield path.relative_to(folder).as_posix(), path
        return
    parts = pattern.split(".")
    for root in (folder, *(Path(entry) for entry in sys.path if entry)):
        stem = "/".join(parts)
        found = [(p, p.relative_to(root).with_suffix("")) for p in _found(root, f"{stem}.py")]
        packages = _found(root, f"{stem}/__init__.py")
        found += [(path, path.relative_to(root).parent) for path in packages]
        if found:
            yield from ((".".join(name.parts), path) for path, name in found)
            return


def _found(folder: Path, pattern: str) -> list[Path]:
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise SpecError(f"{pattern!r}: a wildcard searches only below the folder of its file.")
    try:
        return sorted(folder.glob(pattern))
    except (OSError, ValueError, NotImplementedError, IndexError) as error:
        raise SpecError(f"{pattern!r} cannot be searched for: {error}.") from error
