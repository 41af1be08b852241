"""Objects in a user's file or module, and the names that it has for them."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from archstat.errors import LookupFailedError
from archstat.files import read_regular
from archstat.frontends.garbage import collection_paused
from archstat.hints import did_you_mean, shortened


def load_attribute(module: str, attribute: str) -> Any:
    """The object that `attribute` (dotted) names in a dotted module or in a Python file.

    The file's folder, or the working directory for a module, is importable meanwhile.

    Raises:
        LookupFailedError: no such file, module or attribute, or the import itself raised.
    """
    is_file = module.endswith(".py") or "/" in module or os.sep in module
    found: Any = _import_file(Path(module)) if is_file else _import_module(module)
    for part in attribute.split("."):
        try:
            present = hasattr(found, part)
        except Exception as error:  # a module's own __getattr__ may import what is absent
            raise LookupFailedError(f"{module}:{attribute}: {shortened(error)}") from error
        if not present:
            names = [name for name in dir(found) if not name.startswith("_")]
            hint = did_you_mean(part, names) or f" It has {', '.join(names[:8]) or 'no names'}."
            raise LookupFailedError(f"{module} has no attribute {part!r}.{hint}")
        found = getattr(found, part)
    return found


def candidates(path: Path) -> list[str]:
    """The public names that a Python file may build models by, read without running it.

    These are the classes and functions that it defines, also under a condition, and what it assigns
    a name that is not plainly a number, a text or a collection.

    Raises:
        LookupFailedError: it cannot be read as Python.
    """
    with _reading(path) as tree:
        names = [name for node in tree.body for name in _named(node)]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


def model_classes(path: Path) -> list[str]:
    """The public classes of a file that are modules by their bases, read without running it.

    Raises:
        LookupFailedError: it cannot be read as Python.
    """
    found: list[str] = []
    with _reading(path) as tree:
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                if any(base.endswith(_MODULES) or base in found for base in bases):
                    found.append(node.name)
    return [name for name in found if not name.startswith("_")]


def models_told(path: Path) -> list[str]:
    """Those of a file's `candidates` that it says are models, or may say so.

    A class without a base is none, and a function only by ``__all__`` or by an annotation such as
    ``-> nn.Module``.

    Raises:
        LookupFailedError: it cannot be read as Python.
    """
    classes = {*_MODULES, *model_classes(path)}
    with _reading(path) as tree:
        listed = _listed(tree)
        defined = list(_defined(tree))
        told = {node.name for node in defined
                if (node.bases if isinstance(node, ast.ClassDef) else
                    node.name in listed or classes & set(_words(node.returns)))}  # fmt: skip
    others = {node.name for node in defined} - told
    return [name for name in candidates(path) if name not in others]


def check_names_are_told(path: Path) -> None:
    """Refuse a file that names things only while it runs, as ``globals()[name] = ...`` does.

    Raises:
        LookupFailedError: it does, or cannot be read as Python.
    """
    with _reading(path) as tree:
        lines = (_line(node) for node in _outside(tree) if _names_unseen(node))
        line = next(lines, None)
    if line is not None:
        raise LookupFailedError(
            f"{path}:{line} makes names while it runs, which a wildcard cannot see: name each "
            "model itself."
        )


def _line(node: ast.AST) -> int:
    return getattr(node, "lineno", 0)


def _outside(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module that run when it is imported, at any depth."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from _outside(child)


def _names_unseen(node: ast.AST) -> bool:
    """Whether a node puts something under a computed name of the module."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Store) and _called(node.value) in _NAMESPACES
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        writes = node.func.attr in ("update", "setdefault", "__setitem__")
        return writes and _called(node.func.value) in _NAMESPACES
    return isinstance(node, ast.Call) and _called(node) in ("exec", "setattr")


def _called(node: ast.AST) -> str:
    """The name of the function that a node calls; empty where it calls none by name."""
    called = node.func if isinstance(node, ast.Call) else None
    return called.id if isinstance(called, ast.Name) else ""


_NAMESPACES = ("globals", "locals", "vars")


def _defined(node: ast.AST) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The classes and functions of a module, also under a condition, not those inside of them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
        elif not isinstance(child, ast.Lambda):
            yield from _defined(child)


def _words(annotation: ast.AST | None) -> list[str]:
    return re.findall(r"\w+", "" if annotation is None else ast.unparse(annotation))


def _listed(tree: ast.Module) -> set[object]:
    """The names in ``__all__``, as far as they are written out."""
    lists = (node.value for node in tree.body if isinstance(node, (ast.Assign, ast.AugAssign))
             and "__all__" in _words(node)[:1])  # fmt: skip
    return {part.value for one in lists for part in ast.walk(one) if isinstance(part, ast.Constant)}


_MODULES = ("Module", "Sequential", "ModuleList", "ModuleDict")


@contextmanager
def _reading(path: Path) -> Iterator[ast.Module]:
    """The statements of a file; whatever is wrong with them is the file's fault."""
    try:
        # Python 3.11 loses count of its depth where a collection runs somebody's hook meanwhile.
        with collection_paused():
            tree = ast.parse(read_regular(path), str(path))
        yield tree
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LookupFailedError(f"{path} cannot be read: {shortened(error)}") from error


_PLAIN = (
    *(ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.BinOp, ast.UnaryOp),
    *(ast.Compare, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp),
)


def _named(node: ast.AST) -> Iterator[str]:
    """The names that a statement of a module makes, and those inside of it."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield node.name
        return  # what stands in it is its own
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from _assigned(target, node.value)
    for child in ast.iter_child_nodes(node):
        yield from _named(child)


def _assigned(target: ast.AST, value: ast.AST | None) -> Iterator[str]:
    if isinstance(target, ast.Name):
        if value is not None and not isinstance(value, _PLAIN):
            yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        values: list[ast.expr] | list[ast.AST | None] = [value] * len(target.elts)
        if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts):
            values = value.elts
        for name, its in zip(target.elts, values, strict=True):
            yield from _assigned(name, its)


def is_importable(name: str) -> bool:
    """Whether a module of this undotted name is installed or lies in the working directory."""
    try:
        return PathFinder.find_spec(name, [str(Path.cwd()), *sys.path]) is not None
    except (ImportError, ValueError):
        return False


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise LookupFailedError(f"There is no file {path}.")
    resolved = path.resolve()
    is_relative = _imports_relatively(resolved)
    if is_relative and (resolved.parent / "__init__.py").is_file():
        return _import_of_package(path, resolved)
    # Keeps two files of one stem apart, and an edited file from its older self.
    stamp = f"{resolved}:{resolved.stat().st_mtime_ns}:{resolved.stat().st_size}"
    name = f"_archstat_{resolved.stem}_{hashlib.sha1(stamp.encode()).hexdigest()[:10]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise LookupFailedError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    _forget_neighbours_of_others(resolved.parent)
    _make_importable(resolved.parent)
    # Registered before it runs: dataclasses and pickles look their own module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit, GeneratorExit) as error:
        del sys.modules[name]
        hint = _as_module(resolved) if is_relative and isinstance(error, ImportError) else ""
        raise LookupFailedError(f"{path} does not import: {shortened(error)}{hint}") from error
    return module


def _imports_relatively(path: Path) -> bool:
    """Whether a file says ``from .blocks import ...`` anywhere."""
    try:
        with _reading(path) as tree:
            return any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
    except LookupFailedError:
        return False  # the import tells what is wrong with it


def _import_of_package(path: Path, resolved: Path) -> ModuleType:
    """A file as the module of its package that it is.

    Raises:
        LookupFailedError: the import itself raised.
    """
    root = resolved.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    name = ".".join(resolved.relative_to(root).with_suffix("").parts)
    top = name.partition(".")[0]
    stamp = _stamp_of(root / top)
    if getattr(sys.modules.get(top), "__archstat_stamp__", None) != stamp:
        for known in [one for one in sys.modules if one == top or one.startswith(f"{top}.")]:
            del sys.modules[known]  # of another folder, or older than the files are now
    _make_importable(root)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit, GeneratorExit) as error:
        raise LookupFailedError(f"{path} does not import: {shortened(error)}") from error
    sys.modules[top].__dict__["__archstat_stamp__"] = stamp
    return module


def _stamp_of(package: Path) -> str:
    """What changes as soon as a source of the package does."""
    status = [(str(path), path.stat()) for path in sorted(package.rglob("*.py"))]
    text = "".join(f"{path}:{one.st_mtime_ns}:{one.st_size}\n" for path, one in status)
    return hashlib.sha1(text.encode()).hexdigest()


def _as_module(path: Path) -> str:
    """What to do about the relative imports of a file that lies in no package."""
    name = "PACKAGE.MODULE"
    if path.is_relative_to(Path.cwd()):
        parts = path.relative_to(Path.cwd()).with_suffix("").parts
        name = ".".join(parts) if len(parts) > 1 else name
    return f". Put an __init__.py beside it, or write {name}:NAME, from the folder of the package."


def _import_module(name: str) -> ModuleType:
    _make_importable(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise LookupFailedError(
                f"There is no module {missing!r}, neither installed nor in {Path.cwd()}."
            ) from error
        raise LookupFailedError(f"{name} does not import: {shortened(error)}") from error
    except (Exception, SystemExit, GeneratorExit) as error:
        raise LookupFailedError(f"{name} does not import: {shortened(error)}") from error


def _forget_neighbours_of_others(folder: Path) -> None:
    """Let a file import its own ``blocks.py``, not that of a file loaded before."""
    others = {
        str(Path(str(module.__file__)).parent)
        for name, module in list(sys.modules.items())
        if name.startswith("_archstat_")
    } - {str(folder)}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and not name.startswith("_archstat_") and "site-packages" not in file:
            shadows = (folder / f"{name}.py").is_file() or (folder / name).is_dir()
            if shadows and any(Path(file).is_relative_to(other) for other in others):
                del sys.modules[name]


def _make_importable(folder: Path) -> None:
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))
