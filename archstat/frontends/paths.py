"""The paths under which a tree of modules holds its modules and its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
