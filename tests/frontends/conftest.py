"""What the tests of capture share: totals, functions as modules, and a module seen to the bit."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.nn.parameter import UninitializedTensorMixin

from archstat.analyses import ANALYSES
from archstat.frontends import aten
from archstat.frontends.module import capture


@pytest.fixture(scope="session")
def totals() -> Callable[..., dict[str, Any]]:
    """Capture a call of a module and return the totals of every analysis."""

    def of(module: nn.Module, *args: Any, **kwargs: Any) -> dict[str, Any]:
        graph = capture(module, *args, **kwargs)
        return {key: n for a in ANALYSES for key, n in a.run(graph).totals.items()}

    return of


class _Calling(nn.Module):
    def __init__(self, function: Callable[..., Any], children: dict[str, Any]) -> None:
        super().__init__()
        self.function = function
        for name, child in children.items():
            setattr(self, name, child)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


@pytest.fixture(scope="session")
def as_module() -> Callable[..., nn.Module]:
    """Make a module of a function; keywords become its attributes."""
    return lambda function, **children: _Calling(function, children)


class _Looking(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        assert args[0].float().mean().item() < float("inf")
        return self.inner(*args, **kwargs)


@pytest.fixture(scope="session")
def looking() -> Callable[[nn.Module], nn.Module]:
    """Wrap a module so that its forward looks at numbers, which only a real run has."""
    return _Looking


@pytest.fixture(scope="session")
def unchanged() -> Callable[[nn.Module], AbstractContextManager[None]]:
    """Assert that a block leaves a module tree and every generator as they were, to the bit."""

    @contextmanager
    def watch(root: nn.Module) -> Iterator[None]:
        before = _state(root)
        try:
            yield
        finally:
            after = _state(root)
            assert after.keys() == before.keys()
            changed = [key for key, seen in before.items() if after[key] != seen]
            assert changed == []

    return watch


def _state(root: nn.Module) -> dict[str, Any]:
    state: dict[str, Any] = {
        "torch generator": torch.get_rng_state().numpy().tobytes(),
        "python generator": random.getstate(),
        "numpy generator": str(numpy.random.get_state()),
    }
    for path, module in root.named_modules(remove_duplicate=False):
        state[f"{path} is"] = (id(module), type(module))
        for name, value in module.__dict__.items():
            if isinstance(value, dict):
                state.update({f"{path}.{name}[{k!r}]": _seen(item) for k, item in value.items()})
            state[f"{path}.{name}"] = _seen(value)
    return state


def _seen(value: Any) -> Any:
    if isinstance(value, UninitializedTensorMixin):
        return ("lazy", id(value), type(value))
    if isinstance(value, torch.Tensor):
        grad = id(value.grad) if value.is_leaf else None
        about = (id(value), type(value), value._version, value.requires_grad, grad)
        if value.is_meta:
            return (*about, tuple(value.shape))
        data = value.detach().contiguous().reshape(-1).view(torch.uint8)
        return (*about, value.data_ptr(), tuple(value.shape), data.numpy().tobytes())
    if isinstance(value, dict):
        return (id(value), [(key, _seen(item)) for key, item in value.items()])
    if isinstance(value, (list, tuple)):
        return (id(value), [_seen(item) for item in value])
    if isinstance(value, set):
        return (id(value), {id(item) for item in value})
    return id(value)


@pytest.fixture(scope="session")
def rule_answer() -> Callable[..., Any]:
    """What the shape rule of an overload answers, None for arguments that it leaves to torch."""
    return _rule_answer


@pytest.fixture(scope="session")
def agrees_with_torch() -> Callable[..., None]:
    """Assert that the shape rule of an overload answers as torch does, or not at all."""
    return _agrees_with_torch


def _agrees_with_torch(target: str, args: list[Any]) -> None:
    """The rule of an overload answers as torch does on cpu and on meta, or not at all.

    The statistics that norms return on meta are those of another device: cpu has the say there.
    A convolution of another memory format than the usual keeps it on cpu as its kernel likes;
    meta has the say there.
    """
    namespace, name, overload = target.split(".")
    operator = getattr(getattr(getattr(torch.ops, namespace), name), overload)
    answer = _rule_answer(target, args)
    if answer is None:
        return
    places = ("cpu",) if "_norm" in name else ("cpu", "meta")
    if name == "convolution" and not args[0].is_contiguous():
        places = ("meta",)
    for place in places:
        try:
            result = operator(*(_on(place, argument) for argument in args))
        except NotImplementedError:
            continue  # a kernel that this device lacks for a dtype, whatever the arguments
        results = result if isinstance(result, (tuple, list)) else (result,)
        assert [(tuple(r.shape), r.dtype) for r in results] == [made[:2] for made in answer]
        for tensor, (shape, _, *strides) in zip(results, answer, strict=True):
            assert tensor.is_contiguous() or strides
            for size, stride, named in zip(shape, tensor.stride(), *strides or [()], strict=False):
                assert size == 1 or stride == named


def _rule_answer(target: str, args: list[Any]) -> Any:
    try:
        return aten._RULES[target](*args)
    except (TypeError, AttributeError, IndexError, ValueError):
        return None


def _on(place: str, argument: Any) -> Any:
    if isinstance(argument, torch.Tensor):
        return argument.to(place)
    if isinstance(argument, list):
        return [_on(place, item) for item in argument]
    return argument
