"""The dispatch mode of a training step: it counts what every op makes.

It stands below autograd, so that it sees forward, backward and optimizer alike. On meta the ops of
a common CNN make their outputs by a shape rule; the rest is torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from archstat.collection import called
from archstat.frontends.aten import signature
from archstat.frontends.trees import replaced, tensors
from archstat.training.kernels import Kernels
from archstat.training.live_bytes import LiveBytes
from archstat.training.macs import FORMULAS
from archstat.training.shapes import IN_PLACE, ON_CPU, RULES

_META = torch.device("meta")
_Made = Callable[..., Any]


class CountingMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs every op, counts its storages and macs, and notes the moment."""

    def __init__(self, device: torch.device, kernels: Kernels = "cuda") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.account = LiveBytes()
        self.macs = 0
        self.phase = "forward"
        self.module: Callable[[], str] = lambda: ""
        self._on_meta = device.type == "meta"
        self._as_on_cpu = kernels == "cpu"
        self._handlers: dict[int, tuple[str, str, _Made | None, Any]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True would import torch._dynamo (0.7 s, 97 MB) at the first op; nothing is compiled here.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        handler = self._handlers.get(id(func))
        if handler is None:
            handler = self._handlers[id(func)] = _handler(func, self._as_on_cpu)
        target, _, rule, formula = handler
        kwargs = kwargs or {}
        result = None
        if self._on_meta:
            if rule is not None:
                result = rule(args, kwargs)
            if result is None:
                args, kwargs = _all_on_meta(func, args, kwargs)
        if result is None:
            result = called(func, args, kwargs)
        if formula is not None:
            self.macs += formula(args, result)
        self.account.add(result)
        self.account.mark(self.phase, self.module(), target)
        return result


def _handler(func: Any, as_on_cpu: bool = False) -> tuple[str, str, _Made | None, Any]:
    """An overload's target and name, how its output is made on meta, and its macs."""
    target = str(func)
    name = target.split(".")[1]
    known = signature(func)
    rule: _Made | None = None
    if name in IN_PLACE:
        rule = _in_place
    elif target in RULES:
        first = ON_CPU.get(target) if as_on_cpu else None
        rule = _by_rule(first, RULES[target], known.rule)
    elif known.rule is not None:
        rule = _by_rule(known.rule)
    return target, name, rule, FORMULAS.get(name)


def _by_rule(*rules: Any) -> _Made:
    """What the first rule that knows the arguments says, made on meta."""

    def made(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not all(t.is_meta for t in tensors(args)):
            return None
        for rule in rules:
            try:
                outputs = rule(*args, **kwargs) if rule is not None else None
            except (TypeError, AttributeError, IndexError, ValueError):
                continue  # arguments the rule does not know
            if outputs is not None:
                made = tuple([_empty(output) for output in outputs])
                return made[0] if len(made) == 1 else made
        return None

    return made


def _empty(output: Any) -> torch.Tensor | None:
    if output is None:
        return None
    shape, dtype, *order = output
    if order:
        return torch.empty_strided(shape, order[0], dtype=dtype, device=_META)
    return torch.empty(shape, dtype=dtype, device=_META)


def _in_place(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The first argument, where nothing could go wrong with the others."""
    first = args[0]
    if not first.is_meta:
        return None
    others = tensors(args[1:])
    return first if all(t.shape == first.shape or t.numel() == 1 for t in others) else None


def _all_on_meta(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with meta tensors for real ones, where some are on meta already.

    Real tensors here are tables that forward makes; among themselves they are computed for real.
    """
    given = list(tensors((args, kwargs)))
    device = kwargs.get("device")
    if given and not any(t.is_meta for t in given):
        elsewhere = device is not None and torch.device(device).type not in ("cpu", "meta")
        return args, ({**kwargs, "device": _META} if elsewhere else kwargs)
    if device is not None and (given or torch.device(device).type != "cpu"):
        kwargs = {**kwargs, "device": _META}
    if all(t.is_meta for t in given):
        return args, kwargs
    return replaced((args, kwargs), _on_meta)  # type: ignore[no-any-return]


def _on_meta(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_meta:
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=_META)
