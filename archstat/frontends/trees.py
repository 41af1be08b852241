"""Walking the nested arguments and results of a forward pass to the tensors inside."""

from __future__ import annotations

import copy
import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

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
