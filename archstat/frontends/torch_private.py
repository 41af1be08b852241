"""Every name that torch does not promise to keep, what it is for, and how archstat does without.

No other file uses one. A lost name costs speed or one feature, never every command; a test takes
each of `NAMES` away in turn. What a pickled module has held for years (``_parameters``,
``_buffers``, ``_modules``) and the names of operators are no part of this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from operator import attrgetter
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from archstat.errors import CaptureError

# Name -> what is lost without it.
NAMES: Mapping[str, str] = MappingProxyType({
    "utils._python_dispatch.TorchDispatchMode": "modules cannot be captured; layer lists and saved "
    "Graphs still can be read",
    "nn.Module._call_impl": "what a hook computes counts for the module around its own; speed",
    "_C._autograd._unsafe_set_version_counter": "tensors of a module on meta that forward wrote to "
    "keep the raised version",
    "nn.modules.module._global_forward_hooks": "speed",
    "nn.modules.module._global_forward_pre_hooks": "speed",
    "nn.modules.module._global_backward_hooks": "speed",
    "nn.modules.module._global_backward_pre_hooks": "speed",
    "_C._is_any_autocast_enabled": "speed",
    "_C._functorch.peek_interpreter_stack": "speed",
    "_C._get_dispatch_stack_at": "speed",
    "_C._len_torch_dispatch_stack": "speed",
    "_C._DisableTorchDispatch": "speed",
    "utils._python_dispatch._disable_current_modes": "a mode around a capture, as FakeTensorMode, "
    "sees its operations and may refuse them",
    "_C._current_autograd_node": "the module of an operation of the backward pass",
    "_C._autograd._get_sequence_nr": "the module of an operation of the backward pass",
    "_ops.HigherOrderOperator": "torch.cond, while_loop and flexible attention",
    "_ops.OpOverload._can_decompose": "composite operations in torch.inference_mode() stay whole",
    "ops.aten.add.Tensor._op_dk": "composite operations come apart further than in eager Python",
    "_C._dispatch_has_kernel_for_dispatch_key": "the same",
    "_tensor_str.PRINT_OPTS": "how a forward sets tensors to be printed stays",
})  # fmt: skip


def _found(name: str) -> Any:
    assert name in NAMES, name
    try:
        return attrgetter(name)(torch)
    except AttributeError:
        return None


class _NoDispatchMode:
    def __init__(self) -> None:
        raise CaptureError(
            f"torch {torch.__version__} has no torch.utils._python_dispatch.TorchDispatchMode, "
            "through which archstat sees operations: install a torch that has it. Layer lists "
            "(`archstat rf --layers`) and saved Graphs need no torch."
        )


_DispatchMode: Any = _found("utils._python_dispatch.TorchDispatchMode") or _NoDispatchMode


class DispatchMode(_DispatchMode):  # type: ignore[misc]
    """The mode that sees every op below autograd."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True would import torch._dynamo (0.7 s, 97 MB) at the first op; nothing is compiled here.
        return False


# What to replace on an instance in order to see the calls of a module: `__call__` is looked up on
# the class, and comes by here with all hooks inside; forward alone is called within them.
CALL = "_call_impl" if _found("nn.Module._call_impl") else "forward"
# What `nn.Module.compile` leaves on a module: torch would call it, and nothing would be seen.
COMPILED_CALL = "_compiled_call_impl"
# Imported by whoever compiles; only looked for, so that without it nothing counts as compiled.
COMPILER = "torch._dynamo"

_set_versions = _found("_C._autograd._unsafe_set_version_counter")


def set_version(tensor: torch.Tensor, version: int) -> None:
    """Let a tensor tell that it was written to `version` times."""
    if _set_versions is not None:
        _set_versions((tensor,), (version,))


# For layers that are recorded without asking torch: what could change the meaning of a call.
EVERY_CALL: tuple[Any, ...] = tuple(
    _found(f"nn.modules.module._global_{kind}_hooks")
    for kind in ("forward", "forward_pre", "backward", "backward_pre")
)
any_autocast_enabled: Callable[[], bool] = _found("_C._is_any_autocast_enabled")
functorch_level: Callable[[], Any] = _found("_C._functorch.peek_interpreter_stack")
mode_at: Callable[[int], Any] = _found("_C._get_dispatch_stack_at")
_disabled_modes: Any = _found("utils._python_dispatch._disable_current_modes")
number_of_modes: Callable[[], int] = _found("_C._len_torch_dispatch_stack")
# Lives while nothing dispatches to a mode.
NoDispatch: Callable[[], object] = _found("_C._DisableTorchDispatch") or nullcontext

# How tensors are printed: `torch.set_printoptions` can be asked for nothing.
PRINT_OPTIONS: dict[str, Any] = getattr(_found("_tensor_str.PRINT_OPTS"), "__dict__", {})


def without_modes() -> AbstractContextManager[Any]:
    """A block in which no mode that is active around it sees operations."""
    if _disabled_modes is None or (number_of_modes is not None and not number_of_modes()):
        return nullcontext()
    return _disabled_modes()  # type: ignore[no-any-return]


def is_fake(tensor: Any) -> bool:
    """Whether FakeTensorMode made a tensor: it tells a device and holds no numbers."""
    # Whoever made one has loaded this.
    fakes = sys.modules.get("torch._subclasses.fake_tensor")
    return fakes is not None and isinstance(tensor, fakes.FakeTensor)


HOOK_TABLES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
SEES_ALL_AROUND_A_CALL = (
    CALL != "forward"
    and all(table is not None for table in EVERY_CALL)
    and None not in (any_autocast_enabled, functorch_level, mode_at, number_of_modes)
    and NoDispatch is not nullcontext
    and set(HOOK_TABLES) <= nn.Identity().__dict__.keys()
)

_autograd_node = _found("_C._current_autograd_node")
_next_number = _found("_C._autograd._get_sequence_nr")


TELLS_NODES = _autograd_node is not None and _next_number is not None


def next_node_number() -> int:
    """The number that autograd gives to the next node it makes; 0 unless torch tells."""
    return int(_next_number()) if _next_number is not None else 0


def running_node_number() -> int | None:
    """The number of the node whose backward is running; None outside, or unless torch tells."""
    node = _autograd_node() if TELLS_NODES else None
    return None if node is None else int(node._sequence_nr())


# What takes functions, as `torch.cond` does; nothing is one where the name is lost.
HIGHER_ORDER: tuple[type, ...] = tuple(filter(None, [_found("_ops.HigherOrderOperator")]))
_can_decompose = _found("_ops.OpOverload._can_decompose")
_kernels = _found("ops.aten.add.Tensor._op_dk")
_has_kernel = _found("_C._dispatch_has_kernel_for_dispatch_key")
_COMPOSITE: Any = getattr(torch._C, "DispatchKey", None) and torch._C.DispatchKey.__members__.get(
    "CompositeImplicitAutograd"
)


def schema_of(overload: Any) -> Any:
    """Arguments and returns of an operator, as its registration declares them."""
    return overload._schema


def is_composite(overload: Any) -> bool:
    """Whether an operator is made of others."""
    return _can_decompose is not None and bool(_can_decompose(overload))


def taken_apart(overload: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a composite operator returns, made by the operators that torch would take for it."""
    known = None not in (_kernels, _has_kernel, _COMPOSITE)
    if known and _has_kernel(overload.name(), _COMPOSITE):
        return overload._op_dk(_COMPOSITE, *args, **kwargs)
    return overload.decompose(*args, **kwargs)
