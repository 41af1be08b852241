"""From a torch module to a Graph: one pass on the meta device, without weights or arithmetic.

A dispatch mode sees every aten op, below autograd and above the kernels; an intercepted call of
every module tells which module an op belongs to. Where a forward needs real numbers (it looks at
values, or an op has no meta kernel) the pass is repeated on cpu, and the Graph says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from archstat.errors import CaptureError
from archstat.frontends.guard import collection_paused, untouched
from archstat.frontends.mode import CaptureMode
from archstat.frontends.recorder import Recorder
from archstat.frontends.trees import replaced, tensors
from archstat.graph import Graph, Module
from archstat.lookup import shortened


def capture(module: nn.Module, *args: Any, name: str | None = None, **kwargs: Any) -> Graph:
    """The Graph of ``module(*args, **kwargs)`` in inference mode.

    Tensors among the arguments give shapes and dtypes only, on any device. The module is neither
    moved, copied nor changed, and no generator advances. A forward that cannot run on the meta
    device runs on the module's own device with its own weights, which is noted in the Graph.

    Raises:
        CaptureError: forward raised; its own error is the ``__cause__``.
    """
    root = unwrapped(module)
    title = name or type(root).__name__
    try:
        return capture_on(torch.device("meta"), root, args, kwargs, title)
    except Exception as meta_error:
        device = device_of(root)
        if device.type == "meta":
            raise CaptureError(raised(title, meta_error)) from meta_error
        note = fallback_note(device, meta_error)
    try:
        return capture_on(device, root, args, kwargs, title, (note,))
    except Exception as error:
        raise CaptureError(raised(title, error)) from error


def capture_on(
    device: torch.device,
    root: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    title: str,
    notes: tuple[str, ...] = (),
) -> Graph:
    """The Graph of one pass on the meta device or on a real one; forward's errors come through."""
    recorder = Recorder()
    given_args, given_kwargs = replaced((args, dict(kwargs)), lambda t: _stand_in(t, device))
    with collection_paused(), untouched(root), torch.no_grad():
        modules = _module_tree(root)
        _register_tensors(recorder, root)
        inputs = [recorder.add_value(tensor, "input") for tensor in tensors(given_args)]
        for key, item in given_kwargs.items():
            inputs += [recorder.add_value(tensor, "input", key) for tensor in tensors(item)]
        for path, module in _first_paths(root):
            _intercept(recorder, module, path)
        with CaptureMode(recorder, device):
            output = root(*given_args, **given_kwargs)
        # Lazy modules have parameters only now.
        _register_tensors(recorder, root)
        return recorder.graph(title, modules, tuple(inputs), output, device.type, notes)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside a compiled or data-parallel wrapper.

    Raises:
        CaptureError: not a module at all.
    """
    while isinstance(module, nn.Module):
        inner = getattr(module, "_orig_mod", None)
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner
    raise CaptureError(
        f"{module!r} is a {type(module).__name__}, not a torch.nn.Module; "
        "give a module, or a function that returns one."
    )


def device_of(root: nn.Module) -> torch.device:
    """The device of the module's first tensor, cpu where it has none."""
    for tensor in (*root.parameters(), *root.buffers()):
        return tensor.device
    return torch.device("cpu")


def fallback_note(device: torch.device, error: BaseException) -> str:
    """What a reader must know of a Graph that was not captured on meta."""
    return f"ran for real on {device.type}, since forward cannot run on meta: {shortened(error)}"


def raised(title: str, error: BaseException) -> str:
    """The message for a forward that raised."""
    return f"the forward pass of {title} raised {shortened(error)}"


def _stand_in(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    if tensor.device.type != "meta" and device.type != "meta":
        # A clone: forward may write to its input.
        return tensor.detach().to(device).clone()
    if device.type == "meta":
        if tensor.layout is not torch.strided:
            return tensor.to("meta")
        return torch.empty_strided(
            tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta"
        )
    if not tensor.dtype.is_floating_point:
        return torch.zeros(tensor.shape, dtype=tensor.dtype, device=device)
    seeded = torch.Generator().manual_seed(0)
    return torch.rand(tensor.shape, generator=seeded).to(device, tensor.dtype)


def _first_paths(root: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    return list(root.named_modules())


def _module_tree(root: nn.Module) -> tuple[Module, ...]:
    paths: dict[int, list[str]] = {}
    types: dict[int, str] = {}
    for path, module in root.named_modules(remove_duplicate=False):
        paths.setdefault(id(module), []).append(path)
        types[id(module)] = type(module).__name__
    return tuple(Module(names[0], types[key], tuple(names[1:])) for key, names in paths.items())


def _register_tensors(recorder: Recorder, root: nn.Module) -> None:
    found = (
        ("parameter", root.named_parameters(remove_duplicate=False)),
        ("buffer", root.named_buffers(remove_duplicate=False)),
    )
    for role, pairs in found:
        names: dict[int, list[str]] = {}
        by_id: dict[int, torch.Tensor] = {}
        for name, tensor in pairs:
            if not torch.nn.parameter.is_lazy(tensor):
                names.setdefault(id(tensor), []).append(name)
                by_id[id(tensor)] = tensor
        for key, paths in names.items():
            recorder.register(by_id[key], role, paths[0], tuple(paths[1:]))


def _intercept(recorder: Recorder, module: nn.Module, path: str) -> None:
    # On the instance, around the hooks: what a hook computes or returns belongs to the call.
    # Public hooks would not do; a global one runs before the module's own replace the output.
    inner = module._call_impl
    module_type = type(module).__name__

    def call(*args: Any, **kwargs: Any) -> Any:
        recorder.enter(path, module_type, (args, kwargs))
        output = None
        try:
            output = inner(*args, **kwargs)
            return output
        finally:
            recorder.leave(output)

    module.__dict__["_call_impl"] = call
