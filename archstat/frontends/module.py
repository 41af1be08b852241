"""From a torch module to a Graph: one pass on the meta device, without weights or arithmetic.

A dispatch mode sees every aten op, below autograd and above the kernels; an intercepted call of
every module tells which module an op belongs to. Where a forward needs real numbers (it looks at
values, or an op has no meta kernel) the pass is repeated on cpu, and the Graph says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import replace
from functools import cache
from textwrap import shorten
from typing import Any

import torch
from torch import nn

from archstat.errors import CaptureError
from archstat.frontends.attention import AttentionKernels
from archstat.frontends.elsewhere import LOOKED, NumbersKept, OnOneDevice, is_whole, of_inputs
from archstat.frontends.exported import is_exported
from archstat.frontends.garbage import collection_paused
from archstat.frontends.guard import (
    attention_unfused,
    generators_kept,
    put_in_place,
    registrations,
    stand_in_for_lazy,
    uncompiled,
    untouched,
)
from archstat.frontends.made_up import made_up, vocabulary_of
from archstat.frontends.mode import CaptureMode
from archstat.frontends.outside import is_installed
from archstat.frontends.packed import packed_in
from archstat.frontends.process import process_kept, threads_noticed
from archstat.frontends.recorder import Recorder
from archstat.frontends.shortcuts import at_once, shortcut_of
from archstat.frontends.torch_private import CALL, without_modes
from archstat.frontends.trees import finished, held, module_paths, named_tensors, stood_in, tensors
from archstat.graph import Graph, Module, record
from archstat.hints import shortened
from archstat.units import format_shape


def capture(module: nn.Module, *args: Any, **kwargs: Any) -> Graph:
    """The Graph of ``module(*args, **kwargs)`` in inference mode.

    Tensors among the arguments give shapes and dtypes only, on any device. The module is neither
    moved, copied nor changed, and no generator advances. A forward that cannot run on the meta
    device runs on the module's own device with its own weights, which is noted in the Graph.

    Raises:
        CaptureError: forward raised; its own error is the ``__cause__``.
    """
    root = unwrapped(module)
    return capture_call(root, args, kwargs, type(root).__name__)


def capture_call(
    root: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    title: str,
    attend: Callable[[], AttentionKernels] = AttentionKernels,
) -> Graph:
    """`capture` with the call's arguments as two collections and a name for the Graph.

    `attend` makes the mode of the kernels that attention runs by on the meta device.
    """
    if any(tensor.is_nested for tensor in tensors((args, dict(kwargs)))):
        raise CaptureError(
            f"an input of {title} is a nested tensor, whose sizes differ from row to row: give a "
            "padded tensor, which has one shape."
        )
    try:
        return capture_on(torch.device("meta"), root, args, kwargs, title, attend=attend)
    except CaptureError:
        raise
    except Exception as error:
        meta_error = error
    try:
        with OnOneDevice(torch.device("meta")):
            return capture_on(torch.device("meta"), root, args, kwargs, title, attend=attend)
    except CaptureError:
        raise
    except Exception:
        own = (tensor.device for tensor in (*root.parameters(), *root.buffers()))
        device = next(own, torch.device("cpu"))
        if device.type == "meta":
            raise CaptureError(_raised(title, meta_error)) from meta_error
        note = (
            f"ran for real on {device.type}, because its forward cannot run on meta "
            f"({shortened(meta_error)}); its counts hold for this input and the path that forward "
            "takes with it"
        )
    try:
        return capture_on(device, root, args, kwargs, title, (note,))
    except CaptureError:
        raise
    except Exception as error:
        raise CaptureError(_raised(title, error)) from error


def capture_on(
    device: torch.device,
    root: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    title: str,
    notes: tuple[str, ...] = (),
    mode_of: Callable[[Recorder, torch.device], CaptureMode] = CaptureMode,
    keeps_gradients: bool = False,
    attend: Callable[[], AttentionKernels] = AttentionKernels,
) -> Graph:
    """The Graph of one pass on the meta device or on a real one; forward's errors come through.

    `mode_of` makes the mode that sees the pass; with `keeps_gradients`, autograd follows it back
    to the tensors given. On meta, attention runs by the mode that `attend` makes.
    """
    given = (device, root, args, kwargs, title, notes, mode_of, keeps_gradients)
    if device.type == "meta":
        # Most forwards need no look at functions, which takes as long as they do.
        graph = _pass(*given)
        if graph is not None:
            return graph
    graph = _pass(*given, attend())
    assert graph is not None
    return graph


def _pass(
    device: torch.device,
    root: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    title: str,
    notes: tuple[str, ...],
    mode_of: Callable[[Recorder, torch.device], CaptureMode],
    keeps_gradients: bool,
    attention: AttentionKernels | None = None,
) -> Graph | None:
    """The Graph of one pass; without `attention`, None where functions have to be seen."""

    def given() -> Any:
        # One stand-in a tensor: what forward is given twice must stay one object.
        ids = vocabulary_of(root) if device.type != "meta" else 0
        stand_in = cache(lambda tensor: _stand_in(tensor, device, keeps_gradients, ids))
        return stood_in((args, dict(kwargs)), stand_in)

    with collection_paused(), generators_kept(), without_modes():
        paths = module_paths(root)
        modules = [module for module, _ in paths]
        kinds = set(map(type, modules))
        if attention is None and (
            getattr(root, "needs_functions", False)
            or any(issubclass(kind, nn.RNNBase) for kind in kinds)
        ):
            return None
        with (
            process_kept(not all(is_installed(kind.__module__) for kind in kinds)) as left,
            torch.inference_mode(False),
            untouched(modules, (*args, *kwargs.values())) as lazy,
            torch.set_grad_enabled(keeps_gradients),
            attention_unfused(),
            uncompiled(),
            registrations() as registered,
        ):
            if lazy and stand_in_for_lazy(modules, device):
                # They get their shapes in a first pass, which nobody records.
                with _mode_over(Recorder(), device, paths):
                    run_args, run_kwargs = given()
                    root(*run_args, **run_kwargs)
                registered.clear()
            one = _Pass(device, root, paths, mode_of, attention, (args, kwargs))
            graph = one.run(given(), title, notes)
            made = one.made() if registered and graph is not None else []
            if made:
                graph = _again(one, given(), title, (*notes, _made_in_forward(made)))
        return replace(graph, notes=(*graph.notes, *left)) if graph and left else graph


class _Pass:
    """One call of the root module, recorded."""

    def __init__(
        self,
        device: torch.device,
        root: nn.Module,
        paths: list[tuple[nn.Module, list[str]]],
        mode_of: Callable[[Recorder, torch.device], CaptureMode],
        attention: AttentionKernels | None,
        own: tuple[tuple[Any, ...], Mapping[str, Any]],
    ) -> None:
        self.device, self.root, self.paths, self.mode_of = device, root, paths, mode_of
        self.attention, self.own = attention, own
        self.recorder = Recorder()

    def run(
        self, given: Any, title: str, notes: tuple[str, ...], holds: bool = False
    ) -> Graph | None:
        """The Graph of the call; with `holds`, of what the modules hold after it.

        None where functions have to be seen and `attention` is none.
        """
        recorder, (args, kwargs) = self.recorder, given
        mode = _mode_over(recorder, self.device, self.paths, self.mode_of)
        inputs = [recorder.add_value(tensor, "input") for tensor in tensors(args)]
        for key, item in kwargs.items():
            inputs += [recorder.add_value(t, "input", path) for path, t in named_tensors(key, item)]
        for module, names in self.paths:
            _intercept(mode, module, names[0])
        mode.sees_functions = self.attention is not None
        if self.attention is not None and mode.on_meta:
            of_inputs(recorder.numbers, self.own, given, vocabulary_of(self.root))
        try:
            with ExitStack() as modes:
                if self.attention is not None:
                    modes.enter_context(self.attention)
                    modes.enter_context(NumbersKept(recorder.numbers))
                threads = modes.enter_context(threads_noticed())
                modes.enter_context(mode)
                # In a context of its own: what forward sets there ends with it.
                output = copy_context().run(lambda: finished(self.root(*args, **kwargs)))
        except SystemExit as error:  # of forward; it would end this process without a word
            raise CaptureError(_raised(title, error)) from error
        except Exception:
            # Functions answer what forward asks of whole numbers and masks.
            mode.needs_functions |= not mode.sees_functions and any(map(is_whole, tensors(given)))
            if not mode.needs_functions:
                raise
        if mode.needs_functions:
            return None
        if threads or mode.called_elsewhere:
            recorder.add_unseen(type(self.root).__name__)
        if holds:
            recorder.hold(held(module_paths(self.root), "_parameters"))
        tree = [
            record(Module, (n[0], type(m).__name__, tuple(n[1:]), type(m).__module__.split(".")[0]))
            for m, n in self.paths
        ]
        notes = (*notes, LOOKED) if recorder.numbers.asked_of_inputs else notes
        return recorder.graph(title, tuple(tree), tuple(inputs), output, self.device.type, notes)

    def made(self) -> list[str]:
        """Paths of parameters that the modules hold now and did not hold before the call."""
        now = held(module_paths(self.root), "_parameters")
        return [paths[0] for tensor, paths in now if not self.recorder.is_named(tensor)]


def _again(first: _Pass, given: Any, title: str, notes: tuple[str, ...]) -> Graph | None:
    """The Graph of a second call, with the layers and parameters that the first one made."""
    known = {id(module) for module, _ in first.paths}
    for module, _ in first.paths:
        module.__dict__.pop(CALL, None)
    paths = module_paths(first.root)
    with untouched([module for module, _ in paths if id(module) not in known]):
        again = _Pass(first.device, first.root, paths, first.mode_of, first.attention, first.own)
        return again.run(given, title, notes, holds=True)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside a compiled or data-parallel wrapper.

    Raises:
        CaptureError: not a module at all.
    """
    if is_exported(module):
        from archstat.frontends.exported.in_memory import exported_in_memory

        return exported_in_memory(module)
    while isinstance(module, nn.Module):
        inner = getattr(module, "_orig_mod", None)
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner
    raise CaptureError(
        f"{shorten(repr(module), 120)} is a {type(module).__name__}, not a torch.nn.Module; "
        f"{_remedy(module)}."
    )


def _remedy(given: Any) -> str:
    if isinstance(given, type):
        return "give an object of it"
    return "give what it returns" if callable(given) else "give a module"


def _raised(title: str, error: BaseException) -> str:
    return f"the forward pass of {title} raised {shortened(error)}"


def _stand_in(
    tensor: torch.Tensor, device: torch.device, keeps_gradients: bool, vocabulary: int
) -> torch.Tensor:
    if tensor.device.type != "meta" and device.type != "meta":
        # A clone: forward may write to its input.
        given = tensor if keeps_gradients else tensor.detach()
        return given.to(device).clone()
    if device.type == "meta":
        if tensor.layout is not torch.strided:
            raise NotImplementedError("a sparse input has no numbers on meta")
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    return made_up(tensor.shape, tensor.dtype, vocabulary).to(device)


def _mode_over(
    recorder: Recorder,
    device: torch.device,
    paths: Sequence[tuple[nn.Module, list[str]]],
    mode_of: Callable[[Recorder, torch.device], CaptureMode] = CaptureMode,
) -> CaptureMode:
    """A mode that knows the modules' tensors and, where they are real, stands in for them."""
    mode = mode_of(recorder, device)
    if not _register_tensors(recorder, paths):
        for module, _ in paths:
            put_in_place(module, mode.stand_in)
    return mode


def _made_in_forward(paths: list[str]) -> str:
    named = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    return f"forward made parameters ({named}), which count as the modules hold them after it"


def _register_tensors(recorder: Recorder, paths: Sequence[tuple[nn.Module, list[str]]]) -> bool:
    """Make values of the modules' parameters, then buffers; tell whether all are on meta."""
    parameters = held(paths, "_parameters")
    buffers = held(paths, "_buffers")
    recorder.add_own("parameter", parameters)
    recorder.add_own("buffer", buffers)
    for module, prefixes in paths:
        for name, inside in packed_in(module):
            recorder.add_packed(inside, [f"{prefix}.{name}".lstrip(".") for prefix in prefixes])
    own = [*parameters, *buffers]
    return bool(own) and all(tensor.is_meta for tensor, _ in own)


def _say_where(error: Exception, path: str, module_type: str, arguments: Any) -> None:
    """Note on the error the innermost module it came from, and what that was given."""
    if not getattr(error, "__notes__", ()) and path:
        given = ", ".join(format_shape(tensor.shape) for tensor in tensors(arguments))
        error.add_note(f"in {path} ({module_type}), given {given or 'no tensor'}")


def _intercept(mode: CaptureMode, module: nn.Module, path: str) -> None:
    # On the instance, around the hooks: what a hook computes or returns belongs to the call.
    # Public hooks would not do; a global one runs before the module's own replace the output.
    inner: Callable[..., Any] = getattr(module, CALL)
    module_type = type(module).__name__
    recorder, shortcut = mode.recorder, shortcut_of(module, mode)
    thread = threading.get_ident()

    def call(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != thread:
            mode.called_elsewhere = True
            return inner(*args, **kwargs)
        simple = len(args) == 1 and not kwargs
        if shortcut is not None and simple:
            output = at_once(shortcut, mode, module, (path, module_type), args[0])
            if output is not None:
                return output
        recorder.enter(path, module_type, args[0] if simple else (args, kwargs))
        output = None
        try:
            output = inner(*args, **kwargs)
            return output
        except Exception as error:
            _say_where(error, path, module_type, (args, kwargs))
            raise
        finally:
            recorder.leave(output)

    module.__dict__[CALL] = call
