"""The files that a network is made of: archstat's own, and those of a user's model."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from archstat.models.cache.scanning import PACKAGES, Import, is_harmless, own_imports, users_imports

_PACKAGE = Path(__file__).parents[2]
# What turns a spec into a Graph. `pipeline` is taken by itself, since what it imports besides
# reads finished Graphs; `archstat/__init__` resolves its names only when they are asked for.
_CAPTURE = (
    "frontends.module",
    "frontends.building",
    "frontends.inputs",
    "models.sources",
    "models.cache.store",
)
_ZOO = "archstat.zoo"
_ALONE = ("models/pipeline.py", "__init__.py", "version.py")


class Files:
    """Files read once, what they amount to, and which of archstat's import which."""

    def __init__(self) -> None:
        self._contents: dict[Path, bytes] = {}
        self._digests: dict[Path, tuple[str, str]] = {}
        self._capture: frozenset[Path] | None = None

    def content(self, path: Path) -> bytes:
        """The bytes of a file.

        Raises:
            OSError: it cannot be read.
        """
        if path not in self._contents:
            self._contents[path] = path.read_bytes()
        return self._contents[path]

    def digests(self, paths: Iterable[Path]) -> list[tuple[str, str]]:
        """Each path, archstat's own within the package, with the digest of its content; sorted.

        Raises:
            OSError: one cannot be read.
        """
        known = self._digests
        for path in (wanted := frozenset(paths)):
            if path not in known:
                known[path] = (_title(path), sha256(self.content(path)).hexdigest())
        return sorted(known[path] for path in wanted)

    def capturing(self, *roots: str) -> frozenset[Path]:
        """archstat's files that a capture runs, and those of `roots`, such as ``zoo.vgg``.

        Raises:
            OSError: one cannot be read.
        """
        if self._capture is None:
            self._capture = self._closure(frozenset(_PACKAGE / name for name in _ALONE), _CAPTURE)
        return self._closure(self._capture, roots) if roots else self._capture

    def _closure(self, known: frozenset[Path], roots: Sequence[str]) -> frozenset[Path]:
        found = set(known)
        seen = set(waiting := [f"archstat.{root}" for root in roots])
        while waiting:
            for path in _own_files(waiting.pop()):
                if path not in found:
                    found.add(path)
                    further = own_imports(self.content(path)) - seen
                    seen |= further
                    waiting.extend(further)
        return frozenset(found)


def _title(path: Path) -> str:
    is_own = path.is_relative_to(_PACKAGE)
    return f"archstat/{path.relative_to(_PACKAGE).as_posix()}" if is_own else str(path)


def _own_files(module: str) -> Iterator[Path]:
    """The files that an import of a dotted name of archstat runs; a name in a module has none."""
    place = _PACKAGE
    for part in module.split(".")[1:]:
        place = place / part
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                yield path


@dataclass(slots=True)
class UserSources:
    """The files of a user's model, and the packages that it uses and that are known by version."""

    files: set[Path] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)


def user_sources(files: Files, target: str, folder: Path) -> UserSources | None:
    """What a file or module of the user's is made of; None where that cannot be known.

    Args:
        target: a file, or a dotted module that is looked for in `folder`.

    Raises:
        OSError: a file cannot be read.
    """
    walk = _Walk(files, folder)
    if target.endswith(".py") or "/" in target:
        path = Path(target).resolve()
        walk.folder = path.parent
        known = path.is_file() and walk.follow(path, "")
    else:
        known = walk.add(target)
    return walk.found if known else None


class _Walk:
    """A walk along imports that stops where something is not known for certain."""

    def __init__(self, files: Files, folder: Path) -> None:
        self.files, self.folder, self.found = files, folder.resolve(), UserSources()

    def follow(self, path: Path, package: str) -> bool:
        """Take in a file, whose relative imports are of `package`, and all that it imports."""
        if path in self.found.files:
            return True
        self.found.files.add(path)
        imports = users_imports(self.files.content(path))
        return imports is not None and all(self._imported(one, package) for one in imports)

    def _imported(self, one: Import, package: str) -> bool:
        module = one.module
        if one.level:
            parents = package.split(".") if package else []
            if one.level > len(parents):
                return False
            base = parents[: len(parents) - one.level + 1]
            module = ".".join([*base, *([module] if module else [])])
        if module == _ZOO:
            return bool(one.names) and all(self.add(f"{_ZOO}.{name}") for name in one.names)
        return self.add(module) and all(self._name(module, name) for name in one.names)

    def _name(self, module: str, name: str) -> bool:
        """Take in a name imported from a module, which may be a module itself."""
        if _top(module) == "torch":
            return is_harmless(f"{module}.{name}") or not _is_torch_module(f"{module}.{name}")
        if not self._is_users(module):
            return True
        dotted = f"{module}.{name}"
        return name == "*" or not self._exists(dotted) or self.add(dotted)

    def add(self, module: str) -> bool:
        """Take in a module by its dotted name."""
        top = _top(module)
        if self._is_users(module):
            # Two of a name: which of them is imported depends on what was imported before.
            return not _known_elsewhere(top, self.folder) and self._add_users(module)
        if top == "archstat":
            # Of the zoo only its families are known: `zoo.build` imports any of them.
            family = module.removeprefix(f"{_ZOO}.")
            self.found.own.add(f"zoo.{family}")
            return (_PACKAGE / "zoo" / f"{family}.py").is_file()
        if top in PACKAGES:
            self.found.packages.add(top)
            return True
        return is_harmless(module)

    def _add_users(self, module: str) -> bool:
        paths: Sequence[str] = [str(self.folder)]
        parts = module.split(".")
        for depth in range(len(parts)):
            dotted = ".".join(parts[: depth + 1])
            spec = importlib.machinery.PathFinder.find_spec(dotted, paths)
            if spec is None or not _is_source(spec):
                return False
            paths = spec.submodule_search_locations or []
            package = dotted if paths else dotted.rpartition(".")[0]
            if not self.follow(Path(str(spec.origin)).resolve(), package):
                return False
        return True

    def _is_users(self, module: str) -> bool:
        return _find(_top(module), self.folder) is not None

    def _exists(self, dotted: str) -> bool:
        place = self.folder.joinpath(*dotted.split("."))
        return place.is_dir() or any(place.parent.glob(f"{place.name}.*"))


def _top(module: str) -> str:
    return module.partition(".")[0]


def _find(top: str, folder: Path) -> importlib.machinery.ModuleSpec | None:
    return importlib.machinery.PathFinder.find_spec(top, [str(folder)])


def _known_elsewhere(top: str, folder: Path) -> bool:
    if top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return True
    others = [entry for entry in sys.path if Path(entry).resolve() != folder]
    return importlib.machinery.PathFinder.find_spec(top, others) is not None


def _is_source(spec: importlib.machinery.ModuleSpec) -> bool:
    loaded_from = isinstance(spec.loader, importlib.machinery.SourceFileLoader)
    return loaded_from and spec.origin is not None


def _is_torch_module(dotted: str) -> bool:
    """Whether a dotted name is a module of torch's, found without importing it."""
    spec = importlib.machinery.PathFinder.find_spec("torch")
    places = (spec.submodule_search_locations if spec else None) or []
    relative = dotted.split(".")[1:]
    return any(
        (place := Path(entry).joinpath(*relative)).is_dir() or place.with_suffix(".py").is_file()
        for entry in places
    )
