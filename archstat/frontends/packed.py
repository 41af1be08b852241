"""Weights that torch packs into an object of C++: quantised layers hold no tensors of their own.

Opened, such an object gives the tensors that it was made of. They are parameters like others, in
the dtype that they are packed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import torch

Contents = tuple[tuple[tuple[int, ...], str, bytes], ...]

_SETTINGS = ("stride", "padding", "dilation", "groups", "output_padding")


def opened(packed: Any) -> list[torch.Tensor] | None:
    """The tensors inside, weights before biases; None where the object does not tell."""
    try:
        inside = packed.unpack() if packed._has_method("unpack") else packed.__getstate__()
    except Exception:  # what an object of another library does is its own affair
        return None
    found = _tensors(inside)
    return sorted(found, key=lambda tensor: tensor.dim() < 2) or None


def _tensors(inside: Any) -> list[torch.Tensor]:
    if isinstance(inside, torch.Tensor):
        return [inside.detach()]
    if isinstance(inside, torch.ScriptObject):
        return opened(inside) or []
    if isinstance(inside, (list, tuple)):
        return [tensor for item in inside for tensor in _tensors(item)]
    return []


def settings_of(packed: Any) -> dict[str, Any]:
    """The window of a packed convolution, as the attributes of an ordinary one."""
    if not packed._has_method("stride"):
        return {}
    found: dict[str, Any] = {name: getattr(packed, name)() for name in _SETTINGS}
    return {**{name: tuple(value) if isinstance(value, list) else value
               for name, value in found.items()},
            "transposed": bool(packed.transpose())}  # fmt: skip


def packed_in(module: Any) -> list[tuple[str, list[torch.Tensor]]]:
    """What the objects hold that one of torch's own quantised layers has, by attribute."""
    if not type(module).__module__.startswith("torch.ao.nn."):
        return []
    held = module.__dict__.items()
    packed = [(n, opened(item)) for n, item in held if isinstance(item, torch.ScriptObject)]
    return [(name, inside) for name, inside in packed if inside is not None]


def contents(tensors: Sequence[torch.Tensor]) -> Contents:
    """What tells packed weights from others: torch hands out a new object at every call."""
    return tuple([(tuple(t.shape), str(t.dtype), _digest(t)) for t in tensors])


def _digest(tensor: torch.Tensor) -> bytes:
    numbers = tensor.int_repr() if tensor.is_quantized else tensor
    return sha256(numbers.contiguous().view(torch.uint8).numpy().tobytes()).digest()
