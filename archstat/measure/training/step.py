"""One training step of a module, on meta or for real, with every storage counted while it lives.

The step is any but the first: the optimizer's states are there before forward, gradients are made
by backward (``zero_grad(set_to_none=True)``). Input, targets, output and loss stay alive to the
end, as the variables of a usual training loop do.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from archstat.errors import ArchstatError, CaptureError, Option, OptionError, SpecError
from archstat.frontends.attention import Kernels
from archstat.frontends.garbage import collection_paused
from archstat.frontends.guard import (
    attention_unfused,
    generators_kept,
    stand_in_for_lazy,
    untouched,
)
from archstat.frontends.made_up import made_up, vocabulary_of
from archstat.frontends.module import unwrapped
from archstat.frontends.process import process_kept
from archstat.frontends.torch_private import CALL, COMPILER
from archstat.frontends.trees import module_paths, modules_named, replaced, tensors
from archstat.hints import shortened
from archstat.measure.training.kernels import DeviceKernels
from archstat.measure.training.live_bytes import Held, Kept, Trace, TrainingStep
from archstat.measure.training.loss import (
    StandIns,
    batch_norm_hint,
    differentiable,
    loss_kind,
    loss_of,
    targets_for,
)
from archstat.measure.training.mode import CountingMode, Places
from archstat.measure.training.optimizers import Way, optimizer_named, zeros
from archstat.measure.training.sharding import Sharding, sharded, units_of


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train: optimizer, dtype (None: the model's own), autocast, whose kernels.

    Modules whose path matches a pattern of `checkpoint` keep only their inputs until backward.
    With `accumulate` micro-batches a step it is the last one, with the gradients of those before.
    With `explicit` attention, no fused kernel is taken.
    """

    optimizer: str = "sgd"
    dtype: torch.dtype | None = None
    amp: bool = False
    kernels: Kernels = "cpu"
    checkpoint: tuple[str, ...] = ()
    accumulate: int = 1
    sharding: Sharding | None = None
    explicit: bool = False

    @property
    def way(self) -> Way:
        """How the optimizer updates the parameters: as chosen, or torch's default there."""
        default: Way = "foreach" if self.kernels == "cuda" else "each"
        return optimizer_named(self.optimizer).way or default

    def need_segments(self, asked: Option) -> None:
        """Refuse what only a GPU's allocator has.

        Raises:
            SpecError: kernels of a cpu.
        """
        if self.kernels != "cuda":
            raise SpecError(f"{asked} needs {Option('kernels', 'cuda')}: only a GPU's allocator "
                            "takes segments.")  # fmt: skip


_Tensors = Sequence[torch.Tensor]
_Given = tuple[tuple[Any, ...], dict[str, Any]]


def training_step(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    title: str | None = None,
) -> TrainingStep:
    """One training step of ``module(*args, **kwargs)`` on meta; the module stays as it is.

    A module that cannot run on meta, and has real weights, runs on cpu with copies of them.

    Raises:
        OptionError: no such optimizer.
        CaptureError: forward or backward raised, or no gradient leads from output to parameters.
    """
    root = unwrapped(module)
    title = title or type(root).__name__
    given, settings = (args, dict(kwargs or {})), settings or Settings()
    try:
        return step_on(torch.device("meta"), root, given, settings, title)
    except ArchstatError:
        raise
    except (Exception, SystemExit) as meta_error:
        if any(t.is_meta for t in (*root.parameters(), *root.buffers())):
            raise _failure(title, meta_error) from meta_error
    try:
        return step_on(torch.device("cpu"), root, given, settings, title)
    except ArchstatError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure(title, error) from error


def _failure(title: str, error: BaseException) -> CaptureError:
    hint = batch_norm_hint(error)
    return CaptureError(f"the training step of {title} raised {shortened(error)}.{hint}")


def step_on(
    device: torch.device,
    root: nn.Module,
    given: _Given,
    settings: Settings,
    title: str,
    without_gradient: frozenset[int] = frozenset(),
) -> TrainingStep:
    """One step on the meta device or on a real one; forward's own errors come through.

    The optimizer keeps nothing for the parameters, by number, that are `without_gradient`.
    """
    optimizer_named(settings.optimizer)
    ids = vocabulary_of(root) if device.type != "meta" else 0
    given = replaced(given, cache(lambda tensor: _input(tensor, device, settings.dtype, ids)))
    with collection_paused(), generators_kept(), process_kept():
        paths = module_paths(root)
        modules = [module for module, _ in paths]
        if any(isinstance(module, torch.jit.ScriptModule) for module in modules):
            raise CaptureError(f"{title} is scripted; give the module before torch.jit.script.")
        with torch.inference_mode(False), untouched(modules), attention_unfused():
            if stand_in_for_lazy(modules, device):
                with torch.no_grad(), CountingMode(device):
                    root(*given[0], **given[1])
            stand_ins = StandIns(device, settings.dtype)
            stand_ins.of_modules(modules)
            again = modules_named("checkpoint", paths, settings.checkpoint)
            wrap = settings.sharding.wrap if settings.sharding else None
            wrapped = modules_named("wrap", paths, wrap or ())
            with torch.enable_grad():
                set_training(modules)
                run = _Run(root, given, stand_ins, settings, device)
                for module, names in paths:
                    run.places.follow(module, names[0])
                if again:
                    # Else torch imports it inside the first call it runs again, in frames that
                    # keep the tensors of that call alive.
                    importlib.import_module(COMPILER)
                for module in again:
                    run.checkpoint(module)
                step, idle = run(title, without_gradient)
                called = {path for path, *_ in step.kept.calls}
                step = replace(step, checkpointed=_called("checkpoint", again, paths, called))
                units = _called("wrap", wrapped, paths, called)
    needless = optimizer_named(settings.optimizer).states or settings.accumulate > 1
    if idle - without_gradient and needless:
        return step_on(device, root, given, settings, title, idle)
    if settings.sharding is None:
        return step
    return sharded(step, settings.sharding, units_of(paths, units if wrap else None),
                   settings.accumulate > 1)  # fmt: skip


def _called(option: str, named: Iterable[nn.Module],
            paths: Iterable[tuple[nn.Module, Sequence[str]]], called: Set[str],
            ) -> tuple[str, ...]:  # fmt: skip
    """The paths of modules that an option names, of those that forward calls.

    Raises:
        OptionError: one that is only gone through, to modules inside that are called; or no one
            is called.
    """
    asked = set(named)
    found = [names[0] for module, names in paths if module in asked]
    through = [path for path in found if path not in called
               and any(inner.startswith(f"{path}.") for inner in called)]  # fmt: skip
    if through or (found and called.isdisjoint(found)):
        raise OptionError(f"{Option(option)}: forward never calls {', '.join(through or found)}; "
                          "name the modules inside of it that are called.")  # fmt: skip
    return tuple(path for path in found if path in called)


def _own_train(root: nn.Module) -> tuple[str, ...]:
    """The classes that override ``train()``."""
    kinds = (type(module) for module, _ in module_paths(root))
    return tuple(dict.fromkeys(k.__name__ for k in kinds if k.train is not nn.Module.train))


def set_training(modules: Iterable[nn.Module], mode: bool = True) -> None:
    """Set the modules' flags; a ``train()`` that a class of the user's overrides is not called."""
    for module in modules:
        module.training = mode


def _input(
    tensor: torch.Tensor, device: torch.device, dtype: torch.dtype | None, vocabulary: int
) -> torch.Tensor:
    wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
    if device.type == "meta":
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=wanted, device=device)
    if not tensor.is_meta:
        return tensor.detach().to(device, wanted, copy=True)
    return made_up(tensor.shape, tensor.dtype, vocabulary).to(device, wanted)


class _Run:
    """The four phases of one step, in a mode that counts."""

    def __init__(self, root: nn.Module, given: _Given, stand_ins: StandIns, settings: Settings,
                 device: torch.device) -> None:  # fmt: skip
        self.root, self.given, self.settings = root, given, settings
        self.mode = CountingMode(device, settings.kernels)
        self.account = self.mode.account
        self.places = Places(self.account)
        self.mode.module = self.places.here
        self.device = device
        self.kernels = DeviceKernels(settings.kernels, settings.amp, settings.explicit)
        self.account.give(stand_ins.made())
        self.stand_ins = stand_ins
        self.input_bytes = self.account.give(given)
        self.parameters = list(root.parameters())

    def __call__(self, title: str, without: frozenset[int]) -> tuple[TrainingStep, frozenset[int]]:
        optimizer = optimizer_named(self.settings.optimizer)
        trained = [p for n, p in enumerate(self.parameters) if p.requires_grad and n not in without]
        states = optimizer.new_states([p.detach() for p in trained])
        if not self._fresh:
            for p in trained:
                p.grad = zeros(p)
            self.account.give([p.grad for p in trained])
        first = len(self.account.events)
        optimizer_bytes = self.account.give(states)
        steady_bytes = self.account.live
        given = len(self.account.events)
        with self.mode:
            output, loss, kind = self._forward(title)
            self.mode.phase = "backward"
            kept = Kept(tuple(self.account.saves), tuple(self.account.born),
                        tuple(self.places.calls), 1 + self.account.position)  # fmt: skip
            self.places.around = self._again
            torch.autograd.backward(loss)
            idle = [n for n, p in enumerate(self.parameters) if p.requires_grad and (
                    p.grad is None or not (self._fresh or p.grad._version))]  # fmt: skip
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            gradient_bytes = self.account.nbytes(gradients)
            held = self._held(trained, states)
            self.mode.phase = "optimizer"
            begun = len(self.account.events)
            self.mode.module = lambda: ""
            updated = [(p, s) for p, *s in zip(trained, *states, strict=True) if p.grad is not None]
            with torch.no_grad():
                optimizer.step(
                    [p for p, _ in updated],
                    [p.grad for p, _ in updated if p.grad is not None],
                    tuple([s[n] for _, s in updated] for n in range(optimizer.states)),
                    self.settings.way,
                )
        del output, loss
        step = TrainingStep(
            param_bytes=self._param_bytes(),
            gradient_bytes=gradient_bytes,
            optimizer_bytes=optimizer_bytes,
            saved_activation_bytes=sum(self.account.saved.values()),
            input_bytes=self.input_bytes,
            training_macs=self.mode.macs * self.settings.accumulate,
            uncounted=tuple(self.mode.uncounted),
            loss=kind,
            attention=tuple(self.kernels.chosen),
            recurrent=tuple(self.kernels.recurrent),
            own_train=_own_train(self.root),
            device=self.device.type,
            steady_bytes=steady_bytes,
            moments=tuple(self.account.moments),
            trace=Trace(tuple(self.account.events), given, (first, given), begun, held),
            kept=kept,
        )
        return step, frozenset(idle)

    @property
    def _fresh(self) -> bool:
        """Whether backward makes the gradients; else those of earlier micro-batches are there.

        A device that shares them has no whole ones between two micro-batches.
        """
        sharding = self.settings.sharding
        return self.settings.accumulate == 1 or (sharding is not None and sharding.stage > 1)

    def _held(self, trained: list[nn.Parameter], states: Iterable[_Tensors]) -> tuple[Held, ...]:
        """What the storages are for that live longer than an op needs them."""
        owners = {p: path.rpartition(".")[0] for path, p in self.root.named_parameters()}
        return self.account.held((
            *(("parameters", owner, p, p) for p, owner in owners.items()),
            *(("input", "", x, x) for x in tensors(self.given)),
            *(("buffers", "", x, x) for x in self.stand_ins.made()),
            *(("optimizer", owners[p], x, x) for kept in states
              for p, x in zip(trained, kept, strict=True)),
            *(("gradients", owner, p.grad, p) for p, owner in owners.items()
              if p.grad is not None),
        ))  # fmt: skip

    def checkpoint(self, module: nn.Module) -> None:
        """Let a module run once more in backward, as ``torch.utils.checkpoint`` has it."""
        inner = getattr(module, CALL)

        def call(*args: Any, **kwargs: Any) -> Any:
            for tensor in tensors((args, kwargs)):
                self.account.save(tensor)
            return checkpoint(inner, *args, use_reentrant=False, **kwargs)

        module.__dict__[CALL] = call

    @contextmanager
    def _again(self) -> Iterator[None]:
        """Around what backward runs once more, for a checkpoint of ours or of the model's own."""
        try:
            with self._as_on_the_device():
                yield
        finally:  # torch ends a second run, as soon as it has enough, by an exception
            self.kernels.forget_casts()

    def _param_bytes(self) -> int:
        """Bytes of the parameters' elements; what several hold together is their storage."""
        held: dict[int, tuple[int, int]] = {}
        for p in self.parameters:
            storage = p.untyped_storage()
            before = held.get(id(storage), (0, 0))[0]
            held[id(storage)] = (before + p.numel() * p.element_size(), storage.nbytes())
        return sum(min(elements, whole) for elements, whole in held.values())

    def _forward(self, title: str) -> tuple[Any, torch.Tensor, str]:
        def keep(tensor: torch.Tensor) -> torch.Tensor:
            self.account.save(tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            with self._as_on_the_device():
                output = self.root(*self.given[0], **self.given[1])
                outputs = differentiable(title, output)
                self.mode.phase = "loss"
                self.places.begin_loss()
                targets = targets_for(outputs)
                self.account.give(targets)
                loss = loss_of(outputs, targets)
            self.kernels.forget_casts()
        return (output, targets), loss, loss_kind(outputs)

    def _as_on_the_device(self) -> AbstractContextManager[Any]:
        """For a real run the device's own kernels and autocast, on meta what stands for them."""
        if self.device.type == "meta":
            return self.kernels
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.amp)
