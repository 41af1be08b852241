"""What forward can reach outside of the modules, kept as it was.

Helper objects, class attributes, names of the user's files, closures and caches of functions: a
shallow copy of each before the pass, put back after it where it changed. Only names that the code
of the modules' classes mentions are followed, and no code of installed packages, so that large
libraries cost nothing.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, UserDict, UserList, defaultdict, deque
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import Any

import torch
from torch import nn

from archstat.frontends.trees import slots_of

_LISTS, _DICTS = (list, deque), (dict, OrderedDict, defaultdict)
_PLAIN = frozenset(
    {type(None), bool, int, float, complex, str, bytes, range, slice, type(...)}
    | {torch.dtype, torch.device, torch.Size, torch.layout, torch.Tensor, nn.Parameter}
)
# More objects than any cache of a forward has: what leads to so many is the program around it.
_MOST_OBJECTS = 100_000
_NEVER = (torch.Tensor, torch.Generator, BuiltinFunctionType, property)
_MISSING = object()
_Names = frozenset[str]


class Outside:
    """Contents of containers, objects, classes, cells and namespaces, to be put back.

    `modules` are kept elsewhere; any other module that is met is an object like others.
    """

    def __init__(self, modules: Sequence[nn.Module] = ()) -> None:
        self._modules = modules
        self._inside: set[int] | None = None
        self._seen: dict[int, Any] = {}
        self._classes: set[type] = set()
        self._containers: list[tuple[Any, Any]] = []
        self._attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._slots: list[tuple[Any, dict[str, Any]]] = []
        self._of_classes: list[tuple[type, dict[str, Any]]] = []
        self._cells: list[tuple[CellType, Any]] = []
        self._names: list[tuple[dict[str, Any], str, Any]] = []
        self._caches: list[tuple[Any, Any]] = []

    def keep_class(self, kind: type) -> None:
        """Keep what the class of a module, and its methods, can reach."""
        for one in kind.__mro__:
            if not is_installed(one.__module__) and one not in self._classes:
                self._keep_class(one)

    def keep(self, found: Any) -> None:
        """Keep an object and what it leads to."""
        pending = [found]
        while pending and len(self._seen) < _MOST_OBJECTS:
            one = pending.pop()
            if is_plain(one) or id(one) in self._seen or isinstance(one, _NEVER):
                continue
            self._seen[id(one)] = one
            pending += self._look(one)

    def _look(self, one: Any) -> Iterable[Any]:
        if isinstance(one, nn.Module):
            if self._inside is None:
                self._inside = set(map(id, self._modules))
            return () if id(one) in self._inside else self._attributes_of(one)
        if isinstance(one, MappingProxyType):
            return tuple(one.values())
        if isinstance(one, _DICTS):
            self._containers.append((one, dict(one)))
            return (*one.values(), *self._attributes_of(one))
        if isinstance(one, (*_LISTS, set)):
            self._containers.append((one, list(one)))
            return (*one, *self._attributes_of(one))
        if isinstance(one, (tuple, frozenset)):
            return tuple(one)
        if isinstance(one, FunctionType):
            return self._look_at_function(one)
        if isinstance(one, (MethodType, partial)):
            parts = ("__self__", "__func__", "func", "args", "keywords")
            return tuple([getattr(one, name, None) for name in parts])
        if isinstance(one, (staticmethod, classmethod)):
            return (one.__func__,)
        if isinstance(one, type):
            self.keep_class(one)
            return ()
        if isinstance(one, ModuleType) or _is_of_a_library(type(one).__module__):
            return self._look_at_cache(one)
        return self._attributes_of(one)

    def _attributes_of(self, one: Any) -> Iterable[Any]:
        self.keep_class(type(one))
        slots = dict(slots_of(one))
        if slots:
            self._slots.append((one, slots))
        attributes = getattr(one, "__dict__", None)
        if type(attributes) is dict:
            self._attributes.append((attributes, attributes.copy()))
            self._seen[id(attributes)] = attributes
            return (*attributes.values(), *slots.values())
        return tuple(slots.values())

    def _look_at_cache(self, one: Any) -> Iterable[Any]:
        if hasattr(one, "cache_info") and hasattr(one, "cache_clear"):
            self._caches.append((one, one.cache_info()))
            return (one.__wrapped__,)
        return self._attributes_of(one) if isinstance(one, (UserDict, UserList)) or (
            type(one).__module__ == "types" and not isinstance(one, ModuleType)
        ) else ()  # fmt: skip

    def _look_at_function(self, one: FunctionType) -> Iterable[Any]:
        if is_installed(one.__module__ or ""):
            return ()
        found = [one.__defaults__, one.__kwdefaults__, getattr(one, "__wrapped__", None)]
        found += self._attributes_of(one)
        for cell in one.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                content = _MISSING
            self._cells.append((cell, content))
            found.append(content)
        names = _names_in(one.__code__)
        for name in names & one.__globals__.keys():
            self._follow(one.__globals__, name, names, found)
        return found

    def _follow(self, space: dict[str, Any], name: str, names: _Names, found: list[Any]) -> None:
        value = space[name]
        if isinstance(value, ModuleType):
            if not is_installed(value.__name__) and id(value) not in self._seen:
                self._seen[id(value)] = value
                for inner in names & vars(value).keys():
                    self._follow(vars(value), inner, names, found)
            return
        if not isinstance(value, (type, FunctionType)):
            self._names.append((space, name, value))
        found.append(value)

    def _keep_class(self, one: type) -> None:
        self._classes.add(one)
        own = dict(vars(one))
        self._of_classes.append((one, own))
        for value in own.values():
            self.keep(value.fget if isinstance(value, property) else value)

    def restore(self) -> None:
        """Put back whatever changed."""
        for container, content in self._containers:
            _refill(container, content)
        for attributes, before in self._attributes:
            if not _alike(attributes, before):
                attributes.clear()
                attributes.update(before)
        for one, before in self._slots:
            for name, value in before.items():
                if getattr(one, name, _MISSING) is not value:
                    object.__setattr__(one, name, value)
        for kind, before in self._of_classes:
            for name in [name for name in vars(kind) if name not in before]:
                delattr(kind, name)
            for name, value in before.items():
                if vars(kind).get(name, _MISSING) is not value:
                    setattr(kind, name, value)
        for space, name, value in self._names:
            space[name] = value
        for cell, content in self._cells:
            if content is not _MISSING:
                cell.cell_contents = content
        for cached, info in self._caches:
            if cached.cache_info().misses != info.misses:
                cached.cache_clear()


def is_plain(one: Any) -> bool:
    """Whether an object leads nowhere, as most attributes of layers do."""
    kind = type(one)
    return kind in _PLAIN or (kind is tuple and _PLAIN.issuperset(map(type, one)))


def _alike(now: dict[Any, Any], before: dict[Any, Any]) -> bool:
    return len(now) == len(before) and all(
        now.get(key, _MISSING) is value for key, value in before.items()
    )


def _refill(container: Any, content: Any) -> None:
    if isinstance(container, dict):
        if not _alike(container, content):
            # The order that an OrderedDict keeps is no part of the dict that it is.
            kind: Any = OrderedDict if isinstance(container, OrderedDict) else dict
            kind.clear(container)
            kind.update(container, content)
        return
    now = list(container)
    if len(now) != len(content) or any(a is not b for a, b in zip(now, content, strict=True)):
        container.clear()
        (container.update if isinstance(container, set) else container.extend)(content)


@lru_cache(maxsize=4096)
def _names_in(code: CodeType) -> _Names:
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return frozenset(code.co_names).union(*map(_names_in, inner))


_LIBRARIES = frozenset({"torch", "numpy", "archstat"})


@lru_cache(maxsize=4096)
def _is_of_a_library(module: str) -> bool:
    """Whether a module is Python's own or of torch, NumPy or archstat, whose objects stay."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in _LIBRARIES


@lru_cache(maxsize=4096)
def is_installed(module: str) -> bool:
    """Whether a module's code is that of a library or of an installed package.

    Such code is large, and keeps nothing of a pass but in the objects that it is given.
    """
    file = getattr(sys.modules.get(module.partition(".")[0]), "__file__", None) or ""
    return _is_of_a_library(module) or "site-packages" in file or "dist-packages" in file
