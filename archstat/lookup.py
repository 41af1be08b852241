"""From ``package.module:attr`` or ``path/file.py:attr`` to an object, from a typo to a name."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from archstat.errors import LookupFailedError


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names most like `name`, best first, at most `count`."""
    lowered = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=count, cutoff=0.6)
    return [lowered[key] for key in close]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A sentence with the nearest names, or nothing where none is near."""
    close = nearest(name, names)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def load_attribute(module: str, attribute: str) -> Any:
    """The object that `attribute` (dotted) names in a dotted module or in a Python file.

    The file's folder, or the working directory for a module, is importable meanwhile.

    Raises:
        LookupFailedError: no such file, module or attribute, or the import itself raised.
    """
    is_file = module.endswith(".py") or "/" in module or os.sep in module
    found: Any = _import_file(Path(module)) if is_file else _import_module(module)
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [name for name in vars(found) if not name.startswith("_")]
            hint = did_you_mean(part, names) or f" It has {', '.join(names[:8]) or 'no names'}."
            raise LookupFailedError(f"{module} has no attribute {part!r}.{hint}")
        found = getattr(found, part)
    return found


def candidates(path: Path) -> list[str]:
    """The public classes and functions a Python file defines, read without running it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    definitions = (ast.ClassDef, ast.FunctionDef)
    names = [node.name for node in tree.body if isinstance(node, definitions)]
    return [name for name in names if not name.startswith("_")]


def shortened(error: BaseException) -> str:
    """An exception on one line: type, first line of its message, notes, the user's own line."""
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    text = " ".join([text.rstrip("."), *getattr(error, "__notes__", ())])
    if isinstance(error, SyntaxError) and error.filename:
        return f"{text} ({_nearby(error.filename)}:{error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
    return f"{text} ({_nearby(frames[-1].filename)}:{frames[-1].lineno})" if frames else text


def _is_users(filename: str) -> bool:
    """Whether a line belongs neither to archstat nor to Python nor to an installed package."""
    if filename.startswith("<") or "site-packages" in filename:
        return False
    return not filename.startswith((str(Path(__file__).parent), str(Path(os.__file__).parent)))


def _nearby(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise LookupFailedError(f"There is no file {path}.")
    resolved = path.resolve()
    # Keeps two files of one stem apart, and an edited file from its older self.
    stamp = f"{resolved}:{resolved.stat().st_mtime_ns}:{resolved.stat().st_size}"
    name = f"_archstat_{resolved.stem}_{hashlib.sha1(stamp.encode()).hexdigest()[:10]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise LookupFailedError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    _make_importable(resolved.parent)
    # Registered before it runs: dataclasses and pickles look their own module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise LookupFailedError(f"{path} does not import: {shortened(error)}") from error
    return module


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
    except (Exception, SystemExit) as error:
        raise LookupFailedError(f"{name} does not import: {shortened(error)}") from error


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
