"""Building a model without memory: on the meta device, with every initialiser skipped.

A model that cannot be built so (its constructor looks at the numbers it makes) is built on cpu, as
it would be anywhere else; capture stands meta twins in for its weights all the same.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import get_ident
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from archstat.frontends.garbage import collection_paused
from archstat.frontends.guard import generators_kept
from archstat.frontends.trees import module_paths
from archstat.units import format_bytes

_CGROUP = Path("/sys/fs/cgroup")


def is_torchs_own(method: Any) -> bool:
    """Whether a layer's method is torch's: no subclass's, and nobody's put in its place."""
    # What is written in C need not name a module.
    return str(getattr(method, "__module__", "")).startswith("torch.nn.modules.")


def build_on_meta(factory: Callable[[], Any]) -> Any:
    """What `factory` returns, its tensors on the meta device and uninitialised."""
    mode = _OnMeta()
    with collection_paused(), generators_kept(), mode, _resets_left_out(mode) as changed:
        built = factory()
        # A copy of a layer has taken over what stands for its initialiser.
        if isinstance(built, nn.Module):
            changed += [module for module, _ in module_paths(built)]
        return built


def build_for_real(factory: Callable[[], Any]) -> Any:
    """What `factory` returns, initialised on its own devices; no generator advances.

    Raises:
        MemoryError: its parameters take more memory than is free; nothing has filled it yet.
    """
    with generators_kept(), _within(free_bytes()):
        return factory()


@contextmanager
def _within(free: int) -> Iterator[None]:
    """Run the block; stop it when the parameters that its modules take on need more than `free`."""
    known: list[weakref.ref[torch.Tensor]] = []
    taken = 0

    def weigh(module: nn.Module, name: str, parameter: Any) -> None:
        nonlocal taken
        if parameter is None or parameter.is_meta or is_lazy(parameter):
            return
        known.append(weakref.ref(parameter))
        taken += parameter.nbytes
        if taken > free:  # unless some are shared, or gone
            alive = [p for p in (one() for one in known) if p is not None]
            taken = sum({p.data_ptr(): p.nbytes for p in alive}.values())
        if taken > free:
            raise MemoryError(
                f"its weights take more than {format_bytes(taken)}, {format_bytes(free)} are free"
            )

    handle = register_module_parameter_registration_hook(weigh)
    try:
        yield
    finally:
        handle.remove()


def free_bytes() -> int:
    """The memory that this process can still take, by the system and by its container."""
    return min(_free_of_system(), _free_of_container())


def _free_of_system() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    known = {name: text.split() for name, _, text in (line.partition(":") for line in lines)}
    return int(known["MemAvailable"][0]) * 1024


def _free_of_container() -> int:
    try:
        limit, used = (
            (_CGROUP / name).read_text(encoding="ascii").strip()
            for name in ("memory.max", "memory.current")
        )
    except OSError:
        return sys.maxsize
    return sys.maxsize if limit == "max" else max(0, int(limit) - int(used))


class _OnMeta(TorchFunctionMode):
    """Sends every tensor constructor to meta; initialisers return their tensor at once."""

    elsewhere = False  # whether a constructor was told another device

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        # Most calls are neither, and there are a thousand of them in a ResNet-50: one look.
        constructor = _INSTEAD.get(func)
        if constructor is not None:
            if constructor is _LEFT_OUT:
                tensor = args[0] if args else (kwargs or {}).get("tensor")
                if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                    return tensor
            elif kwargs is None:
                return constructor(*args, device=_META)
            elif kwargs.get("device") is None:
                return constructor(*args, **{**kwargs, "device": _META})
            else:
                self.elsewhere = True
        return func(*args) if kwargs is None else func(*args, **kwargs)


@contextmanager
def _resets_left_out(mode: _OnMeta) -> Iterator[list[nn.Module]]:
    """Run the block in which torch's own layers on meta do not initialise themselves.

    The initialisers would return at once, but the way to them is a fourth of building a ResNet.
    Gives the layers that must have their own initialiser back at the end; more may be added.
    """
    thread = get_ident()
    changed: list[nn.Module] = []

    def leave_out(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        # The hook is for all threads, and others may want their layers initialised.
        if "reset_parameters" in module.__dict__ or get_ident() != thread:
            return
        kind: Any = type(module)
        # What is asked of a tensor goes through the mode: many times the rest of this.
        if _resets_as_torch_does(kind) and not (mode.elsewhere and not parameter.is_meta):
            module.__dict__["reset_parameters"] = _do_nothing
            changed.append(module)

    handle = register_module_parameter_registration_hook(leave_out)
    try:
        yield changed
    finally:
        handle.remove()
        for module in changed:
            if module.__dict__.get("reset_parameters") is _do_nothing:
                del module.__dict__["reset_parameters"]


@lru_cache(maxsize=256)
def _resets_as_torch_does(kind: type[nn.Module]) -> bool:
    return is_torchs_own(getattr(kind, "reset_parameters", None))


def _do_nothing() -> None:
    pass


_META = torch.device("meta")
_LEFT_OUT = object()
_CONSTRUCTORS = (
    *("empty", "empty_strided", "full", "arange", "linspace", "logspace", "eye", "rand", "randn"),
    *("randint", "randperm", "tensor", "as_tensor", "scalar_tensor", "tril_indices", "normal"),
    *("triu_indices", "hann_window", "hamming_window", "range"),
)
_INITIALISERS = (
    *(getattr(nn.init, name) for name in dir(nn.init) if name.endswith("_") and name[0] != "_"),
    *(getattr(torch.Tensor, name) for name in ("uniform_", "normal_", "fill_", "zero_")),
    *(getattr(torch.Tensor, name) for name in ("random_", "bernoulli_", "exponential_")),
)
# What to call in place of a function: a constructor, or nothing where it fills a meta tensor.
_INSTEAD: Mapping[Any, Any] = MappingProxyType(
    {
        **{getattr(torch, name): getattr(torch, name) for name in _CONSTRUCTORS},
        # Nobody can read a number on meta, and torch makes these by a detour through Python.
        **{torch.zeros: torch.empty, torch.ones: torch.empty},
        **dict.fromkeys(_INITIALISERS, _LEFT_OUT),
    }
)
