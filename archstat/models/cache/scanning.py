"""What a source imports, and whether a user's does anything that its text does not determine.

archstat's own sources are scanned by a pattern, which is fast; a test holds it against the parser.
A user's source is parsed. What may depend on more than sources (files, the environment, time,
random numbers, the machine) or reach into other modules makes it dynamic; so does whatever is not
known to be harmless. To be wrong here costs a capture, never a figure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

# Modules whose functions depend on their arguments alone.
_PURE = frozenset(
    {"__future__", "abc", "collections", "copy", "dataclasses", "enum", "fractions", "functools",
     "itertools", "keyword", "math", "numbers", "operator", "string", "types", "typing",
     "typing_extensions", "warnings"}
)  # fmt: skip
_TORCH = ("torch.nn", "torch.autograd", "torch.utils.checkpoint")
PACKAGES = frozenset({"timm", "torchvision"})
_NAMES = frozenset(
    {"__builtins__", "__file__", "__import__", "__loader__", "__path__", "__spec__", "breakpoint",
     "compile", "delattr", "eval", "exec", "globals", "hash", "id", "input", "locals", "open",
     "setattr", "vars"}
)  # fmt: skip
_ATTRIBUTES = frozenset(
    {"backends", "bernoulli", "cuda", "device_count", "distributed", "environ", "from_file",
     "fromfile", "get_num_threads", "getenv", "hub", "initial_seed", "is_available", "jit",
     "library", "load", "load_url", "multinomial", "ops", "os", "seed", "sys", "xpu"}
)  # fmt: skip
_KEYWORDS = frozenset({"checkpoint_path", "pretrained", "weights"})
_REMOTE = ("hf-hub:", "hf_hub:", "local-dir:")
_BEGINNINGS = ("rand", "set_", "register_module_", "load_state_dict_from", "get_default", "manual_")
_DUNDERS = frozenset(
    {"__call__", "__class__", "__dict__", "__doc__", "__enter__", "__exit__", "__getitem__",
     "__init__", "__iter__", "__len__", "__name__", "__post_init__", "__version__"}
)  # fmt: skip
_STATEMENTS = re.compile(
    rb"^[ \t]*(?:from[ \t]+(archstat[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)"
    rb"|import[ \t]+(archstat[\w., \t]*))",
    re.MULTILINE,
)


def own_imports(source: bytes) -> frozenset[str]:
    """What one of archstat's own sources may import of archstat, as dotted names, or more."""
    found = set()
    for module, names, modules in _STATEMENTS.findall(source):
        if module:
            found.add(module.decode())
            found |= {f"{module.decode()}.{name}" for name in re.findall(r"\w+", names.decode())}
        found |= set(re.findall(r"archstat[\w.]*", modules.decode()))
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Import:
    """One import: ``level`` dots, a dotted module, and the names taken from it."""

    module: str
    names: tuple[str, ...] = ()
    level: int = 0


def users_imports(source: bytes) -> tuple[Import, ...] | None:
    """What a user's source imports, anywhere in it; None where it is dynamic or does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    nodes = list(ast.walk(tree))
    if any(map(_is_dynamic, nodes)):
        return None
    return tuple(found for node in nodes for found in _imports(node))


def is_harmless(module: str) -> bool:
    """Whether an installed module is covered by the versions of Python and torch."""
    top = module.partition(".")[0]
    return top in _PURE or module == "torch" or _is_below(module, _TORCH)


def _is_below(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _imports(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name) for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield Import(node.module or "", tuple(a.name for a in node.names), node.level)


def _is_dynamic(node: ast.AST) -> bool:
    if isinstance(node, (ast.Global, ast.Nonlocal)):
        return True
    if isinstance(node, ast.Name):
        return node.id in _NAMES
    if isinstance(node, ast.Attribute):
        # To set an attribute of anything but oneself may change it for whoever comes next.
        return _is_suspect(node.attr) or not (isinstance(node.ctx, ast.Load) or _is_own(node))
    if isinstance(node, ast.ImportFrom):
        return any(_is_suspect(alias.name) for alias in node.names)
    if isinstance(node, ast.keyword):
        return node.arg in _KEYWORDS
    return isinstance(node, ast.Constant) and str(node.value).startswith(_REMOTE)


def _is_suspect(name: str) -> bool:
    hidden = name.startswith("__") and name.endswith("__") and name not in _DUNDERS
    return hidden or name in _ATTRIBUTES or name.startswith(_BEGINNINGS)


def _is_own(node: ast.expr) -> bool:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return isinstance(node, ast.Name) and node.id == "self"
