"""The dispatch mode of a training step: it counts what every op makes.

It stands below autograd, so that it sees forward, backward and optimizer alike. On meta the ops of
a common CNN make their outputs by a shape rule; the rest is torch's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from archstat.analyses.workspaces import Pass, attention_workspace, lstm_scratch
from archstat.frontends.aten import signature
from archstat.frontends.attention import Kernels
from archstat.frontends.garbage import called
from archstat.frontends.mode import made
from archstat.frontends.registered import has_formula, registered
from archstat.frontends.torch_private import (
    CALL,
    TELLS_NODES,
    DispatchMode,
    next_node_number,
    running_node_number,
)
from archstat.frontends.trees import replaced, tensors
from archstat.graph import REGISTERED, REGISTERED_MACS
from archstat.measure.training.live_bytes import LiveBytes
from archstat.measure.training.products import FORMULAS, may_hold_products
from archstat.measure.training.shapes import IN_PLACE, ON_CPU, RULES

_Args = tuple[Any, ...]
_META = torch.device("meta")
_Made = Callable[..., Any]
_Handler = tuple[str, _Made | None, Any, bool, Callable[[_Args, Any], int] | None]


class CountingMode(DispatchMode):
    """Runs every op, counts its storages and macs, and notes the moment."""

    def __init__(self, device: torch.device, kernels: Kernels = "cuda") -> None:
        super().__init__()
        self.account = LiveBytes()
        self.macs = 0
        self.uncounted: dict[str, None] = {}
        self.phase = "forward"
        self.module: Callable[[], str] = lambda: ""
        self._on_meta = device.type == "meta"
        self._as_on_cpu = kernels == "cpu"
        self._handlers: dict[int, _Handler] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        handler = self._handlers.get(id(func))
        if handler is None:
            handler = self._handlers[id(func)] = _handler(func, self._as_on_cpu)
        target, rule, formula, may_multiply, taken = handler
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
        elif may_multiply:
            self.uncounted[target] = None
        self.account.add(result)
        inside = taken(args, result) if taken is not None else 0
        self.account.mark(self.phase, self.module(), target, inside)
        return result


def _attention(args: _Args, result: Any, backward: bool) -> int:
    query, key = args[backward : backward + 2]
    width = 8 if query.dtype is torch.float64 else 4
    return attention_workspace(query.shape, key.shape[-2], width, backward=backward)


def _lstm(args: _Args, result: Any, backward: bool) -> int:
    x, weights_of_state = args[0], args[2]
    during: Pass = "inference" if result[3] is None else "backward" if backward else "forward"
    return lstm_scratch(x.shape, weights_of_state.shape[-1], during, x.element_size())


# The bytes that a kernel takes while it runs, given its arguments and results.
_TAKES: Mapping[str, Callable[..., int]] = MappingProxyType({
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "mkldnn_rnn_layer": _lstm,
})  # fmt: skip


def _handler(func: Any, as_on_cpu: bool = False) -> _Handler:
    """An overload's target, how meta makes its output, its macs and whether it may have more.

    Last stands what its kernel takes while it runs.
    """
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
    formula = FORMULAS.get(name) if known.packet is None else _registered(known.packet)
    takes = _TAKES.get(name.removesuffix("_backward"))
    taken = partial(takes, backward=name.endswith("_backward")) if takes else None
    return target, rule, formula, formula is None and may_hold_products(target), taken


def _registered(packet: Any) -> Callable[[_Args, Any], int] | None:
    """The macs of a library's op by the formula registered for it, None where there is none."""
    if not has_formula(packet):
        return None

    def macs(args: _Args, result: Any) -> int:
        found = registered(packet, args, {}, result)
        return int(found.get(REGISTERED_MACS, found[REGISTERED] // 2))

    return macs


def _by_rule(*rules: Any) -> _Made:
    """What the first rule that knows the arguments says, made on meta."""

    def by_rule(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not all(t.is_meta for t in tensors(args)):
            return None
        for rule in rules:
            try:
                outputs = rule(*args, **kwargs) if rule is not None else None
            except (TypeError, AttributeError, IndexError, ValueError):
                continue  # arguments the rule does not know
            if outputs is not None:
                found = tuple([_empty(output) for output in outputs])
                return found[0] if len(found) == 1 else found
        return None

    return by_rule


def _empty(output: Any) -> Any:
    if output is None:
        return None
    if isinstance(output, list):
        return [_empty(part) for part in output]
    return made(*output)


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
    return made(tensor.shape, tensor.dtype, tensor.stride())


ROOT, LOSS = "(root)", "(loss)"
# Nodes that add up a parameter's gradient have the largest numbers; they belong to whoever made it.
_ADDS_UP = 2**63


class Places:
    """A stack of module paths, with the number of the next autograd node at each change."""

    def __init__(self, account: LiveBytes) -> None:
        self._account = account
        self._stack = [ROOT]
        self._numbers: list[int] = []
        self._paths: list[str] = []
        self._last, self._place = ROOT, 0
        self.calls: list[tuple[str, int, int, frozenset[int]]] = []
        # What stands around a call from outside of any module: in backward, of one run again.
        self.around: Callable[[], AbstractContextManager[None]] = nullcontext
        self._note()

    def follow(self, module: nn.Module, path: str) -> None:
        """See the module's calls, on the instance, which `guard.untouched` puts back."""
        inner: Callable[..., Any] = getattr(module, CALL)

        def call(*args: Any, **kwargs: Any) -> Any:
            around = self.around if len(self._stack) == 1 else nullcontext
            self._stack.append(path or ROOT)
            self._note()
            begun, given = self._account.position, self._account.serials((args, kwargs))
            try:
                with around():
                    return inner(*args, **kwargs)
            except Exception as error:
                if path and not getattr(error, "__notes__", ()):
                    error.add_note(f"in {path} ({type(module).__name__})")
                raise
            finally:
                self._stack.pop()
                self._note()
                self.calls.append((path, begun, self._account.position, given))

        module.__dict__[CALL] = call

    def begin_loss(self) -> None:
        """What follows, and its backward, is the loss's."""
        self._note(LOSS)

    def here(self) -> str:
        """The module that the op running now belongs to; empty where torch does not tell."""
        if len(self._stack) > 1:
            return self._stack[-1]
        if not TELLS_NODES:
            return ""
        number = running_node_number()
        if number is not None:
            if number < _ADDS_UP:
                place = bisect_right(self._numbers, number) - 1
                self._last, self._place = self._paths[place], place
            self._account.position = self._place
            return self._last
        return self._paths[-1] if self._paths[-1] == LOSS else ROOT

    def _note(self, path: str | None = None) -> None:
        self._numbers.append(next_node_number())
        self._paths.append(path or self._stack[-1])
        self._account.position = len(self._paths) - 1
