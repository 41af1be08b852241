"""Walking the nested arguments and results of a forward pass to the tensors inside."""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from archstat.errors import CaptureError, Option, OptionError
from archstat.hints import did_you_mean
from archstat.units import is_path

_NO_FORWARD = nn.Module.forward
# Asking torch whether one of them is lazy takes longer than all else that is asked of it.
_NEVER_LAZY = frozenset({nn.Parameter, torch.Tensor})


def module_paths(root: nn.Module) -> list[tuple[nn.Module, list[str]]]:
    """Every module of the tree, parents first, with all paths that lead to it."""
    found: dict[int, tuple[nn.Module, list[str]]] = {}
    pending = [("", root)]
    while pending:
        path, module = pending.pop()
        if id(module) in found:
            # Its children are known under their first path, which also ends a cycle.
            found[id(module)][1].append(path)
            continue
        found[id(module)] = (module, [path])
        prefix = f"{path}." if path else ""
        for name, child in reversed(module._modules.items()):
            if child is not None:
                pending.append((prefix + name, child))
    return list(found.values())


def patterns_of(option: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Patterns of paths of modules, in one text with commas or in several; "" holds none.

    Raises:
        OptionError: a text without a pattern.
    """
    texts = [given] if isinstance(given, str) and given else given
    if not all(text.strip(", ") for text in texts):
        raise OptionError(f"{Option(option)} names no module: give a pattern, such as 'layer*'.")
    return tuple(part for text in texts for part in text.split(",") if part)


def modules_named(
    option: str, paths: Sequence[tuple[nn.Module, Sequence[str]]], patterns: Sequence[str]
) -> list[nn.Module]:
    """The modules that patterns of an option name, without those inside of another.

    A list of modules has no forward, so that its elements stand for it.

    Raises:
        OptionError: a pattern that names none.
    """
    paths = [(module, names) for module, names in paths if type(module).forward is not _NO_FORWARD]
    known = [name for _, names in paths for name in names if name]
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            hint = did_you_mean(pattern, known)
            raise OptionError(f"{Option(option, pattern)} matches no module that can be called."
                              f"{hint} The first are {', '.join(known[:5])}.")  # fmt: skip
    found: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for module, names in paths:
        named = any(fnmatch.fnmatchcase(n, p) for n in names if n for p in patterns)
        if named and module not in inside:
            found.append(module)
            inside.update(module.modules())
    return found


def tensor_paths(
    owners: Iterable[tuple[Mapping[str, torch.Tensor | None], list[str]]],
) -> list[tuple[torch.Tensor, list[str]]]:
    """Every tensor that modules hold under names, in order, with all paths that lead to it."""
    found: dict[int, tuple[torch.Tensor, list[str]]] = {}
    for own, prefixes in owners:
        for name, tensor in own.items():
            if tensor is None or (type(tensor) not in _NEVER_LAZY and is_lazy(tensor)):
                continue
            names = [f"{prefix}.{name}" if prefix else name for prefix in prefixes]
            if id(tensor) in found:
                found[id(tensor)][1].extend(names)
            else:
                found[id(tensor)] = (tensor, names)
    return list(found.values())


def held(
    modules: Iterable[tuple[nn.Module, list[str]]], table: str
) -> list[tuple[torch.Tensor, list[str]]]:
    """Every tensor in a table of modules, such as ``_buffers``, with all paths that lead to it."""
    return tensor_paths((getattr(module, table), prefixes) for module, prefixes in modules)


def tensors(tree: Any) -> Iterable[torch.Tensor]:
    """Every tensor inside nested tuples, lists, mappings and dataclasses, in order."""
    return (tree,) if type(tree) is torch.Tensor else _found(tree)


def _found(tree: Any) -> Iterator[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for item in tree.values():
            yield from _found(item)
    elif isinstance(tree, (list, tuple, set, frozenset)):
        for item in tree:
            yield from _found(item)
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for entry in dataclasses.fields(tree):
            yield from _found(getattr(tree, entry.name, None))


def named_tensors(name: str, tree: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a keyword argument with its path: ``batch.image``, ``images[0]``."""
    inside: Iterable[tuple[str, Any]] = ()
    if isinstance(tree, Mapping):
        inside = ((f"{name}.{key}", item) for key, item in tree.items())
    elif isinstance(tree, (list, tuple)):
        form = "{}({})" if isinstance(tree, tuple) else "{}[{}]"
        inside = ((form.format(name, place), item) for place, item in enumerate(tree))
    else:
        yield from ((name, tensor) for tensor in tensors(tree))
    for path, item in inside:
        yield from named_tensors(path if is_path(path) else name, item)


def finished(output: Any) -> Any:
    """What a forward returns, with all that it would only compute when asked.

    Raises:
        CaptureError: a coroutine that waits for something.
    """
    if isinstance(output, Coroutine):
        try:
            output.send(None)
        except StopIteration as end:
            return finished(end.value)
        raise CaptureError(
            "forward is a coroutine that waits for something outside of it: give a module whose "
            "forward returns what it computes."
        )
    if isinstance(output, Iterator):
        return [finished(item) for item in output]
    if type(output) in (tuple, list):
        return type(output)(map(finished, output))
    if type(output) is dict:
        return {key: finished(item) for key, item in output.items()}
    return output


def slots_of(one: Any) -> Iterator[tuple[str, Any]]:
    """Attributes that an object holds in slots, with their values."""
    for kind in type(one).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name not in ("__dict__", "__weakref__") and hasattr(one, name):
                yield name, getattr(one, name)


# Handed on as they are: modules have stand-ins of their own, the rest holds no tensors.
_AS_IT_IS = (nn.Module, type, FunctionType, MethodType, BuiltinFunctionType, ModuleType,
             torch.Generator, torch.dtype, torch.device, str, bytes, bool, int, float,
             complex, type(None), range, slice)  # fmt: skip


def stood_in(tree: Any, replace: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The arguments of a call with every tensor replaced, also inside of objects.

    Objects and containers of any class are copied as deep as they go, so that forward may change
    them; one that cannot be copied is handed on.
    """
    return _Standing(replace)(tree)


class _Standing:
    def __init__(self, replace: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._replace = replace
        # The originals are kept, too: no id must be given to another object.
        self._known: dict[int, tuple[Any, Any]] = {}

    def __call__(self, one: Any) -> Any:
        if isinstance(one, torch.Tensor):
            return self._tensor(one)
        if isinstance(one, _AS_IT_IS):
            return one
        if id(one) in self._known:
            return self._known[id(one)][1]
        if isinstance(one, tuple):
            items = [self(item) for item in one]
            return type(one)(*items) if hasattr(one, "_fields") else tuple(items)
        try:
            other = copy.copy(one)
        except Exception:  # a lock, an open file, whatever refuses
            other = one
        self._known[id(one)] = (one, other)
        if other is not one:
            self._fill(one, other)
        return self._known[id(one)][1]

    def _tensor(self, one: torch.Tensor) -> torch.Tensor:
        other = self._replace(one)
        if vars(one) and not vars(other):
            vars(other).update(vars(one))
            vars(other).update({name: self(item) for name, item in vars(one).items()})
        return other

    def _fill(self, one: Any, other: Any) -> None:
        if isinstance(one, dict):
            for key, item in dict.items(one):
                dict.__setitem__(other, key, self(item))
        elif isinstance(one, (list, deque)):
            for place, item in enumerate(one):
                other[place] = self(item)
        elif isinstance(one, (set, frozenset)) and any(isinstance(i, torch.Tensor) for i in one):
            self._known[id(one)] = (one, type(one)(map(self, one)))
            return
        attributes = getattr(other, "__dict__", None)
        if type(attributes) is dict:
            for name, item in tuple(attributes.items()):
                attributes[name] = self(item)
        for name, item in slots_of(one):
            object.__setattr__(other, name, self(item))


def replaced(tree: Any, replace: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same nesting of tuples, lists and dicts with every tensor replaced."""
    if isinstance(tree, torch.Tensor):
        return replace(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(replaced(item, replace) for item in tree))
    if type(tree) in (list, tuple):
        return type(tree)(replaced(item, replace) for item in tree)
    if type(tree) is dict:
        return {key: replaced(item, replace) for key, item in tree.items()}
    if type(tree) is OrderedDict:
        return OrderedDict((key, replaced(item, replace)) for key, item in tree.items())
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        other = copy.copy(tree)
        for entry in dataclasses.fields(tree):
            object.__setattr__(other, entry.name, replaced(getattr(tree, entry.name), replace))
        return other
    return tree
