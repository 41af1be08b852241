"""Walking the nested arguments and results of a forward pass to the tensors inside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch


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
    return tree
