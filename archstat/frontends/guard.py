"""Leaving the user's module exactly as it was, whatever its forward does.

During a capture a module runs in inference mode (every `training` flag off), its calls are
intercepted and lazy parameters are stood in for. All of that lives in instance dictionaries: a copy
serves while the pass lasts, then the module has its own back, as it has every generator's state,
also when forward raises.
"""

from __future__ import annotations

import copy
import random
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from operator import itemgetter
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.nn.parameter import is_lazy

from archstat.errors import CaptureError
from archstat.frontends.outside import Outside, is_plain
from archstat.frontends.torch_private import CALL, COMPILED_CALL, COMPILER, set_version

_CONTAINERS = frozenset({dict, OrderedDict, list, set})
_NEVER_LAZY = frozenset({nn.Parameter, torch.Tensor})
# The tables that every module has: of hooks, mostly empty, and of all else.
_TABLES = [name for name, table in nn.Module().__dict__.items() if type(table) in _CONTAINERS]
_hooks_of = itemgetter(*(name for name in _TABLES if "_hooks" in name))
_contents_of = itemgetter(*(name for name in _TABLES if "_hooks" not in name))

StandIn = Callable[[torch.Tensor], torch.Tensor]


_IN_TRAINING: ContextVar[bool] = ContextVar("in_training", default=False)
_OURS: ContextVar[bool] = ContextVar("ours", default=False)


@contextmanager
def in_training(mode: bool, ours: bool = False) -> Iterator[None]:
    """Let captures in the block run modules in training mode; the user's ``train()`` is not called.

    Batch norm then uses the batch's statistics, and dropout drops. Nobody misses what modules were
    that are `ours`, just built by the zoo or from a file: they only get their own calls back.
    """
    tokens = _IN_TRAINING.set(mode), _OURS.set(ours)
    try:
        yield
    finally:
        _IN_TRAINING.reset(tokens[0])
        _OURS.reset(tokens[1])


@contextmanager
def untouched(modules: Sequence[nn.Module], given: Iterable[Any] = ()) -> Iterator[bool]:
    """Run the block with all `modules` in inference mode, or that of `in_training`; put all back.

    `given` are arguments, of which what cannot be copied is put back, too. Gives whether some of
    the modules' tensors are lazy.
    """
    if _OURS.get():
        for module in modules:
            module.__dict__["training"] = _IN_TRAINING.get()
        try:
            yield False
        finally:
            for module in modules:
                module.__dict__.pop(CALL, None)
        return
    snapshot = _Snapshot(modules)
    for one in given:
        if not is_plain(one):
            snapshot.outside.keep(one)
    try:
        snapshot.enter(_IN_TRAINING.get())
        yield snapshot.lazy
    finally:
        snapshot.restore()


@contextmanager
def attention_unfused() -> Iterator[None]:
    """Run the block without torch's fused inference path of attention and encoder layers.

    It turns padded batches into nested tensors, which have no sizes to record.
    """
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run the block with compiled functions as they were before ``torch.compile``."""
    # Whoever compiled something has loaded this.
    stance = getattr(torch.compiler, "set_stance", None)
    if stance is None or COMPILER not in sys.modules:
        yield
        return
    with stance("force_eager"):
        yield


@contextmanager
def registrations() -> Iterator[list[str]]:
    """Names under which modules take on parameters or other modules while the block runs."""
    found: list[str] = []

    def note(module: nn.Module, name: str, registered: Any) -> None:
        if registered is not None:
            found.append(name)

    handles = (
        register_module_parameter_registration_hook(note),
        register_module_module_registration_hook(note),
    )
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def put_in_place(module: nn.Module, stand_in: StandIn) -> None:
    """Let `stand_in` replace the module's tensors: parameters, buffers, plain attributes.

    Forward then writes to stand-ins, whatever it does: versions, flags and data stay the user's.
    """
    for name, value in module.__dict__.items():
        if isinstance(value, torch.Tensor):
            module.__dict__[name] = stand_in(value)
        elif type(value) in (dict, OrderedDict):
            for key, item in value.items():
                if isinstance(item, torch.Tensor) and not is_lazy(item):
                    value[key] = stand_in(item)
        elif type(value) is list:
            value[:] = [stand_in(x) if isinstance(x, torch.Tensor) else x for x in value]


@contextmanager
def generators_kept() -> Iterator[None]:
    """Run the block, then put torch's, Python's and, where loaded, NumPy's generators back."""
    torch_state, python_state = torch.get_rng_state(), random.getstate()
    # NumPy loads its own when it is first asked for them: until then nobody has seeded them.
    numpy_random = sys.modules.get("numpy.random")
    numpy_state: Any = numpy_random.get_state() if numpy_random is not None else None
    try:
        yield
    finally:
        torch.set_rng_state(torch_state)
        random.setstate(python_state)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)


class _Snapshot:
    """The modules' classes and instance dictionaries, with the containers in them."""

    __slots__ = ("empty", "filled", "flags", "lazy", "modules", "outside", "scripted", "seen")

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self.modules = [(module, type(module), module.__dict__) for module in modules]
        kinds = set(map(type, modules))
        self.outside = Outside(modules)
        for kind in kinds:
            self.outside.keep_class(kind)
        scripts = {kind for kind in kinds if issubclass(kind, torch.jit.ScriptModule)}
        self.scripted = [(m, _mode_of(m)) for m in modules if type(m) in scripts]
        self.empty: list[Any] = []
        self.filled: list[tuple[Any, Any]] = []
        self.flags: list[tuple[torch.Tensor, bool, int]] = []
        self.seen: set[int] = set()
        self.lazy = False
        # Torch's layers of one class have the same attributes, mostly numbers: all are looked at
        # of the first one, and of others the tables alone.
        names: dict[type, tuple[str, ...]] = {}
        for _, kind, attributes in self.modules:
            alike = names.get(kind) == tuple(attributes)
            if alike and not any(hooks := _hooks_of(attributes)):
                self.empty += hooks
                for table in _contents_of(attributes):
                    self._fill(table) if table else self.empty.append(table)
            elif not self._look(attributes) and kind.__module__.startswith("torch.nn.modules."):
                names[kind] = tuple(attributes)

    def _look(self, attributes: dict[str, Any]) -> bool:
        """Copy what attributes hold; tell whether any is neither a container nor plain."""
        others = False
        for name, value in attributes.items():
            if type(value) in _CONTAINERS:
                # Most are hook tables with nothing in them, and need no copy.
                if value and "_hooks" in name:
                    # What a hook notes is its owner's.
                    self.filled.append((value, value.copy()))
                elif value:
                    self._fill(value)
                else:
                    self.empty.append(value)
            elif not is_plain(value):
                self.outside.keep(value)
                others = True
        return others

    def _fill(self, container: Any) -> None:
        self.filled.append((container, container.copy()))
        for item in container.values() if isinstance(container, dict) else container:
            if type(item) in _NEVER_LAZY or isinstance(item, torch.Tensor):
                if type(item) not in _NEVER_LAZY and is_lazy(item):
                    self.lazy = True
                elif item.is_meta:
                    self.flags.append((item, item.requires_grad, item._version))
            elif type(item) in _CONTAINERS:
                if id(item) not in self.seen:
                    self.seen.add(id(item))
                    self._fill(item)
            elif not isinstance(item, nn.Module):
                self.outside.keep(item)

    def enter(self, training: bool) -> None:
        """Give every module a copy of its dictionary, and set that to training or inference."""
        for module, _, attributes in self.modules:
            own = _Own(attributes)
            object.__setattr__(module, "__dict__", own)
            if "training" in own:
                own["training"] = training
            # A compiled module would hide its ops behind one compiled call.
            if own.get(COMPILED_CALL) is not None:
                own[COMPILED_CALL] = None
            if "forward" in own and "_orig_mod" in module._modules:
                own["forward"] = module._modules["_orig_mod"]
        for scripted, _ in self.scripted:
            scripted.training = training

    def restore(self) -> None:
        # The same container objects must stay: hook handles refer to them weakly.
        if any(self.empty):
            for container in self.empty:
                container.clear()
        for container, content in self.filled:
            container.clear()
            container.extend(content) if type(container) is list else container.update(content)
        for module, kind, attributes in self.modules:
            if type(module) is not kind:
                module.__class__ = kind
            object.__setattr__(module, "__dict__", attributes)
        for tensor, requires_grad, version in self.flags:
            if tensor._version != version or tensor.requires_grad != requires_grad:
                tensor.requires_grad_(requires_grad)
                set_version(tensor, version)
        for scripted, training in self.scripted:
            scripted.training = training
        self.outside.restore()


def _mode_of(scripted: nn.Module) -> bool:
    # Freezing takes the flag away, and makes constants of the weights.
    if not hasattr(scripted, "training"):
        raise CaptureError(
            "a frozen TorchScript module holds its weights as constants, which cannot be told "
            "from other numbers: give the module before torch.jit.freeze."
        )
    return scripted.training


class _Own(dict[str, Any]):
    """A module's dictionary while a pass lasts: its intercepted call goes with no copy of it.

    Whoever copies, pickles or lists it sees what the user put there; torch's own look-up of an
    attribute finds the interception all the same.
    """

    __slots__ = ()

    def copy(self) -> dict[str, Any]:
        return {name: self[name] for name in self}

    def __iter__(self) -> Iterator[str]:
        return (name for name in super().__iter__() if name != CALL)

    def keys(self) -> Any:
        return list(self)

    def values(self) -> Any:
        return [self[name] for name in self]

    def items(self) -> Any:
        return [(name, self[name]) for name in self]

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(self.copy(), memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (self.copy(),)


def stand_in_for_lazy(modules: Sequence[nn.Module], device: torch.device) -> bool:
    """Give lazy modules other lazy tensors, on `device`; tell whether there were any.

    Materialising changes the parameter object itself, and the user's must stay lazy.
    """
    found = False
    for module in modules:
        for tensors in (module._parameters, module._buffers):
            if tensors:
                for name, tensor in tensors.items():
                    if tensor is not None and type(tensor) not in _NEVER_LAZY and is_lazy(tensor):
                        found = True
                        lazy: Any = type(tensor)
                        tensors[name] = lazy(
                            requires_grad=tensor.requires_grad,
                            device=device,
                            dtype=tensor.data.dtype,
                        )
    return found
